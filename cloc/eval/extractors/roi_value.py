"""Region embeddings of any encoder with a grid of patches: RoIAlign over the values of its last
attention, which each patch keeps for itself instead of mixing them.

MaskCLIP (arXiv 2112.01071) found that these name what lies at a place where the mixed tokens do
not; CLIPSelf (2310.01403) and FG-CLIP (2505.05071) pool regions from them. As there the rest of the
last block stays: residual, feed-forward, norm, projection.
"""

from cloc.eval.extractors.roi import RoIEmbedder, look_at_patches
from cloc.interfaces import Embedder


def extractor(embedder: Embedder) -> RoIEmbedder:
    """`UserError` for an encoder without attention. CLIPSelf's own script takes one bilinear point
    per patch of a box and scales patches to unit length first; this one pools as `roi` does, so
    that the two differ in the values alone."""
    look_at_patches(embedder, "roi_value", values=True)
    return RoIEmbedder(embedder, values=True)
