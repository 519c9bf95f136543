"""The page of `diagnose vlm=`: curves over layers, every head as a cell, and maps on pictures."""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from cloc.cli.pages.page import write_page
from cloc.decoder.vlm.diagnose import Shown
from cloc.drawing import colour, draw_boxes, heatmap, to_data_uri
from cloc.report.curves import RUN_COLOUR, TWIN_COLOUR, Curve, Panel, chart

SECTIONS = {
    "share": "Share",
    "boxes": "Boxes",
    "heads": "Every head",
    "maps": "Maps",
    "lengths": "Norms",
    "order": "Order",
}
FIGURES = {
    "on_boxes": "part on the boxes",
    "image": "share of the picture",
    "image_without_system": "share of the picture, without what stands before it",
    "entropy": "entropy over that of an even look",
}
SPREAD = "#12a594"
LONG_SIDE = 360  # pixels, of a picture on the page


def write_vlm_diagnosis(out: Path, document: Mapping[str, Any], shown: Sequence[Shown]) -> None:
    """One file with nothing to fetch, of what `diagnose.json` holds and of pictures."""
    values = {
        "title": f"Where {document['vlm']} looks",
        "document": document,
        "cards": _cards(document),
        "charts": {name: [chart(p) for p in panels] for name, panels in _panels(document).items()},
        "tables": _tables(document),
        "best": document["best_heads"],
        "shots": [_shot(one) for one in shown],
    }
    main = files("cloc.report").joinpath("diagnosis_vlm.html").read_text("utf-8")
    write_page(out, main, values, kind="diagnosis", sections=SECTIONS)


def _cards(document: Mapping[str, Any]) -> list[dict[str, str]]:
    norms, first, best = (document[key] for key in ("token_norms", "first_token", "best_heads"))
    with_it, without = (_mean(document, key) for key in ("image", "image_without_system"))
    tokens = document["tokens"]
    part = f"the picture has {tokens['image'] / tokens['prompt']:.0%} of the tokens"
    if tokens["before"]:
        part = f"{without:.1%} without what stands before it; {part}"
    found = [
        _card("Attention to the picture, mean of heads", f"{with_it:.1%}", part),
        _card(
            "Norm of picture tokens over words",
            f"{norms['image']['mean'] / max(norms['words']['mean'], 1e-30):.3g}",
            f"means {norms['image']['mean']:.3g} and {norms['words']['mean']:.3g}",
        ),
        _card(
            "First tokens that change, patches in another order",
            f"{first['changed']:.0%}",
            f"{first['moved']:.3f} of the probability moves; its largest is "
            f"{first['confidence']:.2f}",
        ),
    ]
    if best:
        card = _card(
            f"On the boxes, {len(best['heads'])} best heads",
            f"{best['reported']:.1%}",
            f"all heads {best['reported_of_all']:.1%}, an even look {best['reported_even']:.1%}; "
            f"{best['reported_on']} pictures on which they were not chosen",
        )
        found.insert(1, card)
    return found


def _card(title: str, value: str, foot: str) -> dict[str, str]:
    return {"title": title, "value": value, "foot": foot}


def _mean(document: Mapping[str, Any], key: str) -> float:
    return float(np.mean([layer[key] for layer in document["layers"]]))


def _panels(document: Mapping[str, Any]) -> dict[str, list[Panel]]:
    """By section; none of what no picture has."""
    layers = document["layers"]
    found = {
        "share": [
            *([_with_and_without(layers)] if document["tokens"]["before"] else []),
            _heads(layers, "share of the picture, heads", "image", None),
            _heads(layers, "entropy over that of an even look", "entropy", 1.0),
        ],
        "boxes": [],
    }
    if layers[0]["on_boxes"] is not None:
        found["boxes"].append(_heads(layers, "part on the boxes", "on_boxes", document["even"]))
    return found


def _with_and_without(layers: Sequence[Mapping[str, Any]]) -> Panel:
    shares = {"all words": "image", "without what stands before it": "image_without_system"}
    both = [
        _curve(layers, label, key, ink, np.mean)
        for (label, key), ink in zip(shares.items(), (RUN_COLOUR, TWIN_COLOUR), strict=True)
    ]
    return Panel("share of the picture, mean of heads", tuple(both), None)


def _heads(layers: Sequence[Mapping[str, Any]], title: str, key: str, level: float | None) -> Panel:
    kinds = {"mean of heads": np.mean, "least": np.min, "greatest": np.max}
    colours = (RUN_COLOUR, TWIN_COLOUR, SPREAD)
    curves = [
        _curve(layers, label, key, ink, how)
        for (label, how), ink in zip(kinds.items(), colours, strict=True)
    ]
    return Panel(title, tuple(curves), level)


def _curve(layers: Sequence[Mapping[str, Any]], label: str, key: str, ink: str, how: Any) -> Curve:
    numbers = np.array([layer["layer"] for layer in layers], np.float64)
    values = np.array([how(layer[key]) for layer in layers], np.float64)
    return Curve(label, numbers, values, ink, ink != RUN_COLOUR)


def _tables(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each figure a row per layer and a cell per head, as dark as it is high among all. Where
    nothing stands before the picture, the share without it is the share."""
    found = []
    for key, title in FIGURES.items():
        rows = [(layer["layer"], layer[key]) for layer in document["layers"]]
        is_same = key == "image_without_system" and not document["tokens"]["before"]
        if rows[0][1] is None or is_same:
            continue
        values = np.array([row for _, row in rows])
        low, high = float(values.min()), float(values.max())
        cells = [
            (number, [(f"{x:.3f}", round((x - low) / max(high - low, 1e-12), 3)) for x in row])
            for number, row in rows
        ]
        found.append({"title": title, "low": f"{low:.3f}", "high": f"{high:.3f}", "rows": cells})
    return found


def _shot(one: Shown) -> dict[str, Any]:
    image = one.picture.convert("RGB")
    boxes = one.boxes * ([image.width, image.height] * 2)
    count = len(boxes)
    numbers = [str(i + 1) for i in range(count)] if count > 1 else [""] * count
    colours = [colour(i) for i in range(count)]
    maps = {"best heads": one.best_heads, "all heads": one.all_heads}
    return {
        "picture": to_data_uri(draw_boxes(image, boxes, numbers, colours, long_side=LONG_SIDE)),
        "question": one.question.text,
        "said": one.said.strip() or "a blank",
        "maps": [
            (f"{name}, most {_most(x)}", to_data_uri(heatmap(image, x, long_side=LONG_SIDE)))
            for name, x in maps.items()
            if x is not None
        ],
    }


def _most(values: np.ndarray) -> str:
    most = float(np.max(values))
    return f"{most:.1%}" if math.isfinite(most) else "\N{EN DASH}"
