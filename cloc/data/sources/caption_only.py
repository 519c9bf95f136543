"""Plain image-text shards: KEY.{jpg,png,webp} beside KEY.txt or KEY.json, as public sets are."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloc.data.samples.decode import image_member, image_size, origin
from cloc.data.samples.json_objects import without_repeats
from cloc.data.samples.orientation import orientation
from cloc.data.samples.record import Caption, Problem, Record
from cloc.data.samples.tar_cures import missing_member
from cloc.data.samples.text import clean, decode
from cloc.data.samples.validate import CURE, MAX_CAPTION_CHARS, check_size, shown
from cloc.errors import BadSample

ELSE = (
    "annotated shards are read by cloc.data.sources.cloc_regions.parse (data=regions, which sets "
    "data.parse), captions of other places by cloc-pretrain prepare import=webdataset"
)


def parse(sample: Mapping[str, Any]) -> Record:
    """One caption, clean as `text.clean` has it, and no regions; blank text is no caption, and
    one of which nothing is left (an address of the web alone) a problem of the record.

    Without a txt, or with a blank one, it is the `caption` of the json, where img2dataset keeps it.
    Neither is `BadSample("members")`; a text that is not UTF-8 or too long, or a json that is none,
    `BadSample("caption")`. These files come from elsewhere, and nobody can mend them.
    """
    where = origin(sample)
    image, extension = image_member(sample)
    given = _text(sample["txt"], where) if "txt" in sample else ""
    if not given.strip() and "json" in sample:
        given = _of_json(sample["json"], where, is_needed="txt" not in sample)
    elif "txt" not in sample:
        cure = missing_member(sample, ["txt"])
        raise BadSample("members", f"{where}: no txt member; {cure}")
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


def _of_json(data: bytes, where: str, *, is_needed: bool) -> str:
    """ "" where the caption is null, as of a picture that img2dataset had none for."""
    check_size(data, where)
    try:
        found = json.loads(decode(data), object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        if not is_needed:
            return ""
        raise BadSample("caption", f"{where}: the json is no JSON ({error}); {CURE}") from None
    if is_needed and not (isinstance(found, dict) and "caption" in found):
        raise BadSample("members", f"{where}: no txt member, and no caption in the json; {ELSE}")
    caption = found.get("caption") if isinstance(found, dict) else None
    if not isinstance(caption, str | None):
        line = f"{where}: caption of the json is {shown(caption)}, expected a text"
        raise BadSample("caption", f"{line}; {CURE}")
    return caption or ""


def _text(data: bytes, where: str) -> str:
    _check_length(len(data), "bytes", 4 * MAX_CAPTION_CHARS, where)  # before decoding
    try:
        return decode(data)
    except ValueError as error:
        raise BadSample("caption", f"{where}: the caption is not UTF-8 ({error}); {CURE}") from None


def _check_length(count: int, unit: str, at_most: int, where: str) -> None:
    if count > at_most:
        size = f"the caption has {count:,} {unit}, at most {at_most:,} are read"
        raise BadSample("caption", f"{where}: {size}; {CURE}")
