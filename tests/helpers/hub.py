"""A hub of our own on this machine: enough of its interface to take an upload."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def local_hub(*, status=200):
    """(address, repositories): what was uploaded, {repository: {path: bytes}}; every answer has
    `status`, and the hub's own error where that is no success."""
    repositories = {}

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *args):
            """Quiet."""

        def answer(self, body):
            raw = json.dumps(body if status == 200 else {"error": "not allowed here"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self):
            self.answer({"sha": "0" * 40, "siblings": [], "id": "x", "modelId": "x"})

        def do_POST(self):
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = self.path.split("?")[0].strip("/").split("/")
            address = f"http://{self.headers['Host']}"
            if parts[:3] == ["api", "repos", "create"]:
                asked = json.loads(raw)
                name = f"{asked['organization']}/{asked['name']}"
                repositories.setdefault(name, {})
                self.answer({"url": f"{address}/{name}"})
            elif parts == ["api", "validate-yaml"]:  # the card's metadata
                self.answer({"errors": [], "warnings": []})
            elif parts[4] == "preupload":
                files = json.loads(raw)["files"]
                modes = {"uploadMode": "regular", "shouldIgnore": False}
                self.answer({"files": [{"path": f["path"], **modes} for f in files]})
            elif parts[4] == "commit":
                name = "/".join(parts[2:4])
                for line in map(json.loads, raw.splitlines()):
                    if line["key"] == "file":
                        content = base64.b64decode(line["value"]["content"])
                        repositories[name][line["value"]["path"]] = content
                self.answer(
                    {
                        "success": True,
                        "commitOid": "0" * 40,
                        "commitUrl": f"{address}/{name}/commit/{'0' * 40}",
                        "hookOutput": "",
                    }
                )

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", repositories
    finally:
        server.shutdown()
        server.server_close()
