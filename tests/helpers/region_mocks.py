"""Encoders whose answers on painted pictures are known, whatever words stand around a colour."""

import re
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from tests.helpers.oracle import COLOURS, NAMES, SIZE, Oracle, _box_of, _middles, _vector, prepare


class Colours(Oracle):
    """Reads colours alone: of a text those it names, of a box the largest, of a picture all."""

    def _text(self, text):
        return _vector([name for name in NAMES if name in re.findall(r"[a-z]+", text)], {})

    def _whole(self, middles):
        return _vector(middles, {})

    def ground(self, x, phrases):
        pairs = zip(x, phrases, strict=True)
        return [torch.stack([self._ground(p, t) for t in own]) for p, own in pairs]

    def _ground(self, pixels, text):
        named = [name for name in NAMES if name in text.split()]
        if named and named[0] in _middles(pixels):
            return _box_of(pixels, text)
        return torch.tensor([0.0, 0.0, 1.0, 1.0])  # it is not there


class Opposite(Colours):
    """The colours' opposite: always the last choice; grounds in the corner that nothing lies in."""

    def images(self, x):
        return -super().images(x)

    def regions(self, x, boxes, valid):
        return -super().regions(x, boxes, valid)

    def _ground(self, pixels, text):
        return torch.tensor([0.97, 0.97, 0.98, 0.98])


class Shares(Colours):
    """Of a box it says how much of it has each colour, so the best place is well inside."""

    def regions(self, x, boxes, valid):
        found = [[_shares(p, box) for box in own] for p, own in zip(x, boxes, strict=True)]
        return torch.stack([torch.stack(own) for own in found]) * valid[..., None]


class Hashed:
    """A unit vector of `dim` numbers for every text and every box, as if drawn; the same for the
    same, so that a test can ask for them again and count for itself."""

    dim = 8

    def prepare(self, images, boxes):
        return prepare(images, boxes)

    def images(self, x):
        return torch.stack([self._drawn(pixels.numpy().tobytes()) for pixels in x])

    def texts(self, texts):
        return torch.stack([self._drawn(text.encode()) for text in texts])

    def regions(self, x, boxes, valid):
        found = [[self._drawn(p.numpy().tobytes() + _told(box)) for box in own]
                 for p, own in zip(x, boxes, strict=True)]  # fmt: skip
        return torch.stack([torch.stack(own) for own in found]) * valid[..., None]

    def ground(self, x, phrases):
        return None

    def _drawn(self, what):
        rng = np.random.default_rng(zlib.crc32(what))
        return F.normalize(torch.from_numpy(rng.normal(size=self.dim)).float(), dim=0)

    def region(self, image, box):
        """What `regions` says of one box (pixels)."""
        x, boxes, valid = prepare([image], [np.array([box], np.float32)])
        return self.regions(x, boxes, valid)[0, 0].double().numpy()

    def text(self, text):
        return self.texts([text])[0].double().numpy()


def _shares(pixels, box):
    x0, y0, x1, y1 = (box * SIZE).round().long().tolist()
    inside = pixels[y0:y1, x0:x1]
    out = _vector([], {})
    for i, name in enumerate(NAMES):
        same = (inside == torch.tensor(COLOURS[name], dtype=torch.uint8)).all(-1)
        out[i] = same.double().mean()
    out[-2] = 1 - out[: len(NAMES)].sum()  # of none
    return F.normalize(out, dim=0)


def _told(box):
    return np.asarray((box * SIZE * 100).round(), np.int64).tobytes()


def prototype(encoder, prompts):
    """The unit mean of the vectors of some prompts, in float64."""
    mean = np.mean([encoder.text(prompt) for prompt in prompts], axis=0)
    return mean / np.linalg.norm(mean)
