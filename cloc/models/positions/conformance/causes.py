"""In words what is wrong with pairs of channels that turn otherwise than they should.

A position turns the channels of a head by a linear map; what becomes of each channel alone is all
of it, so nothing has to be known of the code.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cloc.models.positions.conformance.settings import AXES, Settings, axes, channels, frequencies

STEPS = (1, 50, 2000)  # slow pairs are looked at far away, at most where they should be at 1 rad
SHARE, NOISE = 1e-3, 2e-6  # of an angle, and rad: what fast sines of a device may be off
NOTHING, SEVERAL = -1, 3  # beside the axes 0, 1 and 2


def steps(settings: Settings) -> Tensor:
    """[f]: how far away each pair is looked at."""
    own = frequencies(settings)
    found = torch.full_like(own, STEPS[0])
    for step in STEPS[1:]:
        found[own * step <= 1] = step
    return found


def angles(maps: Sequence[Tensor], settings: Settings) -> Tensor:
    """[heads, f], in rad at `steps`, of maps [heads, dim, dim] at `STEPS`."""
    first, second = channels(settings)
    found = [torch.atan2(own[:, first, second], own[:, first, first]) for own in maps]
    at = steps(settings)
    return sum(angle * (at == step) for step, angle in zip(STEPS, found, strict=True))  # type: ignore[return-value]


def moving(found: Tensor, settings: Settings) -> Tensor:
    """[heads, f]: the axis that turns each pair, of angles [3, heads, f] where one axis moves."""
    moves = found.abs() > frequencies(settings) * steps(settings) / 2
    which, count = moves.long().argmax(0), moves.sum(0)
    return which.masked_fill(count == 0, NOTHING).masked_fill(count > 1, SEVERAL)


def pairs(own: Tensor, settings: Settings) -> str:
    """Of the map [dim, dim] of one head: which channels turn into which."""
    other = own.abs().fill_diagonal_(0)
    first, second = channels(settings)
    wanted = torch.arange(settings.dim)
    wanted[first], wanted[second] = second, first
    moves = other.amax(1) > 0
    wrong = moves & (other.argmax(1) != wanted)
    if not wrong.any():
        return ""
    channel = int(wrong.nonzero()[0])
    found, share = int(other[channel].argmax()), float(wrong.sum() / moves.sum())
    kinds = {settings.num_pairs: "half", 1: "adjacent"}
    kind = kinds.get(abs(found - channel), settings.pairs)
    cause = "" if kind == settings.pairs else f": pairs are {kind}, not {settings.pairs}"
    return (
        f"{share:.0%} of the channels are in a wrong pair, {channel} turns into {found} and not "
        f"into {int(wanted[channel])}{cause}"
    )


def frequency(found: Tensor, settings: Settings) -> str:
    """Of the angles [f] of one head where all axes move together."""
    own, at, m = frequencies(settings), steps(settings), torch.arange(settings.num_pairs).double()
    seen = found.abs() > NOISE

    def told(rates: Tensor) -> bool:
        off = torch.remainder(found - rates * at + math.pi, 2 * math.pi) - math.pi
        return bool((off.abs() <= SHARE * (rates * at).abs().clamp(max=1) + NOISE)[seen].all())

    if told(own):
        return ""
    if told(-own):
        return "pairs turn backwards: the sine has the other sign"
    if told(settings.base ** (-2 * m / settings.dim)):
        return (
            f"frequencies are counted over all {settings.dim} channels, not the "
            f"{settings.rotary_dim} that turn"
        )
    if any(map(told, _anew(settings))):
        return "every axis begins anew at frequency 1 (axial); M-RoPE's share one row of them"
    if later := (seen & (m > 0) & (at == 1)).nonzero().flatten().tolist():
        base = float(found[later[0]].abs()) ** (-settings.num_pairs / later[0])
        if told(base ** (-m / settings.num_pairs)):
            return f"frequencies are those of base {base:.4g}, not {settings.base:.4g}"
    worst = int(((found / at / own - 1).abs() * seen).argmax())
    return f"pair {worst} turns by {found[worst] / at[worst]:.3g} rad a step, not {own[worst]:.3g}"


def _anew(settings: Settings) -> list[Tensor]:
    """Frequencies [f] that are counted along each axis: over its own pairs, or over all."""
    own = axes(settings, settings.kv_heads)[0]
    rank = torch.stack([(own[:i] == axis).sum() for i, axis in enumerate(own)])
    counts = torch.bincount(own, minlength=3)[own]
    return [settings.base ** (-rank / whole) for whole in (counts, settings.num_pairs)]


def axis(found: Tensor, settings: Settings) -> str:
    """Of the axes [heads, f] that pairs turn with (`moving`)."""
    own = axes(settings, len(found))
    if found.equal(own):
        return ""
    for words, other in _known(own, settings):
        if found.equal(other):
            return words
    wrong = (found != own).nonzero()
    head, pair = wrong[0].tolist()
    names = {**dict(enumerate(AXES)), SEVERAL: "several axes", NOTHING: "none"}
    return (
        f"{len(wrong) / own.numel():.0%} of the pairs are on a wrong axis, pair {pair} of head "
        f"{head} turns with {names[int(found[head, pair])]} and not with "
        f"{names[int(own[head, pair])]}"
    )


def _known(own: Tensor, settings: Settings) -> list[tuple[str, Tensor]]:
    """Faults, and which axes [heads, f] they make of the right ones."""
    found = [("rows and columns are dropped: all pairs turn with time", torch.zeros_like(own))]
    for words, lost in (("rows and columns", [1, 2]), ("rows", [1]), ("columns", [2])):
        hidden = torch.isin(own, torch.tensor(lost))
        words = f"the pairs of {words} do not turn: these positions are dropped"
        found.append((words, own.masked_fill(hidden, NOTHING)))
    found.append(("rows and columns are swapped", torch.tensor([0, 2, 1])[own]))
    for order in itertools.permutations(range(3)):
        names = ", ".join(AXES[axis] for axis in order)
        words = f"positions (t, h, w) are taken for {names}"
        found.append((words, torch.tensor([order.index(axis) for axis in range(3)])[own]))
    if settings.layout == "head_wise":
        in_turn = axes(settings, settings.kv_heads).repeat(len(own) // settings.kv_heads, 1)
        words = "query heads take the axes of key heads in turn, not in groups"
        return [*found, (words, in_turn)]
    for layout in ("chunked", "interleaved"):
        words = f"pairs are given to axes as layout={layout}, not {settings.layout}"
        found.append((words, axes(settings._replace(layout=layout), len(own))))
    words = (
        f"axes have {', '.join(map(str, settings.sections))} pairs, as the sections say; "
        "interleaved, H and W take every third below 3 times theirs, and the rest is time's"
    )
    return [*found, (words, _in_turn(settings).expand_as(own))]


def _in_turn(settings: Settings) -> Tensor:
    """[f]: T H W T H W and so on, each until its section is used up."""
    left, found = list(settings.sections), list[int]()
    while sum(left):
        for axis in range(3):
            if left[axis]:
                found.append(axis)
                left[axis] -= 1
    return torch.tensor(found)
