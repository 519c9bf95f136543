"""A local HTTP server of a folder, with byte ranges, that can be told to fail."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Server:
    """What it was asked for, and how often it shall fail next."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.failures, self.cuts = folder, 0, 0
        self.ranges = True
        self.asked: list[tuple[str, str]] = []  # (method and path, range)
        self.url = ""

    def gets(self, suffix: str) -> list[str]:
        """The ranges of all GETs of files that end in `suffix`."""
        return [r for what, r in self.asked if what.startswith("GET") and what.endswith(suffix)]


class Handler(BaseHTTPRequestHandler):
    """Answers from the folder of its server's `state`."""

    protocol_version = "HTTP/1.1"
    state: Server

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        asked = self.headers.get("Range", "")
        self.state.asked.append((f"{self.command} {self.path}", asked))
        path = self.state.folder / self.path.lstrip("/")
        if with_body and self.state.failures:
            self.state.failures -= 1
            self._send(503, b"", 0)
        elif not path.is_file():
            self._send(404, b"", 0)
        else:
            data = path.read_bytes()
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked) if self.state.ranges else None
            if found:
                data = data[int(found[1]) : int(found[2]) + 1]
            self._send(206 if found else 200, data if with_body else b"", len(data))

    def _send(self, status: int, body: bytes, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if self.state.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if body and self.state.cuts:
            self.state.cuts -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """A server on a free port of this machine."""
    state = Server(folder)
    handler = type("Bound", (Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
