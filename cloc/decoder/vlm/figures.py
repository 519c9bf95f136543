"""Figures of many looks: what each head does, picture by picture, and which heads find things."""

from typing import Any

import torch
from torch import Tensor

from cloc.decoder.gaze import best_heads, of_picture, on_boxes, spread
from cloc.decoder.vlm.looker import Looked
from cloc.errors import UserError

NAMES = ("image", "image_without_system", "entropy")
TOP = "top_heads"


class Figures:
    """One number of each layer, head and picture for each of `NAMES`, and for `on_boxes` where a
    patch lies in a box; nothing else of a look is kept."""

    def __init__(self) -> None:
        self.layers: tuple[int, ...] = ()
        self._of: dict[str, list[Tensor]] = {name: [] for name in (*NAMES, "on_boxes")}
        self._inside: list[Tensor] = []  # share of the patches of each picture in its boxes

    def add(self, looked: Looked) -> None:
        shares, picture, inside = looked.look.shares, looked.picture, looked.inside
        self.layers = looked.look.layers
        found = {
            "image": of_picture(shares, picture),
            "image_without_system": of_picture(shares, picture, ignored=looked.before),
            "entropy": spread(shares, picture),
            "on_boxes": on_boxes(shares, picture, inside),
        }
        for name, value in found.items():
            self._of[name].append(value.cpu())
        self._inside.append((inside.sum(1) / picture.sum(1)).cpu())

    def heads(self) -> dict[str, list[list[float]] | None]:
        """Means over pictures, [layers][heads]; those of `on_boxes` over pictures that have some,
        None where none has."""
        found: dict[str, Any] = {n: torch.cat(self._of[n], 1).mean(1).tolist() for n in NAMES}
        on, there = self._on_boxes()
        return {**found, "on_boxes": on[:, there].mean(1).tolist() if there.any() else None}

    def even(self) -> float | None:
        """Of an even look, the part on boxes: the share of patches that lie in them."""
        _, there = self._on_boxes()
        return float(torch.cat(self._inside)[there].mean()) if there.any() else None

    def best(self, count: int) -> dict[str, Any] | None:
        """The `count` heads that look most at the boxes in the first half of the pictures, and how
        much they do in the second; None where a half has no box."""
        on, there = self._on_boxes()
        half = len(there) // 2
        first, second = (on[:, part][:, there[part]] for part in (slice(half), slice(half, None)))
        if not first.shape[1] or not second.shape[1]:
            return None
        if not 1 <= count <= on.shape[0] * on.shape[2]:
            raise UserError(f"{TOP}={count}; give 1 to {on.shape[0] * on.shape[2]}, its heads")
        chosen = [
            {
                "layer": self.layers[layer],
                "head": head,
                "chosen": float(first[layer, :, head].mean()),
                "reported": float(second[layer, :, head].mean()),
            }
            for layer, head in best_heads(first, count)
        ]
        even = torch.cat(self._inside)[half:][there[half:]]
        return {
            "heads": chosen,
            "chosen_on": first.shape[1],
            "reported_on": second.shape[1],
            "reported": sum(one["reported"] for one in chosen) / count,
            "reported_of_all": float(second.mean()),
            "reported_even": float(even.mean()),
        }

    def _on_boxes(self) -> tuple[Tensor, Tensor]:
        """Of every picture, and which have a patch in a box."""
        return torch.cat(self._of["on_boxes"], 1), torch.cat(self._inside) > 0
