"""A FastAPI backend on uvicorn, on an ephemeral port; prints the port. Its answers are those of node/recorder.js."""

import hashlib
import socket
import sys

import uvicorn
from fastapi import FastAPI, Request

app = FastAPI(openapi_url=None)
seen = []


@app.get("/__seen")
async def report():
    return {"count": len(seen), "seen": seen}


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
async def record(request: Request):
    digest = hashlib.sha256()
    length = 0
    async for piece in request.stream():
        digest.update(piece)
        length += len(piece)
    target = request.scope["raw_path"].decode("latin-1")
    if request.scope["query_string"]:
        target += "?" + request.scope["query_string"].decode("latin-1")
    entry = {"method": request.method, "target": target, "bodyLength": length}
    seen.append(entry)
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.scope["headers"]]
    return {**entry, "headers": headers, "sha256": digest.hexdigest(), "trailers": [], "count": len(seen)}


if __name__ == "__main__":
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    parser = sys.argv[1] if len(sys.argv) > 1 else "auto"
    uvicorn.Server(uvicorn.Config(app, log_level="warning", http=parser)).run(sockets=[listener])
