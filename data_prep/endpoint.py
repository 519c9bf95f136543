"""A client of OpenAI-compatible chat endpoints (vLLM, ...): paced, retried, in order."""

import base64
import email.utils
import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, TypeVar

from cloc.data.record import Record
from cloc.errors import UserError, one_line

LONGEST_WAIT_S = 60.0  # before a retry, whatever the server asks for
MIME = {"jpg": "jpeg", "png": "png", "webp": "webp"}
TOO_MANY, SERVER_ERROR = 429, 500

Message = Mapping[str, Any]
T = TypeVar("T")


class Reply(NamedTuple):
    """A model's text, and whether it ended by itself or was cut off."""

    text: str
    is_whole: bool


class Failure(NamedTuple):
    """What kept the last of all tries from an answer."""

    reason: str  # "busy" (429), "server" (5xx), "connection" or "malformed" (no such reply)
    message: str


class _Retry(Exception):
    def __init__(self, failure: Failure, after_s: float | None = None) -> None:
        self.failure, self.after_s = failure, after_s


class Endpoint:
    """`base_url` is what comes before /chat/completions, such as http://127.0.0.1:8000/v1.

    The key is read from the environment variable `key_env` when it is sent, and stands nowhere
    else. 429, 5xx, a broken or slow connection and a reply that is none are tried again up to
    `retries` times, `backoff_s` and then twice as long each time apart, or as Retry-After says; at
    most `requests_per_s` requests begin in a second (null: no limit), retries among them, and at
    most `concurrency` are under way. Any other status is a `UserError` with the server's words.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        key_env: str | None = None,
        timeout_s: float = 120.0,
        retries: int = 5,
        backoff_s: float = 1.0,
        requests_per_s: float | None = None,
        concurrency: int = 16,
    ) -> None:
        _check_url(base_url)
        if retries < 0 or concurrency < 1 or (requests_per_s is not None and requests_per_s <= 0):
            raise UserError(
                f"retries={retries}, concurrency={concurrency}, requests_per_s={requests_per_s}; "
                "give retries >= 0, concurrency >= 1 and requests_per_s > 0 or null"
            )
        self.base_url, self.model, self.key_env = base_url.rstrip("/"), model, key_env
        self.timeout_s, self.retries, self.backoff_s = timeout_s, retries, backoff_s
        self.requests_per_s, self.concurrency = requests_per_s, concurrency
        self._next = 0.0  # when the next request may begin
        self._check_server()

    def ask(
        self, items: Sequence[T], make: Callable[[T], Sequence[Message]], *, max_tokens: int
    ) -> list[Reply | Failure]:
        """The answers to the messages that `make` gives for each item, in order.

        `make` runs in the thread that sends them. What it raises, and a refusal of the server,
        ends the others and is raised here.
        """
        run = _Run(self, max_tokens)
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(run.answer, make, item) for item in items]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                return [future.result() for future in futures]
            finally:
                run.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def describe(self) -> Mapping[str, Any]:
        """As JSON, without the address: the same model elsewhere answers alike."""
        return {"model": self.model, "served": "openai"}

    def send(self, path: str, body: bytes | None) -> Any:
        """One request; `_Retry` for what another may mend."""
        request = urllib.request.Request(f"{self.base_url}/{path}", data=body)
        request.add_header("Content-Type", "application/json")
        key = _key(self.key_env)
        if key:  # not to where a redirection leads
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise self._refusal(error, key) from None
        except (OSError, http.client.HTTPException) as error:
            why = one_line(getattr(error, "reason", None) or error)
            raise _Retry(Failure("connection", f"{self.base_url}: {why}")) from None
        except (ValueError, RecursionError) as error:
            line = f"{self.base_url}: the reply is not JSON ({one_line(error)})"
            raise _Retry(Failure("malformed", line)) from None

    def _refusal(self, error: urllib.error.HTTPError, key: str) -> Exception:
        with error:
            try:
                said = error.read(2000).decode(errors="replace")
            except (OSError, http.client.HTTPException):
                said = ""
        said = " ".join((said.replace(key, "***") if key else said).split())[:300]
        line = f"{self.base_url} answers {error.code}: {said or error.reason}"
        if error.code == TOO_MANY or error.code >= SERVER_ERROR:
            reason = "busy" if error.code == TOO_MANY else "server"
            return _Retry(Failure(reason, line), _seconds(error.headers.get("Retry-After")))
        return UserError(f"{line}; check base_url, model, key_env and what is asked for")

    def _check_server(self) -> None:
        """A server that is not there, or does not have the model, is told before any work; one
        that is busy, or has no list of models, is not asked further."""
        try:
            answer = self.send("models", None)
        except _Retry as error:
            if error.failure.reason != "connection":
                return
            raise UserError(
                f"{error.failure.message}; start the server or correct base_url"
            ) from None
        except UserError as error:
            if "answers 404" in str(error) or "answers 405" in str(error):
                return
            raise
        listed = answer.get("data") if isinstance(answer, dict) else None
        names = [m.get("id") for m in listed if isinstance(m, dict)] if listed else []
        if names and self.model not in names:
            known = ", ".join(map(str, names[:10]))
            raise UserError(f"{self.base_url} has no model {self.model!r}; it serves {known}")


class _Run:
    """What the threads of one call share."""

    def __init__(self, endpoint: Endpoint, max_tokens: int) -> None:
        self.endpoint, self.max_tokens = endpoint, max_tokens
        self.lock, self.stop = threading.Lock(), threading.Event()

    def answer(self, make: Callable[[T], Sequence[Message]], item: T) -> Reply | Failure:
        endpoint, messages = self.endpoint, make(item)
        settings = {"max_tokens": self.max_tokens, "temperature": 0, "seed": 0}
        body = json.dumps({"model": endpoint.model, "messages": messages, **settings}).encode()
        failure = Failure("connection", "not sent: another request was refused")
        for tried in range(endpoint.retries + 1):
            self.stop.wait(self._pause())
            if self.stop.is_set():
                break
            try:
                return _reply(endpoint.send("chat/completions", body))
            except _Retry as error:
                failure, asked = error.failure, error.after_s
            if tried < endpoint.retries:
                pause = endpoint.backoff_s * 2**tried if asked is None else asked
                self.stop.wait(min(pause, LONGEST_WAIT_S))
        return failure

    def _pause(self) -> float:
        """Seconds until this request's turn."""
        if self.endpoint.requests_per_s is None:
            return 0.0
        with self.lock:
            now = time.monotonic()
            turn = max(now, self.endpoint._next)
            self.endpoint._next = turn + 1 / self.endpoint.requests_per_s
            return turn - now


