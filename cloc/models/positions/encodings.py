"""Which encodings of position a tower has: absolute, relative and rotary, from plain options."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor

from cloc.errors import UserError
from cloc.models.positions.absolute import ABSOLUTE, Kernel, make_kernel, set_absolute
from cloc.models.positions.attention import install
from cloc.models.positions.relative.irpe import IRPE
from cloc.models.positions.relative.shaw import Shaw
from cloc.models.positions.relative.swin import Swin
from cloc.models.positions.relative.swin_v2 import SwinV2
from cloc.models.positions.rotary.axial import Axial
from cloc.models.positions.rotary.dinov3 import DINOv3
from cloc.models.positions.rotary.flattened import Flattened
from cloc.models.positions.rotary.mixed import Mixed
from cloc.models.positions.rotary.mrope import MRoPE

RELATIVE: dict[str, Callable[..., Any]] = dict(irpe=IRPE, shaw=Shaw, swin=Swin, swin_v2=SwinV2)
ROTARY: dict[str, Callable[..., Any]] = dict(
    flattened=Flattened, axial=Axial, mixed=Mixed, dinov3=DINOv3, mrope=MRoPE
)
KEY = "model.tower.positions"
OLD = set(Kernel._fields)  # the whole of it, once
LEARNED = (".attn.relative.", ".attn.rotary.", ".attn.gate")  # in the names of what they learn


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def _is_count(x: Any) -> bool:
    return type(x) is int and x >= 1


# option: whether a value can be one, and in words
VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "base": (lambda x: _is_number(x) and x > 0, "a number above 0"),
    **dict.fromkeys(("reach", "hidden"), (_is_count, "a whole number, 1 or more")),
    **dict.fromkeys(
        ("ratio", "shift", "jitter", "rescale"),
        (lambda x: x is None or (_is_number(x) and x > 0), "a number above 0, or null"),
    ),
    "shared_head": (lambda x: isinstance(x, bool), "true or false"),
    "on": (lambda x: isinstance(x, str), "k, q, v or several of them, such as qk"),
    "sections": (lambda x: x is None or isinstance(x, list), "a list of three numbers, or null"),
    "grid": (
        lambda x: x is None or (isinstance(x, list) and len(x) == 2 and all(map(_is_count, x))),
        "rows and columns, or null",
    ),
}


class Positions(NamedTuple):
    """`relative` and `rotary` are options with a `kind`, or None. `zero_start`: rotations begin at
    no angle, so that a trained model answers as before."""

    kind: str = "learned"  # of absolute: learned, sincos or none
    kernel: Kernel = Kernel()
    relative: Mapping[str, Any] | None = None
    rotary: Mapping[str, Any] | None = None
    zero_start: bool = False

    def described(self) -> dict[str, Any]:
        """As a configuration has it."""
        rotary = None if self.rotary is None else {**self.rotary, "zero_start": self.zero_start}
        return {
            "absolute": {"kind": self.kind, **self.kernel._asdict()},
            "relative": None if self.relative is None else dict(self.relative),
            "rotary": rotary,
        }

    @property
    def only_table(self) -> bool:
        """Whether the attention is as ever: a table of positions, learned or fixed, or none."""
        return self.relative is None and self.rotary is None


def make_positions(options: Mapping[str, Any] | None, *, pretrained: bool) -> Positions:
    """Of `absolute`, `relative` and `rotary`; options of a table alone (interpolation, antialias)
    are those of `absolute`. `zero_start` of rotary: null for weights that were trained without.
    Raises `UserError` for what is not among them."""
    given = _as_options(options)
    absolute = given.get("absolute", {})
    kind = absolute.pop("kind", "learned")
    if kind not in ABSOLUTE:
        raise UserError(f"kind={kind} of {KEY}.absolute; choose {', '.join(ABSOLUTE)}")
    relative, rotary = (_checked(given, name) for name in ("relative", "rotary"))
    zero_start = None if rotary is None else rotary.pop("zero_start", None)
    if zero_start not in (None, True, False):
        raise UserError(f"zero_start={zero_start} of {KEY}.rotary; give true, false or null")
    return Positions(
        kind,
        make_kernel(absolute),
        relative,
        rotary,
        rotary is not None and (pretrained if zero_start is None else zero_start),
    )


def continued(options: Mapping[str, Any] | None, own: Mapping[str, Any] | None) -> Positions:
    """`make_positions` for weights that were trained with the encodings `own`: what `options` do
    not say of a kind that the weights have is theirs. Where nothing is said, all is."""
    given, theirs = _as_options(options), make_positions(own, pretrained=True).described()
    if own is None or not given:
        return make_positions(given or own, pretrained=True)
    for name, mine in theirs.items():
        asked = given.setdefault(name, {}) if name == "absolute" else given.get(name)
        if mine is None or asked is None or asked.get("kind", mine["kind"]) != mine["kind"]:
            continue
        for option in ("grid", "zero_start"):
            if asked.get(option) is not None and asked[option] != mine.get(option):
                raise UserError(
                    f"{option}={asked[option]} of {KEY}.{name}, but the start was trained with "
                    f"{mine.get(option)}; leave {option} out"
                )
        given[name] = mine | chosen(asked)
    return make_positions(given, pretrained=True)


def _as_options(options: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """A kind alone is an option too."""
    given = chosen(options)
    if given and set(given) <= OLD:
        given = {"absolute": given}
    if unknown := sorted(set(given) - {"absolute", "relative", "rotary"}):
        raise UserError(f"{KEY}.{unknown[0]} is unknown; it has absolute, relative and rotary")
    return {n: dict(v) if isinstance(v, Mapping) else {"kind": v} for n, v in given.items()}


def chosen(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Those that are not null."""
    return {name: value for name, value in (options or {}).items() if value is not None}


