"""httpx over HTTP/2: argv is the CA file and a JSON list of {"url","method","headers","body"}; prints a JSON list."""

import json
import ssl
import sys

import httpx

answers = []
with httpx.Client(http2=True, verify=ssl.create_default_context(cafile=sys.argv[1])) as client:
    for wanted in json.loads(sys.argv[2]):
        body = wanted.get("body")
        answer = client.request(
            wanted.get("method", "GET"), wanted["url"], headers=wanted.get("headers"), content=body.encode() if body else None
        )
        answers.append(
            {
                "status": answer.status_code,
                "version": answer.http_version,
                "headers": answer.headers.multi_items(),
                "body": answer.text,
            }
        )
print(json.dumps(answers))
