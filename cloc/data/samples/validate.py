"""What an annotation may hold: checks of single values, their caps and the names of the reasons.

A check raises `BadSample(reason, "where: what was given; cure")`. No torch here: data preparation
and the loader both stand on this file.
"""

import re
import sys
from typing import Any

from cloc.errors import BadSample

# Why something was left out -> what goes. A region goes with what it cannot do without (box, text,
# score); its label, source and negatives go alone.
REASONS = {
    "members": "the sample",  # a file of it is missing
    "annotation": "the sample",  # not JSON, another schema, no size, over a cap of the whole
    "caption": "the caption, and the sample where a caption is all it has",
    "region": "the region",  # not an object
    "box_shape": "the region",  # not four values
    "box_not_finite": "the region",  # NaN, infinite, or no number at all
    "box_reversed": "the region",
    "box_outside": "the region",
    "box_small": "the region",  # thinner than MIN_SIDE_PX inside the image
    "text": "the region",  # blank, unclean or too long
    "score": "the region",  # a filter by score could not judge it
    "label": "the label",
    "source": "the source",
    "negatives": "the negatives that are wrong; all of them where they are too many",
    "meta": "the meta data",
}

MIN_SIDE_PX = 1.0  # a thinner box shows nothing; so no box has less than 1 px^2
MAX_SIDE_PX = 65_535  # of an image; what a JPEG can hold
MAX_JSON_BYTES = 1 << 20
MAX_JSON_VALUES = 50_000  # commas and open brackets, those in texts too
MAX_DEPTH = 16  # lists and objects inside each other; the schema itself needs 4
MAX_REGIONS = 1_000
MAX_CAPTIONS = 100
MAX_NEGATIVES = 100  # of one region
MAX_CAPTION_CHARS = 10_000
MAX_PHRASE_CHARS = 1_000  # a region's text, and each of its negatives
MAX_NAME_CHARS = 200  # a label, a source
MAX_META_VALUES = 10_000  # keys counted too

CURE = "fix or drop it where the shard is made"
_CONTROL = r"\x00-\x08\x0e-\x1f\x7f-\x9f"  # tab to carriage return are spaces
_SURROGATE = r"\ud800-\udfff"  # half a character: JSON admits it, UTF-8 does not
_SURROGATES = re.compile(f"[{_SURROGATE}]")
_UNCLEAN = re.compile(f"[{_CONTROL}{_SURROGATE}]")


def shown(value: Any) -> str:
    """At most 80 characters of `repr` on one line; a type's name where there is no `repr`."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # an integer of over 4,300 digits; a deep list
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}..."


def is_texts(value: Any) -> bool:
    """A list of texts, each with a word in it; at least one."""
    is_list = isinstance(value, list) and bool(value)
    return is_list and all(isinstance(inner, str) and inner.strip() for inner in value)


def is_finite(value: Any) -> bool:
    """False for NaN, for a bool, and for an integer that no float holds: JSON has no bounds."""
    if type(value) is float:  # nearly always
        return -sys.float_info.max <= value <= sys.float_info.max
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max


def is_phrase(value: Any) -> bool:
    """Some words without control characters and lone surrogates, at most MAX_PHRASE_CHARS."""
    given = isinstance(value, str) and len(value) <= MAX_PHRASE_CHARS
    return given and bool(value.strip()) and not _UNCLEAN.search(value)


def is_small(box: tuple[float, float, float, float]) -> bool:
    """Thinner than MIN_SIDE_PX on the grid of 0.01 px that files hold, and so before and after it
    is written alike."""
    if min(box[2] - box[0], box[3] - box[1]) > MIN_SIDE_PX + 0.02:  # nearly always
        return False
    x0, y0, x1, y1 = (round(100 * round(x, 2)) for x in box)
    return min(x1 - x0, y1 - y0) < 100 * MIN_SIDE_PX


def check_box(box: Any, width: int, height: int, where: str) -> tuple[float, float, float, float]:
    """Four finite numbers, ordered, clipped to the image and there not small."""
    if not isinstance(box, list | tuple) or len(box) != 4:
        raise _bad_box("box_shape", where, box, "is not [x0, y0, x1, y1]")
    if not all(map(is_finite, box)):
        raise _bad_box("box_not_finite", where, box, "has a coordinate that is not a finite number")
    x0, y0, x1, y1 = map(float, box)
    if x0 >= x1 or y0 >= y1:
        raise _bad_box("box_reversed", where, box, "is reversed or empty (x0 < x1, y0 < y1)")
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if x0 >= x1 or y0 >= y1:
        raise _bad_box("box_outside", where, box, f"lies outside the {width}x{height} image")
    if is_small((x0, y0, x1, y1)):
        wide, high = round(x1, 2) - round(x0, 2), round(y1, 2) - round(y0, 2)
        size = f"{wide:.2f}x{high:.2f} px inside the {width}x{height} image, under {MIN_SIDE_PX:g}"
        raise _bad_box("box_small", where, box, f"is {size} px (boxes are in pixels)")
    return x0, y0, x1, y1


def _bad_box(reason: str, where: str, box: Any, what: str) -> BadSample:
    given = list(box) if isinstance(box, tuple) else box
    cure = "fix or drop the region where the shard is made"
    return BadSample(reason, f"{where}: box {shown(given)} {what}; {cure}")


def check_size(content: bytes, where: str) -> None:
    """Before parsing: a hostile annotation must not cost time or memory."""
    if len(content) > MAX_JSON_BYTES:
        size = f"{len(content):,} bytes, at most {MAX_JSON_BYTES:,} are read"
        raise bad(where, f"the annotation has {size}")
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise bad(where, f"the annotation has over {MAX_JSON_VALUES:,} commas and open brackets")


def check_depth(data: Any, where: str) -> None:
    """Also of what Python can still parse: its own limit depends on how deep the caller stands."""
    level = [data]
    for _ in range(MAX_DEPTH):
        inner = (node.values() if isinstance(node, dict) else node for node in level)
        level = [x for values in inner for x in values if isinstance(x, dict | list)]
        if not level:
            return
    raise bad(where, f"the annotation is nested more than {MAX_DEPTH} deep")


def bad(where: str, what: str) -> BadSample:
    """A problem of the whole annotation."""
    return BadSample("annotation", f"{where}: {what}; {CURE}")


def check_side(value: Any, where: str, *, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_SIDE_PX:
        return value
    size = f"expected the image's size in pixels, 1 to {MAX_SIDE_PX:,}"
    raise bad(where, f"{name} is {shown(value)}, {size}")


def check_list(value: Any, where: str, *, name: str, at_most: int) -> list[Any]:
    """Null and missing are empty; what is inside is not looked at."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad(where, f"{name} is not a list of objects")
    if len(value) > at_most:
        raise bad(where, f"{len(value):,} {name}, at most {at_most:,} are read")
    return value


