"""What an engine's answers must be. A check gives the words for what is wrong, or "".

What looks at single pairs (`NEEDS`) sees nothing where nothing turns or others are paired.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cloc.models.positions.conformance import causes
from cloc.models.positions.conformance.engine import NAMES, Engine, off
from cloc.models.positions.conformance.settings import AXES

GRIDS = ((4, 6), (6, 4), (1, 7), (7, 1))
PARTS = (8, 8, 16, 1)  # tokens of a prompt that is prefilled in parts; the last one is a decode
WHOLE = sum(PARTS)
MOVES = (1, 17, 1000)
FAR = (0, 1, 2, 200, 201, 257, 1000, 1001, 4094, 4095)
NEAR, ROUNDING = 2e-5, 2.0**-21  # of a length, and of the position: what float32 may be off
HALF = 2.0**-6  # of a length: what cosines and products in bfloat16 may be off


def prompt(grid: tuple[int, int] = (4, 6), text: int = 3) -> Tensor:
    """[3, 1, `WHOLE`]: text, a picture of `grid` that stands at one time, and text again."""
    place = torch.arange(grid[0] * grid[1])
    picture = text + torch.stack([place * 0, place // grid[1], place % grid[1]])
    after = int(picture.max()) + 1 + torch.arange(WHOLE - text - len(place))
    return torch.cat([torch.arange(text).expand(3, -1), picture, after.expand(3, -1)], 1)[:, None]


def texts(n: int) -> Tensor:
    """[3, 1, n]: those of a text of `n` tokens."""
    return torch.arange(n).expand(3, 1, -1)


def same(found: Sequence[Tensor], wanted: Sequence[Tensor], positions: Tensor) -> bool:
    """Up to what float32 is off at the farthest of the positions."""
    return off(found, wanted).much <= NEAR + ROUNDING * int(positions.max())


def parts(engine: Engine) -> str:
    """A prompt in parts is turned as in one pass."""
    positions, given, start = prompt(), engine.given(WHOLE), 0
    whole, before = engine(given, positions), positions[..., : PARTS[0]]
    for count in PARTS:
        own = slice(start, start + count)
        part, where = [x[:, :, own] for x in given], positions[..., own]
        found, wanted = engine(part, where), [x[:, :, own] for x in whole]
        if not same(found, wanted, where):
            far, cause = off(found, wanted), ""
            if same(found, engine.truth(part, texts(count)), where):
                cause = ": positions are counted from 0 in every call"
            elif start == PARTS[0] and same(found, engine.truth(part, before), where):
                cause = ": the table of an earlier call is used again"
            return (
                f"{far.whose} of tokens {start} to {start + count - 1}, prefilled by themselves, "
                f"are off by {far.much:.2g} of their length from one pass{cause}"
            )
        start += count
    return ""


def batch(engine: Engine) -> str:
    """Every item of a batch is turned as it is alone."""
    positions = torch.cat([prompt(), prompt((6, 4), text=5) + 40], 1)
    given = engine.given(WHOLE, b=2)
    found = engine(given, positions)
    alone = [engine([x[i : i + 1] for x in given], positions[:, i : i + 1]) for i in range(2)]
    wanted = [torch.cat(own) for own in zip(*alone, strict=True)]
    if same(found, wanted, positions):
        return ""
    far, first = off(found, wanted), positions[:, :1].expand(-1, 2, -1)
    as_first = same(found, engine.truth(given, first), positions)
    cause = ": it has the positions of item 0" if as_first else ""
    return f"{far.whose} of item {far.item} are off by {far.much:.2g} from those alone{cause}"


def turns(engine: Engine) -> str:
    """It does something, to both."""
    for name, own in zip(NAMES, engine.maps(1, 1, 1), strict=True):
        if own.equal(torch.eye(own.shape[-1]).to(own).expand_as(own)):
            return f"{name} come back as they went in: nothing turns"
    return ""


def lengths(engine: Engine) -> str:
    """Norms stay."""
    given = engine.given(WHOLE)
    for name, x, found in zip(NAMES, given, engine(given, prompt()), strict=True):
        worst = (found.norm(dim=-1) / x.norm(dim=-1)).flatten()
        worst = worst[(worst - 1).abs().argmax()]
        if abs(worst - 1) > NEAR:
            return (
                f"{name} are {float(worst):.4g} times as long as they were: a rotation keeps that"
            )
    return ""


def rest(engine: Engine) -> str:
    """Channels behind the ones that turn stay, to the bit."""
    given, first = engine.given(WHOLE), engine.settings.rotary_dim
    for name, x, found in zip(NAMES, given, engine(given, prompt()), strict=True):
        changed = (found != x.double()).flatten(0, 2).any(0)[first:]
        if changed.any():
            cause = ": the partial rotary factor is left out" if changed.all() else ""
            return (
                f"{int(changed.sum())} of the {len(changed)} channels of {name} that do not turn, "
                f"from {first} on, are changed{cause}"
            )
    return ""


def shift(engine: Engine) -> str:
    """What is between two tokens hangs on the difference of their positions, along each axis."""
    given, positions = engine.given(WHOLE), prompt()
    before = [x @ x.mT for x in engine(given, positions)]
    for axis, name in enumerate(AXES):
        for move in MOVES:
            where = positions.clone()
            where[axis] += move
            after = [x @ x.mT for x in engine(given, where)]
            change = max(float((x - y).abs().max()) for x, y in zip(after, before, strict=True))
            if change > NEAR + 2 * ROUNDING * int(where.max()):
                return (
                    f"products of vectors of length 1 change by {change:.2g} where {name} of all "
                    f"tokens is {move} more: positions are normalised, clipped or wrapped"
                )
    return ""


def pairs(engine: Engine) -> str:
    """Which channels turn into which."""
    for name, own in zip(NAMES, engine.maps(1, 1, 1), strict=True):
        for head, seen in enumerate(own):
            if words := causes.pairs(seen, engine.settings):
                return f"{name}, head {head}: {words}"
    return ""


def frequencies(engine: Engine) -> str:
    """How fast each pair turns where time, row and column are one."""
    for name, own in zip(NAMES, engine.far(1, 1, 1), strict=True):
        for head, found in enumerate(causes.angles(own, engine.settings)):
            if words := causes.frequency(found, engine.settings):
                return f"{name}, head {head}: {words}"
    return ""


def axes(engine: Engine) -> str:
    """Which axis each pair turns with."""
    moved = [engine.far(*(int(i == axis) for i in range(3))) for axis in range(3)]
    for i, name in enumerate(NAMES):
        found = torch.stack([causes.angles(own[i], engine.settings) for own in moved])
        if words := causes.axis(causes.moving(found, engine.settings), engine.settings):
            return f"{name}: {words}"
    return ""


def grids(engine: Engine) -> str:
    """Every patch of pictures that are not square."""
    for rows, columns in GRIDS:
        positions, given = prompt((rows, columns)), engine.given(WHOLE)
        found = engine(given, positions)
        if same(found, engine.truth(given, positions), positions):
            continue
        if same(found, engine.truth(given, positions[[0, 2, 1]]), positions):
            return f"a picture of {rows}x{columns} patches has its rows and columns swapped"
        far = off(found, engine.truth(given, positions))
        return (
            f"{far.whose} of token {far.token}, at (t, h, w) = "
            f"{tuple(positions[:, 0, far.token].tolist())} beside a picture of {rows}x{columns} "
            f"patches, are off by {far.much:.2g} of their length"
        )
    return ""


def text(engine: Engine) -> str:
    """Where time, row and column are one it is the one-dimensional rotation of a text."""
    where = torch.tensor(FAR).expand(3, 1, -1)
    given = engine.given(len(FAR))
    found, wanted = engine(given, where), engine.truth(given, where)
    for i, place in enumerate(FAR):
        far = off(*([x[:, :, i : i + 1] for x in both] for both in (found, wanted)))
        if far.much > NEAR + ROUNDING * place:
            return (
                f"{far.whose} at t = h = w = {place} are off by {far.much:.2g} of their length "
                "from one-dimensional RoPE"
            )
    return ""


def no_positions(engine: Engine) -> str:
    """Without positions it refuses, or counts."""
    given = engine.given(WHOLE)
    try:
        found = engine(given, None)
    except Exception:  # whatever an engine says to that
        return ""
    if same(found, engine.truth(given, texts(WHOLE)), texts(WHOLE)):
        return ""
    unturned = all(a.equal(b.double()) for a, b in zip(found, given, strict=True))
    cause = "nothing turns" if unturned else "it is no text's"
    return f"positions=None is neither refused nor a text's 0, 1, 2 and so on: {cause}"


def bfloat16(engine: Engine) -> str:
    """Positions, angles and cosines are in float32 where queries and keys are not."""
    where = torch.tensor(FAR).expand(3, 1, -1)
    given = [x.bfloat16() for x in engine.given(len(FAR))]
    far = off(engine(given, where), engine.truth(given, where))
    if far.much <= HALF:
        return ""
    return (
        f"{far.whose} in bfloat16 at t = h = w = {FAR[far.token]} are off by {far.much:.2g} of "
        "their length: keep positions, frequencies and angles in float32"
    )


CHECKS: dict[str, Callable[[Engine], str]] = {
    "parts": parts,
    "batch": batch,
    "turns": turns,
    "lengths": lengths,
    "rest": rest,
    "shift": shift,
    "pairs": pairs,
    "frequencies": frequencies,
    "axes": axes,
    "grids": grids,
    "text": text,
    "no positions": no_positions,
    "bfloat16": bfloat16,
}
NEEDS = {
    "frequencies": ("turns", "shift", "pairs"),
    "axes": ("turns", "shift", "pairs", "frequencies"),
}
