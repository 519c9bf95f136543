"""Region vectors of every extractor, kept by picture and box."""

import numpy as np

from tests.faults.independent import patches, views

AS_PICTURES = {
    "crop": (views.crop,),
    "crop_context": (views.crop_context,),
    "blur": (views.blur,),
    "crop_blur": (views.crop, views.blur),
    "red_circle": (views.red_circle,),
}
OF_PATCHES = {"roi": False, "roi_value": True}
EXTRACTORS = (*AS_PICTURES, *OF_PATCHES)


class Regions:
    """`scores(...)` of one extractor, [boxes, texts] in float64."""

    def __init__(self, clip, extractor):
        self.clip, self.extractor = clip, extractor
        self._kept = {}

    def scores(self, key, image, boxes, texts):
        """Cosines of the regions with unit vectors of texts; of two views the mean of both."""
        vectors = self.vectors(key, image, boxes)
        return np.mean([view @ np.float64(texts).T for view in vectors], axis=0)

    def vectors(self, key, image, boxes):
        """[views, boxes, d] in float64; `key` names the picture that `image` opens."""
        names = [(key, *(round(float(v), 3) for v in box)) for box in boxes]
        new = {n: box for n, box in zip(names, boxes, strict=True) if n not in self._kept}
        if new:
            made = self._made(image(), [*new.values()])
            self._kept |= dict(zip(new, made.transpose(1, 0, 2), strict=True))
        return np.stack([self._kept[name] for name in names], 1)

    def _made(self, image, boxes):
        if self.extractor in OF_PATCHES:
            seen = patches.patch_map(self.clip, image, values=OF_PATCHES[self.extractor])
            side = self.clip.size
            mode = self.clip.resize_mode
            places = [patches.in_frame(box, image.size, side, mode) for box in boxes]
            return _unit(np.stack([patches.roi(seen, place, side) for place in places]))[None]
        kinds = AS_PICTURES[self.extractor]
        rest = views.blurred(image) if views.blur in kinds else None
        extra = {views.blur: (rest,)}
        shown = [view(image, box, *extra.get(view, ())) for view in kinds for box in boxes]
        vectors = _unit(np.float64(self.clip.pictures(shown)))
        return vectors.reshape(len(kinds), len(boxes), -1)


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
