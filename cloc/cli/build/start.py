"""Where a run begins: somebody's weights, which are kept, taught by, frozen in parts or adapted."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch._subclasses.fake_tensor import unset_fake_temporarily

from cloc.cli.build.weightless import shadow
from cloc.cli.config.compose import plain
from cloc.decoder.build import attach, routes
from cloc.decoder.load import trained_decoder
from cloc.errors import UserError
from cloc.interfaces import Loss, RegionBatch
from cloc.models.cloc import CLOC
from cloc.models.lora import add_lora
from cloc.models.start_folder import FOLDER, VOCABULARY, keep, keep_vocabulary
from cloc.models.teacher import IMAGE, REGION, Teacher
from cloc.training.flops import shapes
from cloc.training.freeze import freeze, freeze_unread


def model_settings(cfg: DictConfig, run: Path, *, resumed: bool) -> dict[str, Any]:
    """`build_model`'s; a resumed run begins with the start or the tokenizer that it kept, wherever
    that came from."""
    settings: dict[str, Any] = plain(cfg.model)
    tower = settings["tower"]
    if cfg.start is None:
        if resumed and (run / VOCABULARY).is_dir():
            of_t5 = tower.get("vocabulary") is not None
            tower["vocabulary" if of_t5 else "folder"] = str(run / VOCABULARY)
        return settings
    if tower.get("start") is None:
        raise UserError(
            f"start={cfg.start}, but this model has an architecture of its own (model.tower.config)"
            "; choose model=from_start"
        )
    if resumed:
        tower["start"] = f"run:{run / FOLDER}"
    return settings


def keep_start(cfg: DictConfig, run: Path, model: CLOC) -> None:
    """Once, of a run that has one; of another its tokenizer, where that is not open_clip's own."""
    if cfg.start is not None and not (run / FOLDER).is_dir():
        keep(model.tower, run, description=model.description)
    if cfg.start is None and not (run / VOCABULARY).is_dir():
        keep_vocabulary(model.tower, run)


def adapt(cfg: DictConfig, model: CLOC, losses: Mapping[str, Loss]) -> None:
    """In place, of a model that is as it was built: a teacher where a loss needs one, LoRA, a
    decoder, and what keeps its weights because it is told to or because no loss reads it."""
    needed = {field for loss in losses.values() for field in loss.needs}
    fields = [name for name in (IMAGE, REGION) if f"extra.{name}" in needed]
    if fields:
        if cfg.start is None:
            raise UserError(f"a loss needs extra.{fields[0]}: the teacher is the start; set start=")
        model.teacher = Teacher(copy.deepcopy(model.tower), fields)
    if cfg.lora is not None:
        try:
            add_lora(model, **plain(cfg.lora))
        except TypeError:
            raise UserError(f"lora={plain(cfg.lora)}; it has rank, alpha and targets") from None
    if cfg.decoder is not None:
        if cfg.patch_dropout:
            raise UserError("a decoder reads whole pictures; set patch_dropout=0")
        start = cfg.decoder.get("start")
        attach(model, plain(cfg.decoder), start=trained_decoder(Path(start)) if start else None)
        if routes(model.decoder) and "extra.route_nll" not in needed:
            raise UserError(
                "no loss teaches the router of decoder.twin, so all questions would be the old "
                "expert's; set losses=[stepwise,routing], or decoder.twin.route=flag"
            )
    freeze(model, plain(cfg.freeze))
    model.reads_captions = "caption" in needed
    with unset_fake_temporarily():  # of `cloc-pretrain bench what=memory`, whose weights are fake
        double = shadow(model)
        freeze_unread(model, losses, double=double, batch=shapes_of(double))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"freeze={plain(cfg.freeze)} leaves nothing to train; take a part out")


def shapes_of(model: CLOC) -> RegionBatch:
    """The smallest batch that the model reads, without content."""
    return shapes(
        images=1,
        regions=1,
        phrases=1,
        image_size=model.tower.image_size,
        context=model.tower.context_length,
        region_context=model.tower.context_length,
        asks=0 if model.decoder is None else 1,
    )
