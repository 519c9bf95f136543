"""What the first process of a run decides for all of them, and how it travels."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf

from cloc.checkpoints.locations import place_of
from cloc.cli.config.compose import frozen
from cloc.cli.config.trust import check_targets
from cloc.cli.launch.first_process import freeze
from cloc.cli.launch.layout import settle_layout
from cloc.cli.launch.peers import Peers
from cloc.cli.launch.resume import (
    Change,
    changed_settings,
    note_changes,
    precision_before,
    step_to_resume,
)


class Job(NamedTuple):
    """Nothing of it may differ between the processes of a run."""

    config: str  # the frozen config.yaml
    done: int  # steps, of the checkpoint to go on from; 0: none
    trust: tuple[str, ...] = ()  # what the command line said, and no file
    changes: tuple[Change, ...] = ()  # of settings, where it goes on

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
        job = cls(*json.loads(words))
        return job._replace(changes=tuple(Change(*change) for change in job.changes))


def run_folder(cfg: DictConfig) -> Path:
    return Path(cfg.runs) / cfg.name


def prepare(cfg: DictConfig, peers: Peers, trust: Sequence[str]) -> Job:
    """Checks the config; says if nothing is to do. A run that begins has its config frozen in its
    folder here, one that goes on when it does (`goes_on`): one that is refused stays as it is."""
    run = run_folder(cfg)
    if cfg.trainer.precision == "auto" and cfg.resume == "auto":
        cfg.trainer.precision = precision_before(run)
    settle_layout(cfg, peers)
    config = OmegaConf.to_yaml(cfg, resolve=True)
    done = step_to_resume(cfg, run, place_of(run, cfg.checkpoints))
    if done >= cfg.steps:
        print(f"{run} is finished: {done} of {cfg.steps} steps{_to_go_on(cfg)}")
        return Job(config, done, tuple(trust))
    if not done:
        freeze(run, config, fresh=cfg.resume is None)
    return Job(config, done, tuple(trust), tuple(changed_settings(cfg, run)) if done else ())


def goes_on(run: Path, job: Job) -> None:
    """Notes what was changed and freezes the config, of a run that goes on."""
    if job.changes:
        note_changes(run, job.done, job.changes)
    freeze(run, job.config, fresh=False)


def _to_go_on(cfg: DictConfig) -> str:
    """A change of a run that is finished would never be seen."""
    return "; with a larger steps= it goes on" if cfg.resume_changes else ""
