"""The stage `detect` by a CLOC checkpoint of ours: its grounding head looks for every phrase.

It stands here because a stage knows no model of `cloc`; `configs/stages/detect/cloc.yaml` names it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import PIL.Image
import torch

from cloc.data.decode import decode_record
from cloc.data.record import Record, Region
from cloc.data.validate import check_box
from cloc.errors import BadSample, UserError
from cloc.frame import out_of_frame, pad_frame
from cloc.models.load import load
from data_prep.stage import PHRASES, Notes


class GroundingDetector:
    """One box per phrase, in pixels of the stored image; regions that were there are replaced.

    A region's score is the cosine similarity of the phrase with what the model sees in the box that
    it predicts, 0 where that is negative; below `at_least` the phrase has no region.
    """

    name = "cloc"
    version = 1

    def __init__(
        self, *, model: str, at_least: float = 0.3, batch_size: int = 64, device: str = "cpu"
    ) -> None:
        self.model, self.at_least, self.batch_size = model, at_least, batch_size
        self.embedder = load(model, device=device)
        if self.embedder.model.box_head is None:
            raise UserError(
                f"stages.detect.model={model} has no box head, which finds the phrases; give a run "
                "that was trained with a grounding loss"
            )
        self.digest = _digest(self.embedder.model)

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        found: list[Record] = []
        for start in range(0, len(records), self.batch_size):
            found += self._batch(records[start : start + self.batch_size], notes)
        return found

    def describe(self) -> Mapping[str, Any]:
        return {
            "version": self.version,
            "model": self.model,
            "weights": self.digest,
            "at_least": self.at_least,
        }

    def _batch(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        kept, images = [], []
        for record in records:
            try:
                images.append(decode_record(record, record.key))
                kept.append(record)
            except BadSample as error:
                notes.sample(record, error.reason)
        if not kept:
            return []
        phrases = [list(record.meta.get(PHRASES, ())) for record in kept]
        regions = self._find(kept, images, phrases, notes)
        return [replace(r, regions=tuple(found)) for r, found in zip(kept, regions, strict=True)]

    def _find(
        self,
        records: Sequence[Record],
        images: Sequence[PIL.Image.Image],
        phrases: Sequence[Sequence[str]],
        notes: Notes,
    ) -> list[list[Region]]:
        x = self.embedder.prepare(images, [np.zeros((0, 4))] * len(images)).images
        boxes = self.embedder.ground(x, phrases)
        assert boxes is not None
        framed = torch.nn.utils.rnn.pad_sequence(list(boxes), batch_first=True)
        valid = torch.arange(framed.shape[1]) < torch.tensor([[len(b)] for b in boxes])
        seen = self.embedder.regions(x, framed, valid) if framed.shape[1] else framed
        answers = []
        for i, record in enumerate(records):
            texts = self.embedder.texts(phrases[i])
            scores = (seen[i, : len(texts)] * texts).sum(-1).clamp(min=0).tolist()
            frame = pad_frame(record.width, record.height, self.embedder.model.tower.image_size)
            pixels = out_of_frame(boxes[i].numpy(), (record.width, record.height), frame)
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


def _digest(model: torch.nn.Module) -> str:
    """Of the weights, so that another checkpoint under the same name is noticed."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
