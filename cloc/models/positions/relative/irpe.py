"""iRPE (Wu et al., ICCV 2021, arXiv 2107.14222): pairs of patches share a bucket, finely near by
and coarsely far away; it has a bias, or a vector that queries and keys are compared with."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cloc.errors import UserError
from cloc.models.positions.place import Place
from cloc.models.positions.relative.offsets import offsets, with_prefix
from cloc.models.positions.relative.relative import Relative, asked, picked, summed

METHODS = {"euclid": 20.0, "quant": 33.0, "cross": 20.0, "product": 1.9}  # and their ratios
MODES = ("contextual", "bias")


class IRPE(Relative):
    """`method`: euclid and quant see how far a patch is (the distance, or its square), cross adds a
    table of rows to one of columns, product has a table of both; the first two cannot tell left
    from right. `mode`: contextual compares a vector per bucket with what stands in `on`, k (the
    paper's default: the query with a vector of the key's), q (the key with one of the query's) and
    v (added to the values); bias adds a number per head to the logits.

    Distances up to alpha = `ratio` have buckets of their own, larger ones logarithmic, up to beta =
    2 ratio (equation 18); null: the paper's, 1.9 for product (49 buckets and one of all pairs with
    a token that stands nowhere). With `shared_head` all heads have one table of vectors.
    """

    def __init__(
        self,
        head_width: int,
        num_heads: int,
        *,
        method: str = "product",
        mode: str = "contextual",
        on: str = "k",
        ratio: float | None = None,
        shared_head: bool = True,
    ) -> None:
        super().__init__()
        _check(method, mode, on, ratio)
        self.method, self.mode, self.on = method, mode, on
        self.alpha = METHODS[method] if ratio is None else float(ratio)
        self.beta = int(2 * self.alpha)
        side = 2 * self.beta + 1
        self.num_buckets = side * side if method == "product" else side
        tables = 2 if method == "cross" else 1
        heads = 1 if shared_head and mode == "contextual" else num_heads
        shape: tuple[int, ...] = (heads, self.num_buckets + 1)
        if mode == "contextual":
            shape = (heads, head_width, self.num_buckets + 1)
        self.tables = nn.ModuleDict(
            {part: _tables(tables, shape) for part in (on if mode == "contextual" else "k")}
        )

    @property
    def on_values(self) -> bool:  # type: ignore[override]
        """Whether the attention has to show its shares."""
        return self.mode == "contextual" and "v" in self.on

    def buckets(self, place: Place, device: torch.device) -> Int[Tensor, "k n n"]:
        """The last bucket is that of tokens that stand nowhere."""
        y, x = offsets(place.rows, place.columns, device)
        found = {
            "euclid": lambda: [self._pieces((y**2 + x**2).float().sqrt().round()) + self.beta],
            "quant": lambda: [self._pieces((y**2 + x**2).float()) + self.beta],
            "cross": lambda: [self._pieces(axis.float()) + self.beta for axis in (y, x)],
            "product": lambda: [
                (self._pieces(y.float()) + self.beta) * (2 * self.beta + 1)
                + self._pieces(x.float())
                + self.beta
            ],
        }[self.method]()

        def nowhere(whole: Tensor) -> None:
            whole[: place.num_prefix] = whole[:, : place.num_prefix] = self.num_buckets

        return torch.stack([with_prefix(own, place.num_prefix, nowhere) for own in found])

    def bias(
        self, q: Float[Tensor, "b h n d"], k: Float[Tensor, "b h n d"], place: Place
    ) -> Float[Tensor, "one h n n"]:
        assert place.buckets is not None
        own = place.buckets.unbind(1)
        if self.mode == "bias":
            parts = [picked(t.to(q.dtype), b) for t, b in zip(self._of("k"), own, strict=True)]
            return torch.stack(parts).sum(0)
        heads, count, width = q.shape[1:]
        found = [q.new_zeros(()).expand(1, heads, count, count)]  # all there is where on=v
        scale = width**-0.5
        for table, pairs in zip(self._of("k"), own, strict=False):
            found.append(asked(q * scale, table, pairs))
        for table, pairs in zip(self._of("q"), own, strict=False):  # key j asks of every query i
            found.append(asked(k * scale, table, pairs.mT).mT)
        return sum(found[1:], found[0])

    def values(self, shares: Float[Tensor, "b h n n"], place: Place) -> Float[Tensor, "b h n d"]:
        assert place.buckets is not None
        of_tables = zip(self._of("v"), place.buckets.unbind(1), strict=True)
        return torch.stack([summed(shares, table, b) for table, b in of_tables]).sum(0)

    def _of(self, part: str) -> list[nn.Parameter]:
        """The tables of keys, queries or values; none where it has none."""
        return list(self.tables[part]) if part in self.tables else []  # type: ignore[call-overload]

    def _pieces(self, distance: Float[Tensor, "p p"]) -> Int[Tensor, "p p"]:
        """Equation 18 of the paper with beta = 2 alpha and gamma = 8 alpha; cut to a whole number
        at the very end, as the authors' code does."""
        size = distance.abs()
        far = self.alpha + (size / self.alpha).clamp(min=1).log() / math.log(8.0) * self.alpha
        far = far.round().clamp(max=2 * self.alpha)
        return torch.where(size <= self.alpha, distance.round(), distance.sign() * far).long()


def _tables(count: int, shape: Sequence[int]) -> nn.ParameterList:
    return nn.ParameterList([nn.Parameter(torch.zeros(*shape)) for _ in range(count)])


def _check(method: str, mode: str, on: str, ratio: float | None) -> None:
    key = "model.tower.positions.relative"
    if method not in METHODS:
        raise UserError(f"method={method} of {key}; choose {', '.join(METHODS)}")
    if mode not in MODES:
        raise UserError(f"mode={mode} of {key}; choose {', '.join(MODES)}")
    if not on or set(on) - set("kqv") or len(set(on)) < len(on):
        raise UserError(f"on={on} of {key}; give k, q, v or several of them, such as qk")
    if mode == "bias" and on != "k":
        raise UserError(f"on={on} of {key} is for mode=contextual: a bias is added to the logits")
    if ratio is not None and not ratio >= 1:
        raise UserError(f"ratio={ratio} of {key}; give 1 or more, or null for the paper's")
