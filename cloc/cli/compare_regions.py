"""How well one shard set's regions find those of another: recall and precision of boxes and names.

cloc-pretrain compare-regions TRUE FOUND
cloc-pretrain compare-regions data/scenes/train data/vesl_found
cloc-pretrain compare-regions 'data/true/*.tar' 'data/found/*.tar'

Its arguments are two shard sets with equal keys. With index_folder=DIR, missing indexes are written
there.
"""

from collections.abc import Sequence
from functools import partial

from cloc.cli.config.compose import Command, cli, compose_words, plain
from cloc.errors import UserError


def main(arguments: list[str]) -> None:
    cfg = plain(compose_words("compare_regions", arguments, key="sets"))
    if len(cfg["sets"]) != 2:
        raise UserError("give two shard sets: the true regions, and those that were found")
    from cloc.cli.tasks.compare_regions import show

    show(*cfg["sets"], index_folder=cfg["index_folder"])


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    compose = partial(compose_words, "compare_regions", key="sets")
    cli(main, Command(__doc__, "compare_regions", compose), arguments)
