"""A client of OpenAI-compatible chat endpoints (vLLM, ...): paced, retried, in order."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from cloc.errors import UserError, one_line
from data_prep.chat import Message, Reply, reply_of
from data_prep.transport import Failed, Failure, check_url, send

LONGEST_WAIT_S = 60.0  # before a retry, whatever the server asks for
IN_A_ROW = 5  # requests without an answer that end the work: it is the server, not the samples

T = TypeVar("T")


class Endpoint:
    """`base_url` is what comes before /chat/completions, such as http://127.0.0.1:8000/v1.

    The key is read from the environment variable `key_env` when it is sent, and stands nowhere
    else. 408, 429, 5xx, a broken or slow connection and a reply that is none are tried again up to
    `retries` times, `backoff_s` and then twice as long each time apart, or as Retry-After says; at
    most `requests_per_s` requests begin in a second (null: no limit), retries among them, and at
    most `concurrency` are under way. 400, 413 and 422 answer one request, with no. Any other is a
    `UserError` with the server's words, and so are `IN_A_ROW` requests in a row without an answer.
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
        check_url(base_url)
        if retries < 0 or concurrency < 1 or (requests_per_s is not None and requests_per_s <= 0):
            raise UserError(
                f"retries={retries}, concurrency={concurrency}, requests_per_s={requests_per_s}; "
                "give retries >= 0, concurrency >= 1 and requests_per_s > 0 or null"
            )
        if timeout_s <= 0 or backoff_s < 0:
            raise UserError(
                f"timeout_s={timeout_s}, backoff_s={backoff_s}; give timeout_s > 0 and "
                "backoff_s >= 0"
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
        ends the others and is raised here. So does a server that is gone: `IN_A_ROW` failures in a
        row, nothing but failures, or failures at the end, after which a request that had an answer
        has none any more. Else samples would be passed on without theirs, as if at fault.
        """
        run = _Run(self, max_tokens)
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(run.answer, make, item) for item in items]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                answers = [future.result() for future in futures]
            finally:
                run.stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
        good = [i for i, answer in zip(items, answers, strict=True) if isinstance(answer, Reply)]
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        if failures and not good:
            raise _gone(f"none of {len(answers)} requests had an answer", failures[-1])
        if run.failed:
            again = _Run(self, max_tokens).answer(make, good[0])
            if isinstance(again, Failure):
                raise _gone("a request that had an answer has none any more", again)
        return answers

    def describe(self) -> Mapping[str, Any]:
        """As JSON, without the address: the same model elsewhere answers alike."""
        return {"model": self.model, "served": "openai"}

    def send(self, path: str, body: bytes | None) -> Any:
        """One request; `Failed` for what another may mend."""
        return send(self.base_url, path, body, key_env=self.key_env, timeout_s=self.timeout_s)

    def _check_server(self) -> None:
        """A server that is not there, or does not have the model, is told before any work; one
        that is busy, or has no list of models, is not asked further."""
        try:
            answer = self.send("models", None)
        except Failed as error:
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
        self.failed = 0  # requests in a row that had no answer after all their tries

    def answer(self, make: Callable[[T], Sequence[Message]], item: T) -> Reply | Failure:
        endpoint, messages = self.endpoint, make(item)
        settings = {"max_tokens": self.max_tokens, "temperature": 0, "seed": 0}
        body = json.dumps({"model": endpoint.model, "messages": messages, **settings}).encode()
        found = self._tried(body)
        with self.lock:
            if isinstance(found, Reply) or found.reason == "refused":  # a server that is there
                self.failed = 0
            elif not self.stop.is_set():  # else it was not tried as often as it should be
                self.failed += 1
                if self.failed == IN_A_ROW:
                    self.stop.set()  # here: who waits for this may come late, others would go on
                    raise _gone(f"{self.failed} requests in a row had no answer", found)
        return found

    def _tried(self, body: bytes) -> Reply | Failure:
        endpoint, failure = self.endpoint, Failure("connection", "not sent: the work has ended")
        for tried in range(endpoint.retries + 1):
            self.stop.wait(self._pause())
            if self.stop.is_set():
                break
            try:
                return _reply(endpoint.send("chat/completions", body))
            except Failed as error:
                failure, asked = error.failure, error.after_s
            if failure.reason == "refused":
                break
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


def _reply(answer: Any) -> Reply:
    try:
        return reply_of(answer)
    except ValueError as error:
        line = f"the reply is no chat completion ({one_line(error)})"
        raise Failed(Failure("malformed", line)) from None


def _gone(what: str, last: Failure) -> UserError:
    return UserError(
        f"{what}, the last: {last.message}; check the server, or lower concurrency or "
        "requests_per_s where it is busy; the same command then does what is missing"
    )
