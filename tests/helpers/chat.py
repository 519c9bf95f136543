"""A chat endpoint of our own on this machine that can be told how to behave."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text, *, finish="stop"):
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}]}


class Chat:
    """`answers(body)` gives (status, body or bytes, headers) for every request."""

    def __init__(self, answers):
        self.answers, self.models, self.url = answers, ["org/tiny"], ""
        self.lock = threading.Lock()
        self.asked, self.keys, self.began = [], [], []
        self.busy = self.most_busy = 0
        self.delay_s = 0.0


class Handler(BaseHTTPRequestHandler):
    state: Chat

    def log_message(self, *args):
        """Quiet."""

    def do_GET(self):
        self.state.keys.append(self.headers.get("Authorization"))
        self.answer(200, {"data": [{"id": name} for name in self.state.models]}, {})

    def do_POST(self):
        state, now = self.state, time.monotonic()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.busy += 1
            state.most_busy = max(state.most_busy, state.busy)
            state.asked.append((self.path, body))
            state.began.append(now)
            state.keys.append(self.headers.get("Authorization"))
            answer = state.answers(body)
        time.sleep(state.delay_s)
        with state.lock:
            state.busy -= 1
        self.answer(*answer)

    def answer(self, status, body, headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(raw)
        except OSError:
            pass  # the client gave up


@contextmanager
def local_chat(answers):
    state = Chat(answers)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
