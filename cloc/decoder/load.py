"""A trained decoder with its encoder, from the folder of a run."""

from pathlib import Path

from cloc.decoder.build import Trained, attach
from cloc.decoder.started import KEY
from cloc.errors import UserError
from cloc.models.cloc import CLOC
from cloc.models.load import load_model, stored


def trained_decoder(run: Path) -> Trained:
    """Of the newest whole checkpoint of `run`; `UserError` where it has none."""
    description, state, _ = stored(run)
    if KEY not in description:
        raise UserError(f"{run} has no decoder: train one with experiment=scenes_vqa")
    own = {k.removeprefix(f"{KEY}."): v for k, v in state.items() if k.startswith(f"{KEY}.")}
    return Trained(description[KEY], own)


def load_answering(run: Path) -> CLOC:
    """`cloc.models.load.load_model` of `run` with its decoder, all of it in evaluation."""
    decoder, model = trained_decoder(run), load_model(run)
    attach(model, {}, start=decoder)
    return model.eval()
