"""The second page of `where`: what decoders answer, and what repairs change of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cloc.cli.matrix.answers import BENCHMARK
from cloc.cli.matrix.answers_words import FIGURES, contrasts, verdict
from cloc.cli.matrix.plan import Cell
from cloc.cli.matrix.summary import Figure, Found, mean_of
from cloc.cli.matrix.words import changes
from cloc.cli.pages.page import write_page
from cloc.cli.pages.where import WIDTH, change_rows, table, template

SECTIONS = {
    "words": "In words",
    "changes": "Buys and costs",
    "figures": "Figures",
    "permuted": "Permuted",
    "blind": "Blind",
    "weights": "Weights and speed",
}
CONTROLS = {
    "permuted": "with patches in random order",
    "blind": "about a grey picture in the place of every one",
}


def write_answers(
    out: Path,
    planned: Sequence[Cell],
    found: Found,
    *,
    repairs: Mapping[str, str | None],
    cure: str,
) -> None:
    """All that is there of what is planned; `cure` is the command that does the rest. `repairs`
    tells of each which one it goes on from."""
    arms = list(dict.fromkeys(cell.arm for cell in planned))
    size = next((size for told in found.values() for size in told["sizes"]), "")
    told = changes(found, contrasts(arms, repairs), size=size, figures=FIGURES)
    controls = {
        line: [Figure(BENCHMARK, f"{f.metric}_{line}", f.label, told) for f in FIGURES]
        for line, told in CONTROLS.items()
    }
    values = {
        "title": "What do repairs buy, and a localized encoder?",
        **{"done": len(found), "planned": len(planned), "cure": cure, "arms": arms},
        "further": _further(repairs),
        "verdict": verdict(told, arms),
        "changes": change_rows(told, FIGURES),
        "width": WIDTH,
        "figures": [table(found, figure, size, arms, list(repairs)) for figure in FIGURES],
        **{
            line: [table(found, figure, size, arms, list(repairs)) for figure in of]
            for line, of in controls.items()
        },
        "repairs": [{"name": name, **_cost(found, name)} for name in repairs],
    }
    sections = SECTIONS if found else {}
    write_page(out, template("answers.html"), values, kind="lab", sections=sections)


def _further(repairs: Mapping[str, str | None]) -> str:
    of = [f"{name} from {other}" for name, other in repairs.items() if other is not None]
    if not of:
        return ""
    return (
        f"Some go on from another one, with these steps on top: {', '.join(of)}; where that adds "
        "weights, all others are frozen."
    )


def _cost(found: Found, repair: str) -> Mapping[str, str]:
    """Weights that it adds, and questions and tokens a second in the middle of its cells."""
    of = [told for cell, told in found.items() if cell.encoding == repair]
    if not of:
        return {"weights": "", "speed": "", "tokens": ""}
    weights: Mapping[str, int] = of[0]["weights"]
    added = sum(count for part, count in weights.items() if part != "decoder")
    pace = {}
    for key, told_as in (("speed", "questions_per_s"), ("tokens", "tokens_per_s")):
        mean = mean_of(float(told[told_as]) for told in of)
        assert mean is not None
        pace[key] = f"{mean.mean:,.0f}"
    return {"weights": f"{added:,} of {weights['decoder']:,}", **pace}
