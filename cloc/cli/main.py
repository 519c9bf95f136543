"""`cloc-pretrain COMMAND ...`: localized contrastive language-image pretraining.

cloc-pretrain COMMAND --help says what a command does, with its keys and examples.
"""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from cloc.errors import ends_with_its_reader

# By what people come for: each command, its module, and what it is for.
GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "begin": {
        "demo": ("cloc.cli.demo", "the whole line on drawn scenes, to a table against CLIP"),
        "init": ("cloc.cli.init", "a small project of your own: experiment, loss, test"),
        "completion": ("cloc.cli.completion", "completion for bash, zsh or fish"),
    },
    "pretrain, fine-tune, continue": {
        "train": ("cloc.cli.train", "trains a model and writes its run folder runs/NAME"),
        "show-batch": ("cloc.cli.show_batch", "draws what the model really gets"),
    },
    "measure": {
        "evaluate": ("cloc.cli.evaluate", "metrics and report of a run, or of any encoder"),
        "diagnose": ("cloc.cli.diagnose", "what tokens say of content and of place, by layer"),
        "compare": ("cloc.cli.compare", "results of any encoders, protocol by protocol"),
        "compare-runs": ("cloc.cli.compare_runs", "the main numbers of runs side by side"),
        "compare-regions": ("cloc.cli.compare_regions", "found regions against true ones"),
        "region-demo": ("cloc.cli.region_demo", "phrases against one photograph and its boxes"),
        "where": ("cloc.cli.where", "which objective and which positions know where, on one page"),
        "doctor": ("cloc.cli.doctor", "what limits a run, and how long it will take"),
        "bench": ("cloc.cli.bench.command", "speed, memory and cost"),
    },
    "export": {
        "export": ("cloc.cli.export", "open_clip, transformers, timm, ONNX, torch.export"),
    },
    "make data": {
        "prepare": ("cloc.cli.prepare", "shards from annotations, or from images alone"),
        "check-shards": ("cloc.cli.check_shards", "reads every sample, indexes and counts them"),
    },
}
COMMANDS = {name: found for group in GROUPS.values() for name, found in group.items()}


def main(words: Sequence[str] | None = None) -> None:
    """Hands the words behind a command's name to it; ends the process with its exit code."""
    given = list(sys.argv[1:] if words is None else words)
    name, arguments = (given[0], given[1:]) if given else ("--help", [])
    with ends_with_its_reader():
        _answer(name, arguments)


def _answer(name: str, arguments: list[str]) -> None:
    if name in ("-h", "--help", "help"):
        print(overview())
    elif name == "--version":
        print(f"cloc-pretrain {version('cloc-pretrain')}")
    elif name in COMMANDS:
        import_module(COMMANDS[name][0]).run(arguments)
    else:
        near = difflib.get_close_matches(name.replace("_", "-"), COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        print(f"error: {name} is no command; {hint}", file=sys.stderr)
        sys.exit(1)


def overview() -> str:
    """What `cloc-pretrain --help` prints."""
    lines = [(__doc__ or "").strip()]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:<17}{about}" for name, (_, about) in commands.items()]
    return "\n".join(lines)
