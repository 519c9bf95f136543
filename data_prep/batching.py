"""Records through a model in batches: pictures decoded as they are needed, memory that runs out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import PIL.Image
import torch

from cloc.data.samples.decode import decode_shown
from cloc.data.samples.orientation import upright_size
from cloc.data.samples.record import Record
from cloc.errors import BadSample, UserError
from data_prep.stage import Notes

# Long side over short. Qwen's preprocessing refuses 200; by its strides, Grounding DINO has fewer
# places than boxes (900) from about 41 on.
MAX_ASPECT = 40

Result = TypeVar("Result")


class Item(NamedTuple):
    """One picture on its way to the model."""

    place: int  # of its record among those given
    record: Record
    inputs: Any  # what the model's own preprocessing makes of the picture
    shape: tuple[int, ...]  # only inputs of equal shape stand in one batch


def prepared(
    records: Iterable[tuple[int, Record]],
    prepare: Callable[[PIL.Image.Image], tuple[Any, tuple[int, ...]]],
    notes: Notes,
) -> Iterator[Item]:
    """Pictures decoded, upright, and prepared one at a time, by aspect ratio, so
    that equal shapes stand together.

    One that cannot be decoded, or is over `MAX_ASPECT` times as long as it is wide, is told to
    `notes` as a sample that is left out.
    """
    for place, record in sorted(records, key=_aspect):
        short, long = sorted((record.width, record.height))
        try:
            image = decode_shown(record, f"record {record.key}")
        except BadSample as error:
            notes.sample(record, error.reason)
            continue
        if long > MAX_ASPECT * short:
            notes.sample(record, "aspect")
            continue
        yield Item(place, record, *prepare(image))


def shown_size(record: Record) -> tuple[int, int]:
    """(width, height) of the picture as the model sees it, upright."""
    return upright_size(record.width, record.height, record.orientation)


def _aspect(item: tuple[int, Record]) -> float:
    width, height = shown_size(item[1])
    return width / height


def in_batches(
    items: Iterable[Item],
    run: Callable[[Sequence[Item]], Sequence[Result]],
    *,
    size: int,
    notes: Notes,
) -> Iterator[tuple[Item, Result]]:
    """Every item with its result, from batches of at most `size` neighbours of equal shape.

    Where a GPU's memory runs out, `size` is halved once, for the rest of the items, the batch is
    run again, and it is the event "out_of_memory"; a second time is a `UserError`.
    """
    halved = False
    batch: list[Item] = []
    for item in _with_end(items):
        if batch and (item is None or item.shape != batch[0].shape or len(batch) >= size):
            results = _tried(run, batch)
            if results is None:
                if halved or size == 1:
                    raise UserError(
                        f"the GPU's memory does not hold {len(batch)} pictures at once; give a "
                        f"batch_size under {size}, or dtype=bfloat16"
                    )
                halved, size = True, max(1, size // 2)
                notes.events["out_of_memory"] += 1
                results = _in_parts(run, batch, size)
            yield from zip(batch, results, strict=True)
            batch = []
        if item is not None:
            batch.append(item)


def _with_end(items: Iterable[Item]) -> Iterator[Item | None]:
    yield from items
    yield None


def _tried(
    run: Callable[[Sequence[Item]], Sequence[Result]], batch: Sequence[Item]
) -> Sequence[Result] | None:
    """None where memory ran out; what the failed run held is free when this returns."""
    try:
        return run(batch)
    except torch.OutOfMemoryError:
        pass
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _in_parts(
    run: Callable[[Sequence[Item]], Sequence[Result]], batch: Sequence[Item], size: int
) -> list[Result]:
    results: list[Result] = []
    for start in range(0, len(batch), size):
        part = _tried(run, batch[start : start + size])
        if part is None:
            raise UserError(
                f"the GPU's memory does not hold {size} pictures at once either; give a batch_size "
                f"under {size}, or dtype=bfloat16"
            )
        results += part
    return results
