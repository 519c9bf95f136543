"""Loudness of an image tower: what its tokens say of content, and what of place, layer by layer."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from torch import Tensor

from cloc.errors import UserError
from cloc.eval.diagnosis.attention import Attention, uniform_distance
from cloc.eval.diagnosis.cka import CKA
from cloc.eval.diagnosis.layers import Layers, Look
from cloc.eval.diagnosis.norms import Norms
from cloc.eval.diagnosis.place_read import PlaceRead
from cloc.eval.diagnosis.place_share import PlaceShare
from cloc.eval.diagnosis.towers import Patches
from cloc.models.patch_order import random_order, shuffle_patches

FOLLOWS = 1e-3  # relative error to which tokens without positions must follow their patches
AT_LEAST = 2  # pictures: what varies between one is nothing


class Figures:
    """What is summed up over the pictures: nothing grows with their number."""

    def __init__(self) -> None:
        self.norms: dict[str, Norms] = defaultdict(Norms)
        self.prefix: dict[str, Norms] = defaultdict(Norms)
        self.place: dict[str, PlaceShare] = defaultdict(PlaceShare)
        self.read: dict[str, PlaceRead] = defaultdict(PlaceRead)
        self.place_off: dict[str, PlaceShare] = defaultdict(PlaceShare)
        self.cka: dict[str, CKA] = defaultdict(CKA)
        self.attention: dict[str, Attention] = {}
        self.content, self.position = Norms(), Norms()
        self.grids: dict[str, tuple[int, int]] = {}
        self.widths: dict[str, int] = {}
        self.pictures = 0

    def add(self, look: Look) -> None:
        """`UserError` where a layer has another grid than for earlier pictures."""
        self.pictures += len(next(iter(look.layers.values())).patches)
        for name, tokens in look.layers.items():
            shape = (tokens.grid, tokens.patches.shape[2])
            before = (self.grids.get(name, shape[0]), self.widths.get(name, shape[1]))
            if before != shape:
                raise UserError(
                    f"tokens of layer {name} have the grid and width {before} for some pictures "
                    f"and {shape} for others; a place must be the same in all of them"
                )
            self.norms[name].add(tokens.patches)
            self.prefix[name].add(tokens.prefix)
            self.place[name].add(tokens.patches)
            self.read[name].add(tokens.patches, tokens.grid)
            self.grids[name], self.widths[name] = shape
        if look.content is not None and look.position is not None:
            self.content.add(look.content)
            self.position.add(look.position)

    def add_without(self, look: Look, off: Look) -> None:
        for name, tokens in off.layers.items():
            self.place_off[name].add(tokens.patches)
            rows = look.layers[name].patches.flatten(0, 1), tokens.patches.flatten(0, 1)
            self.cka[name].add(*rows)

    def layers(self) -> list[dict[str, Any]]:
        """In the order in which they run."""
        return [self._layer(name) for name in self.norms]

    def _layer(self, name: str) -> dict[str, Any]:
        seen = self.attention.get(name)
        off = self.place_off[name].figures() or {}
        return {
            "name": name,
            "grid": list(self.grids[name]),
            "width": self.widths[name],
            "norms": self.norms[name].figures(),
            "prefix_norms": self.prefix[name].figures(),
            "place": self.place[name].figures(),
            "read": self.read[name].figures(),
            "place_without_positions": off.get("place"),
            "cka": self.cka[name].figure(),
            "attention": None if seen is None else seen.figures(),
        }


def diagnose(view: Layers | Patches, batches: Iterable[Tensor]) -> dict[str, Any]:
    """Of prepared pictures; what each entry is stands in docs/evaluate/diagnose.md. `absent` says
    of what has no figure why. `UserError` for fewer than two pictures."""
    source = iter(batches)
    first = next(source, None)
    if first is None:
        raise UserError("no pictures to diagnose on; give data= shards that have some")
    figures, absent = Figures(), dict[str, str]()
    turned_off = _turned_off(view, first, absent)
    for x in chain([first], source):
        look = view.look(x, _watching(view, figures))
        figures.add(look)
        if turned_off and isinstance(view, Layers):
            with view.unpositioned():
                figures.add_without(look, view.look(x))
    if figures.pictures < AT_LEAST:
        raise UserError(f"images={figures.pictures}: give {AT_LEAST} pictures or more")
    layers = figures.layers()
    _tell(view, layers, figures, absent)
    widest = max(figures.grids.values())
    return {
        "pictures": figures.pictures,
        "input": _input(figures),
        "layers": layers,
        "uniform_distance": uniform_distance(getattr(view, "grid", widest)),
        "turned_off": turned_off,
        "absent": absent,
    }


def _watching(view: Layers | Patches, figures: Figures) -> Any:
    if isinstance(view, Patches):
        return None

    def found(name: str, shares: Tensor) -> None:
        if name not in figures.attention:
            figures.attention[name] = Attention(view.grid, view.num_prefix)
        figures.attention[name].add(shares)

    return found


def _turned_off(view: Layers | Patches, x: Tensor, absent: dict[str, str]) -> list[str]:
    """Names of what is turned off; empty where it cannot be, and `absent` says why. Whether all of
    it was is looked at: without positions tokens follow their patches into any order."""
    if isinstance(view, Patches):
        absent["cka"] = absent["attention"] = absent["input"] = view.inside
        return []
    with view.unpositioned() as found:
        error = order_error(view, x[:1])
    if not found:
        told = "no encoding of position is known in this tower"
        absent["cka"] = f"{told}, to be turned off"
        return []
    if error > FOLLOWS:
        absent["cka"] = (
            f"with {', '.join(_short(found))} off, tokens still do not follow their patches into "
            f"another order (off by {error:.0%}): windows, convolutions or an encoding that is not "
            "known say where a patch lies"
        )
        return []
    return list(found)


def order_error(view: Layers, x: Tensor) -> float:
    """How far tokens of the last layer are from following their patches into another order, over
    how far they are from each other; 0 for a tower that does not know where a patch lies."""
    order = random_order(view.grid, seed=0)
    plain, moved = (
        list(view.look(pixels).layers.values())[-1].patches.double()
        for pixels in (x, shuffle_patches(x, view.grid, order))
    )
    if plain.shape[1] != len(order):
        return float("inf")
    spread = float((plain - plain.mean(1, keepdim=True)).norm())
    return float((moved - plain[:, order.to(plain.device)]).norm()) / max(spread, 1e-30)


def _tell(
    view: Layers | Patches, layers: list[dict[str, Any]], figures: Figures, absent: dict[str, str]
) -> None:
    """Why a kind of figure has none."""
    if isinstance(view, Layers):
        if not figures.attention:
            absent["attention"] = (
                "no block of this tower mixes all its tokens in an attention that can be seen: it "
                "has none, or attends within windows"
            )
        if not figures.content.count:
            absent["input"] = (
                "this tower does not show what is added to its patches before its first norm"
            )
    if not any(layer["read"] for layer in layers):
        absent["read"] = "fewer than two tokens for each channel to fit a map on; give more images="
    if not any(layer["place"] for layer in layers):
        absent["place"] = "tokens do not vary, or there is a single patch"


def _input(figures: Figures) -> dict[str, Any] | None:
    content, position = figures.content.figures(), figures.position.figures()
    if content is None or position is None:
        return None
    ratio = position["mean"] / content["mean"] if content["mean"] else None
    return {"content_norms": content, "position_norms": position, "position_over_content": ratio}


def _short(names: Iterable[str]) -> Iterator[str]:
    """The first of them and how many more."""
    first, *others = names
    yield first
    if others:
        yield f"{len(others)} more"
