"""How well one shard set's regions find those of another: recall and precision of boxes and names.

python scripts/compare_regions.py TRUE FOUND
python scripts/compare_regions.py data/scenes/train data/vesl_found
python scripts/compare_regions.py 'data/true/*.tar' 'data/found/*.tar'

Its arguments are two shard sets with equal keys. With index_folder=DIR, missing indexes are written
there.
"""

from functools import partial

from _run import Command, cli, compose_words, plain

from cloc.errors import UserError


def main(arguments: list[str]) -> None:
    cfg = plain(compose_words("compare_regions", arguments, key="sets"))
    if len(cfg["sets"]) != 2:
        raise UserError("give two shard sets: the true regions, and those that were found")
    from _compare_regions import show

    show(*cfg["sets"], index_folder=cfg["index_folder"])


if __name__ == "__main__":
    compose = partial(compose_words, "compare_regions", key="sets")
    cli(main, Command(__doc__, "compare_regions", compose))
