"""A start from a run of ours: its tower, and its heads where the new model has the same."""

from pathlib import Path

from cloc.models.load import load_model
from cloc.models.start import Heads, Start


def read(where: str) -> Start:
    """`where` is `runs/NAME`; the newest whole checkpoint is read."""
    model = load_model(Path(where).expanduser())
    tower = model.tower
    return Start(
        tower.model_config,
        tower.clip.state_dict(),
        tower.preprocess["mean"],
        tower.preprocess["std"],
        tower.folder,
        Heads(model.description, model.region_state()),
        tower.background,
        positions=tower.positions.described(),
        norm_balance=None if tower.norm_balance is None else tower.norm_balance.described(),
    )
