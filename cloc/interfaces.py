"""The types that cross module boundaries, with their axes, and the protocols of what plugs in.

Axis legend, the same letters everywhere:

    b images   r regions of an image (padded)   u unique phrases of a batch   h w pixels
    k negatives of a region   t caption tokens   s phrase tokens   p patch tokens
    w tower width   d embedding   n rows
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import PIL.Image
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor


def _short(value: Any) -> str:
    """Of an array its type and shape: what a notebook shows of a batch fits on a line or two."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_short(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 3:
        return f"{type(value).__name__} of {len(value):,}"
    return repr(value)


def short_repr(value: Any) -> str:
    """Of a named tuple that holds arrays."""
    fields = (f"{name}={_short(getattr(value, name))}" for name in value._fields)
    return f"{type(value).__name__}({', '.join(fields)})"


class RegionBatch(NamedTuple):
    """One rank's batch: all that a training step may look at."""

    images: UInt8[Tensor, "b 3 h w"]  # 0..255; the tower normalises with its own mean and std
    captions: Int[Tensor, "b t"]  # token ids of one caption of the whole image
    caption_valid: Bool[Tensor, " b"]  # False where the image has no caption (detection sets)
    boxes: Float[Tensor, "b r 4"]  # (x0, y0, x1, y1) in [0, 1] of the frame; zeros in padded slots
    valid: Bool[Tensor, "b r"]  # False marks a padded region
    phrases: Int[Tensor, "u s"]  # token ids of the unique phrases of this batch, padded to a bucket
    phrase_index: Int[Tensor, "b r"]  # row of `phrases` of each region; 0 in padded slots
    negative_index: Int[Tensor, "b r k"]  # rows of `phrases` that are explicit negatives; -1 pads
    keys: tuple[str, ...]  # sample ids, for messages
    extra: Mapping[str, Tensor]  # what a third-party source adds; empty for ours
    origins: tuple[str, ...] = ()  # SHARD::KEY of each, as data.skip_keys has it; () if not read

    def __repr__(self) -> str:
        return short_repr(self)


class Embeddings(NamedTuple):
    """What one forward of the model gives to the losses. Vectors are unit length, in float32."""

    image: Float[Tensor, "b d"]
    caption: Float[Tensor, "b d"] | None  # None where no loss needs it
    scale: Float[Tensor, ""]  # of image-text logits, already exponentiated
    bias: Float[Tensor, ""] | None  # of image-text logits; only sigmoid towers have one
    phrase: Float[Tensor, "u d"] | None  # None where the model has no region head
    region: Float[Tensor, "b r d"] | None
    region_scale: Float[Tensor, ""] | None
    predicted_boxes: Float[Tensor, "b r 4"] | None  # None where the model has no box head
    extra: Mapping[str, Tensor]  # teacher_image, teacher_region of a teacher; what others add

    def __repr__(self) -> str:
        return short_repr(self)


class Term(NamedTuple):
    """A loss: the global scalar to differentiate, and detached scalars worth a curve."""

    value: Float[Tensor, ""]
    logs: Mapping[str, Tensor]


@runtime_checkable
class Loss(Protocol):
    """`needs` names the fields of `Embeddings` that must not be None, and as `extra.KEY` the
    entries that its `extra` must hold."""

    needs: tuple[str, ...]

    def __call__(self, out: Embeddings, batch: RegionBatch) -> Term: ...


class _Example(NamedTuple):
    key: str
    image: Any  # a picture, or a function that reads it
    captions: tuple[str, ...]
    boxes: np.ndarray  # float32 [n, 4], pixels of `image`, (x0, y0, x1, y1)
    phrases: tuple[str, ...]  # one per box
    labels: tuple[str, ...]  # class name per box; "" where the data set has none
    meta: Mapping[str, Any]  # what the source recorded beside it (scenes: relations, twins)
    digest: bytes = b""  # of picture and boxes; empty: answers about it are not kept
    masks: Any = None  # bool [n, height, width], one per box, or a function that reads them
    size: tuple[int, int] | None = None  # width and height of `image`, where known unread
    negatives: tuple[tuple[str, ...], ...] = ()  # of each phrase its flipped forms, or none at all


