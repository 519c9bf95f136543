"""Checkpoints as a run leaves them, without the run."""

import torch

from cloc.checkpoints.folder import DIGEST, Draft, folder_name
from cloc.checkpoints.locations import place_of
from cloc.training.checkpoint_io import CheckpointFolders


def save(folders, model, step, **state):
    """One, on the disk when this returns."""
    module = {f"model.{name}": value for name, value in model.state_dict().items()}
    folders.save_checkpoint(
        {"global_step": step, "state_dict": module, "cloc_config": model.description, **state},
        folders.path(step),
    )
    folders.finish()


def save_run(run, model, step=1, **more):
    """A run folder with one checkpoint; returns the checkpoint's folder."""
    folders = CheckpointFolders(place_of(run))
    save(folders, model, step, **more)
    return folders.place.staging / f"step-{step:08d}"


def replace_file(run, step, name, content):
    """Whoever means harm writes a digest that fits; returns what the file was."""
    place = place_of(run)
    folder = place.staging / folder_name(step)
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != DIGEST}
    draft = Draft(place.staging, step)
    for key, value in (files | {name: content}).items():
        with draft.file(key) as file:
            file.write(value)
    draft.seal()
    place.publish(draft.folder, step)
    return files[name]


def tiny(seed=0, size=4):
    """A model that is quickly saved."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(size, size)
    model.description = {"size": size}
    return model
