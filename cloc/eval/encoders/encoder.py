"""Anybody's encoder, opened: what it answers with, and how it sees a picture."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cloc.errors import UserError
from cloc.eval.encoders import digest
from cloc.frame import Framing
from cloc.interfaces import Embedder
from cloc.models.build import build_model
from cloc.models.cloc import CLOC
from cloc.models.embedder import ModelEmbedder
from cloc.models.load import load_model
from cloc.models.start import KINDS, read_start

FRAMES = ("own", "pad", "squash", "crop")
SPECS = (
    "open_clip:NAME/TAG, hf:FOLDER, timm:NAME,FILE, run:runs/NAME, onnx:FOLDER, "
    "module:your.module.factory or the folder of an export"
)
TEXTS_OF = "give text_encoder=, an encoder whose texts share its space"


class Encoder(NamedTuple):
    """`framing` is None where an encoder of yours does not say it; `digest` "" where nobody can say
    which weights it has, so that nothing of it is kept on disk."""

    embedder: Embedder
    name: str
    framing: Framing | None
    frame: str  # in words, as it stands beside every figure
    digest: str
    model: CLOC | None = None  # of ours, where it is one
    has_regions: bool = True  # of its own, not by an extractor
    has_texts: bool = True
    runs_in_torch: bool = True


def open_encoder(
    spec: str,
    *,
    frame: str = "own",
    image_size: Any = None,
    device: torch.device,
    key: str = "model",
) -> Encoder:
    """`spec` is KIND:WHERE, or a folder that an export or a run of ours wrote.

    `frame` is its own preprocessing, or `pad`, `squash` or `crop` at its own size. `image_size`,
    pixels of a square or height and width, is another size, to which its positions are resized.
    `key` is the config key that gave `spec`. `UserError` for what cannot be opened, or shown in
    another frame or size than its own.
    """
    _check_frame(frame)
    kind, colon, where = spec.partition(":")
    resized = colon and kind in KINDS and not (kind == "hf" and _is_naflex(where))
    if image_size is not None and not resized:
        raise UserError(f"image_size={image_size}: the size of {spec} is fixed; leave it null")
    if colon and not where:
        raise UserError(f"{key}={spec}; write {SPECS}")
    if colon and kind in ("onnx", "module"):
        opened: Encoder = import_module(f"cloc.eval.encoders.{kind}").read(where, frame)
        return opened
    if kind == "hf" and colon and _is_naflex(where):
        read: Callable[..., Encoder] = import_module("cloc.eval.encoders.naflex").read
        return read(where, frame, device)
    if colon and kind in KINDS:
        return _of_start(spec, frame, image_size, device)
    if not Path(spec).is_dir():
        raise UserError(f"{key}={spec}: no such folder; write {SPECS}")
    return of_model(load_model(Path(spec)), spec, frame=frame, device=device)


def _of_start(spec: str, frame: str, image_size: Any, device: torch.device) -> Encoder:
    start = read_start(spec, as_it_is=True)
    coca = import_module("cloc.eval.encoders.coca")
    if coca.is_coca(start):
        if image_size is not None:
            raise UserError(f"image_size={image_size}: the size of a CoCa is fixed; leave it null")
        opened: Encoder = coca.of_start(start, spec, frame, device)
        return opened
    try:
        own = {} if start.heads is None else start.heads.description  # of a run: its head too
        heads = {part: own[part] for part in ("region_head", "region_scale", "box_head") if own}
        model = build_model({"start": start, "image_size": image_size}, **heads)
    except UserError as error:  # the key of a training run is not the one given here
        raise UserError(str(error).replace("model.tower.image_size", "image_size")) from None
    encoder = of_model(model, spec, frame=frame, device=device)
    return _without_texts(encoder) if spec.startswith("timm:") else encoder


def _without_texts(encoder: Encoder) -> Encoder:
    """Whoever asks for one is told, and gets no vector of a text tower that is none."""

    def texts(texts: Sequence[str]) -> Any:
        raise UserError(f"{encoder.name} has no text tower; {TEXTS_OF}")

    vars(encoder.embedder)["texts"] = texts
    return encoder._replace(has_texts=False)


def _is_naflex(where: str) -> bool:
    found: bool = import_module("cloc.eval.encoders.naflex").is_naflex(Path(where).expanduser())
    return found


def of_model(model: CLOC, name: str, *, frame: str = "own", device: torch.device) -> Encoder:
    """A model of ours: what was trained here sees the long side padded."""
    _check_frame(frame)
    tower = model.to(device).tower
    own = tower.own_framing or Framing("pad", tower.image_size)
    framing = own if frame == "own" else chosen(frame, own)
    words = (str(framing), str(tower.background), str(tower.preprocess), str(model.description))
    return Encoder(
        embedder=ModelEmbedder(model, framing=framing),
        name=name,
        framing=framing,
        frame=f"{frame}: {framing}",
        digest=digest.of_weights(model.state_dict(), *words),
        model=model,
        has_regions=model.region_head is not None,
    )


def _check_frame(frame: str) -> None:
    if frame not in FRAMES:
        raise UserError(f"frame={frame}; choose {', '.join(FRAMES)}")


def chosen(frame: str, own: Framing) -> Framing:
    """Another geometry at the size of its own."""
    return Framing(frame, own.size, own.interpolation)


def only_own(frame: str, name: str, why: str) -> None:
    """`UserError` where another frame is asked for."""
    if frame != "own":
        raise UserError(f"frame={frame}: {name} {why}; leave frame=own")


def checked(embedder: Any, name: str) -> Any:
    """`embedder` if it has what every benchmark asks."""
    parts = ("prepare", "images", "texts")
    missing = [part for part in parts if not callable(getattr(embedder, part, None))]
    if missing:
        raise UserError(
            f"{name} has no {' and no '.join(missing)}; an encoder has prepare(images, boxes), "
            "images(x), texts(texts), and regions and ground where it can (cloc.interfaces)"
        )
    return embedder
