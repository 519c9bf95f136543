"""Writes shards: `import=` from annotations or a generator, `pipeline=` from images alone.

python scripts/prepare.py import=scenes out=data/scenes
python scripts/prepare.py import=coco images=DIR instances=FILE captions=FILE out=DIR val=0.25
python scripts/prepare.py pipeline=vesl input=SHARDS out=DIR stages/detect=owlv2

`python scripts/prepare.py import=NAME --help` lists the keys of that importer (docs/data.md).
"""

from _explain import options
from _run import cli, command, compose_config, plain

from cloc.errors import UserError


def main(overrides: list[str]) -> None:
    if not any(word.startswith(("import=", "pipeline=")) for word in overrides):
        names = ", ".join(options("import"))
        raise UserError(f"give import=NAME of {names}, or pipeline=vesl")
    settings = plain(compose_config("prepare", overrides))
    from _prepare import write

    write(settings)


if __name__ == "__main__":
    cli(main, command(__doc__, "prepare"))
