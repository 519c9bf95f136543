"""A command without keys: its help is its own docstring."""

from collections.abc import Callable, Sequence

from cloc.cli.config.compose import as_typed, ends_plainly
from cloc.cli.config.help import HELP
from cloc.data.samples.text import spell_out_unprintable


def answer(
    main: Callable[[Sequence[str]], None], about: str | None, arguments: Sequence[str]
) -> None:
    """Runs `main` on the arguments, or answers --help; what is wrong is one line."""
    spell_out_unprintable()
    with ends_plainly():
        if set(arguments) & set(HELP):
            print(as_typed((about or "").strip()))
        else:
            main(arguments)