def user_turn(text: str, record: Record | None = None) -> list[Message]:
    """One turn: the request, after the record's picture as it is stored, if one is given."""
    content: list[Message] = [{"type": "text", "text": text}]
    if record is not None:
        data = base64.b64encode(record.image).decode()
        url = f"data:image/{MIME[record.extension]};base64,{data}"
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": content}]


def _reply(answer: Any) -> Reply:
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        if text is not None and not isinstance(text, str):
            raise TypeError(f"content is {type(text).__name__}")
        return Reply(text or "", choice.get("finish_reason") != "length")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        line = f"the reply is no chat completion ({one_line(error)})"
        raise _Retry(Failure("malformed", line)) from None


def _check_url(base_url: str) -> None:
    parts = urllib.parse.urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"base_url={base_url} is no address; give one such as http://HOST:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UserError(
            "base_url holds a name, password or query, which would be recorded; give the address "
            "alone and the key in an environment variable that key_env names"
        )


def _key(name: str | None) -> str:
    if name is None:
        return ""
    key = os.environ.get(name, "").strip()
    if not key or not key.isascii() or not key.isprintable():  # a header would show it in an error
        what = "holds no key of plain characters" if key else "is not set"
        raise UserError(f"the environment variable {name} {what}; set it or give key_env=null")
    return key


def _seconds(after: str | None) -> float | None:
    """Of a Retry-After header: seconds, or a date."""
    if after is None:
        return None
    try:
        return max(0.0, float(after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time.time())
    except ValueError:
        return None
