"""The fenced blocks of README, CONTRIBUTING and docs/, and the commands in them, composed."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from omegaconf import OmegaConf

from cloc.cli import diagnose, evaluate, region_demo
from cloc.cli.bench.options import check_options, keys_of_its_own, with_data
from cloc.cli.config.compose import compose_config, compose_words, composed, plain
from cloc.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<above>[^\n]*)\n(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
REASON = re.compile(r"\s*<!-- not run: (.+) -->")
STAND_INS = {
    "experiment=NAME": "experiment=smoke",
    "[any.override=...]": "steps=2",
    "format=FORMAT": "format=hf",
    "[yours]": "[tests.helpers]",
    "yours.Loss": "tests.helpers.commands.CountImages",
    "yours.Stage": "tests.helpers.stages.Words",
}
OF_WORDS = {
    "compare": "results",
    "check_shards": "shards",
    "compare_runs": "runs",
    "compare_regions": "sets",
}
NO_KEYS = ("demo", "init", "completion")


class Block(NamedTuple):
    page: Path
    language: str
    text: str
    reason: str  # why it is not run; "" where it is


def blocks(page: Path) -> list[Block]:
    """In their order; a block inside a tab loses its indent."""
    found = []
    for fence in FENCE.finditer("\n" + page.read_text()):
        lines = fence["text"].splitlines(keepends=True)
        text = "".join(line.removeprefix(fence["indent"]) for line in lines)
        reason = REASON.match(fence["above"])
        found.append(Block(page, fence["language"], text, reason[1] if reason else ""))
    return found


def lines(text: str) -> Iterator[list[str]]:
    """The commands of a shell block, without comments and with stand-ins for what is a word."""
    for line in text.replace("\\\n", " ").splitlines():
        for word, stand_in in STAND_INS.items():
            line = line.replace(word, stand_in)
        if words := shlex.split(line, comments=True):
            yield words


def check_line(words: Sequence[str]) -> None:
    """An AssertionError or UserError where the command would not be understood."""
    tool, *rest = words
    if tool in ("torchrun", "sbatch"):
        rest = [word for i, word in enumerate(rest) if not (word.startswith("--") and i < 9)]
        if rest[0].endswith(".sbatch"):
            assert (ROOT / rest[0]).is_file(), rest[0]
            if rest[0].endswith("sweep.sbatch"):
                return
            rest[0] = "scripts/train.py"
        tool = "python"
    if tool == "make":
        makefile = (ROOT / "Makefile").read_text()
        for target in rest:  # or a variable, which the file must look at
            key, is_set, _ = target.partition("=")
            wanted = rf"\$\(if \$\({key}\)" if is_set else f"^{key}:"
            assert re.search(wanted, makefile, re.MULTILINE), target
    elif tool == "cloc-pretrain":
        check_command(rest[0], rest[1:])
    elif tool == "python" and rest[0].startswith("scripts/"):
        assert (ROOT / rest[0]).is_file(), rest[0]
        check_command(Path(rest[0]).stem, rest[1:])
    else:
        raise AssertionError(f"{' '.join(words)}: say why it is not run, <!-- not run: ... -->")


def check_command(name: str, given: Sequence[str]) -> None:
    """Composes what the command would."""
    name = name.replace("_", "-")
    assert name in COMMANDS, name
    words = [word.strip("[]") if word[0] == "[" else word for word in given]
    if "--config-dir" in words:  # what lies there cannot be known
        return
    if name in ("bench", "doctor"):
        _check_bench([*(["what=doctor"] if name == "doctor" else []), *words])
    elif name == "region-demo":
        region_demo._parser().parse_args(words)
    elif name not in NO_KEYS:
        _compose(name.replace("-", "_"), words)


def _compose(name: str, words: list[str]) -> None:
    if name in OF_WORDS:
        assert compose_words(name, words, key=OF_WORDS[name])
        return
    if "--multirun" in words:
        words = [re.sub(r"(=[^,\[]*),.*", r"\1", word) for word in words if word != "--multirun"]
    named = {"evaluate": evaluate.named, "diagnose": diagnose.named}.get(name, list)
    assert compose_config(name, named(words))


def _check_bench(words: list[str]) -> None:
    own = keys_of_its_own(words)
    others = [word for word in words if word not in own]
    options = plain(compose_config("bench", own))
    if check_options(options, others):
        assert compose_config("train", with_data(options["what"], others))


def check_experiment(text: str) -> None:
    """Every key of an experiment file is one of `train` with the files that it chooses."""
    values = yaml.safe_load(text)
    chosen = [entry for entry in values.pop("defaults", []) if isinstance(entry, dict)]
    groups = [(key.split("/", 1)[1], choice) for entry in chosen for key, choice in entry.items()]
    cfg = composed("train", [f"{k}={str(v).replace(' ', '')}".replace("'", "") for k, v in groups])
    OmegaConf.merge(cfg[1], values)  # in struct mode: a key that is none is an error