def _checked(given: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Options of a kind that there is, with names that it has."""
    if given.get(name) is None:
        return None
    kinds = {"relative": RELATIVE, "rotary": ROTARY}[name]
    options = dict(given[name])
    if options.get("kind") not in kinds:
        raise UserError(f"kind={options.get('kind')} of {KEY}.{name}; choose {', '.join(kinds)}")
    signature = inspect.signature(kinds[options["kind"]]).parameters.values()
    known = {p.name for p in signature if p.kind is p.KEYWORD_ONLY} | {"kind"}
    known |= {"zero_start"} if name == "rotary" else set()
    if unknown := sorted(set(options) - known):
        raise UserError(
            f"{unknown[0]} of {KEY}.{name} is unknown; {options['kind']} has "
            f"{', '.join(sorted(known))}"
        )
    for option, value in options.items():
        fits, words = VALUES.get(option, (lambda x: True, ""))
        if not fits(value):
            raise UserError(f"{option}={value!r} of {KEY}.{name}; give {words}")
    return options


def set_positions(visual: Any, positions: Positions) -> Positions:
    """Into open_clip's `visual`, in place; with the grid that relative tables are made for, which
    stays theirs at another image size."""
    set_absolute(visual, positions.kind)
    if positions.only_table:
        return positions
    blocks = visual.transformer.resblocks
    if not all(type(block) is ResidualAttentionBlock for block in blocks):
        raise UserError(f"{KEY}: {type(blocks[0]).__name__} is no plain block of open_clip's")
    heads = [block.attn.num_heads for block in blocks]
    widths = [block.attn.head_dim for block in blocks]
    relative = rotary = None
    if positions.relative is not None:
        kind, options = _split(positions.relative)
        if "grid" in inspect.signature(RELATIVE[kind]).parameters and not options.get("grid"):
            options["grid"] = list(visual.grid_size)
        positions = positions._replace(relative={"kind": kind, **options})
        made = zip(widths, heads, strict=True)
        relative = [RELATIVE[kind](w, h, **options) for w, h in made]
    if positions.rotary is not None:
        kind, options = _split(positions.rotary)
        rotary = [ROTARY[kind](w, h, **options) for w, h in zip(widths, heads, strict=True)]
    install(visual, relative=relative, rotary=rotary, gated=positions.zero_start)
    return positions


def _split(options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    rest = dict(options)
    return rest.pop("kind"), rest


def beginning(name: str, value: Tensor, positions: Positions) -> Tensor:
    """Of a weight that an encoding learns, in a tower that was trained without the encoding."""
    _, found, rest = name.partition(".attn.relative.")
    if not found or positions.relative is None:
        return value
    kind: Any = RELATIVE[positions.relative["kind"]]
    return torch.zeros_like(value) if rest.startswith(kind.begins_at_zero) else value


def of_encodings(name: str) -> bool:
    """Whether a weight of this name is what an encoding learned."""
    return any(part in name for part in LEARNED)
