"""Writes shards: `import=` from annotations or a generator, `pipeline=` from images alone.

cloc-pretrain prepare import=scenes out=data/scenes
cloc-pretrain prepare import=coco images=DIR instances=FILE captions=FILE out=DIR val=0.25
cloc-pretrain prepare pipeline=vesl input=SHARDS out=DIR stages/detect=owlv2

`cloc-pretrain prepare import=NAME --help` lists the keys of that importer (docs/data.md).
"""

from collections.abc import Sequence

from cloc.cli.config.compose import cli, command, compose_config, plain
from cloc.cli.config.folders import options
from cloc.errors import UserError


def main(overrides: list[str]) -> None:
    if not any(word.startswith(("import=", "pipeline=")) for word in overrides):
        names, given = ", ".join(options("import")), ", ".join(overrides)
        said = f"neither import= nor pipeline= stands in {given}; " if given else ""
        raise UserError(f"{said}give import=NAME of {names}, or pipeline=vesl")
    settings = plain(compose_config("prepare", overrides))
    from cloc.cli.tasks.prepare import write

    write(settings)


def run(arguments: Sequence[str]) -> None:
    """From a shell."""
    cli(main, command(__doc__, "prepare"), arguments)
