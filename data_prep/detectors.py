"""Zero-shot object detectors of transformers behind one small surface: phrases in, scores out.

Each family has its own preprocessing, and with it its own frame that normalised boxes refer to.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import PIL.Image
import torch
from torch import Tensor

from cloc.boxes import from_centre
from cloc.errors import UserError
from data_prep.owl_pixels import owl_pixels
from data_prep.pretrained import Pretrained

SEPARATORS = ".?"  # Grounding DINO takes what stands between them for one phrase


class Found(NamedTuple):
    """Of one picture, on the CPU: scores [q, p] in [0, 1] of all boxes for its own p phrases, and
    boxes [q, 4], corners in pixels of the picture as shown; they may pass its edges."""

    scores: Tensor
    boxes: Tensor


class Detector(Protocol):
    """`prepare` and then `__call__` with pictures of equal shape."""

    def usable(self, phrases: Sequence[str]) -> list[bool]:
        """Which phrases of one picture the text tower can read whole."""
        ...

    def prepare(self, image: PIL.Image.Image) -> tuple[Any, tuple[int, ...]]:
        """What the model reads, and a shape that all pictures of one batch share."""
        ...

    def __call__(
        self,
        inputs: Sequence[Any],
        sizes: Sequence[tuple[int, int]],
        phrases: Sequence[Sequence[str]],
    ) -> list[Found]:
        """Of prepared pictures, their (width, height) as stored and each one's own phrases."""
        ...


def make_detector(pretrained: Pretrained, *, size: int | None = None) -> Detector:
    """The surface for a model's family; any other goes through its processor's own answer.

    `size` is the side of the square that OWLv2 and OWL-ViT see, None for that of the checkpoint.
    """
    if pretrained.kind in ("owlv2", "owlvit"):
        return Owl(pretrained, size=size)
    if size is not None:
        raise UserError(
            f"size={size}: only OWLv2 and OWL-ViT see squares of another size, and this model is "
            f"{pretrained.kind}; give size=null"
        )
    if pretrained.kind in ("grounding-dino", "mm-grounding-dino"):
        return GroundingDino(pretrained)
    return ByProcessor(pretrained)


class Owl:
    """OWL-ViT resizes without keeping the aspect ratio; OWLv2 pads to a square first, right and
    below, so that its boxes refer to that square: both sides are scaled by the longer one. At
    another `size` than the checkpoint's its positions are interpolated."""

    def __init__(self, pretrained: Pretrained, *, size: int | None) -> None:
        self.pretrained = pretrained
        self.context = int(pretrained.model.config.text_config.max_position_embeddings)
        self.is_padded = bool(getattr(pretrained.processor.image_processor, "do_pad", False))
        vision = pretrained.model.config.vision_config
        if size is not None and (size < 1 or size % vision.patch_size):
            raise UserError(
                f"size={size} is no multiple of the model's patches of {vision.patch_size} pixels; "
                f"give one, or null for the checkpoint's {vision.image_size}"
            )
        self.side, self.own_side = int(size or vision.image_size), int(vision.image_size)

    def usable(self, phrases: Sequence[str]) -> list[bool]:
        ids = self.pretrained.processor.tokenizer(list(phrases))["input_ids"]
        return [len(row) <= self.context for row in ids]

    def prepare(self, image: PIL.Image.Image) -> tuple[Tensor, tuple[int, ...]]:
        pixels = owl_pixels(self.pretrained.processor.image_processor, image, side=self.side)
        return pixels, tuple(pixels.shape)

    def __call__(
        self,
        inputs: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        phrases: Sequence[Sequence[str]],
    ) -> list[Found]:
        """All phrases of the batch as one padded table; a padded place is cut off, not masked: the
        model's own mask goes by the first token id, which is never 0 in a padded place."""
        model, processor, _, device, dtype = self.pretrained
        width = max(map(len, phrases))
        table = [text for row in phrases for text in [*row, *[" "] * (width - len(row))]]
        tokens = processor.tokenizer(
            table, padding="max_length", max_length=self.context, return_tensors="pt"
        )
        outputs = model(
            pixel_values=torch.stack(list(inputs)).to(device, dtype),
            input_ids=tokens["input_ids"].to(device),
            attention_mask=tokens["attention_mask"].to(device),
            interpolate_pos_encoding=self.side != self.own_side,
        )
        logits, boxes = outputs.logits.float().cpu(), outputs.pred_boxes.float().cpu()
        return [
            Found(logits[i, :, : len(row)].sigmoid(), _to_pixels(boxes[i], self._frame(size)))
            for i, (row, size) in enumerate(zip(phrases, sizes, strict=True))
        ]

    def _frame(self, size: tuple[int, int]) -> tuple[int, int]:
        return (max(size), max(size)) if self.is_padded else size


