"""Sets results of any encoders side by side, protocol by protocol, with intervals.

cloc-pretrain compare measured/clip measured/siglip
cloc-pretrain compare measured/* out=page.html

Its arguments are folders that cloc-pretrain evaluate wrote. Differences are to the first of them,
by a paired bootstrap over the cases that both have; those inside the interval are in brackets.
"""

from collections.abc import Sequence
from functools import partial

from cloc.cli.config.compose import Command, cli, compose_words, plain
from cloc.errors import UserError


def main(arguments: list[str]) -> None:
    cfg = plain(compose_words("compare", arguments, key="results"))
    folders = cfg["results"]
    if not folders:
        raise UserError("give one or more folders, such as measured/clip measured/siglip")
    if len(set(folders)) < len(folders):
        raise UserError(f"{' '.join(folders)}: the same folder twice; give each once")
    from cloc.cli.tasks.compare import compare

    compare(folders, cfg["out"])


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    compose = partial(compose_words, "compare", key="results")
    cli(main, Command(__doc__, "compare", compose), arguments)
