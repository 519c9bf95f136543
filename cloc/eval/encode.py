"""What benchmarks ask any embedder; vectors and boxes come back on the CPU.

An embedder that remembers (`cloc.eval.answer_cache.Memo`) is asked once about each picture.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cloc.errors import UserError
from cloc.eval.answer_cache import features_of, note
from cloc.eval.asking import Question, answers, batches
from cloc.interfaces import Embedder, Example, Prepared, tokens_of


def image_vectors(
    embedder: Embedder, examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[Example, Float[Tensor, " d"]]]:
    """Every example with the embedding of its whole image."""

    def prepare(batch: Sequence[Example]) -> Prepared:
        # The boxes do not matter here; without them an extractor that crops has no crop to make.
        return embedder.prepare([e.image for e in batch], [e.boxes[:0] for e in batch])

    def ask(prepared: Prepared, batch: Sequence[Example]) -> Sequence[Tensor]:
        vectors = embedder.images(prepared.images).cpu()
        _check(vectors, "the embedding of image", [e.key for e in batch])
        return list(vectors)

    question = Question("image", prepare, ask, lambda example: b"")
    yield from answers(embedder, question, list(examples), batch_size)


def region_vectors(
    embedder: Embedder, examples: Iterable[Example], *, batch_size: int
) -> Iterator[tuple[Example, Float[Tensor, "n d"]]]:
    """Every example that has boxes, with one embedding per box, in the order of its boxes."""

    def ask(prepared: Prepared, batch: Sequence[Example]) -> Sequence[Tensor]:
        vectors = embedder.regions(prepared.images, prepared.boxes, prepared.valid).cpu()
        rows = [own[valid] for own, valid in zip(vectors, prepared.valid.cpu(), strict=True)]
        for example, own in zip(batch, rows, strict=True):
            _check(own, "an embedding in image", [example.key] * len(own))
        return rows

    def shown(example: Example) -> int:
        return 1 + getattr(embedder, "pictures_per_box", 0) * len(example.boxes)

    question = Question("regions", partial(_with_boxes, embedder), ask, lambda example: b"", shown)
    yield from answers(embedder, question, _boxed(examples), batch_size)


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

    def ask(prepared: Prepared, batch: Sequence[Example]) -> Sequence[Tensor] | None:
        found = embedder.ground(prepared.images, [list(phrases(e)) for e in batch])
        if found is None:
            return None
        answers = []
        boxes = zip(batch, prepared.boxes.cpu(), prepared.valid.cpu(), found, strict=True)
        for example, own, valid, predicted in boxes:
            _check(predicted, "a box grounded in image", [example.key] * len(predicted))
            answers.append(torch.cat([own[valid], predicted.cpu()]))
        return answers

    def asked(example: Example) -> bytes:
        return "\0".join(phrases(example)).encode(errors="surrogatepass")

    question = Question("ground", partial(_with_boxes, embedder), ask, asked)
    for example, both in answers(embedder, question, _boxed(examples), batch_size):
        yield example, both[: len(example.boxes)], both[len(example.boxes) :]


def _boxed(examples: Iterable[Example]) -> list[Example]:
    return [example for example in examples if len(example.boxes)]


def _with_boxes(embedder: Any, batch: Sequence[Example]) -> Prepared:
    images, boxes = [e.image for e in batch], [e.boxes for e in batch]
    masked = getattr(embedder, "prepare_masked", None)  # `cloc.eval.extractors.mask_pool`
    prepared: Prepared
    if masked is None:
        prepared = embedder.prepare(images, boxes)
    else:
        prepared = masked(images, boxes, [e.masks for e in batch])
    return prepared


def text_vectors(
    embedder: Embedder, texts: Sequence[str], *, batch_size: int
) -> tuple[Float[Tensor, "u d"], Int[Tensor, " n"]]:
    """Embeddings of the unique texts in order of first use, and the row of every text in them.

    Texts are the same where the embedder reads the same (`KnowsTokens`): no vector of its own could
    tell them apart, so as two candidates they would only ever tie.
    """
    note(embedder, map(_words, texts))
    rows, first = same_texts(embedder, texts)
    unique = [texts[i] for i in first]
    features = features_of(embedder)
    keys = [_words(text) for text in unique]
    unknown = [t for t, k in zip(unique, keys, strict=True) if ("text", k) not in features]
    for part in batches(unknown, size=batch_size):
        vectors = embedder.texts(part).cpu()
        _check(vectors, "the embedding of text", part)
        features.put(("text", _words(t), v) for t, v in zip(part, vectors, strict=True))
    found = [features.get("text", key) for key in keys]
    vectors = torch.stack([v for v in found if v is not None]) if found else torch.zeros(0, 0)
    return vectors, torch.tensor(rows, dtype=torch.long)


def texts_of(texts: Sequence[str], rows: Int[Tensor, " n"]) -> list[str]:
    """The first text of each row that `text_vectors` gave."""
    first = dict(zip(reversed(rows.tolist()), reversed(texts), strict=True))
    return [first[row] for row in sorted(first)]


def _words(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


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
