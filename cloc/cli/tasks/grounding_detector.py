"""The stage `detect` by a CLOC checkpoint of ours: its grounding head looks for every phrase.

It stands here because a stage knows no model of `cloc`; `configs/stages/detect/cloc.yaml` names it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from cloc.data.samples.decode import decode_shown
from cloc.data.samples.orientation import to_stored
from cloc.data.samples.record import Record, Region
from cloc.data.samples.validate import check_box
from cloc.errors import BadSample, UserError
from cloc.frame import out_of_frame, pad_frame
from cloc.models.load import load
from data_prep.pretrained import known_device
from data_prep.stage import Notes, asked_of


class GroundingDetector:
    """One box per phrase, in pixels of the stored image; regions that were there are replaced.

    A region's score is the cosine similarity of the phrase with what the model sees in the box that
    it predicts, 0 where that is negative; below `at_least` the phrase has no region.
    """

    name = "cloc"
    version = 2

    def __init__(
        self, *, model: str, at_least: float = 0.3, batch_size: int = 64, device: str = "cpu"
    ) -> None:
        if batch_size < 1 or not 0 <= at_least <= 1:
            raise UserError(
                f"batch_size={batch_size}, at_least={at_least}; give batch_size >= 1 and "
                "0 <= at_least <= 1"
            )
        self.model, self.at_least, self.batch_size = model, at_least, batch_size
        self.embedder = load(model, device=str(known_device(device)))
        if self.embedder.model.box_head is None:
            raise UserError(
                f"stages.detect.model={model} has no box head, which finds the phrases; give a run "
                "that was trained with a grounding loss"
            )
        self.digest = _digest(self.embedder.model)

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        """A record without phrases has no region then, the event "no_phrases"; one whose picture
        cannot be decoded is left out."""
        found: list[Record] = []
        for start in range(0, len(records), self.batch_size):
            found += self._batch(records[start : start + self.batch_size], notes)
        return found

    def describe(self) -> Mapping[str, Any]:
        return {
            "version": self.version,
            "model": Path(self.model).name,
            "weights": self.digest,
            "at_least": self.at_least,
        }

    def _batch(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        kept, images = [], []
        background = self.embedder.model.tower.background
        for record in records:
            try:
                images.append(decode_shown(record, record.key, background))
                kept.append(record.with_regions(()))
            except BadSample as error:
                notes.sample(record, error.reason)
        phrases = [self._phrases(record, notes) for record in kept]
        asked = [i for i, given in enumerate(phrases) if given]
        if len(asked) < len(kept):
            notes.events["no_phrases"] += len(kept) - len(asked)
        if asked:
            found = self._find(
                [kept[i] for i in asked],
                [images[i] for i in asked],
                [phrases[i] for i in asked],
                notes,
            )
            for i, regions in zip(asked, found, strict=True):
                kept[i] = kept[i].with_regions((), regions)
        return kept

    def _phrases(self, record: Record, notes: Notes) -> list[str]:
        """Those that the text tower reads whole: with more room they are the same tokens."""
        asked = asked_of(record, notes)
        if not asked:
            return []
        room = self.embedder.model.tower.context_length
        short, long = (self.embedder.tokenize(asked, n) for n in (room, 2 * room))
        whole = (short == long[:, :room]).all(1).tolist()
        for phrase, fits in zip(asked, whole, strict=True):
            if not fits:
                notes.phrase(record, "long", phrase)
        return [phrase for phrase, fits in zip(asked, whole, strict=True) if fits]

    def _find(
        self,
        records: Sequence[Record],
        images: Sequence[PIL.Image.Image],
        phrases: Sequence[Sequence[str]],
        notes: Notes,
    ) -> list[list[Region]]:
        """At least one phrase for each."""
        x = self.embedder.prepare(images, [np.zeros((0, 4))] * len(images)).images
        boxes = self.embedder.ground(x, phrases)
        assert boxes is not None
        framed = torch.nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)
        valid = torch.arange(framed.shape[1]) < torch.tensor([[len(b)] for b in boxes])
        seen = self.embedder.regions(x, _inside(framed), valid)
        answers = []
        for i, record in enumerate(records):
            texts = self.embedder.texts(phrases[i])
            scores = (seen[i, : len(texts)] * texts).sum(-1).clamp(min=0).tolist()
            frame = pad_frame(*images[i].size, self.embedder.model.tower.image_size)
            shown = out_of_frame(boxes[i].numpy(), images[i].size, frame)
            pixels = to_stored(shown, record.width, record.height, record.orientation)
            answers.append(self._regions(record, phrases[i], pixels.tolist(), scores, notes))
        return answers

    def _regions(
        self,
        record: Record,
        phrases: Sequence[str],
        boxes: Sequence[Sequence[float]],
        scores: Sequence[float],
        notes: Notes,
    ) -> list[Region]:
        found = []
        for phrase, box, score in zip(phrases, boxes, scores, strict=True):
            try:
                clipped = check_box(box, record.width, record.height, record.key)
            except BadSample as error:
                notes.phrase(record, error.reason, phrase)
                continue
            region = Region(clipped, phrase, score=round(score, 4), source=self.name)
            if score < self.at_least:
                notes.region(record, "score", region)
            else:
                found.append(region)
        return found


def _inside(boxes: torch.Tensor) -> torch.Tensor:
    """Found boxes as the part of them that lies in the frame, corners in order."""
    low, high = boxes.clamp(0, 1).chunk(2, dim=-1)
    return torch.cat([torch.minimum(low, high), torch.maximum(low, high)], -1)


def _digest(model: torch.nn.Module) -> str:
    """Of the weights, so that another checkpoint under the same name is noticed."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
