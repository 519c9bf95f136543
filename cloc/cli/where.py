"""Where is "where" lost, and what brings it back? Objectives by position encodings, on one page.

cloc-pretrain where
cloc-pretrain where seeds=[0] out=runs/mine

Trains small encoders on scenes of solids under a camera, one for each objective, encoding of
positions and seed, and measures each: WhereBench, other sizes of picture, and how much of "what" is
kept. A finished one leaves a file in `cells`, so a command that was stopped goes on, and another
one does what is missing; where.html shows what is there.
"""

from collections.abc import Sequence

from cloc.cli.config.compose import cli, command, compose_config, plain


def main(overrides: list[str]) -> None:
    cfg = plain(compose_config("where", overrides))
    from cloc.cli.tasks.where import fill

    fill(cfg)


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    cli(main, command(__doc__, "where"), arguments)
