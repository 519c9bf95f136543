"""Where our protocol is not that of the repository it is named after: both figures.

Not faults of arithmetic, so no figure of these is held against ours; what they differ by is told.
[what upstream does, benchmark, metric, ours, upstream's]
"""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter

from tests.faults.independent import patches, theirs, views
from tests.faults.independent.clip import unit
from tests.faults.independent.figure import TIE
from tests.faults.independent.figures import boxes, panoptic, retrieval
from tests.faults.independent.photographs import class_names, upright

PANOPTIC = ("thing_macc", "thing_macc_top5", "stuff_macc", "stuff_macc_top5")


class Pooled:
    """RoIAlign of values as upstream pools them: as many samples as cells; CLIPSelf's patches are
    unit vectors, FG-CLIP's are not."""

    def __init__(self, clip, *, units):
        self.clip, self.units = clip, units

    def vectors(self, key, image, of_boxes):
        image = image()
        seen = patches.patch_map(self.clip, image, values=True)
        seen = unit(seen) if self.units else seen
        side = self.clip.size
        places = [patches.in_frame(box, image.size, side) for box in of_boxes]
        made = [patches.roi(seen, p, side, samples=patches.adaptive) for p in places]
        return unit(np.stack(made))[None]

    def scores(self, key, image, of_boxes, texts):
        return self.vectors(key, image, of_boxes)[0] @ texts.T


def reclip_blur(image, box):
    """ReCLIP's executor: 100 pixels whatever the size, and the rectangle has its last corner."""
    mask = PIL.Image.new("L", image.size, 0)
    PIL.ImageDraw.Draw(mask).rectangle([box[:2], box[2:]], fill=255)
    shown = image.filter(PIL.ImageFilter.GaussianBlur(100))
    shown.paste(image, mask=mask)
    return shown


def departures(clip, photographs, root, found):
    """`found` are the figures of `theirs`."""
    seen = [upright(photo) for photo in photographs]
    rows = [
        *_panoptic(clip, photographs, root / "panoptic", found),
        *_fgclip(clip, seen, found),
    ]
    own = found["image_text_retrieval"]
    counts = retrieval.image_text_upstream(clip, seen)
    rows += _beside(
        "CLIP_benchmark: equal captions each count", "image_text_retrieval", own, counts
    )
    rows += _argmax(found)
    rows.append(_blurred(clip, photographs))
    return [row for row in rows if row[3] is not None]


def _beside(what, name, own, other, metrics=None):
    for metric in metrics or other:
        ours = own[metric].value if metric in own else None
        yield what, name, metric, ours, other[metric].value


def _panoptic(clip, photographs, root, found):
    given = (clip, root, photographs)
    by_box = panoptic.by_box(Pooled(clip, units=True))
    own = found["clipself_macc@roi_value"]
    for what, more in (
        ("CLIPSelf: unit patches, a sample a cell", {}),
        ("CLIPSelf: and the box of stuff from its mask", {"drawn": True}),
        ("CLIPSelf: and names as they are, -merged too", {"drawn": True, "name": str}),
    ):
        other = panoptic.figures(*given, by_box, theirs.CLIP_80, **more)
        yield from _beside(what, "clipself_macc@roi_value", own, other, PANOPTIC)
    masks = panoptic.by_mask(clip, upstream=True)
    other = panoptic.figures(*given, masks, theirs.CLIP_80)
    what = "CLIPSelf: unit values, which the last attention does not mix"
    own = found["clipself_macc@mask_pool"]
    yield from _beside(what, "clipself_macc@mask_pool", own, other, PANOPTIC)


def _fgclip(clip, photographs, found):
    """Crowds are boxes as others there."""
    names = class_names()
    texts = boxes.class_texts(clip, names, theirs.CLIP_80)
    everything = [
        photo._replace(things=tuple(thing._replace(crowd=False) for thing in photo.things))
        for photo in photographs
    ]
    other = boxes.classification(Pooled(clip, units=False), everything, texts, names)
    own = found["fgclip_top1@roi_value"]
    what = "FG-CLIP: a sample a cell, crowds too"
    yield from _beside(what, "fgclip_top1@roi_value", own, other, ("top1", "top5"))


def _argmax(found):
    """The true caption comes first, and the first of equals wins."""
    for name in ("whatsup_a", "whatsup_b", "coco_spatial_one"):
        margins = found[name]["accuracy"].margins
        right = {case: float(margin >= -TIE) for case, margin in margins.items()}
        ours = found[name]["accuracy"].value
        yield "What'sUp: the first of ties wins", name, "accuracy", ours, np.mean([*right.values()])


def _blurred(clip, photographs):
    """The least cosine between our blurred picture of a box and ReCLIP's."""
    least = 1.0
    for photo in photographs[:4]:
        image = photo.open()
        own = [views.blur(image, thing.box) for thing in photo.boxed[:6]]
        other = [reclip_blur(image, thing.box) for thing in photo.boxed[:6]]
        if own:
            both = np.float64(clip.pictures(own)) * np.float64(clip.pictures(other))
            least = min(least, float(both.sum(1).min()))
    return "ReCLIP: its blurred picture", "blur", "least cosine with ours", 1.0, least
