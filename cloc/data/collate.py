"""Samples to a `RegionBatch`: pixels stacked, boxes to [0, 1], every distinct phrase once."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from cloc.data.samples.asked import Asked, columns
from cloc.data.samples.transforms import Sample
from cloc.errors import UserError
from cloc.frame import WHITE, Colour, ImageSize
from cloc.interfaces import RegionBatch

# `tokenize(texts, context_length)` gives token ids, one row of that length per text: what
# open_clip's tokenizers are.
Tokenize = Callable[[list[str], int], Tensor]


@runtime_checkable
class Ask(Protocol):
    """Questions about what a sample shows, at most `slots` of them."""

    slots: int

    def __call__(self, sample: Sample, rng: np.random.Generator) -> tuple[Asked, ...]: ...


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a model wants to be fed; `scripts/` reads it off the model.

    The number of phrases is padded to a multiple of `bucket`, so that the text tower meets few
    shapes.
    """

    image_size: ImageSize  # pixels
    tokenize: Tokenize
    context_length: int  # tokens of a caption
    region_context: int  # tokens of a phrase
    bucket: int = 64
    background: Colour = WHITE  # behind transparent pixels
    ask: Ask | None = None  # of a model that answers

    def __post_init__(self) -> None:
        if not 3 <= self.region_context <= self.context_length:
            raise UserError(
                f"region_context is {self.region_context}, expected 3 (start, a word, end) to "
                f"{self.context_length}, the context length of the text tower"
            )
        if self.bucket < 1:
            raise UserError(f"bucket is {self.bucket}, expected 1 or more")


class Tokens:
    """Token rows of texts; some `at_most` are remembered from call to call, as phrases repeat.

    `cut` holds those of the remembered texts that lost their end; the first one is warned about.
    With `at_most=0` only the texts of the last call are remembered.
    """

    def __init__(self, tokenize: Tokenize, length: int, *, at_most: int = 100_000) -> None:
        self.tokenize, self.length, self.at_most = tokenize, length, at_most
        self.rows: dict[str, np.ndarray] = {}
        self.pad: int | None = None  # the token that fills a row, known after the first call
        self.cut: set[str] = set()
        self.warned = False

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """int64 [n, length], a row per text."""
        if len(self.rows) > self.at_most:
            self.rows.clear()
            self.cut.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self.rows]
        if new:
            rows = self._tokenize(new, self.length)
            self._note_cut(new, rows)
            self.rows.update(zip(new, rows, strict=True))
        found = [self.rows[text] for text in texts]
        return np.stack(found) if found else np.zeros((0, self.length), np.int64)

    def _tokenize(self, texts: list[str], length: int) -> np.ndarray:
        return self.tokenize(texts, length).numpy().astype(np.int64)

    def _note_cut(self, texts: list[str], rows: np.ndarray) -> None:
        """A full row was cut if one more place would change it or be used too."""
        if self.pad is None:
            self.pad = int(self._tokenize([""], self.length)[0, -1])
        full = [i for i in range(len(texts)) if rows[i, -1] != self.pad]
        if not full:
            return
        longer = self._tokenize([texts[i] for i in full], self.length + 1)
        for i, row in zip(full, longer, strict=True):
            if row[-1] != self.pad or (row[:-1] != rows[i]).any():
                self.cut.add(texts[i])
        if self.cut and not self.warned:
            self.warned = True
            warnings.warn(f"{self.told(min(self.cut))}, and so may others", stacklevel=2)

    def told(self, text: str) -> str:
        """What happened to a text that was cut, and the keys to change."""
        return (
            f"{text!r} has more than {self.length} tokens and loses its end; raise region_context "
            "for phrases, the text tower's context_length for captions"
        )


