"""The start of a run, kept in its folder: what it is compared with, taught by and mixed with; of
a run without one, its tokenizer."""

import json
import shutil
from pathlib import Path

from cloc.checkpoints.folder import CONFIG, WEIGHTS
from cloc.checkpoints.tensors import write_tensors
from cloc.models.towers import Tower

FOLDER, VOCABULARY = "start", "tokenizer"


def keep(tower: Tower, run: Path, *, description: dict[str, object]) -> None:
    """Writes `run/start`: the tower, its configuration and its tokenizer; staged, then renamed."""
    staged, folder = run / f"{FOLDER}.partial", run / FOLDER
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    (staged / CONFIG).write_text(json.dumps({"tower": description["tower"]}, indent=2) + "\n")
    state = {f"tower.clip.{key}": value for key, value in tower.clip.state_dict().items()}
    with (staged / WEIGHTS).open("wb") as file:
        write_tensors(file, state)
    keep_tokenizer(tower, staged)
    staged.rename(folder)


def keep_tokenizer(tower: Tower, folder: Path) -> None:
    """The files of a tokenizer that is not open_clip's own."""
    tokenizer = tower.tokenizer()
    if hasattr(tokenizer, "tokenizer"):  # Hugging Face's
        tokenizer.tokenizer.save_pretrained(folder)


def keep_vocabulary(tower: Tower, run: Path) -> None:
    """Writes `run/tokenizer`, of a run that has no start and a tokenizer that is not open_clip's
    own; staged, then renamed."""
    if not tower.model_config["text_cfg"].get("hf_tokenizer_name"):
        return
    staged = run / f"{VOCABULARY}.partial"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    keep_tokenizer(tower, staged)
    staged.rename(run / VOCABULARY)


def tokenizer_folder(run: Path) -> Path | None:
    """Where `keep` or `keep_vocabulary` left one; None: open_clip's own."""
    for folder in (run / FOLDER, run / VOCABULARY):
        if (folder / "tokenizer_config.json").is_file():
            return folder
    return None
