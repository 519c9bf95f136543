"""A rotary function as an engine has it, tables of cosines in float32, and the faults to plant."""

import torch

from cloc.models.positions.conformance.settings import Settings

SMALL = {
    "chunked": Settings("chunked", 32, 32, 1e4, (4, 6, 6), "chunked"),
    "interleaved": Settings("interleaved", 32, 32, 1e4, (6, 5, 5), "interleaved"),
    "clamped": Settings("clamped", 32, 32, 1e4, (4, 6, 6), "interleaved"),
    "head_wise": Settings("head_wise", 32, 32, 1e4, (2, 3, 3), "head_wise", heads=16, kv_heads=8),
    "partial": Settings("partial", 64, 32, 1e4, (4, 6, 6), "chunked"),
    "adjacent": Settings("adjacent", 32, 32, 1e4, (4, 6, 6), "chunked", pairs="adjacent"),
}


class Engine:
    """Right as it stands; every method is a place for a fault."""

    def __call__(self, q, k, positions, settings):
        if positions is None:
            return self.without(q, k, settings)
        angles = self.angles(self.seen(positions, q, settings), settings)
        return self.turn(q, angles, settings), self.turn(k, angles, settings)

    def without(self, q, k, settings):
        raise ValueError("no positions")

    def seen(self, positions, q, settings):
        return positions.float()

    def rates(self, settings):
        f = settings.rotary_dim // 2
        return settings.base ** (-torch.arange(f).float() / f)

    def angles(self, positions, settings):
        """[b, heads or 1, n, f]"""
        every = positions[..., None] * self.rates(settings)
        if settings.layout == "head_wise":
            return torch.stack(
                [every[axis] for axis, n in enumerate(settings.sections) for _ in range(n)], 1
            )
        return every.gather(0, self.axes(settings).expand(1, *every.shape[1:])).transpose(0, 1)

    def axes(self, settings):
        if settings.layout == "chunked":
            return torch.arange(3).repeat_interleave(torch.tensor(settings.sections))
        own = torch.zeros(settings.rotary_dim // 2, dtype=torch.long)
        for axis in (1, 2):
            own[axis : 3 * settings.sections[axis] : 3] = axis
        return own

    def turn(self, x, angles, settings):
        if angles.shape[1] > 1:
            angles = self.for_heads(angles, x.shape[1])
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        n = settings.rotary_dim
        if settings.pairs == "half":
            a, b = x[..., : n // 2], x[..., n // 2 : n]
            both = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        else:
            a, b = x[..., 0:n:2], x[..., 1:n:2]
            both = torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)
        return torch.cat([both, x[..., n:]], -1)

    def for_heads(self, angles, heads):
        return angles.repeat_interleave(heads // angles.shape[1], 1)


class SwapsAxes(Engine):
    def seen(self, positions, q, settings):
        return positions[[0, 2, 1]].float()


class TimeLast(Engine):
    """Takes (t, h, w) for (h, w, t)."""

    def seen(self, positions, q, settings):
        return positions[[2, 0, 1]].float()


class TimeAlone(Engine):
    """mrope_section was read from a key that is not there."""

    def seen(self, positions, q, settings):
        return positions[:1].expand(3, -1, -1).float()


class DropsRows(Engine):
    def seen(self, positions, q, settings):
        return positions.float() * torch.tensor([1, 0, 1]).view(3, 1, 1)


class DropsBoth(Engine):
    def seen(self, positions, q, settings):
        return positions.float() * torch.tensor([1, 0, 0]).view(3, 1, 1)


class DoesNothing(Engine):
    def __call__(self, q, k, positions, settings):
        return q, k


class TurnsQueriesAlone(Engine):
    def __call__(self, q, k, positions, settings):
        return super().__call__(q, k, positions, settings)[0], k


class OtherPairs(Engine):
    def turn(self, x, angles, settings):
        other = {"half": "adjacent", "adjacent": "half"}[settings.pairs]
        return super().turn(x, angles, settings._replace(pairs=other))


class HalfOfTheHead(Engine):
    """Pairs are counted over the whole head where a part of it turns."""

    def turn(self, x, angles, settings):
        f, middle = settings.rotary_dim // 2, settings.dim // 2
        a, b = x[..., :f], x[..., middle : middle + f]
        cos, sin = angles.cos(), angles.sin()
        out = x.clone()
        out[..., :f], out[..., middle : middle + f] = a * cos - b * sin, b * cos + a * sin
        return out


class TurnsAll(Engine):
    """The partial rotary factor is not read."""

    def __call__(self, q, k, positions, settings):
        f = settings.dim // settings.rotary_dim
        whole = tuple(n * f for n in settings.sections)
        own = settings._replace(rotary_dim=settings.dim, sections=whole)
        return super().__call__(q, k, positions, own)


class CountsOverTheHead(Engine):
    def rates(self, settings):
        f = settings.rotary_dim // 2
        return settings.base ** (-2 * torch.arange(f).float() / settings.dim)


class OtherBase(Engine):
    def rates(self, settings):
        return super().rates(settings._replace(base=1e6))


class BeginsAnew(Engine):
    def rates(self, settings):
        return settings.base ** -torch.cat([torch.arange(n) / n for n in settings.sections])


class BeginsAnewOverAll(Engine):
    def rates(self, settings):
        own = torch.cat([torch.arange(n) for n in settings.sections])
        return settings.base ** (-own / (settings.rotary_dim // 2))


class OnePairIsOff(Engine):
    def rates(self, settings):
        own = super().rates(settings)
        own[5] *= 1.01
        return own


class Backwards(Engine):
    def angles(self, positions, settings):
        return -super().angles(positions, settings)


class OtherLayout(Engine):
    def axes(self, settings):
        other = {"chunked": "interleaved", "interleaved": "chunked"}[settings.layout]
        return super().axes(settings._replace(layout=other))


class UsesUpSections(Engine):
    def axes(self, settings):
        left, found = list(settings.sections), []
        for _ in range(max(left)):
            for axis in range(3):
                found += [axis] * (left[axis] > 0)
                left[axis] -= 1
        return torch.tensor(found)


class AFewOnAnotherAxis(Engine):
    def axes(self, settings):
        own = super().axes(settings)
        own[4:6] = 2
        return own


class HeadsInTurn(Engine):
    def for_heads(self, angles, heads):
        return angles.repeat(1, heads // angles.shape[1], 1, 1)


class Scales(Engine):
    """A factor of YaRN where there is none."""

    def turn(self, x, angles, settings):
        return super().turn(x, angles, settings) * 1.1


class KeepsItsTable(Engine):
    def __init__(self):
        self.kept = {}

    def seen(self, positions, q, settings):
        return self.kept.setdefault(positions.shape, positions).float()


class CountsFromZero(Engine):
    def seen(self, positions, q, settings):
        return torch.arange(positions.shape[2]).expand_as(positions).float()


class FirstItem(Engine):
    def seen(self, positions, q, settings):
        return positions[:, :1].expand_as(positions).float()


class ShortTable(Engine):
    """A table of 512 positions, the last one for all beyond."""

    def seen(self, positions, q, settings):
        return positions.clamp(max=511).float()


class Normalises(Engine):
    """Positions are shares of the farthest one."""

    def seen(self, positions, q, settings):
        return positions / positions.max() * 7


class Square(Engine):
    """A picture has no more rows than columns."""

    def seen(self, positions, q, settings):
        t, h, w = positions
        picture = (t != h) | (t != w)
        last = (w * picture).amax(1, keepdim=True)
        return torch.stack([t, torch.where(picture, h.minimum(last), h), w]).float()


class NothingWithoutPositions(Engine):
    def without(self, q, k, settings):
        return q, k


class OnesWithoutPositions(Engine):
    def without(self, q, k, settings):
        return self(q, k, torch.ones(3, len(q), q.shape[2], dtype=torch.long), settings)


class TextWithoutPositions(Engine):
    def without(self, q, k, settings):
        return self(q, k, torch.arange(q.shape[2]).expand(3, len(q), -1), settings)


class HalfPositions(Engine):
    """Positions in the type of the queries."""

    def seen(self, positions, q, settings):
        return positions.to(q.dtype).float()


class HalfFrequencies(Engine):
    """And frequencies."""

    def __call__(self, q, k, positions, settings):
        self.rounded = q.dtype
        return super().__call__(q, k, positions, settings)

    def rates(self, settings):
        return super().rates(settings).to(self.rounded).float()


class WritesInPlace(Engine):
    """Right, and into what it was given, positions too."""

    def __call__(self, q, k, positions, settings):
        found = super().__call__(q, k, positions, settings)
        positions.zero_()
        return q.copy_(found[0]), k.copy_(found[1])
