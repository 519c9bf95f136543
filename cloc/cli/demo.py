"""The whole line on drawn scenes: CLOC and its CLIP twin, measured, exported, side by side.

cloc-pretrain demo

Draws 20,000 scenes, trains both, measures both, exports the encoder and ends with a table against
CLIP and the pages to open. The first picture of found boxes is there after a few minutes:
runs/demo/first_boxes.png. Everything lies in data/scenes, runs/demo and runs/demo_clip of this
folder. Stopped, the same command goes on where it was.
"""

from collections.abc import Sequence

from cloc.cli.config.keyless import answer
from cloc.errors import UserError


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"demo takes no arguments, not {arguments[0]}; write cloc-pretrain demo")
    from cloc.cli.tasks.demo import PARTS, run_all

    run_all(PARTS)


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    answer(main, __doc__, arguments)