class GroundingDino:
    """All phrases of a picture are one text, "a cat. a dog."; a phrase's score is that of the best
    of its tokens, found by its place in the text and not by decoding the tokens.

    The picture keeps its aspect ratio. Pictures of one batch have equal shapes, so that none is
    padded: the backbone does not know of padding and would answer otherwise beside it.
    """

    def __init__(self, pretrained: Pretrained) -> None:
        self.pretrained = pretrained
        self.context = int(pretrained.model.config.max_text_len)

    def usable(self, phrases: Sequence[str]) -> list[bool]:
        """The text of all phrases has a fixed room; those that no longer fit are not usable, nor
        are those without a token."""
        kept, room = [], self.context - 2  # its first and last token
        for phrase in phrases:
            length = len(self.pretrained.processor.tokenizer(_query(phrase))["input_ids"]) - 2
            kept.append(0 < length < room)
            room -= length + 1 if kept[-1] else 0  # and its full stop
        return kept

    def prepare(self, image: PIL.Image.Image) -> tuple[Tensor, tuple[int, ...]]:
        return _pixels(self.pretrained, image)

    def __call__(
        self,
        inputs: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        phrases: Sequence[Sequence[str]],
    ) -> list[Found]:
        model, processor, _, device, dtype = self.pretrained
        texts, spans = zip(*map(merged, phrases), strict=True)
        tokens = processor.tokenizer(
            list(texts), padding=True, return_offsets_mapping=True, return_tensors="pt"
        )
        places = tokens.pop("offset_mapping")
        outputs = model(
            pixel_values=torch.stack(list(inputs)).to(device, dtype), **tokens.to(device)
        )
        logits, boxes = outputs.logits.float().cpu(), outputs.pred_boxes.float().cpu()
        return [
            Found(_best_of_spans(logits[i], places[i], spans[i]), _to_pixels(boxes[i], size))
            for i, size in enumerate(sizes)
        ]


class ByProcessor:
    """Any other detector of transformers, as far as its processor answers with the place of the
    phrase that it chose, an integer. The pictures of one batch are padded or resized, and boxes
    scaled back, as the processor has it."""

    def __init__(self, pretrained: Pretrained) -> None:
        self.pretrained = pretrained

    def usable(self, phrases: Sequence[str]) -> list[bool]:
        return [True] * len(phrases)

    def prepare(self, image: PIL.Image.Image) -> tuple[PIL.Image.Image, tuple[int, ...]]:
        return image, ()

    def __call__(
        self,
        inputs: Sequence[PIL.Image.Image],
        sizes: Sequence[tuple[int, int]],
        phrases: Sequence[Sequence[str]],
    ) -> list[Found]:
        model, processor, _, device, dtype = self.pretrained
        texts = [list(row) for row in phrases]
        given = processor(images=list(inputs), text=texts, return_tensors="pt", padding=True)
        outputs = model(**given.to(device, dtype))
        for key, value in list(outputs.items()):
            if isinstance(value, Tensor) and value.is_floating_point():
                outputs[key] = value.float()  # torchvision has no suppression for half precision
        answers = processor.post_process_grounded_object_detection(
            outputs,
            threshold=0.0,
            target_sizes=[(height, width) for width, height in sizes],
            text_labels=texts,
        )
        return [_of_answer(answer, len(row)) for answer, row in zip(answers, texts, strict=True)]


def merged(phrases: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The text of Grounding DINO, "a cat. a dog.", and where each phrase stands in it."""
    text, spans = "", []
    for phrase in phrases:
        text += " " if text else ""
        spans.append((len(text), len(text) + len(_query(phrase))))
        text += _query(phrase) + "."
    return text, spans


def _query(phrase: str) -> str:
    return " ".join("".join(" " if c in SEPARATORS else c for c in phrase.lower()).split())


def _best_of_spans(logits: Tensor, places: Tensor, spans: Sequence[tuple[int, int]]) -> Tensor:
    """[q, p] from logits [q, tokens] and the tokens' places [t, 2] in the text."""
    start, end = places.unbind(-1)
    columns = [
        logits[:, : len(places)][:, (start >= low) & (end <= high) & (end > start)]
        for low, high in spans
    ]
    return torch.stack([column.amax(-1) for column in columns], -1).sigmoid()


def _of_answer(answer: Any, num_phrases: int) -> Found:
    if any(isinstance(label, str) for label in answer["labels"]):
        raise UserError(
            "this detector answers in words and not with the phrase that it was given; take a "
            "model of OWLv2, OWL-ViT, Grounding DINO or OmDet-Turbo"
        )
    scores = torch.zeros(len(answer["scores"]), num_phrases)
    for row, (score, label) in enumerate(zip(answer["scores"], answer["labels"], strict=True)):
        scores[row, int(label)] = float(score)
    return Found(scores, answer["boxes"].float().cpu())


def _pixels(pretrained: Pretrained, image: PIL.Image.Image) -> tuple[Tensor, tuple[int, ...]]:
    pixels = pretrained.processor.image_processor(images=image, return_tensors="pt")["pixel_values"]
    return pixels[0], tuple(pixels.shape)


def _to_pixels(boxes: Tensor, frame: tuple[int, int]) -> Tensor:
    """Normalised (centre x, centre y, width, height) to corners."""
    return from_centre(boxes) * torch.tensor([*frame, *frame])
