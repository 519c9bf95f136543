"""The model card of an export: what it is, how to load it, and the run's own numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from cloc.data.samples.json_files import read_mapping
from cloc.frame import height_and_width
from cloc.report.tables import read_metrics

CARD = """\
---
license: {{ license }}
library_name: {{ library }}
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

```python
{{ usage }}```

{% if loads_back -%}
Through `cloc`{% if head %}, with its region head{% endif %}:

```python
import cloc

embedder = cloc.load("{{ quoted }}")
x, boxes, valid = embedder.prepare([image], [boxes_in_pixels])
images, texts = embedder.images(x), embedder.texts(["a red star"])  # unit vectors
{% if head -%}
regions = embedder.regions(x, boxes, valid)  # unit vectors
{% endif -%}
{% if grounds -%}
found = embedder.ground(x, [["a red star"]])  # boxes in [0, 1] of the padded frame
{% endif -%}
```

{% endif -%}
Errors of this export against the model it comes from are in `parity.json`.

Images are resized to fit {{ height }} x {{ width }} pixels (height x width), in their own aspect,
centred on black.

## Numbers of this run

{% if rows -%}
| benchmark | metric | value | chance |
|---|---|---|---|
{% for row in rows -%}
| {{ row.benchmark }} | {{ row.metric }} | {{ row.value }} | {{ row.chance }} |
{% endfor %}
{%- else -%}
Not measured yet: `cloc-pretrain evaluate run=...` writes them.
{%- endif %}

## Provenance

{% for key, value in facts -%}
* {{ key }}: {{ value }}
{% endfor %}"""


def model_card(
    run: Path, *, description: Mapping[str, Any], folder: str, exporter: Any, license: str
) -> str:
    """Markdown from `metrics.json` and `provenance.json` of the run, the data's manifest digest and
    licences, and the exporter's own lines of code; what is missing is said."""
    path = run / "provenance.json"
    provenance = read_mapping(path) if path.is_file() else {}
    size = description["tower"]["config"]["vision_cfg"].get("image_size", 224)
    height, width = height_and_width(size)
    facts = [(k, v) for k, v in provenance.items() if isinstance(v, str | int)]
    text: str = (
        Environment(autoescape=False, keep_trailing_newline=True)  # Markdown, not HTML
        .from_string(CARD)
        .render(
            name=run.resolve().name,
            head=description.get("region_head") is not None,
            grounds=description.get("box_head") is not None,
            quoted=_in_quotes(folder),
            library=exporter.library,
            usage=exporter.usage.replace("FOLDER", _in_quotes(folder)),
            loads_back=exporter.loads_back,
            license=license,
            height=height,
            width=width,
            rows=_rows(read_metrics(run)),
            facts=[*facts, *_of_data(provenance.get("data", {}))],
        )
    )
    return text


def _in_quotes(name: str) -> str:
    """As a string of Python or JSON holds it."""
    return json.dumps(name, ensure_ascii=False)[1:-1]


def _rows(metrics: Mapping[str, Mapping[str, float]]) -> list[dict[str, str]]:
    """Every metric that has a chance line."""
    return [
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


def _of_data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a run's provenance says of its shards: samples and licence of each source, digest."""
    licences = data.get("licenses", {})
    lines = [
        (f"data {name}", f"{count:,} samples, licence {licences.get(name) or 'not recorded'}")
        for name, count in data.get("samples", {}).items()
    ]
    return [*lines, ("data digest", data["digest"])] if "digest" in data else lines
