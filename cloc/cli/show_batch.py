"""Draws what the model really gets: batches of a run's training data, as DIR/batch.html.

cloc-pretrain show-batch experiment=demo out=DIR
cloc-pretrain show-batch experiment=demo out=DIR batches=4 batch_size=16
cloc-pretrain show-batch experiment=demo data=captions data.train=SHARDS out=DIR

Its other keys are those of cloc-pretrain train.
"""

from collections.abc import Sequence

from cloc.cli.config.compose import cli, command, compose_config


def main(overrides: list[str]) -> None:
    cfg = compose_config("show_batch", overrides)
    from cloc.cli.tasks.show_batch import draw

    draw(cfg)


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    cli(main, command(__doc__, "show_batch"), arguments)
