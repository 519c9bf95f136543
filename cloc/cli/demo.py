"""The whole line on drawn scenes: CLOC and its CLIP twin, measured, exported, side by side.

cloc-pretrain demo

Draws 20,000 scenes, trains both, measures both, exports the encoder and ends with a table against
CLIP and the pages to open. The first picture of found boxes is there after a few minutes:
runs/demo/first_boxes.png. Everything lies in data/scenes, runs/demo and runs/demo_clip of this
folder. Stopped, the same command goes on where it was.
"""

from collections.abc import Sequence

from cloc.cli.config.compose import as_typed, ends_plainly
from cloc.cli.config.help import HELP
from cloc.data.samples.text import spell_out_unprintable
from cloc.errors import UserError


def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise UserError(f"demo takes no arguments, not {arguments[0]}; write cloc-pretrain demo")
    from cloc.cli.tasks.demo import PARTS, run_all

    run_all(PARTS)


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    spell_out_unprintable()
    with ends_plainly():
        if set(arguments) & set(HELP):
            print(as_typed((__doc__ or "").strip()))
        else:
            main(arguments)
