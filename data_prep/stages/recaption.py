"""The stage `recaption`: a caption of every picture by an image-to-text model of transformers."""

from collections.abc import Mapping, Sequence
from typing import Any

import PIL.Image
import torch

from cloc.data.samples.record import Record
from cloc.errors import UserError
from data_prep.batching import Item, in_batches, prepared
from data_prep.captioners import Captioner, Written
from data_prep.captions import check_place, with_caption
from data_prep.pretrained import load_pretrained
from data_prep.stage import Notes

VERSION = 2


class Recaption:
    """Adds one caption, `source` the model's short name, before ("first") or after ("last") those
    that are there. One that is empty, cut off at `max_new_tokens` or repeats itself is left out and
    counted; the record stays.

    `model` is a hub name or a local folder: Florence-2, BLIP, BLIP-2, or a chat model that sees
    (Qwen-VL, LLaVA, ...). Code that comes with a model is never run.
    """

    name = "recaption"

    def __init__(
        self,
        *,
        model: str,
        prompt: str,
        revision: str | None = None,
        max_new_tokens: int = 256,
        num_beams: int = 1,
        place: str = "first",
        batch_size: int = 16,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        if min(batch_size, max_new_tokens, num_beams) < 1:
            raise UserError(
                f"batch_size={batch_size}, max_new_tokens={max_new_tokens}, "
                f"num_beams={num_beams}; give at least 1 for each"
            )
        check_place(place)
        self.pretrained = load_pretrained(
            "AutoModelForImageTextToText", model, revision=revision, device=device, dtype=dtype
        )
        self.captioner = Captioner(
            self.pretrained, prompt=prompt, max_new_tokens=max_new_tokens, num_beams=num_beams
        )
        self.prompt, self.place, self.batch_size = prompt, place, batch_size

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        """A record whose picture cannot be decoded is left out."""
        kept = {}
        items = prepared(enumerate(records), _as_it_is, notes)
        for item, written in in_batches(items, self._run, size=self.batch_size, notes=notes):
            kept[item.place] = with_caption(
                item.record,
                written.text,
                is_whole=written.is_whole,
                source=self.pretrained.short_name,
                place=self.place,
                notes=notes,
            )
        return [kept[i] for i in sorted(kept)]

    def describe(self) -> Mapping[str, Any]:
        return {
            "version": VERSION,
            **self.pretrained.describe(),
            "prompt": self.prompt,
            "place": self.place,
            **self.captioner.settings,
        }

    def _run(self, batch: Sequence[Item]) -> list[Written]:
        with torch.inference_mode():
            return self.captioner([item.inputs for item in batch])


def _as_it_is(image: PIL.Image.Image) -> tuple[PIL.Image.Image, tuple[int, ...]]:
    """Its processor pads what a batch of pictures needs, behind a mask."""
    return image, ()