class Collate:
    """Makes batches of a fixed number of region slots; the same samples give the same batch."""

    def __init__(self, wants: ModelInput, *, max_regions: int, max_negatives: int) -> None:
        # a caption comes again an epoch later at the earliest
        self.captions = Tokens(wants.tokenize, wants.context_length, at_most=0)
        self.phrases = Tokens(wants.tokenize, wants.region_context)
        self.bucket = wants.bucket
        self.max_regions, self.max_negatives = max_regions, max_negatives
        self.slots = 0 if wants.ask is None else wants.ask.slots

    def __call__(self, samples: Sequence[Sample]) -> RegionBatch:
        captions, caption_valid = self._captions(samples)
        boxes, valid = self._boxes(samples)
        phrases, phrase_index, negative_index = self._phrases(samples)
        return RegionBatch(
            images=_images(samples),
            captions=captions,
            caption_valid=caption_valid,
            boxes=boxes,
            valid=valid,
            phrases=phrases,
            phrase_index=phrase_index,
            negative_index=negative_index,
            keys=tuple(sample.key for sample in samples),
            extra=self._asked(samples),
        )

    def cut(self, samples: Sequence[Sample]) -> list[tuple[str, str]]:
        """(captions or phrases, message) for every text of these samples that lost its end."""
        captions = [s.caption for s in samples if s.caption in self.captions.cut]
        phrases = [text for s in samples for text in s.phrases if text in self.phrases.cut]
        return [
            *(("captions", self.captions.told(str(text))) for text in captions),
            *(("phrases", self.phrases.told(text)) for text in phrases),
        ]

    def _asked(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        return columns([x.asked for x in samples], slots=self.slots) if self.slots else {}

    def _captions(self, samples: Sequence[Sample]) -> tuple[Int[Tensor, "b t"], Bool[Tensor, " b"]]:
        """Zeros in the row of an image without a caption."""
        rows = np.zeros((len(samples), self.captions.length), np.int64)
        valid = np.array([sample.caption is not None for sample in samples])
        rows[valid] = self.captions([s.caption for s in samples if s.caption is not None])
        return torch.from_numpy(rows), torch.from_numpy(valid)

    def _boxes(
        self, samples: Sequence[Sample]
    ) -> tuple[Float[Tensor, "b r 4"], Bool[Tensor, "b r"]]:
        boxes = np.zeros((len(samples), self.max_regions, 4), np.float32)
        valid = np.zeros((len(samples), self.max_regions), bool)
        for i, sample in enumerate(samples):
            count = len(sample.boxes)
            sides = np.array(sample.image.size * 2, np.float32)
            boxes[i, :count] = np.clip(sample.boxes / sides, 0, 1)  # rounding may pass the edge
            valid[i, :count] = True
        return torch.from_numpy(boxes), torch.from_numpy(valid)

    def _phrases(
        self, samples: Sequence[Sample]
    ) -> tuple[Int[Tensor, "u s"], Int[Tensor, "b r"], Int[Tensor, "b r k"]]:
        """Rows with equal token ids are one phrase; a negative equal to its phrase is padding."""
        table, place = self._table(samples)
        phrase_index = np.zeros((len(samples), self.max_regions), np.int64)
        negative_index = np.full((*phrase_index.shape, self.max_negatives), -1)
        for i, sample in enumerate(samples):
            for j, (phrase, negatives) in enumerate(
                zip(sample.phrases, sample.negatives, strict=True)
            ):
                phrase_index[i, j] = own = place[phrase]
                wrong = dict.fromkeys(place[text] for text in negatives if place[text] != own)
                negative_index[i, j, : len(wrong)] = list(wrong)
        return (
            torch.from_numpy(table),
            torch.from_numpy(phrase_index),
            torch.from_numpy(negative_index),
        )

    def _table(self, samples: Sequence[Sample]) -> tuple[np.ndarray, dict[str, int]]:
        """Unique token rows, in order of appearance and padded to the bucket; the row of a text."""
        texts: dict[str, None] = {}
        for sample in samples:
            texts.update(dict.fromkeys(sample.phrases))
            for negatives in sample.negatives:
                texts.update(dict.fromkeys(negatives))
        rows = self.phrases(list(texts))
        unique: dict[bytes, int] = {}
        place = {
            text: unique.setdefault(row.tobytes(), len(unique))
            for text, row in zip(texts, rows, strict=True)
        }
        buckets = max(-(-len(unique) // self.bucket), 1)
        table = np.zeros((buckets * self.bucket, self.phrases.length), np.int64)
        for text, i in place.items():
            table[i] = self.phrases.rows[text]
        return table, place


def _images(samples: Sequence[Sample]) -> UInt8[Tensor, "b 3 h w"]:
    width, height = samples[0].image.size
    images = np.empty((len(samples), 3, height, width), np.uint8)
    for place, sample in zip(images, samples, strict=True):
        pixels = sample.image.pixels(width, height)
        if pixels.flags.c_contiguous:  # the same result in a fifth of the time
            cv2.split(pixels, list(place))
        else:  # often a view of planes already
            place[:] = pixels.transpose(2, 0, 1)
    return torch.from_numpy(images)
