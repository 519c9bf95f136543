"""One request to a server that speaks JSON, with its key, and what keeps it from an answer."""

import email.utils
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

from cloc.errors import UserError, one_line

BUSY, SERVER_ERROR = (408, 429), 500
REFUSED = (400, 413, 422)  # of one request, such as a picture that is too large for the model


class Failure(NamedTuple):
    """What kept the last of all tries from an answer."""

    # "busy" (408, 429), "server" (5xx), "connection", "malformed" (no such reply), or "refused"
    # (400, 413, 422), which is not tried again
    reason: str
    message: str


class Failed(Exception):
    """A failure of one try; `after_s` is how long the server asks to wait."""

    def __init__(self, failure: Failure, after_s: float | None = None) -> None:
        self.failure, self.after_s = failure, after_s


def send(
    base_url: str, path: str, body: bytes | None, *, key_env: str | None, timeout_s: float
) -> Any:
    """What the server answers; `Failed` for what another try or another request may mend, a
    `UserError` with the server's words for any other status."""
    request = urllib.request.Request(f"{base_url}/{path}", data=body)
    request.add_header("Content-Type", "application/json")
    key = _key(key_env)
    if key:  # not to where a redirection leads
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise _refusal(base_url, error, key) from None
    except (OSError, http.client.HTTPException) as error:
        why = one_line(getattr(error, "reason", None) or error)
        raise Failed(Failure("connection", f"{base_url}: {why}")) from None
    except (ValueError, RecursionError) as error:
        line = f"{base_url}: the reply is not JSON ({one_line(error)})"
        raise Failed(Failure("malformed", line)) from None


def _refusal(base_url: str, error: urllib.error.HTTPError, key: str) -> Exception:
    with error:
        try:
            said = error.read(2000).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            said = ""
    said = " ".join((said.replace(key, "***") if key else said).split())[:300]
    line = f"{base_url} answers {error.code}: {said or error.reason}"
    if error.code in REFUSED:
        return Failed(Failure("refused", line))
    if error.code in BUSY or error.code >= SERVER_ERROR:
        reason = "busy" if error.code in BUSY else "server"
        return Failed(Failure(reason, line), _seconds(error.headers.get("Retry-After")))
    return UserError(f"{line}; check base_url, model, key_env and what is asked for")


def check_url(base_url: str) -> None:
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
