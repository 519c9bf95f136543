"""The layers of an image tower, seen as it runs: tokens behind every block, and what goes in."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cloc.eval.diagnosis.positions_off import without_positions
from cloc.eval.diagnosis.shares import Shares

Grid = tuple[int, int]


class Tokens(NamedTuple):
    """Of one layer: those of patches, row by row of the grid, and those before them."""

    patches: Float[Tensor, "b p w"]
    prefix: Float[Tensor, "b k w"]
    grid: Grid


class Look(NamedTuple):
    """What one forward showed. `content` of patches is what comes out of the pixels alone, and
    `position` what was added to it before any norm; None where the tower does not show them."""

    layers: dict[str, Tokens]
    content: Float[Tensor, "b p w"] | None = None
    position: Float[Tensor, "b p w"] | None = None


OnShares = Callable[[str, Float[Tensor, "b h n n"]], None]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """An image tower that torch runs. `run` takes prepared pixels; layer "in" goes into the first
    of `blocks`, then each block is a layer by its number from 1, "norm" is behind the last norm.

    `stem` makes patches from pixels; `embedded` is the module whose output has positions added, or
    whose input (`embedded_is_input`).
    """

    run: Callable[[Tensor], Any]
    tower: nn.Module
    blocks: Sequence[nn.Module]
    grid: Grid
    num_prefix: int
    norm: nn.Module | None = None
    stem: nn.Module | None = None
    embedded: nn.Module | None = None
    embedded_is_input: bool = True
    channels_last: bool = False
    squares: bool = (
        False  # pictures are to be made square: those of another shape have another grid
    )

    def look(self, x: Tensor, on_shares: OnShares | None = None) -> Look:
        """One forward. `on_shares` is given the attention of every block whose queries and keys
        are all tokens of the layer: not windows of them, not a part."""
        seen: dict[str, Any] = {}
        with torch.no_grad(), ExitStack() as stack:
            stack.callback(lambda: [handle.remove() for handle in handles])
            handles = self._hooks(seen)
            if on_shares is not None:
                stack.enter_context(self._watched(on_shares))
            self.run(x)
        content, embedded = seen.pop("stem", None), seen.pop("embedded", None)
        found = {name: self._tokens(value) for name, value in seen.items()}
        layers = {name: tokens for name, tokens in found.items() if tokens is not None}
        first, last = (self._tokens(v, prefix) for v, prefix in ((content, 0), (embedded, None)))
        if first is None or last is None or first.patches.shape != last.patches.shape:
            return Look(layers)
        return Look(layers, first.patches, last.patches - first.patches)

    @contextmanager
    def unpositioned(self) -> Iterator[list[str]]:
        """While it lasts the tower has no positions; gives what was turned off."""
        with without_positions(self.tower, self.grid[0] * self.grid[1]) as found:
            yield found

    def _hooks(self, seen: dict[str, Any]) -> list[Any]:
        """The first call of each module is kept: the last norm may be called for the pooler too."""

        def keep(name: str, value: Any) -> None:
            seen.setdefault(name, value[0] if isinstance(value, tuple) else value)

        def of_input(name: str) -> Any:
            return lambda _, args, kwargs: keep(name, _first(args, kwargs))

        def of_output(name: str) -> Any:
            return lambda _, args, output: keep(name, output)

        first = self.blocks[0]
        handles = [first.register_forward_pre_hook(of_input("in"), with_kwargs=True)]
        named = {str(i): block for i, block in enumerate(self.blocks, 1)}
        outputs = {**named, "norm": self.norm, "stem": self.stem}
        if self.embedded is not None and self.embedded_is_input:
            hook = of_input("embedded")
            handles.append(self.embedded.register_forward_pre_hook(hook, with_kwargs=True))
        else:
            outputs["embedded"] = self.embedded
        for name, module in outputs.items():
            if module is not None:
                handles.append(module.register_forward_hook(of_output(name)))
        return handles

    @contextmanager
    def _watched(self, on_shares: OnShares) -> Iterator[None]:
        """The first whole matrix of shares of every block is handed on."""
        now: list[Any] = []  # name and number of tokens of the block that runs

        def enter(name: str) -> Any:
            def hook(_: Any, args: Any, kwargs: Any) -> None:
                value = _first(args, kwargs)
                now[:] = [name, value.shape[1] if value.ndim == 3 else value[0, ..., 0].numel()]

            return hook

        def found(shares: Tensor) -> None:
            if now and shares.ndim == 4 and tuple(shares.shape[2:]) == (now[1], now[1]):
                name, _ = now
                now.clear()
                on_shares(name, shares)

        handles = [
            block.register_forward_pre_hook(enter(str(i)), with_kwargs=True)
            for i, block in enumerate(self.blocks, 1)
        ] + [block.register_forward_hook(lambda *_: now.clear()) for block in self.blocks]
        try:
            with Shares(found):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _tokens(self, value: Any, num_prefix: int | None = None) -> Tokens | None:
        """None for what is no tokens of the grid, nor a map."""
        first, (rows, columns) = self.num_prefix if num_prefix is None else num_prefix, self.grid
        if not isinstance(value, Tensor) or value.ndim not in (3, 4):
            return None
        if value.ndim == 4:
            is_grid = [tuple(sides) == self.grid for sides in (value.shape[1:3], value.shape[2:])]
            last = self.channels_last or is_grid == [True, False]
            flat = value.flatten(1, 2) if last else value.flatten(2).mT
            height, width = value.shape[1:3] if last else value.shape[2:]
            return Tokens(flat, flat[:, :0], (height, width))
        if value.shape[1] < first + rows * columns:
            return None
        patches = value[:, first : first + rows * columns]
        return Tokens(patches, value[:, :first], self.grid)


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The tokens a block is given, by whatever name."""
    return args[0] if args else next(iter(kwargs.values()))
