"""A gallery of what a model gets: pictures as they are in the batch, words as it reads them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cloc.cli.pages.page import write_page
from cloc.drawing import colour, to_data_uri
from cloc.interfaces import RegionBatch
from cloc.training.callbacks.pictures import drawn

_SECTIONS = {"pictures": "Pictures", "dropped": "Left out"}
_MAIN = """<section id="pictures">
<h1>{{ title }}</h1>
<div class="facts">{% for fact in facts %}<span>{{ fact }}</span>{% endfor %}</div>
<div class="gallery">
{% for row in rows %}
<figure class="shot"><img src="{{ row.picture }}" alt="{{ row.key }}">
<figcaption style="padding:.6rem .9rem;font-size:.85rem">
<div class="mono soft">{{ row.key or "dropped: a blank row" }}</div>
<div>{{ row.caption or "no caption" }}</div>
{% for region in row.regions %}
<div><span style="color:{{ region.colour }}">&#9632;</span> {{ region.phrase }}
{% for wrong in region.negatives %}<span class="soft">not: {{ wrong }}</span>{% endfor %}</div>
{% endfor %}
</figcaption></figure>
{% endfor %}
</div>
</section>
<section id="dropped">
<h2>Left out</h2>
{% if dropped %}
<div class="scroll"><table>
<thead><tr><th class="name">what</th><th class="name">reason</th><th class="name">source</th>
<th>count</th><th class="name">the first of them</th></tr></thead>
<tbody>
{% for row in dropped %}
<tr><td class="name">{{ row.what }}</td><td class="name">{{ row.reason }}</td>
<td class="name">{{ row.source }}</td><td>{{ row.count }}</td>
<td class="name mono" style="white-space:normal;overflow-wrap:anywhere">{{ row.first }}</td></tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p class="good">Nothing was left out of these batches.</p>
{% endif %}
</section>
"""


class Region(NamedTuple):
    """One region as the model reads it."""

    colour: str
    phrase: str
    negatives: tuple[str, ...]


def write_batches(
    out: Path,
    batches: Sequence[RegionBatch],
    *,
    title: str,
    decode: Callable[[Sequence[int]], str],
    dropped: Sequence[Mapping[str, Any]],
) -> None:
    """Every picture of `batches`; `decode` turns token ids back into words."""
    rows = [row for batch in batches for row in _rows(batch, decode)]
    regions = sum(len(row["regions"]) for row in rows)
    phrases = len({region.phrase for row in rows for region in row["regions"]})
    facts = [f"{len(rows)} images", f"{regions} regions", f"{phrases} different phrases"]
    values = {"title": title, "rows": rows, "facts": facts, "dropped": list(dropped)}
    write_page(out, _MAIN, values, kind="batch", sections=_SECTIONS)


def _rows(batch: RegionBatch, decode: Callable[[Sequence[int]], str]) -> list[dict[str, Any]]:
    pictures = drawn(batch, decode, at_most=len(batch.images))
    return [
        {
            "picture": to_data_uri(picture, lossless=True),
            "key": batch.keys[i],
            "caption": decode(batch.captions[i].tolist()) if batch.caption_valid[i] else "",
            "regions": _regions(batch, decode, i),
        }
        for i, picture in enumerate(pictures)
    ]


def _regions(batch: RegionBatch, decode: Callable[[Sequence[int]], str], i: int) -> list[Region]:
    def words(index: torch.Tensor) -> str:
        return decode(batch.phrases[index].tolist())

    places = batch.valid[i].nonzero().flatten().tolist()
    return [
        Region(
            colour(k),
            words(batch.phrase_index[i, j]),
            tuple(words(index) for index in batch.negative_index[i, j] if index >= 0),
        )
        for k, j in enumerate(places)
    ]
