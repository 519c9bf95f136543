"""Rotary conformance: are queries and keys turned as M-RoPE says? On anybody's code.

    python -m cloc.models.positions.rotary_conformance my_module:rotate

prints a table and exits 0, or 1 with one line that says which check failed first, with which
settings, and what is wrong. No weights are needed; of other packages torch alone. The smallest
thing that every engine has is asked for, its function of queries and keys. (Tables of cosines would
not show what a kernel makes of them.)

    rotate(q, k, positions, settings) -> (q, k)

    q          [b, heads, n, dim], float32, and bfloat16 in one check
    k          [b, kv_heads, n, dim]
    positions  [3, b, n] of int64 from 0 to 4095, time, row and column of every token; None in one
    settings   what a model's configuration says (`cloc.models.positions.conformance.settings`)

What comes back has the shapes of `q` and `k`, on any device. The settings are those of published
models (`PUBLISHED`); a function that has not one of them raises NotImplementedError, which is told
and fails nothing as long as others are there. The truth is computed in float64; off from it may be
what float32 is at that position: 2e-5 of a vector's length, and 2^-21 for every step from 0.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from cloc.errors import UserError, ends_with_its_reader, one_line
from cloc.models.positions.conformance.checks import CHECKS, NEEDS
from cloc.models.positions.conformance.engine import Engine
from cloc.models.positions.conformance.settings import PUBLISHED, Settings


class Row(NamedTuple):
    """What a check found: words for a problem, "" for none, None where it could not look."""

    settings: str
    check: str
    problem: str | None


class Report(NamedTuple):
    """What `check` found, settings by settings."""

    rows: Sequence[Row]
    left_out: Sequence[tuple[str, str]]  # settings that the function has not, and what it says

    @property
    def failing(self) -> list[Row]:
        return [row for row in self.rows if row.problem]

    def refusal(self) -> str:
        """What is wrong, on one line; empty where nothing is."""
        if not self.rows:
            return f"it has none of {', '.join(name for name, _ in self.left_out)}"
        if not self.failing:
            return ""
        name, check, problem = self.failing[0]
        looked = sum(row.problem is not None for row in self.rows)
        return f"{len(self.failing)} of {looked} checks fail, first {name}, {check}: {problem}"

    def table(self) -> str:
        """A line per check, a column per settings; then what is wrong, and what was left out."""
        names = list(dict.fromkeys(row.settings for row in self.rows))
        marks = {row[:2]: {"": "ok", None: "-"}.get(row.problem, "FAILS") for row in self.rows}
        lines = [" ".join([f"{'check':12}", *(f"{name:>9}" for name in names)])]
        for check in CHECKS:
            lines.append(" ".join([f"{check:12}", *(f"{marks[n, check]:>9}" for n in names)]))
        lines += [f"{row.settings}, {row.check}: {row.problem}" for row in self.failing]
        return "\n".join([*lines, *(f"{name}: left out: {said}" for name, said in self.left_out)])


def check(rotate: Callable[..., Any], *, settings: Sequence[Settings] = PUBLISHED) -> Report:
    """Every check with each of `settings`. `UserError` for some that cannot be."""
    rows, left_out = list[Row](), list[tuple[str, str]]()
    for own in settings:
        if why := own.problem():
            raise UserError(f"settings {own.name}: {why}")
        engine = Engine(rotate, own)
        try:
            engine.maps(1, 1, 1)
        except NotImplementedError as error:
            left_out.append((own.name, one_line(error)))
            continue
        except Exception:  # told by every check
            pass
        problems = dict[str, str | None]()
        for name in CHECKS:
            hidden = any(problems[needed] for needed in NEEDS.get(name, ()))
            problems[name] = None if hidden else _problem(name, engine)
        rows += [Row(own.name, name, problem) for name, problem in problems.items()]
    return Report(rows, left_out)


def _problem(name: str, engine: Engine) -> str:
    try:
        return CHECKS[name](engine)
    except UserError as error:
        return one_line(error)
    except Exception as error:  # of somebody's code: whatever it is, it is a problem
        return f"{type(error).__name__}: {one_line(error)}"


def _named(path: str) -> Callable[..., Any]:
    """`module:function` of the command line."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise UserError(f"{path!r} names no function; write my_module:rotate")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # of somebody's code, too
        raise UserError(f"{path}: {type(error).__name__}: {one_line(error)}") from error
    if not callable(found):
        raise UserError(f"{path} is {type(found).__name__}, not a function of q, k and positions")
    return found


def main(arguments: Sequence[str]) -> int:
    """The command: 0 where `module:function` conforms."""
    if len(arguments) != 1:
        usage = "python -m cloc.models.positions.rotary_conformance my_module:rotate"
        print(f"error: {usage}", file=sys.stderr)
        return 1
    try:
        report = check(_named(arguments[0]))
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    print(report.table())
    why = report.refusal()
    if why:
        print(f"error: {arguments[0]}: {why}", file=sys.stderr)
    return int(bool(why))


if __name__ == "__main__":
    with ends_with_its_reader():
        code = main(sys.argv[1:])
    sys.exit(code)
