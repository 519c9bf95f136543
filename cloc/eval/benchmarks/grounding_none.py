"""Can the encoder say that what a phrase names is not in the picture?"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cloc.eval.absent_phrases import Query, with_absent
from cloc.eval.encode import grounded_boxes, region_vectors, text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import TIE, similarity
from cloc.eval.pictures import digest_of
from cloc.interfaces import Embedder, Example, Split

PROBE = 0.01  # of the picture: half a side of the box that shows where the frame puts it
Score = Callable[[Float[Tensor, "q d"], Float[Tensor, "n d"]], Float[Tensor, " q"]]


@dataclass(frozen=True, kw_only=True)
class GroundingNoneBoxHead:
    """Each unique phrase of a picture, and as many of other pictures, drawn from `seed`
    (`cloc.eval.absent_phrases`); the score of one is the cosine of the phrase with the region
    embedding of the box that is grounded for it. Empty where the embedder cannot ground.

    auroc: the chance that a phrase that is there scores above one of the split that is not, ties
    as misses. accuracy: of saying "there" above a threshold; it is chosen for the best accuracy on
    the pictures of which a hash of the key is even, and the others are counted. Both in [0, 1],
    chance 0.5. That a drawn phrase is not there all the same, nobody has annotated.
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = False
    batch_size: int = 64
    seed: int = 0

    def run(self, embedder: Embedder, split: Split) -> Measured:
        examples, queries = with_absent(embedder, split, seed=self.seed)
        probes = [_probe(example, i) for i, example in enumerate(examples)]
        found = grounded_boxes(
            embedder,
            probes,
            phrases=lambda probe: [query.phrase for query in queries[probe.meta["place"]]],
            batch_size=self.batch_size,
        )
        grounded = [_grounded(probe, own[0], boxes) for probe, own, boxes in found]

        def score(words: Float[Tensor, "q d"], regions: Float[Tensor, "n d"]) -> Tensor:
            return (words.double() * regions.double()).sum(1)

        return _measure(embedder, grounded, queries, score, self.batch_size, "grounded box")


@dataclass(frozen=True, kw_only=True)
class GroundingNoneBestBox:
    """As `GroundingNoneBoxHead`, with the best cosine over all annotated boxes of the picture as
    the score: any encoder with an extractor, grounding or not."""

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = False
    batch_size: int = 64
    seed: int = 0

    def run(self, embedder: Embedder, split: Split) -> Measured:
        examples, queries = with_absent(embedder, split, seed=self.seed)
        placed = [example._replace(meta={"place": i}) for i, example in enumerate(examples)]

        def score(words: Float[Tensor, "q d"], regions: Float[Tensor, "n d"]) -> Tensor:
            return similarity(words, regions).amax(1)

        return _measure(embedder, placed, queries, score, self.batch_size, "best annotated box")


def _measure(
    embedder: Embedder,
    examples: Sequence[Example],
    queries: Sequence[Sequence[Query]],
    score: Score,
    batch_size: int,
    protocol: str,
) -> Measured:
    texts = [query.phrase for example in examples for query in queries[example.meta["place"]]]
    words, rows = text_vectors(embedder, texts, batch_size=batch_size)
    scores: list[Tensor] = []
    asked: list[Query] = []
    even: list[bool] = []
    for example, regions in region_vectors(embedder, examples, batch_size=batch_size):
        own = queries[example.meta["place"]]
        scores.append(score(words[rows[len(asked) : len(asked) + len(own)]], regions))
        asked += own
        even += [is_even(example.key)] * len(own)
    if not asked:
        return Measured(Figures())
    cases, threshold = _cases(torch.cat(scores), asked, torch.tensor(even))
    about = {"protocol": protocol, "threshold": threshold, "queries": len(asked)}
    return Measured(Figures(cases=cases, chance=dict.fromkeys(cases, 0.5), about=about))


def _cases(
    scores: Float[Tensor, " n"], queries: Sequence[Query], even: Bool[Tensor, " n"]
) -> tuple[dict[str, Cases], float | None]:
    there = torch.tensor([query.is_there for query in queries])
    absent, present = scores[~there].sort().values, scores[there]
    below = torch.searchsorted(absent, present - TIE).double() / len(absent)
    cases = {"auroc": Cases(values=below, names=[q.name for q in queries if q.is_there])}
    if not even.any() or even.all():  # nothing to choose by, or nothing to count
        return cases, None
    threshold = best_threshold(scores[even], there[even])
    right = ((scores > threshold) == there)[~even]
    rest = [query.name for query, first in zip(queries, even.tolist(), strict=True) if not first]
    cases["accuracy"] = Cases(values=right.double(), names=rest)
    return cases, threshold


def is_even(key: str) -> bool:
    """Of the hash of a picture's key: which half of the pictures it belongs to, for everyone."""
    return hashlib.blake2b(key.encode(errors="surrogatepass")).digest()[0] % 2 == 0


def best_threshold(scores: Float[Tensor, " n"], there: Bool[Tensor, " n"]) -> float:
    """The lowest of the thresholds that divide best: what is `there` above, what is not below. A
    threshold lies midway between two neighbouring scores that are no tie, or 1 beyond them all."""
    order = scores.argsort()
    scores, there = scores[order].double(), there[order]
    nothing = torch.zeros(1, dtype=torch.long)
    # of the i + 1 thresholds, number i has the i lowest scores below it
    below = torch.cat([nothing, (~there).cumsum(0)])
    above = there.sum() - torch.cat([nothing, there.cumsum(0)])
    edges = torch.cat([scores[:1] - 1, (scores[1:] + scores[:-1]) / 2, scores[-1:] + 1])
    tied = torch.zeros(len(edges), dtype=torch.bool)
    tied[1:-1] = scores.diff() <= TIE
    return float(edges[(below + above).masked_fill(tied, -1).argmax()])


def _probe(example: Example, place: int) -> Example:
    """With one small box in its middle, which every framing shows whole."""
    width, height = example.image.size
    reach, middle = PROBE * np.array([width, height]), np.array([width, height]) / 2
    box = np.concatenate([middle - reach, middle + reach])[None].astype(np.float32)
    meta = {"place": place, "size": (width, height)}
    return _with_boxes(example, box)._replace(meta=meta)


def _grounded(probe: Example, own: Float[Tensor, "4"], found: Float[Tensor, "q 4"]) -> Example:
    """The picture with the boxes that were `found` in the frame, in which the probe is `own`; cut
    at the edges of the picture and at least a pixel wide and high."""
    low, high = own.double().split(2)
    pixels = torch.from_numpy(probe.boxes[0]).double()
    scale = (pixels[2:] - pixels[:2]) / (high - low)
    boxes = ((found.double() - low.repeat(2)) * scale.repeat(2) + pixels[:2].repeat(2)).numpy()
    size = np.array(probe.meta["size"], np.float64)
    start = boxes[:, :2].clip(0, size - 1)
    end = np.maximum(boxes[:, 2:].clip(0, size), start + 1)
    return _with_boxes(probe, np.concatenate([start, end], 1).astype(np.float32))


def _with_boxes(example: Example, boxes: np.ndarray) -> Example:
    return Example(
        example.key,
        example[1],
        (),
        boxes,
        ("",) * len(boxes),
        ("",) * len(boxes),
        example.meta,
        digest_of(example.digest, boxes) if example.digest else b"",
    )
