"""What importers of captioned sets share: texts a shard takes, pictures a loader takes."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from cloc.data.samples import validate
from cloc.data.samples.record import Caption, Record
from cloc.data.shards.tar import split_name
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.files import named, stem_of
from data_prep.importers.shared.frames import Frame
from data_prep.importers.shared.values import numbers_of
from data_prep.importing import (
    Picture,
    Split,
    check_share,
    clipped,
    is_held_out,
    read_picture,
    whole,
    words,
)

Box = tuple[float, float, float, float]
IsOurs = Callable[[str], bool]  # key -> whether the sample belongs to the split being read
T = TypeVar("T")


def held_out(
    read: Callable[[IsOurs, Counter[str]], Iterable[Record | BadSample]],
    *,
    val: float,
    budget: float,
    total: int | None = None,
) -> dict[str, Split]:
    """ "train", and "val" with the share `val` of the keys if it is above 0.

    `read` is called once for each, with the keys it is to yield and the counter of what it leaves
    out, so that nothing of the input is held in memory; with `val` the input is read twice. `total`
    is the number of samples of both.
    """
    check_share(val)
    splits = {}
    for name in ("train", "val") if val else ("train",):
        drops = Counter[str]()
        records = read(_is_ours(name, val), drops)
        shown = total if not val else None
        splits[name] = Split(whole(records, drops, budget=budget), drops, shown)
    return splits


def _is_ours(name: str, val: float) -> IsOurs:
    return lambda key: is_held_out(key, share=val) == (name == "val")


def attempts(
    items: Iterable[T | BadSample], make: Callable[[T], Record]
) -> Iterator[Record | BadSample]:
    """`make` of each; what is bad already, or is found to be, is handed on as it is."""
    for item in items:
        try:
            yield item if isinstance(item, BadSample) else make(item)
        except BadSample as error:
            yield error


def sample_key(name: str) -> str:
    """A path below some folder as a key: without the ending of a picture, other dots as `_`.

    One that a reader would take for another sample or for none (`__like_this__`, not UTF-8) is
    `BadSample("key")`.
    """
    path = PurePosixPath(name)
    key = stem_of(path).replace(".", "_") if path.name else ""
    try:
        clean = bool(key.encode()) and split_name(f"{key}.jpg")[0] == key
    except UnicodeEncodeError:
        clean = False
    if not clean or name.startswith("/"):
        raise BadSample("key", f"{name!r} cannot be the key of a sample; rename the file")
    return key


def picture_below(folder: Path, name: str, *, cure: str) -> Picture:
    """The picture `folder/name`, as by `read_picture`.

    A name that leads out of the folder, which annotations from elsewhere may hold, is
    `BadSample("missing")`, as a file that is not there.
    """
    return read_picture(_below(folder, name, cure), cure=cure)


def picture_named(folder: Path, stems: Sequence[str], *, cure: str) -> Picture:
    """The picture of the first of the names that has one, whatever it ends in."""
    found = (named(_below(folder, stem, cure)) for stem in stems)
    path = next((path for path in found if path), folder / f"{stems[0]}.jpg")
    return read_picture(path, cure=cure)


def _below(folder: Path, name: str, cure: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or not path.name:
        raise BadSample("missing", f"{name!r} does not lie in {folder}; {cure}")
    return folder / name


def captions_of(given: Any, source: str, drops: Counter[str]) -> tuple[Caption, ...]:
    """A sentence or a list of them, each on one line.

    Blank ones, what is no text and what no shard takes are counted as "caption"; None has none.
    """
    sentences = given if isinstance(given, list | tuple) else [] if given is None else [given]
    found = []
    for sentence in map(words, sentences):
        try:
            chars = validate.MAX_CAPTION_CHARS
            text = validate.check_words(sentence, "", reason="caption", at_most=chars)
            found.append(Caption(text, source))
        except BadSample as error:
            drops[error.reason] += 1
    return at_most(found, validate.MAX_CAPTIONS, "caption", drops)


def at_most(found: Sequence[T], most: int, reason: str, drops: Counter[str]) -> tuple[T, ...]:
    """The first `most`, as a shard takes no more; the others are counted."""
    if len(found) > most:
        drops[reason] += len(found) - most
    return tuple(found[:most])


def phrase_of(text: Any, drops: Counter[str]) -> str:
    """The words of a region; "", counted as "text", where there are none that a shard takes."""
    phrase = words(text)
    if not validate.is_phrase(phrase):
        drops["text"] += 1
        return ""
    return phrase


def box_of_fractions(given: Any, frame: Frame, where: str, drops: Counter[str]) -> Box | None:
    """(x0, y0, x1, y1) in fractions of the frame as pixels of the stored picture; `clipped` for
    what is left out."""
    found = numbers_of(given)
    if found is not None:
        given = [x * side for x, side in zip(found, 2 * frame.size, strict=False)] + found[4:]
    given = list(given) if isinstance(given, list | tuple) else []
    return clipped(frame.stored(given), *frame.picture[2:], where, drops)


def check_choice(given: Sequence[str], known: Sequence[str], *, key: str) -> None:
    """Some of the known names, as the setting `key` has them."""
    wrong = [name for name in given if name not in known]
    if wrong or not given:
        what = repr(wrong[0]) if wrong else "an empty list"
        raise UserError(f"{key}: {what} is not known; name some of {', '.join(known)}")


class Fields:
    """The named fields of many JSON objects; a name that none of the first ones has is a mistake.

    Told after `ENOUGH` objects, and by `check` at the end of a smaller set.
    """

    ENOUGH = 1000

    def __init__(self, names: Sequence[str], *, key: str) -> None:
        self.names, self.key = tuple(names), key
        self.unseen, self.count = set(names), 0
        self.known: Sequence[str] = ()  # the fields of the last object

    def of(self, data: Mapping[str, Any], drops: Counter[str]) -> dict[str, Any]:
        """Those that `data` has; null is none, and what no shard takes is counted as "meta"."""
        self.known, self.count = tuple(data), self.count + 1
        found = {name: data[name] for name in self.names if name in data}
        self.unseen -= found.keys()
        if self.count == self.ENOUGH:
            self.check()
        for name, value in list(found.items()):
            try:
                validate.check_meta({name: value}, "")
            except BadSample as error:
                drops[error.reason] += 1
                del found[name]
        return {name: value for name, value in found.items() if value is not None}

    def check(self) -> None:
        """A name that no object had is a `UserError`."""
        if self.unseen:
            known = ", ".join(self.known) or "no field at all"
            raise UserError(
                f"{self.key}: none of {self.count} samples has a field {min(self.unseen)!r}, the "
                f"last one had {known}; change {self.key}"
            )
