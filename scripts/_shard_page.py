"""The statistics of a shard set as one HTML file with nothing to fetch, in the report's look."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _page import write_page
from _shard_stats import Statistics, bars, mean, side_bars

from cloc.report.curves import RUN_COLOUR

_TOP = 40
_SECTIONS = {
    "numbers": "Numbers",
    "problems": "Problems",
    "charts": "Distributions",
    "phrases": "Phrases",
}
_MAIN = """<section id="numbers">
<h1>{{ title }}</h1>
<div class="facts">{% for path in folders %}<span class="mono">{{ path }}</span>{% endfor %}</div>
<div class="cards" style="grid-template-columns:repeat(auto-fit,minmax(210px,1fr))">
{% for name, value, foot in cards %}
<div class="card"><h3>{{ name }}</h3><div class="big">{{ value }}</div>
<div class="foot"><span>{{ foot }}</span></div></div>
{% endfor %}
</div>
</section>
<section id="problems">
<h2>Problems</h2>
{% for reason, count in counts %}
<details{{ " open" if loop.first }}><summary><span class="bad">{{ "{:,}".format(count) }}</span>
{{ reason }}</summary>
<table>{% for line in kept[reason] %}<tr><td class="mono">{{ line }}</td></tr>{% endfor %}</table>
{% if count > kept[reason] | length %}
<p class="soft" style="padding:0 1rem">and
{{ "{:,}".format(count - kept[reason] | length) }} more</p>
{% endif %}
</details>
{% else %}
<p class="good">All samples are well-formed.</p>
{% endfor %}
</section>
<section id="charts">
<h2>Distributions</h2>
<p class="soft">Over the samples that are whole. A bar tells its count when pointed at.</p>
<div class="charts">
{% for chart in charts %}
<figure class="chart"><figcaption>{{ chart.title }}</figcaption>
<div class="key"><span>{{ chart.note }}</span></div>
{% if chart.bars %}
<svg viewBox="0 0 320 150" role="img" aria-label="{{ chart.title }}">
{% for bar in chart.bars %}
<rect x="{{ bar.x }}" y="{{ bar.y }}" width="{{ bar.width }}" height="{{ bar.height }}"
 fill="{{ colour }}"><title>{{ bar.label }}: {{ "{:,}".format(bar.count) }}</title></rect>
{% if bar.shown %}
<text x="{{ bar.middle }}" y="146" font-size="11" text-anchor="middle" fill="currentColor">
{{ bar.label }}</text>
{% endif %}
{% endfor %}
<line x1="0" y1="132" x2="320" y2="132" stroke="currentColor" stroke-width=".6"/>
</svg>
{% else %}
<p class="soft">There are none.</p>
{% endif %}
</figure>
{% endfor %}
</div>
</section>
<section id="phrases">
<h2>Top phrases</h2>
{% if phrases %}
<p class="soft">Of {{ different }} different ones, in lower case.</p>
<div class="scroll"><table>
<thead><tr><th class="name">phrase</th><th>regions</th><th>share</th></tr></thead>
<tbody>
{% for phrase, count in phrases %}
<tr><td class="name">{{ phrase }}</td>
<td class="value" style="width:50%;--at:{{ "%.1f" | format(100 * count / phrases[0][1]) }}%">
{{ "{:,}".format(count) }}</td><td>{{ "%.2f" | format(100 * count / regions) }} %</td></tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p class="soft">There are no regions.</p>
{% endif %}
</section>
"""


def write_statistics(
    out: Path,
    seen: Statistics,
    counts: Mapping[str, int],
    kept: Mapping[str, Sequence[str]],
    shards: Sequence[Path],
) -> None:
    """Counts, problems by reason, distributions and the most frequent phrases."""
    folders = sorted({str(path.parent) for path in shards})
    values = {
        "title": _title(folders),
        "folders": folders,
        "cards": _cards(seen, shards),
        "counts": sorted(counts.items(), key=lambda pair: -pair[1]),
        "kept": kept,
        "charts": _charts(seen),
        "colour": RUN_COLOUR,
        "phrases": seen.phrases.most_common(_TOP),
        "different": f"{'over ' if seen.forgot_phrases else ''}{len(seen.phrases):,}",
        "regions": seen.regions,
    }
    write_page(out, _MAIN, values, kind="shards", sections=_SECTIONS)


def _title(folders: Sequence[str]) -> str:
    """The name of the folder that holds all of it."""
    whole = [str(Path(folder).resolve()) for folder in folders]
    return (Path(os.path.commonpath(whole)).name if whole else "") or "shards"


def _cards(seen: Statistics, shards: Sequence[Path]) -> list[tuple[str, str, str]]:
    size = sum(path.stat().st_size for path in shards) / 2**20
    with_regions = seen.samples - seen.regions_per_image[0]
    share = with_regions / max(seen.samples, 1)
    mean_image = seen.image_bytes / 1024 / max(seen.samples, 1)
    return [
        ("Whole samples", f"{seen.samples:,}", f"images of {mean_image:.1f} KiB on average"),
        ("Shards", f"{len(shards):,}", f"{size:,.1f} MiB"),
        ("Regions", f"{seen.regions:,}", f"in {share:.1%} of the images"),
        ("Captions", f"{seen.captions:,}", f"{mean(seen.caption_words):.1f} words on average"),
    ]


def _charts(seen: Statistics) -> list[dict[str, Any]]:
    words, captions = bars(seen.phrase_words, at_most=21), bars(seen.caption_words, at_most=61)
    regions = f"{mean(seen.regions_per_image):.2f} on average"
    sides = "root of the box's share of the image"
    return [
        _chart("Regions per image", regions, bars(seen.regions_per_image, at_most=41)),
        _chart("Words per phrase", f"{mean(seen.phrase_words):.2f} on average", words),
        _chart("Box sizes", sides, side_bars(seen.box_sides) if seen.regions else []),
        _chart("Words per caption", f"{mean(seen.caption_words):.2f} on average", captions),
    ]


def _chart(title: str, note: str, values: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Bars in a box of 320 x 132; at most six labels."""
    step, highest = 320 / max(len(values), 1), max((count for _, count in values), default=0)
    every = -(-len(values) // 6)
    drawn = []
    for i, (label, count) in enumerate(values):
        height = 128 * count / max(highest, 1)
        drawn.append(
            {
                "x": f"{i * step + 0.06 * step:.2f}",
                "width": f"{0.88 * step:.2f}",
                "y": f"{132 - height:.2f}",
                "height": f"{height:.2f}",
                "middle": f"{min(max((i + 0.5) * step, 20), 300):.1f}",
                "label": label,
                "count": count,
                "shown": i % every == 0 and (i + every <= len(values) or len(values) <= 6),
            }
        )
    return {"title": title, "note": note, "bars": drawn}
