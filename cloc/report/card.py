"""The model card of an export: what it is, how to load it, and the run's own numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

CARD = """\
---
license: apache-2.0
library_name: open_clip
tags: [clip, cloc, region-text, grounding]
---
# {{ name }}

{% if head -%}
A CLOC image-text model: CLIP, and a region head that embeds any box{% if grounds %} and finds any
phrase{% endif %}. Method: Contrastive Localized Language-Image Pre-Training (arXiv 2410.02746).
{%- else -%}
A CLIP image-text model.
{%- endif %}

## Use

As a drop-in CLIP, with open_clip alone:

```python
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:{{ folder }}")
tokenizer = open_clip.get_tokenizer("local-dir:{{ folder }}")
```

Through `cloc`{% if head %}, with its region head{% endif %}:

```python
import cloc

embedder = cloc.load("{{ folder }}")
x, boxes, valid = embedder.prepare([image], [boxes_in_pixels])
images, texts = embedder.images(x), embedder.texts(["a red star"])  # unit vectors
{% if head -%}
regions = embedder.regions(x, boxes, valid)  # unit vectors
{% endif -%}
{% if grounds -%}
found = embedder.ground(x, [["a red star"]])  # boxes in [0, 1] of the padded square
{% endif -%}
```

Images are resized by the long side to {{ size }} pixels and padded to a square with black.

## Numbers of this run

{% if rows -%}
| benchmark | metric | value | chance |
|---|---|---|---|
{% for row in rows -%}
| {{ row.benchmark }} | {{ row.metric }} | {{ row.value }} | {{ row.chance }} |
{% endfor %}
{%- else -%}
Not measured yet: `python scripts/evaluate.py run=...` writes them.
{%- endif %}

## Provenance

{% for key, value in facts -%}
* {{ key }}: {{ value }}
{% endfor %}"""


def model_card(run: Path, *, description: Mapping[str, Any], folder: str) -> str:
    """Markdown from `metrics.json` and `provenance.json` of the run; what is missing is said."""
    metrics = _read(run / "metrics.json")
    provenance = _read(run / "provenance.json")
    rows = [
        {
            "benchmark": benchmark,
            "metric": metric,
            "value": f"{value:.3f}",
            "chance": f"{values[f'{metric}_chance']:.3f}",
        }
        for benchmark, values in metrics.items()
        for metric, value in values.items()
        if f"{metric}_chance" in values
    ]
    vision = description["tower"]["config"]["vision_cfg"]
    text: str = (
        Environment(autoescape=False, keep_trailing_newline=True)  # Markdown, not HTML
        .from_string(CARD)
        .render(
            name=run.resolve().name,
            head=description.get("region_head") is not None,
            grounds=description.get("box_head") is not None,
            folder=folder,
            size=vision.get("image_size", 224),
            rows=rows,
            facts=[(k, v) for k, v in provenance.items() if isinstance(v, str | int)],
        )
    )
    return text


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
