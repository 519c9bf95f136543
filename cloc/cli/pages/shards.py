"""The statistics of a shard set as one HTML file with nothing to fetch, in the report's look."""

import contextlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloc.cli.pages.page import write_page
from cloc.cli.pages.shard_stats import Statistics, bars, mean, repeated, side_bars
from cloc.data.shards.index_places import size_of
from cloc.data.shards.manifest import read_manifest
from cloc.data.shards.remote import is_remote
from cloc.errors import UserError
from cloc.report.curves import RUN_COLOUR

_TOP = 40
_SECTIONS = {
    "numbers": "Numbers",
    "problems": "Problems",
    "charts": "Distributions",
    "phrases": "Phrases",
    "paper": "Beside the paper",
}
# Table 1 of arXiv 2410.02746: images, regions of an image, tokens of a caption and of a phrase
_TABLE_1 = (
    ("Flickr Entities", "32K", "8.7", "-", "-"),
    ("RefCOCO / + / g", "20K / 20K / 27K", "2.5 / 2.5 / 2.1", "-", "3.6 / 3.5 / 8.4"),
    ("Visual Genome", "108K", "38.0", "-", "-"),
    ("GRIT (released, valid URLs)", "17M", "1.8", "17.2", "4.6"),
    ("Florence-2 FLD", "126M", "5.4", "70.5", "2.6"),
    ("WiT labelled as OWL-ST", "300M", "5.1", "17.1", "3.9"),
    ("VESL WiT", "300M", "11.6", "44.9", "2.1"),
    ("VESL WiT+DFN", "2B", "11.5", "35.9", "2.1"),
)
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
{% if drops %}
<h3>Left out where the shards were made</h3>
<table>{% for reason, count in drops %}
<tr><td class="name">{{ reason }}</td><td>{{ "{:,}".format(count) }}</td></tr>{% endfor %}</table>
{% endif %}
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
<section id="paper">
<h2>Beside the paper</h2>
<p class="soft">The lower rows are Table 1 of arXiv 2410.02746, which counts tokens; ours are
words.</p>
<div class="scroll"><table>
<thead><tr><th class="name">data set</th><th>images</th><th>regions / image</th>
<th>caption length</th><th>phrase length</th></tr></thead>
<tbody>
{% for row in paper %}
<tr>{% for cell in row %}<td{{ ' class="name"' | safe if loop.first }}>{{ cell }}</td>{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
</section>
"""


def write_statistics(
    out: Path,
    seen: Statistics,
    counts: Mapping[str, int],
    kept: Mapping[str, Sequence[str]],
    shards: Sequence[str],
) -> None:
    """Counts, problems by reason, distributions and the most frequent phrases."""
    folders = sorted({path.rpartition("/")[0] or "." for path in shards})
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
        "drops": _drops(folders),
        "paper": [_own_row(seen, _title(folders)), *_TABLE_1],
    }
    write_page(out, _MAIN, values, kind="shards", sections=_SECTIONS)


def _drops(folders: Sequence[str]) -> list[tuple[str, int]]:
    """What the manifests say was left out, the most frequent reason first."""
    total = Counter[str]()
    for folder in folders:
        with contextlib.suppress(UserError):  # without a manifest, nobody counted
            total.update(read_manifest(Path(folder)).get("drops", {}))
    return total.most_common()


def _own_row(seen: Statistics, title: str) -> tuple[str, ...]:
    means = (seen.regions_per_image, seen.caption_words, seen.phrase_words)
    return (title, f"{seen.samples:,}", *(f"{mean(counts):.1f}" for counts in means))


def _title(folders: Sequence[str]) -> str:
    """The name of the folder that holds all of it."""
    if not folders or any(map(is_remote, folders)):
        return folders[0].rpartition("/")[2] if len(folders) == 1 else "shards"
    whole = [str(Path(folder).resolve()) for folder in folders]
    return Path(os.path.commonpath(whole)).name or "shards"


def _cards(seen: Statistics, shards: Sequence[str]) -> list[tuple[str, str, str]]:
    size = sum(map(size_of, shards)) / 2**20
    with_regions = seen.samples - seen.regions_per_image[0]
    share = with_regions / max(seen.samples, 1)
    mean_image = seen.image_bytes / 1024 / max(seen.samples, 1)
    return [
        ("Whole samples", f"{seen.samples:,}", f"images of {mean_image:.1f} KiB on average"),
        ("Shards", f"{len(shards):,}", f"{size:,.1f} MiB"),
        ("Regions", f"{seen.regions:,}", f"in {share:.1%} of the images"),
        ("Captions", f"{seen.captions:,}", f"{mean(seen.caption_words):.1f} words on average"),
        *_duplicates(seen),
    ]


def _duplicates(seen: Statistics) -> list[tuple[str, str, str]]:
    """Where the images were hashed: `stages/images=checks` of the pipeline."""
    if not seen.hashes:
        return []
    hashed = f"of {seen.hashes.total():,} hashed images look like another one"
    return [("Duplicates", f"{repeated(seen.hashes):,}", hashed)]


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
