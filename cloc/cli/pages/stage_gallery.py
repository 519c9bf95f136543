"""A page of what each stage of a pipeline let pass and what it left out, with the reasons."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from cloc.cli.pages.page import write_page
from cloc.data.samples.decode import decode_record
from cloc.data.shards.reader import Parse, Reader
from cloc.drawing import colour, draw_boxes, to_data_uri
from cloc.errors import BadSample
from data_prep.job import Job
from data_prep.work_unit import LOOKED_AT, Unit, read_marker

PAGE = "gallery.html"
SHOWN = 8  # pictures of what passed a stage, and of each reason for which something did not
SIDE = 384  # pixels of a picture's long side at most
_MAIN = """<section id="top">
<h1>{{ title }}</h1>
<div class="facts"><span>{{ "{:,}".format(images) }} images of {{ shards }} shards looked at</span>
</div></section>
{% for stage in stages %}
<section id="{{ stage.name }}">
<h2>{{ stage.name }}</h2>
<p class="soft mono">{{ stage.said }}</p>
<h3>passed</h3>
<div class="gallery">
{% for shot in stage.accepted %}
<figure class="shot"><img src="{{ shot.picture }}" alt="{{ shot.key }}">
<figcaption style="padding:.6rem .9rem;font-size:.85rem"><div class="mono soft">{{ shot.key }}</div>
{% for text, source in shot.captions %}<div>{{ text }} <span class="soft">{{ source }}</span></div>
{% endfor %}
{% if shot.phrases %}<div class="soft">{{ shot.phrases | join(" · ") }}</div>{% endif %}
{% for region in shot.regions %}
<div><span style="color:{{ region.colour }}">&#9632;</span> {{ region.text }}
<span class="soft">{{ region.score }}</span>
{% for wrong in region.negatives %}<span class="soft">not: {{ wrong }}</span> {% endfor %}</div>
{% endfor %}
</figcaption></figure>
{% else %}<p class="soft">Nothing passed in these shards.</p>{% endfor %}
</div>
{% for reason in stage.reasons %}
<h3>left out: {{ reason.what }}, {{ reason.reason }}
<span class="soft">{{ "{:,}".format(reason.count) }} in these shards</span></h3>
<div class="gallery">
{% for shot in reason.shots %}
<figure class="shot"><img src="{{ shot.picture }}" alt="{{ shot.key }}">
<figcaption style="padding:.6rem .9rem;font-size:.85rem"><div class="mono soft">{{ shot.key }}</div>
<div>{{ shot.text }} <span class="soft">{{ shot.score }}</span></div></figcaption></figure>
{% endfor %}
</div>
{% endfor %}
</section>
{% endfor %}
"""


def write_gallery(job: Job, parse: Parse, *, index_folder: str | None = None) -> Path:
    """`gallery.html` of an output folder, from the markers of its first shards and the pictures
    of the input, whose indexes may lie in `index_folder`."""
    read = Reader(key="input", index_folder=index_folder)
    found = [
        (unit, marker)
        for unit in job.units[:LOOKED_AT]
        if (marker := read_marker(job.out, unit, job.digest)) is not None
    ]
    chosen = _choose([marker["examples"] for _, marker in found])
    pictures = _pictures([unit for unit, _ in found], _keys(chosen), parse, read)
    counts = Counter[tuple[str, str, str]]()
    for _, marker in found:
        for row in marker["drops"]:
            counts[row["stage"], row["what"], row["reason"]] += row["count"]
    stages = [
        _section(name, passed, left_out, pictures, counts, found[0][1]["stages"].get(name, {}))
        for name, (passed, left_out) in chosen.items()
    ]
    values = {
        "title": job.out.name,
        "images": sum(unit.samples for unit, _ in found),
        "shards": len(found),
        "stages": stages,
    }
    path = job.out / PAGE
    write_page(path, _MAIN, values, kind="pipeline", sections={name: name for name in chosen})
    return path


Chosen = dict[str, tuple[list[Any], dict[tuple[str, str], list[Any]]]]


def _choose(examples: Sequence[Mapping[str, Any]]) -> Chosen:
    """stage -> (what passed, (what, reason) -> what did not), at most `SHOWN` of each, taken from
    as many shards as there are."""
    chosen: Chosen = {}
    for of_shard in examples:
        for name in of_shard:
            chosen.setdefault(name, ([], defaultdict(list)))
    for name, (passed, left_out) in chosen.items():
        shards = [of_shard[name] for of_shard in examples if name in of_shard]
        for rank in range(SHOWN):
            for shard in shards:
                if rank < len(shard["accepted"]) and len(passed) < SHOWN:
                    passed.append(shard["accepted"][rank])
                if rank < len(shard["left_out"]):
                    example = shard["left_out"][rank]
                    of_reason = left_out[example["what"], example["reason"]]
                    if len(of_reason) < SHOWN:
                        of_reason.append(example)
    return chosen


def _keys(chosen: Chosen) -> set[str]:
    lists = [each for passed, left_out in chosen.values() for each in (passed, *left_out.values())]
    return {example["key"] for examples in lists for example in examples}


def _pictures(
    units: Sequence[Unit], keys: set[str], parse: Parse, read: Reader
) -> dict[str, PIL.Image.Image]:
    """The stored pictures of the records with these keys; one that cannot be decoded is grey."""
    found: dict[str, PIL.Image.Image] = {}
    for unit in units if keys else ():
        for index in range(unit.samples):
            try:
                raw = read(unit.path, index, count=unit.samples)
                if raw["__key__"] in keys:
                    found.setdefault(raw["__key__"], decode_record(parse(raw), unit.path))
            except BadSample:
                continue
    return found


def _section(
    name: str,
    passed: Sequence[Mapping[str, Any]],
    left_out: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    pictures: Mapping[str, PIL.Image.Image],
    counts: Mapping[tuple[str, str, str], int],
    said: Mapping[str, Any],
) -> dict[str, Any]:
    reasons = [
        {
            "what": what,
            "reason": reason,
            "count": counts[name, what, reason],
            "shots": [_left_out(example, pictures) for example in examples],
        }
        for (what, reason), examples in left_out.items()
    ]
    return {
        "name": name,
        "said": ", ".join(f"{key}: {value}" for key, value in said.items()),
        "accepted": [_passed(example, pictures) for example in passed],
        "reasons": reasons,
    }


def _passed(example: Mapping[str, Any], pictures: Mapping[str, PIL.Image.Image]) -> dict[str, Any]:
    boxes = [region[0] for region in example["regions"]]
    regions = [
        {"text": text, "score": f"{score:.2f}", "negatives": negatives, "colour": colour(i)}
        for i, (_, text, score, negatives) in enumerate(example["regions"])
    ]
    return {**example, "picture": _drawn(example["key"], boxes, pictures), "regions": regions}


def _left_out(
    example: Mapping[str, Any], pictures: Mapping[str, PIL.Image.Image]
) -> dict[str, Any]:
    score = "" if example["score"] is None else f"{example['score']:.2f}"
    boxes = [example["box"]] if example["box"] else []
    return {**example, "score": score, "picture": _drawn(example["key"], boxes, pictures)}


def _drawn(
    key: str, boxes: Sequence[Sequence[float]], pictures: Mapping[str, PIL.Image.Image]
) -> str:
    image = pictures.get(key) or PIL.Image.new("RGB", (64, 64), "#888888")
    scale = min(SIDE / max(image.size), 1)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    pixels = np.array(boxes, np.float64).reshape(-1, 4) * scale
    names = [""] * len(pixels)
    colours = [colour(i) for i in range(len(pixels))]
    small = image.convert("RGB").resize(size)
    return to_data_uri(draw_boxes(small, pixels, names, colours, long_side=SIDE))
