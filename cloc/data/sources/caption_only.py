"""Plain image-text shards: KEY.{jpg,png,webp} beside KEY.txt, as public WebDataset sets have it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloc.data.decode import image_member, image_size, origin
from cloc.data.orientation import orientation
from cloc.data.record import Caption, Problem, Record
from cloc.data.tar_cures import missing_member
from cloc.data.validate import CURE, MAX_CAPTION_CHARS, shown
from cloc.errors import BadSample
from cloc.text import clean


def parse(sample: Mapping[str, Any]) -> Record:
    """One caption, clean as `cloc.text.clean` has it, and no regions; blank text is no caption, and
    one of which nothing is left (an address of the web alone) a problem of the record.

    No txt is `BadSample("members")`; one that is not UTF-8 or is too long, `BadSample("caption")`.
    These files come from elsewhere, and nobody can mend them.
    """
    where = origin(sample)
    image, extension = image_member(sample)
    if "txt" not in sample:
        cure = missing_member(sample, ["txt"])
        if "json" in sample:
            cure = (
                "annotated shards are read by cloc.data.sources.cloc_regions.parse, set data.parse "
                "to it"
            )
        raise BadSample("members", f"{where}: no txt member; {cure}")
    given = _text(sample["txt"], where)
    width, height = image_size(image, where)
    code = orientation(image)  # a caption is of what people see
    record = Record(sample["__key__"], image, extension, width, height, orientation=code)
    if text := clean(given):
        _check_length(len(text), "characters", MAX_CAPTION_CHARS, where)
        return replace(record, captions=(Caption(text),))
    if given.strip():
        line = f"{where}: the caption {shown(given)} has no words; {CURE}"
        return replace(record, problems=(Problem("caption", "", line),))
    return record


def _text(data: bytes, where: str) -> str:
    _check_length(len(data), "bytes", 4 * MAX_CAPTION_CHARS, where)  # before decoding
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSample("caption", f"{where}: the caption is not UTF-8 ({error}); {CURE}") from None


def _check_length(count: int, unit: str, at_most: int, where: str) -> None:
    if count > at_most:
        size = f"the caption has {count:,} {unit}, at most {at_most:,} are read"
        raise BadSample("caption", f"{where}: {size}; {CURE}")