class Example(_Example):
    """One annotated picture as a benchmark sees it: original pixels, original words.

    `image` (RGB) and `masks` may be given as functions, and are then read at every access: a split
    of any size fits into memory.
    """

    @property
    def image(self) -> PIL.Image.Image:
        value = self[1]
        return value() if callable(value) else value

    @property
    def masks(self) -> np.ndarray | None:
        value = self[8]
        return value() if callable(value) else value

    def __repr__(self) -> str:
        shown = _Example(
            self.key, "read" if callable(self[1]) else self[1], *self[2:8], None, *self[9:]
        )
        return short_repr(shown).replace("_Example(", "Example(", 1)


class Split(NamedTuple):
    """A named evaluation set. A class is the list of prompts whose mean embedding stands for it;
    `synonyms` are all that a class is called, which is another protocol."""

    name: str
    examples: Sequence[Example]
    classes: Mapping[str, Sequence[str]]
    synonyms: Mapping[str, Sequence[str]] = {}

    def __repr__(self) -> str:
        return short_repr(self)


class Prepared(NamedTuple):
    """Pictures as one embedder wants them; `images` is opaque to everyone else."""

    images: Tensor
    boxes: Float[Tensor, "b r 4"]  # (x0, y0, x1, y1) in [0, 1] of the embedder's frame
    valid: Bool[Tensor, "b r"]

    def __repr__(self) -> str:
        return short_repr(self)


@runtime_checkable
class Embedder(Protocol):
    """Anybody's encoder on the benchmarks. Vectors are unit length, float32, without gradient."""

    def prepare(
        self, images: Sequence[PIL.Image.Image], boxes: Sequence[np.ndarray]
    ) -> Prepared: ...

    def images(self, x: Tensor) -> Float[Tensor, "b d"]: ...

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]: ...

    def regions(
        self, x: Tensor, boxes: Float[Tensor, "b r 4"], valid: Bool[Tensor, "b r"]
    ) -> Float[Tensor, "b r d"]: ...

    def ground(
        self, x: Tensor, phrases: Sequence[Sequence[str]]
    ) -> list[Float[Tensor, "n 4"]] | None:
        """One box per phrase in the embedder's frame; None where it cannot ground at all."""


@runtime_checkable
class KnowsTokens(Protocol):
    """An embedder that can say which texts it reads alike: it lower-cases them, drops spaces or
    marks, or cuts them off, and then no vector tells them apart. Those that cannot say, of people
    whose encoder is only vectors, are taken to tell every two different texts apart."""

    def tokens(self, texts: Sequence[str]) -> list[bytes]:
        """Equal for texts that are the same to the encoder, and for no others."""
        ...


def tokens_of(embedder: Any, texts: Sequence[str]) -> list[bytes]:
    """`KnowsTokens.tokens`, or for another embedder the texts themselves."""
    if isinstance(embedder, KnowsTokens):
        return embedder.tokens(texts)
    return [text.encode(errors="surrogatepass") for text in texts]


@runtime_checkable
class HasPatches(Protocol):
    """An embedder whose image tower has a grid of patches in the joint space."""

    def patches(self, x: Tensor, *, values: bool = False) -> tuple[Tensor, tuple[int, int]]:
        """[b, rows * columns, d] projected patch tokens of prepared pixels, not unit length, and
        rows and columns; with `values` those that the last attention would mix, unmixed."""
        ...


class Benchmark(Protocol):
    """Returns metric name -> value; the chance line of `metric` is `metric_chance`. One with
    `own_data` reads its own pictures and takes no split (it is given an empty one)."""

    def run(self, embedder: Embedder, split: Split) -> dict[str, float]: ...


class Exporter(Protocol):
    """Writes one format of a trained model into a new folder, loads it as its users will, and
    records in `parity.json` (`cloc.export.parity`) how far its answers are from the model's; raises
    `UserError` where that is too far, or where the format cannot hold the model.

    `usage` is Python that loads the folder, written FOLDER, through `library`; `loads_back` says
    whether `cloc.load` reads it too."""

    library: str
    usage: str
    loads_back: bool

    def export(self, model: Any, folder: Path, probe: Any) -> None: ...