def usable_negatives(value: Any, where: str) -> tuple[tuple[str, ...], BadSample | None]:
    """Those that are phrases, none where they are no list or too many; and what is wrong, if
    anything is. Null and missing are empty."""
    given = [] if value is None else value
    if not isinstance(given, list) or len(given) > MAX_NEGATIVES:
        what = f"{len(given):,} phrases" if isinstance(given, list) else shown(given)
        expected = f"expected a list of at most {MAX_NEGATIVES} phrases"
        return (), BadSample("negatives", f"{where}: negatives is {what}, {expected}; {CURE}")
    kept = tuple(filter(is_phrase, given))
    if len(kept) == len(given):
        return kept, None
    first = next(text for text in given if not is_phrase(text))
    what = f"{len(given) - len(kept)} of {len(given)} negatives are not clean, short phrases"
    return kept, BadSample("negatives", f"{where}: {what}, such as {shown(first)}; {CURE}")


def check_object(value: Any, where: str, *, reason: str) -> None:
    if not isinstance(value, dict):
        raise BadSample(reason, f"{where}: {shown(value)} is not an object; {CURE}")


def check_words(value: Any, where: str, *, reason: str, at_most: int) -> str:
    """Some words, clean, as they were given: spaces at the ends stay, nothing is normalised."""
    if not isinstance(value, str) or not value.strip():
        raise BadSample(reason, f"{where}: text is {shown(value)}, expected some words; {CURE}")
    return _clean(value, where, name="text", reason=reason, at_most=at_most)


def check_name(value: Any, where: str, *, name: str) -> str:
    """A label or a source; may be missing, null or empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        expected = "expected a word or nothing"
        raise BadSample(name, f"{where}: {name} is {shown(value)}, {expected}; {CURE}")
    return _clean(value, where, name=name, reason=name, at_most=MAX_NAME_CHARS)


def _clean(text: str, where: str, *, name: str, reason: str, at_most: int) -> str:
    if len(text) > at_most:
        what = f"{name} {shown(text)} has {len(text):,} characters, at most {at_most:,} are read"
        raise BadSample(reason, f"{where}: {what}; {CURE}")
    if unclean := _UNCLEAN.search(text):
        kind = "half a surrogate pair" if _SURROGATES.match(unclean.group()) else "a control code"
        what = f"{name} {shown(text)} holds {unclean.group()!r}, {kind}"
        raise BadSample(reason, f"{where}: {what}; {CURE}")
    return text


def check_score(value: Any, where: str) -> float:
    if not is_finite(value):
        expected = "expected a finite number"
        raise BadSample("score", f"{where}: score is {shown(value)}, {expected}; {CURE}")
    return float(value)


def check_meta(value: Any, where: str) -> dict[str, Any]:
    """Null and missing are {}. Every number is finite and every string UTF-8, so that it can be
    written again; at most MAX_META_VALUES values."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadSample("meta", f"{where}: meta is {shown(value)}, expected an object; {CURE}")
    left: list[Any] = [value]
    for _ in range(1 + MAX_META_VALUES):
        node = left.pop()
        if isinstance(node, str):
            if not node.isascii() and _SURROGATES.search(node):
                raise _bad_meta(where, f"{shown(node)}, which is not UTF-8")
        elif isinstance(node, dict):
            left += [*node.keys(), *node.values()]
        elif isinstance(node, list):
            left += node
        elif isinstance(node, float) and not is_finite(node):
            raise _bad_meta(where, f"{node}, which is not a finite number")
        if not left:
            return value
    raise _bad_meta(where, f"over {MAX_META_VALUES:,} values")


def _bad_meta(where: str, what: str) -> BadSample:
    return BadSample("meta", f"{where}: meta holds {what}; {CURE}")
