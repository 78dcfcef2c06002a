"""Mints with PyJWT: reads lines {"payload","secret","algorithm"?}, prints a token a line."""

import json
import sys

import jwt

for line in sys.stdin:
    wanted = json.loads(line)
    print(jwt.encode(wanted["payload"], wanted["secret"], algorithm=wanted.get("algorithm", "HS256")), flush=True)
