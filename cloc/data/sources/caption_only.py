"""Plain image-text shards: KEY.{jpg,png,webp} beside KEY.txt, as public WebDataset sets have it."""

from collections.abc import Mapping
from typing import Any

from cloc.data.decode import image_member, image_size, origin
from cloc.data.record import Caption, Record
from cloc.data.validate import CURE, MAX_CAPTION_CHARS, clean_text
from cloc.errors import BadSample


def parse(sample: Mapping[str, Any]) -> Record:
    """One caption and no regions; blank text is no caption.

    No txt is `BadSample("members")`; one that is not UTF-8 or is too long, `BadSample("caption")`.
    Control characters become spaces: these files come from elsewhere, and nobody can mend them.
    """
    where = origin(sample)
    image, extension = image_member(sample)
    if "txt" not in sample:
        raise BadSample(
            "members",
            f"{where}: no txt member; annotated shards are read by "
            "cloc.data.sources.cloc_regions.parse, set data.parse to it",
        )
    text = _text(sample["txt"], where)
    width, height = image_size(image, where)
    captions = (Caption(text),) if text else ()
    return Record(sample["__key__"], image, extension, width, height, captions)


def _text(data: bytes, where: str) -> str:
    _check_length(len(data), "bytes", 4 * MAX_CAPTION_CHARS, where)  # before decoding
    try:
        text = clean_text(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadSample("caption", f"{where}: the caption is not UTF-8 ({error}); {CURE}") from None
    _check_length(len(text), "characters", MAX_CAPTION_CHARS, where)
    return text


def _check_length(count: int, unit: str, at_most: int, where: str) -> None:
    if count > at_most:
        size = f"the caption has {count:,} {unit}, at most {at_most:,} are read"
        raise BadSample("caption", f"{where}: {size}; {CURE}")
