"""A hub of our own on this machine: enough of its interface to take an upload."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OID = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """Keeps what is uploaded in `repositories`, {repository: {path: bytes}}."""

    repositories: dict
    status: int

    def log_message(self, *args):
        """Quiet."""

    def do_GET(self):
        self.answer({"sha": OID, "siblings": [], "id": "x", "modelId": "x"})

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

    def answer(self, body):
        raw = json.dumps(body if self.status == 200 else {"error": "not allowed here"}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@contextmanager
def local_hub(*, status=200):
    """(address, repositories); with another `status` everything is refused."""
    handler = type("Handler", (Hub,), {"repositories": {}, "status": status})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.repositories
    finally:
        server.shutdown()
        server.server_close()
