"""Which part of a model a parameter belongs to, and how deep in its tower: read off its name."""

import re

# Names that open_clip, timm and Hugging Face give what stands before and behind a tower's blocks.
BEFORE = {
    *("conv1", "class_embedding", "positional_embedding", "ln_pre"),  # open_clip's ViT
    *("patch_embed", "pos_embed", "cls_token", "reg_token", "norm_pre"),  # timm
    *("embeds", "rope", "shared_rel_pos"),  # timm's NaFlex; positions that all blocks share
    *("token_embedding", "cls_emb"),  # open_clip's text tower
    *("embeddings", "embed_tokens", "shared"),  # Hugging Face
}
BEHIND = {
    *("ln_post", "proj"),
    *("norm", "fc_norm", "attn_pool", "head"),
    *("ln_final", "text_projection"),
    *("pooler", "final_layer_norm"),
}
_BLOCK = re.compile(r"(?:resblocks|blocks|block|layers|layer)\.(\d+)(?:\.|$)")
_STAGE = re.compile(r"\.(?:stages\.\d|layers\.\d+\.blocks\.|layer[1-4]\.\d)")  # timm, Swin, OpenAI
SCALES = ("tower.clip.logit_scale", "tower.clip.logit_bias")


def part_of(name: str) -> str:
    """`image_tower`, `text_tower`, `scales` (and bias), or `region_head`, `box_head`, `decoder`.

    `name` is of a parameter or module of the model; one of somebody else's model belongs to the
    sub-module it stands in.
    """
    if name.startswith(SCALES) or name.startswith("region_scale."):
        return "scales"
    if name.startswith("tower."):
        return "image_tower" if name.startswith("tower.clip.visual.") else "text_tower"
    return name.partition(".")[0]


def block_of(name: str) -> int | None:
    """The tower's block, from 0, that a parameter or module stands in or is; None outside."""
    found = _BLOCK.search(name) if part_of(name).endswith("_tower") else None
    return None if found is None else int(found[1])


def is_block(name: str) -> bool:
    """True of the name of a module that is a whole block of a tower."""
    found = _BLOCK.search(name) if part_of(name).endswith("_tower") else None
    return found is not None and found.end() == len(name)


def is_staged(name: str) -> bool:
    """True in towers of several stages (ConvNeXt, Swin, ResNet), whose blocks are counted anew in
    each: their numbers say no depth."""
    return part_of(name) == "image_tower" and _STAGE.search(name) is not None


def depth_of(name: str, *, num_blocks: int) -> int:
    """0 before the first block, 1 to `num_blocks` in the blocks, `num_blocks + 1` behind them.

    `KeyError` where the name says neither.
    """
    block = block_of(name)
    if block is not None:
        return block + 1
    words = set(name.split("."))
    if words & BEFORE:
        return 0
    if words & BEHIND:
        return num_blocks + 1
    raise KeyError(name)
