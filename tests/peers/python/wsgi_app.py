"""A WSGI backend on gunicorn: CGI variables fold `_` and case, so it shows what such a framework would believe."""

import hashlib
import json
import socket
import sys

from gunicorn.app.base import BaseApplication

seen = []


def record(environ, start_response):
    body = environ["wsgi.input"].read()
    target = environ.get("RAW_URI", "")
    if target == "/__seen":
        answer = {"count": len(seen), "seen": seen}
    else:
        entry = {"method": environ["REQUEST_METHOD"], "target": target, "bodyLength": len(body)}
        seen.append(entry)
        headers = [
            [name.removeprefix("HTTP_").replace("_", "-"), value]
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        answer = {**entry, "headers": headers, "sha256": hashlib.sha256(body).hexdigest(), "trailers": [], "count": len(seen)}
    text = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


class Gunicorn(BaseApplication):
    """One worker with threads, so that `seen` is one list."""

    def load_config(self):
        for name, value in {
            "bind": f"fd://{listener.fileno()}",
            "workers": 1,
            "worker_class": "gthread",
            "threads": 16,
            "header_map": "dangerous",
            "loglevel": "error",
        }.items():
            self.cfg.set(name, value)

    def load(self):
        return record


if __name__ == "__main__":
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    sys.argv = sys.argv[:1]
    Gunicorn().run()
