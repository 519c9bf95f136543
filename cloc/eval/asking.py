"""One pass over examples: what was not asked before is asked, batch by batch, and kept.

Pictures are read, decoded and framed by threads a few batches ahead of the encoder; a batch holds
fewer of them where they are large, or where each of their boxes is shown as a picture. Where
several ranks measure together each asks its share, and all get all answers.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import PIL.Image
from torch import Tensor

from cloc import dist
from cloc.errors import UserError
from cloc.eval.answer_cache import features_of, note, ranks_of, watch_of
from cloc.eval.features import Features, Row
from cloc.interfaces import Embedder, Example, Prepared

T = TypeVar("T")
Key = tuple[str, bytes]  # kind of answer, digest of what is asked
Part = list[tuple[Key, Example]]
AHEAD = 3  # batches that are made while the encoder works on one
BATCH_BYTES = 48 << 20  # of a batch: what is decoded and what is made of it; 45 pictures of COCO


class Question(NamedTuple):
    """What a pass over examples asks of the embedder about each."""

    kind: str
    prepare: Callable[[Sequence[Example]], Prepared]
    ask: Callable[[Prepared, Sequence[Example]], Sequence[Tensor] | None]
    more: Callable[[Example], bytes]  # what else than picture and boxes the answer hangs on
    shown: Callable[[Example], int] = lambda example: 1  # pictures that the encoder sees of it


def batches(examples: Iterable[T], *, size: int) -> Iterator[list[T]]:
    """Lists of `size` examples in order, the last one shorter; each example is read once."""
    if size < 1:
        raise UserError(f"a benchmark's batch_size is {size}; set batch_size to 1 or more")
    source = iter(examples)
    while batch := list(islice(source, size)):
        yield batch


def answers(
    embedder: Embedder, question: Question, examples: list[Example], batch_size: int
) -> Iterator[tuple[Example, Tensor]]:
    """Nothing where the embedder has no answer to such a question."""
    kept, passing = features_of(embedder), Features()
    note(embedder, (example.digest for example in examples))
    keys = [(question.kind, _asked(question, e, i)) for i, e in enumerate(examples)]
    store_of = {key: kept if e.digest else passing for key, e in zip(keys, examples, strict=True)}
    known = {key for key, store in store_of.items() if key in store}
    rank, ranks = ranks_of(embedder)
    if ranks > 1:  # the first rank alone has the file, so it says what is known
        known = dist.gather_objects(known)[0]
    asked = {k: e for k, e in zip(keys, examples, strict=True) if k not in known}
    every = list(_parts(embedder, question, asked, batch_size))
    silent = False
    mine: list[Key] = []
    watch = watch_of(embedder)
    watch(question.kind, 0, len(asked))
    for number, (part, prepared) in enumerate(_ahead(question, every[rank::ranks]), 1):
        answers = question.ask(prepared, [example for _, example in part])
        if answers is None:
            silent = True
            break
        found = [(*key, answer) for (key, _), answer in zip(part, answers, strict=True)]
        _put(store_of, found)
        mine += [key for key, _ in part]
        watch(question.kind, min(number * ranks * batch_size, len(asked)), len(asked))
    if ranks > 1:
        silent = _shared(store_of, silent, mine, known)
    if silent:
        return
    for key, example in zip(keys, examples, strict=True):
        yield example, _there(store_of[key], key)


def _parts(
    embedder: Embedder, question: Question, asked: Mapping[Key, Example], batch_size: int
) -> Iterator[Part]:
    """At most `batch_size` examples, and together `BATCH_BYTES` but for a single one, if what
    `prepare` makes of them is padded to the most pictures that one of them has."""
    each = _bytes_of_one(embedder) if asked else 0
    for batch in batches(asked.items(), size=batch_size):
        part: Part = []
        read = most = 0
        for key, example in batch:
            own, shown = _decoded_bytes(example), question.shown(example)
            whole = read + own + each * max(most, shown) * (len(part) + 1)
            if part and whole > BATCH_BYTES:
                yield part
                part, read, most = [], 0, 0
            part.append((key, example))
            read, most = read + own, max(most, shown)
        yield part


def _bytes_of_one(embedder: Embedder) -> int:
    """Of one prepared picture."""
    nothing = np.zeros((0, 4), np.float32)
    x = embedder.prepare([PIL.Image.new("RGB", (64, 64))], [nothing]).images
    return x.numel() * x.element_size()


def _decoded_bytes(example: Example) -> int:
    """Of the picture and its masks, where its size is known unread."""
    width, height = example.size or (0, 0)
    masks = 0 if example[8] is None else len(example.boxes)
    return width * height * (3 + masks)


def _put(store_of: Mapping[Key, Features], rows: Sequence[Row]) -> None:
    """A batch at once, each answer where it is kept."""
    for store in {id(store): store for store in store_of.values()}.values():
        if own := [row for row in rows if store_of[row[:2]] is store]:
            store.put(own)


def _shared(
    store_of: Mapping[Key, Features],
    silent: bool,
    mine: list[Key],
    known: set[Key],
) -> bool:
    """Every rank's answers on every rank, and those that the first one had; was any silent?"""
    keys = [*mine, *(() if dist.rank() else sorted(known))]
    told = dist.gather_objects((silent, [(*key, _there(store_of[key], key)) for key in keys]))
    for number, (_, rows) in enumerate(told):
        if number != dist.rank():
            _put(store_of, rows)
    return any(rank_silent for rank_silent, _ in told)


def _there(store: Features, key: Key) -> Tensor:
    answer = store.get(*key)
    assert answer is not None
    return answer


def _asked(question: Question, example: Example, place: int) -> bytes:
    """A picture that says nothing of itself is another one at every place."""
    own = example.digest or f"{place}".encode()
    return hashlib.blake2b(own + b"\0" + question.more(example), digest_size=16).digest()


def _ahead(question: Question, every: Sequence[Part]) -> Iterator[tuple[Part, Prepared]]:
    """Batches with what `prepare` made of them, in order, by threads and a few ahead."""
    waiting: deque[tuple[Part, Future[Prepared]]] = deque()
    source = iter(every)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, AHEAD)) as pool:
        try:
            while True:
                for part in islice(source, AHEAD - len(waiting)):
                    examples = [example for _, example in part]
                    waiting.append((part, pool.submit(question.prepare, examples)))
                if not waiting:
                    return
                part, made = waiting.popleft()
                yield part, made.result()
        finally:
            for _, made in waiting:
                made.cancel()
