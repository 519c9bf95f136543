"""A hub of our own on this machine: enough of its interface to take an upload and serve files."""

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

OID = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """Keeps what is uploaded in `repositories`, {repository: {path: bytes}}."""

    repositories: dict
    served: list
    status: int

    def log_message(self, *args):
        """Quiet."""

    def do_GET(self):
        path = unquote(self.path.split("?")[0]).strip("/")
        if "/resolve/" in path:
            self.serve(*path.split("/resolve/"))
            return
        # "api/models/NAME", with an owner in front of it or without
        name = "/".join(re.split("/(?:tree|revision)/", path)[0].split("/")[2:])
        files = self.repositories.get(name, {})
        if name not in self.repositories and ("/tree/" in path or "/revision/" in path):
            self.answer({"error": "Repository not found"}, status=404)
            return
        if "/tree/" in path:
            rows = [(name, len(content)) for name, content in files.items()]
            self.answer([{"type": "file", "path": n, "size": s, "oid": OID} for n, s in rows])
            return
        self.answer(
            {
                "sha": OID,
                "id": "x",
                "modelId": "x",
                "siblings": [{"rfilename": name} for name in files],
            }
        )

    do_HEAD = do_GET

    def serve(self, repository, path):
        """A file of a repository, as the hub sends the small ones; notes its name."""
        name = path.partition("/")[2]
        content = self.repositories.get(repository, {}).get(name)
        self.send_response(404 if content is None else self.status)
        self.send_header("X-Repo-Commit", OID)
        self.send_header("ETag", hashlib.sha256(content or b"").hexdigest())
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if self.command == "GET" and content is not None:
            self.served.append(name)
            self.wfile.write(content)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self.path.split("?")[0].strip("/").split("/")
        what = parts[4] if len(parts) > 4 else "/".join(parts)
        answers = {
            "api/repos/create": self.create,
            "api/validate-yaml": lambda raw, _: {"errors": [], "warnings": []},  # of the card
            "preupload": self.preupload,
            "commit": self.commit,
        }
        self.answer(answers[what](raw, "/".join(parts[2:4])))

    def create(self, raw, _):
        asked = json.loads(raw)
        name = f"{asked['organization']}/{asked['name']}"
        self.repositories.setdefault(name, {})
        return {"url": f"http://{self.headers['Host']}/{name}"}

    def preupload(self, raw, _):
        modes = {"uploadMode": "regular", "shouldIgnore": False}
        return {"files": [{"path": f["path"], **modes} for f in json.loads(raw)["files"]]}

    def commit(self, raw, name):
        for line in map(json.loads, raw.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.repositories[name][line["value"]["path"]] = content
        url = f"http://{self.headers['Host']}/{name}/commit/{OID}"
        return {"success": True, "commitOid": OID, "commitUrl": url, "hookOutput": ""}

    def answer(self, body, *, status=None):
        raw = json.dumps(body if self.status == 200 else {"error": "not allowed here"}).encode()
        self.send_response(status or self.status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)


class Repositories(dict):
    """{repository: {path: bytes}}, and the names of the files that were sent."""

    def __init__(self):
        super().__init__()
        self.served = []


@contextmanager
def local_hub(*, status=200):
    """(address, repositories); with another `status` everything is refused. The second's `served`
    lists the files that were sent."""
    repositories = Repositories()
    members = {"repositories": repositories, "served": repositories.served, "status": status}
    handler = type("Handler", (Hub,), members)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", repositories
    finally:
        server.shutdown()
        server.server_close()
