"""Runs any embedder over examples batch by batch; vectors and boxes come back on the CPU."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cloc.errors import UserError
from cloc.interfaces import Embedder, Example, Prepared, tokens_of


def batches(examples: Iterable[Example], *, size: int) -> Iterator[list[Example]]:
    """Lists of `size` examples in order, the last one shorter; each example is read once."""
    if size < 1:
        raise UserError(f"a benchmark's batch_size is {size}; set batch_size to 1 or more")
    source = iter(examples)
    while batch := list(islice(source, size)):
        yield batch


def image_vectors(
    embedder: Embedder, examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[Example, Float[Tensor, " d"]]]:
    """Every example with the embedding of its whole image."""
    for batch in batches(examples, size=batch_size):
        # The boxes do not matter here; without them an extractor that crops has no crop to make.
        images = embedder.prepare([e.image for e in batch], [e.boxes[:0] for e in batch]).images
        vectors = embedder.images(images).cpu()
        _check(vectors, "the embedding of image", [e.key for e in batch])
        yield from zip(batch, vectors, strict=True)


def region_vectors(
    embedder: Embedder, examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[Example, Float[Tensor, "n d"]]]:
    """Every example that has boxes, with one embedding per box, in the order of its boxes."""
    for batch, prepared in _with_boxes(embedder, examples, batch_size):
        vectors = embedder.regions(prepared.images, prepared.boxes, prepared.valid).cpu()
        for example, rows, valid in zip(batch, vectors, prepared.valid.cpu(), strict=True):
            _check(rows[valid], "an embedding in image", [example.key] * len(rows))
            yield example, rows[valid]


def grounded_boxes(
    embedder: Embedder,
    examples: Iterable[Example],
    *,
    phrases: Callable[[Example], Sequence[str]],
    batch_size: int,
) -> Iterator[tuple[Example, Float[Tensor, "n 4"], Float[Tensor, "q 4"]]]:
    """Every example that has boxes, with these boxes and the one predicted for each of `phrases`.

    Both are in the embedder's frame. Yields nothing where the embedder cannot ground.
    """
    for batch, prepared in _with_boxes(embedder, examples, batch_size):
        found = embedder.ground(prepared.images, [list(phrases(e)) for e in batch])
        if found is None:
            return
        boxes = zip(batch, prepared.boxes.cpu(), prepared.valid.cpu(), found, strict=True)
        for example, own, valid, predicted in boxes:
            _check(predicted, "a box grounded in image", [example.key] * len(predicted))
            yield example, own[valid], predicted.cpu()


def text_vectors(
    embedder: Embedder, texts: Sequence[str], *, batch_size: int
) -> tuple[Float[Tensor, "u d"], Int[Tensor, " n"]]:
    """Embeddings of the unique texts in order of first use, and the row of every text in them.

    Texts are the same where the embedder reads the same (`KnowsTokens`): no vector of its own could
    tell them apart, so as two candidates they would only ever tie.
    """
    rows, first = same_texts(embedder, texts)
    unique = [texts[i] for i in first]
    parts = [
        embedder.texts(unique[start : start + batch_size]).cpu()
        for start in range(0, len(unique), batch_size)
    ]
    vectors = torch.cat(parts) if parts else torch.zeros(0, 0)
    _check(vectors, "the embedding of text", unique)
    return vectors, torch.tensor(rows, dtype=torch.long)


def same_texts(embedder: Embedder, texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """A number for each text, equal where the embedder reads the same, counted up in order of first
    use; and for each number where it was first used."""
    words = list(dict.fromkeys(texts))
    key_of = dict(zip(words, tokens_of(embedder, words), strict=True))
    row_of: dict[bytes, int] = {}
    rows = [row_of.setdefault(key_of[text], len(row_of)) for text in texts]
    first = {row: i for i, row in reversed(list(enumerate(rows)))}
    return rows, [first[row] for row in range(len(row_of))]


def _check(rows: Tensor, what: str, names: Sequence[str]) -> None:
    """A number that is none loses every comparison: a broken model would look like a bad one."""
    bad = ~rows.isfinite().flatten(1).all(1)
    if bad.any():
        raise UserError(
            f"{what} {names[int(bad.nonzero()[0])]!r} is not finite, so this model cannot be "
            "measured; take an earlier checkpoint, or train again with a lower optimizer.lr"
        )


def _with_boxes(
    embedder: Embedder, examples: Iterable[Example], batch_size: int
) -> Iterator[tuple[list[Example], Prepared]]:
    boxed = (example for example in examples if len(example.boxes))
    for batch in batches(boxed, size=batch_size):
        yield batch, embedder.prepare([e.image for e in batch], [e.boxes for e in batch])
