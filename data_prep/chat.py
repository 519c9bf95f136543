"""What is said to a chat model behind an OpenAI-compatible endpoint, and what it answers."""

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from cloc.data.samples.decode import opaque
from cloc.data.samples.record import Record

MIME = {"jpg": "jpeg", "png": "png", "webp": "webp"}

Message = Mapping[str, Any]


class Reply(NamedTuple):
    """A model's text, and whether it ended by itself or was cut off."""

    text: str
    is_whole: bool


def user_turn(text: str, record: Record | None = None) -> list[Message]:
    """One turn: the request, after the record's picture, if one is given: as it is stored, or over
    white where it is transparent, which servers drop."""
    content: list[Message] = [{"type": "text", "text": text}]
    if record is not None:
        image, extension = opaque(record, f"record {record.key}")
        data = base64.b64encode(image).decode()
        url = f"data:image/{MIME[extension]};base64,{data}"
        content.insert(0, {"type": "image_url", "image_url": {"url": url}})
    return [{"role": "user", "content": content}]


def reply_of(answer: Any) -> Reply:
    """Of a body; `ValueError` where it is no chat completion."""
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        is_whole = choice.get("finish_reason") != "length"
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    if text is not None and not isinstance(text, str):
        raise ValueError(f"content is {type(text).__name__}")
    return Reply(text or "", is_whole)
