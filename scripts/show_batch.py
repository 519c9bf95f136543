"""Draws what the model really gets: batches of a run's training data, as DIR/batch.html.

python scripts/show_batch.py experiment=demo out=DIR
python scripts/show_batch.py experiment=demo out=DIR batches=4 batch_size=16
python scripts/show_batch.py experiment=demo data=captions data.train=SHARDS out=DIR

Its other keys are those of train.py.
"""

from _run import cli, command, compose_config


def main(overrides: list[str]) -> None:
    cfg = compose_config("show_batch", overrides)
    from _show_batch import draw

    draw(cfg)


if __name__ == "__main__":
    cli(main, command(__doc__, "show_batch"))
