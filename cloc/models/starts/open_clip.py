"""A start from open_clip: a pretrained name, a folder, a hub repository, or a file of weights."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
from open_clip.factory import load_state_dict
from torch import Tensor

from cloc.errors import UserError, one_line
from cloc.foreign_code import described, refuse_code, unasked
from cloc.frame import Framing
from cloc.models.start import OPEN_CLIPS, UNREADABLE, WEB, Start, three_numbers
from cloc.models.tower_config import look_up, refuse_elsewhere

CONFIG = "open_clip_config.json"
UNFIT = (TypeError, KeyError, AttributeError, AssertionError)  # at a configuration of no model
# open_clip's words of `preprocess_cfg`, and ours; "random" is of training
KNOWN = {
    "resize_mode": {"shortest": "crop", "squash": "squash", "longest": "pad"},
    "interpolation": {"bicubic": "bicubic", "bilinear": "bilinear", "random": "bicubic"},
}
# What OpenAI's own files hold beside the weights, and nobody else's.
OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")


def read(where: str) -> Start:
    """`where` is `NAME,TAG` or `NAME/TAG` with one of open_clip's names and one of its tags or a
    file of weights; a folder with an `open_clip_config.json`; `hf-hub:REPOSITORY`; or a file in the
    layout of OpenAI's own, whose architecture its shapes tell."""
    path = Path(where.removeprefix("local-dir:")).expanduser()
    if page := WEB.fullmatch(where.removeprefix("hf-hub:")):
        where = f"hf-hub:{page[1]}"
    if where.startswith("hf-hub:"):
        return _created(where, where, config=_of_hub(where))
    if path.is_dir() or where.startswith("local-dir:"):
        return _created(where, f"local-dir:{path}", config=_of_folder(path), folder=path)
    if path.is_file():
        return _openai(path)
    name, _, tag = re.sub("[,/]", ",", where, count=1).partition(",")
    if "/" in where and open_clip.get_model_config(name) is None:
        raise UserError(
            f"open_clip:{where}: there is no such file or folder, and open_clip has no model "
            f"{name!r}; write {OPEN_CLIPS}"
        )
    config = look_up(name)
    if tag.startswith("~"):
        tag = str(Path(tag).expanduser())
    if not tag:
        raise UserError(
            f"open_clip:{where} names no weights; write open_clip:{name}/TAG, with one of "
            f"{', '.join(open_clip.list_pretrained_tags_by_model(name)[:8]) or 'your own files'}"
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    known = open_clip.get_pretrained_cfg(name, tag) or {}
    if not known and not Path(tag).is_file():
        raise UserError(
            f"open_clip cannot load {where}: {tag!r} is neither a file nor one of its tags "
            f"({', '.join(tags[:8]) or 'none'}); write open_clip:{name}/TAG or {name},FILE"
        )
    quick_gelu = bool(known.get("quick_gelu"))  # else "ViT-B-32/openai" runs on another GELU
    if quick_gelu:
        config["quick_gelu"] = True
    return _created(where, name, config=config, tag=tag, quick_gelu=quick_gelu)


def _created(
    where: str,
    name: str,
    *,
    config: dict[str, Any],
    tag: str | None = None,
    quick_gelu: bool = False,
    folder: Path | None = None,
) -> Start:
    """Through open_clip, with weights always: its own default is to go on with random ones."""
    refuse_elsewhere(config)
    try:
        with unasked(), _silent():
            clip = open_clip.create_model(
                name, pretrained=tag, force_quick_gelu=quick_gelu, require_pretrained=True
            )
    except (*UNREADABLE, *UNFIT) as error:
        raise UserError(f"open_clip cannot load {where}: {one_line(error)}") from error
    visual = clip.visual
    seen = {"mean": getattr(visual, "image_mean", None), "std": getattr(visual, "image_std", None)}
    mean, std = (
        None if given is None else three_numbers(given, f"preprocess_cfg.{key}", name)
        for key, given in seen.items()
    )
    background = None if folder is None else _background(folder / CONFIG)
    framing = framing_of(getattr(visual, "preprocess_cfg", {}), name)
    start = Start(config, clip.state_dict(), mean, std, folder, background=background)
    return start._replace(framing=framing)


@contextmanager
def _silent() -> Iterator[None]:
    """open_clip logs what it raises, and the hub's client each of its tries: that is one line of
    ours."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def framing_of(preprocess: Mapping[str, Any], where: str = "") -> Framing:
    """open_clip's `preprocess_cfg` in our words; `UserError` that says `where` it is from for one
    that open_clip could not make a transform of."""
    found = {"resize_mode": "shortest", "interpolation": "bicubic", "fill_color": 0, **preprocess}
    for key, known in KNOWN.items():
        if not isinstance(found[key], str) or found[key] not in known:
            raise UserError(
                f"{where}: preprocess_cfg.{key} is {found[key]!r}; give one of {', '.join(known)}"
            )
    fill = found["fill_color"]
    if type(fill) is not int or not 0 <= fill <= 255:
        raise UserError(f"{where}: preprocess_cfg.fill_color is {fill!r}; give one of 0 to 255")
    return Framing(
        KNOWN["resize_mode"][found["resize_mode"]],
        found.get("size", 224),
        interpolation=KNOWN["interpolation"][found["interpolation"]],
        fill=fill,
    )


def _of_hub(where: str) -> dict[str, Any]:
    try:
        return _of_folder(described(where.removeprefix("hf-hub:")))
    except (ImportError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"open_clip cannot load {where}: {one_line(error)}") from error


def _of_folder(folder: Path) -> dict[str, Any]:
    refuse_code(folder)
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{path} does not exist; an open_clip folder has it beside the weights")
    try:
        found = json.loads(path.read_text())["model_cfg"]
        told = f"model_cfg is {found!r:.40}" * (not isinstance(found, dict))
    except (ValueError, KeyError, TypeError) as error:
        told = repr(error)
    if told:
        raise UserError(f"{path} is not an open_clip configuration ({told})")
    if "text_cfg" not in found:
        raise UserError(
            f"{path}: model_cfg has no text_cfg, so it is a vision tower alone; give the whole "
            "model that it was taken from"
        )
    return dict(found)


def _background(path: Path) -> Any:
    """Behind transparent pixels, in a folder that we exported; None in anybody else's."""
    seen = json.loads(path.read_text()).get("preprocess_cfg")
    return seen.get("background") if isinstance(seen, dict) else None


def _openai(path: Path) -> Start:
    try:
        found = load_state_dict(str(path))
    except UNREADABLE as error:
        raise UserError(
            f"{path} is no file of weights alone ({one_line(error)}); save the state dict as "
            "safetensors, or with torch.save"
        ) from error
    state = {key: value for key, value in found.items() if key not in OPENAI_MARKS}
    if not {"visual.proj", "text_projection", "visual.conv1.weight"} <= set(state):
        raise UserError(
            f"{path} has not the layout of OpenAI's ViT files, so it does not tell its "
            f"architecture; write open_clip:NAME,{path}"
        )
    if not set(OPENAI_MARKS) & set(found):
        raise UserError(
            f"{path} does not tell whether it was trained with QuickGELU (OpenAI) or GELU; write "
            f"open_clip:ViT-B-32-quickgelu,{path} or open_clip:ViT-B-32,{path}, with its own name"
        )
    state = {key: value.float() for key, value in state.items()}
    return Start(openai_config(state), state, None, None, None, framing=framing_of({}))


def openai_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The open_clip configuration of OpenAI's ViT with weights of these shapes; QuickGELU, and
    heads of 64 as all of theirs have."""
    width, _, _, patch = state["visual.conv1.weight"].shape
    grid = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    text_width = len(state["ln_final.weight"])
    return {
        "embed_dim": state["text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": grid * patch,
            "layers": _count(state, "visual.transformer.resblocks."),
            "width": width,
            "head_width": 64,
            "patch_size": patch,
        },
        "text_cfg": {
            "context_length": len(state["positional_embedding"]),
            "vocab_size": len(state["token_embedding.weight"]),
            "width": text_width,
            "heads": text_width // 64,
            "layers": _count(state, "transformer.resblocks."),
        },
    }


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    blocks = {key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)}
    return len(blocks)
