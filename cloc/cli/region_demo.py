"""What a model says of one photograph: phrases against the image and its boxes, and a heatmap.

cloc-pretrain region-demo IMAGE "red mug" "a dog" --model runs/NAME
cloc-pretrain region-demo IMAGE "red mug" --model runs/NAME --box 10,20,200,220
cloc-pretrain region-demo IMAGE "red mug" "a dog" --model runs/NAME --out heat.png
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from cloc.errors import UserError


class _Parser(argparse.ArgumentParser):
    """What is wrong with the arguments is one line, as everywhere else."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {' '.join(self.format_usage().split())}")


def main(arguments: Sequence[str] | None = None) -> None:
    """See `region_answers.answer`; torch is there only once the arguments are understood."""
    given = _parser().parse_args(arguments)
    if not given.image.is_file():
        raise UserError(f"{given.image}: there is no such image")
    if not all(phrase.strip() for phrase in given.phrases):
        raise UserError("a PHRASE is empty; give the words to look for")
    _check_out(given)
    from cloc.cli.tasks.region_answers import answer

    answer(given)


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="cloc-pretrain region-demo", description=__doc__, formatter_class=plain)
    parser.add_argument("image", metavar="IMAGE", type=Path, help="a JPEG, PNG or WebP file")
    parser.add_argument("phrases", metavar="PHRASE", nargs="+", help="what to look for")
    parser.add_argument(
        "--model",
        required=True,
        help="runs/NAME, or a folder that cloc-pretrain export format=open_clip or hf wrote",
    )
    parser.add_argument(
        "--box",
        metavar="x0,y0,x1,y1",
        action="append",
        default=[],
        help="in pixels of the image; can be given several times",
    )
    parser.add_argument(
        "--out", metavar="FILE.png", type=Path, help="where to write the heatmap of each phrase"
    )
    return parser


def _check_out(given: Any) -> None:
    """Before the slow part."""
    if given.out is None:
        return
    taken = given.out.is_dir() or given.out.resolve() == given.image.resolve()
    if taken or given.out.suffix.lower() != ".png":
        raise UserError(f"--out {given.out}: name another file, which ends in .png")
    if not given.out.parent.is_dir():
        raise UserError(f"--out {given.out}: there is no folder {given.out.parent}")


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    try:
        main(arguments)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
