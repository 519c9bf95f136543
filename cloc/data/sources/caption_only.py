"""Plain image-text shards: KEY.{jpg,png,webp} beside KEY.txt, as public WebDataset sets have it."""

from collections.abc import Mapping
from typing import Any

from cloc.data.decode import image_member, image_size, origin
from cloc.data.record import Caption, Record
from cloc.errors import UserError


def parse(sample: Mapping[str, Any]) -> Record:
    """One caption and no regions; blank text is no caption, a missing txt is a `UserError`."""
    where = origin(sample)
    image, extension = image_member(sample)
    if "txt" not in sample:
        raise UserError(
            f"{where}: no txt member; annotated shards are read by "
            "cloc.data.sources.cloc_regions.parse, set data.parse to it"
        )
    try:
        text = sample["txt"].decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: the caption is not UTF-8 ({error})") from None
    width, height = image_size(image, where)
    captions = (Caption(text),) if text else ()
    return Record(sample["__key__"], image, extension, width, height, captions)
