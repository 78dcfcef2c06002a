"""Verifies with PyJWT: argv[1] is {"token","secret"}; prints the claims, or {"refused"}."""

import json
import sys

import jwt

wanted = json.loads(sys.argv[1])
try:
    options = {"verify_aud": False}
    print(json.dumps(jwt.decode(wanted["token"], wanted["secret"], algorithms=["HS256"], options=options)))
except jwt.InvalidTokenError as error:
    print(json.dumps({"refused": str(error)}))
