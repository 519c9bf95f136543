"""Vision Transformers of open_clip that have no patch tokens beside a pooled vector."""

from typing import Any

from cloc.errors import UserError

NO_POOLED_TOKENS = (
    "CoCa towers end in an attentional pooler that replaces the patch tokens, so they have no "
    "un-pooled tokens for the region head; choose a plain ViT or a timm ViT tower"
)
NO_POOLER = (
    "pool_type: none gives a vector for each patch and none for the picture; set it to tok or avg, "
    "as the tower was trained"
)


def refuse_vit(visual: Any) -> None:
    """`UserError` for a tower whose tokens are gone, that pools nothing, or has patches that are no
    squares."""
    if getattr(visual, "attn_pool", None) is not None:
        raise UserError(NO_POOLED_TOKENS)
    if visual.pool_type == "none":
        raise UserError(NO_POOLER)
    if len(set(visual.patch_size)) > 1:
        height, width = visual.patch_size
        raise UserError(f"patch_size: patches of {height}x{width} pixels; give square ones")
