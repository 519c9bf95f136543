"""What the first process of a run decides for all of them, and how it travels."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from _launch import freeze
from _layout import settle_layout
from _peers import Peers
from _resume import changed_settings, note_changes, step_to_resume
from _run import frozen
from _trust import check_targets
from omegaconf import DictConfig, OmegaConf

from cloc.checkpoint_places import place_of


class Job(NamedTuple):
    """Nothing of it may differ between the processes of a run."""

    config: str  # the frozen config.yaml
    done: int  # steps, of the checkpoint to go on from; 0: none
    trust: tuple[str, ...] = ()  # what the command line said, and no file

    def cfg(self) -> DictConfig:
        """Of the frozen text, in the first process too."""
        cfg = frozen(self.config)
        check_targets(cfg, self.trust)
        return cfg

    def dump(self) -> str:
        """One line."""
        return json.dumps(self)

    @classmethod
    def load(cls, words: str) -> "Job":
        """Of what `dump` gave."""
        return cls(*json.loads(words))


def run_folder(cfg: DictConfig) -> Path:
    return Path(cfg.runs) / cfg.name


def prepare(cfg: DictConfig, peers: Peers, trust: Sequence[str]) -> Job:
    """Checks the config and freezes it in the run folder; says if nothing is to do."""
    settle_layout(cfg, peers)
    config = OmegaConf.to_yaml(cfg, resolve=True)
    run = run_folder(cfg)
    done = step_to_resume(cfg, run, place_of(run, cfg.checkpoints))
    if done >= cfg.steps:
        print(f"{run} is finished: {done} of {cfg.steps} steps{_to_go_on(cfg)}")
    else:
        changes = changed_settings(cfg, run) if done else []
        if changes:
            note_changes(run, done, changes)
        freeze(run, config, fresh=cfg.resume is None)
    return Job(config, done, tuple(trust))


def _to_go_on(cfg: DictConfig) -> str:
    """A change of a run that is finished would never be seen."""
    return "; with a larger steps= it goes on" if cfg.resume_changes else ""
