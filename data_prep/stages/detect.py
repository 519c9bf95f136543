"""The stage `detect`: boxes for every record's phrases, by a zero-shot detector of transformers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from cloc.data.samples import validate
from cloc.data.samples.orientation import to_stored
from cloc.data.samples.record import Record, Region
from cloc.errors import BadSample, UserError
from data_prep.batching import Item, in_batches, prepared, shown_size
from data_prep.detectors import Found, make_detector
from data_prep.pretrained import load_pretrained
from data_prep.stage import Notes, asked_of

VERSION = 2


class Detect:
    """Each box takes the phrase that it scores highest, and becomes a region if that is at least
    `at_least`; boxes are in pixels of the stored picture, clipped to it.

    `model` is a hub name or a local folder: OWLv2, OWL-ViT, Grounding DINO (MM too), or another
    zero-shot detector of transformers. `size` is the side in pixels of what OWLv2 and OWL-ViT see,
    null for that of the checkpoint. `replace` says whether regions that are there already go.
    A box outside the picture (where the model saw padding) or under one pixel is left out and
    counted, and a phrase that the model's text tower cannot read whole.
    """

    name = "detect"

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        size: int | None = None,
        at_least: float = 0.1,
        batch_size: int = 16,
        device: str = "cpu",
        dtype: str = "float32",
        replace: bool = False,
    ) -> None:
        if batch_size < 1 or not 0 <= at_least <= 1:
            raise UserError(
                f"batch_size={batch_size}, at_least={at_least}; give batch_size >= 1 and "
                "0 <= at_least <= 1"
            )
        self.pretrained = load_pretrained(
            "AutoModelForZeroShotObjectDetection",
            model,
            revision=revision,
            device=device,
            dtype=dtype,
        )
        self.detector = make_detector(self.pretrained, size=size)
        self.size, self.at_least = size, at_least
        self.batch_size, self.replace = batch_size, replace

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        """Records without phrases pass as they are, the event "no_phrases"; one whose
        picture cannot be decoded is left out."""
        phrases = [self._phrases(record, notes) for record in records]
        asked = [(i, record) for i, record in enumerate(records) if phrases[i]]
        kept = {i: record for i, record in enumerate(records) if not phrases[i]}
        if kept:
            notes.events["no_phrases"] += len(kept)
        items = prepared(asked, self.detector.prepare, notes)

        def run(batch: Sequence[Item]) -> list[Found]:
            with torch.inference_mode():
                return self.detector(
                    [item.inputs for item in batch],
                    [shown_size(item.record) for item in batch],
                    [phrases[item.place] for item in batch],
                )

        for item, found in in_batches(items, run, size=self.batch_size, notes=notes):
            regions = tuple(self._regions(item.record, phrases[item.place], found, notes))
            before = () if self.replace else range(len(item.record.regions))
            kept[item.place] = item.record.with_regions(before, regions)
        return [kept[i] for i in sorted(kept)]

    def describe(self) -> Mapping[str, Any]:
        return {
            "version": VERSION,
            **self.pretrained.describe(),
            "size": self.size,
            "at_least": self.at_least,
            "replace": self.replace,
        }

    def _phrases(self, record: Record, notes: Notes) -> list[str]:
        asked = asked_of(record, notes)
        usable = self.detector.usable(asked) if asked else []
        for phrase, fits in zip(asked, usable, strict=True):
            if not fits:
                notes.phrase(record, "long", phrase)
        return [phrase for phrase, fits in zip(asked, usable, strict=True) if fits]

    def _regions(
        self, record: Record, phrases: Sequence[str], found: Found, notes: Notes
    ) -> Iterator[Region]:
        scores, labels = found.scores.max(-1)
        size = record.width, record.height
        boxes = to_stored(found.boxes.numpy(), *size, record.orientation)
        for q in (scores >= self.at_least).nonzero().flatten().tolist():
            x0, y0, x1, y1 = boxes[q].tolist()
            region = Region(
                box=(x0, y0, x1, y1),
                text=phrases[int(labels[q])],
                score=float(scores[q]),
                source=self.pretrained.short_name,
            )
            try:
                where = f"record {record.key}"
                box = validate.check_box(region.box, *size, where)
            except BadSample as error:
                notes.region(record, error.reason, region)
            else:
                yield dataclasses.replace(region, box=box)
