"""The check as a whole: functions that are right, every fault with its words, the command."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.layers import apply_rot_embed_cat, create_rope_embed

from cloc.errors import UserError
from cloc.models.positions.conformance.checks import CHECKS
from cloc.models.positions.conformance.settings import PUBLISHED, channels
from cloc.models.positions.rotary.mrope import MRoPE
from cloc.models.positions.rotary.rotate import rotate
from cloc.models.positions.rotary_conformance import check, main
from tests.models.positions.conformance import engines
from tests.models.positions.conformance.engines import SMALL

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/concepts/positions.md"
PLANTED = [
    (engines.SwapsAxes, "interleaved", "axes", "queries: rows and columns are swapped"),
    (engines.SwapsAxes, "interleaved", "grids", "a picture of 4x6 patches has its rows and col"),
    (engines.SwapsAxes, "head_wise", "axes", "queries: rows and columns are swapped"),
    (engines.TimeLast, "chunked", "axes", "taken for the row, the column, time"),
    (engines.TimeAlone, "chunked", "axes", "rows and columns are dropped: all pairs turn with ti"),
    (engines.TimeAlone, "head_wise", "axes", "rows and columns are dropped: all pairs turn with"),
    (engines.DropsRows, "interleaved", "axes", "the pairs of rows do not turn"),
    (engines.DropsBoth, "chunked", "axes", "the pairs of rows and columns do not turn"),
    (engines.DoesNothing, "chunked", "turns", "queries come back as they went in: nothing turns"),
    (engines.TurnsQueriesAlone, "chunked", "turns", "keys come back as they went in"),
    (engines.OtherPairs, "chunked", "pairs", "pairs are adjacent, not half"),
    (engines.OtherPairs, "adjacent", "pairs", "pairs are half, not adjacent"),
    (engines.HalfOfTheHead, "partial", "pairs", "0 turns into 32 and not into 16"),
    (engines.TurnsAll, "partial", "rest", "32 of the 32 channels .* partial rotary factor is left"),
    (engines.CountsOverTheHead, "partial", "frequencies", "over all 64 channels, not the 32"),
    (engines.OtherBase, "interleaved", "frequencies", "base 1e.06, not 1e.04"),
    (engines.BeginsAnew, "chunked", "frequencies", "every axis begins anew at frequency 1"),
    (engines.BeginsAnewOverAll, "chunked", "frequencies", "every axis begins anew at frequency 1"),
    (engines.OnePairIsOff, "chunked", "frequencies", "pair 5 turns by 0.0568 rad a step, not 0.05"),
    (engines.Backwards, "adjacent", "frequencies", "pairs turn backwards"),
    (engines.OtherLayout, "interleaved", "axes", "as layout=chunked, not interleaved"),
    (engines.OtherLayout, "chunked", "axes", "as layout=interleaved, not chunked"),
    (engines.UsesUpSections, "clamped", "axes", "axes have 4, 6, 6 pairs, as the sections say"),
    (
        engines.AFewOnAnotherAxis,
        "chunked",
        "axes",
        "12% of .* pair 4 of head 0 .* column and n",
    ),
    (engines.HeadsInTurn, "head_wise", "axes", "the axes of key heads in turn, not in groups"),
    (engines.Scales, "chunked", "lengths", "queries are 1.1 times as long"),
    (engines.KeepsItsTable, "interleaved", "parts", "table of an earlier call is used again"),
    (engines.CountsFromZero, "chunked", "parts", "positions are counted from 0 in every call"),
    (engines.FirstItem, "chunked", "batch", "item 1 are off .*: it has the positions of item 0"),
    (engines.ShortTable, "chunked", "shift", "where time of all tokens is 1000 more: .* clipped"),
    (engines.ShortTable, "chunked", "text", "at t = h = w = 1000 are off"),
    (engines.Normalises, "chunked", "shift", "positions are normalised, clipped or wrapped"),
    (engines.Square, "interleaved", "grids", r"beside a picture of 6x4 patches, are off by"),
    (engines.NothingWithoutPositions, "chunked", "no positions", "neither refused .*: nothing tu"),
    (engines.OnesWithoutPositions, "chunked", "no positions", "neither refused .*: it is no text"),
    (engines.HalfPositions, "interleaved", "bfloat16", "keep positions, frequencies and angles in"),
    (engines.HalfFrequencies, "chunked", "bfloat16", "in bfloat16 at t = h = w = 409[45] are off"),
]
# what is told first where the other cannot be seen without it
EARLIER = {"grids": ("shift", "axes"), "text": ("shift",), "shift": ("parts",), "pairs": ("rest",)}


def failing(fault, name):
    return {row.check: row.problem for row in check(fault, settings=[SMALL[name]]).failing}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    "engine", [engines.Engine, engines.TextWithoutPositions, engines.WritesInPlace]
)
def test_a_function_that_is_right_passes(engine, name):
    report = check(engine(), settings=[SMALL[name]])
    assert report.refusal() == ""
    assert [row[:2] for row in report.rows] == [(name, check) for check in CHECKS]


@pytest.mark.parametrize(
    ("engine", "name", "which", "words"),
    PLANTED,
    ids=lambda x: getattr(x, "__name__", None) or str(x).split()[0],
)
def test_every_planted_fault_is_found_in_its_own_words(engine, name, which, words):
    found = failing(engine(), name)
    assert re.search(words, found[which])
    assert next(iter(found)) in (which, *EARLIER.get(which, ()))
    assert all("\n" not in problem for problem in found.values())


def test_every_check_is_what_some_fault_is_for():
    assert {which for _, _, which, _ in PLANTED} == set(CHECKS)


def test_pairs_are_not_looked_into_where_others_are_paired():
    rows = check(engines.OtherPairs(), settings=[SMALL["chunked"]]).rows
    assert {row.check for row in rows if row.problem is None} == {"frequencies", "axes"}


# Those who are right elsewhere.


def of_transformers(module, config, function="apply_rotary_pos_emb"):
    """`rotate` with a model's own tables and its own way to use them; of the settings of the same
    name alone."""
    modeling = pytest.importorskip(f"transformers.models.{module}.modeling_{module}")
    kinds = [
        name for name in dir(modeling) if name.endswith("RotaryEmbedding") and "Vision" not in name
    ]
    if len(kinds) != 1 or not hasattr(modeling, function):
        pytest.skip(f"this version of transformers has {kinds} in {module}")

    def turn(q, k, positions, settings):
        if settings.name != module:
            raise NotImplementedError(f"{module} has settings of its own")
        tables = getattr(modeling, kinds[0])(config(modeling, settings))
        cos, sin = tables(q, positions)
        if cos.ndim == 4:  # of each axis; some versions put the sections together here
            return modeling.apply_multimodal_rotary_pos_emb(q, k, cos, sin, list(settings.sections))
        return getattr(modeling, function)(q, k, cos, sin)

    return turn


def configured(kind):
    def make(modeling, settings):
        import transformers

        parameters = {
            "rope_type": "default",
            "rope_theta": settings.base,
            "mrope_section": list(settings.sections),
            "partial_rotary_factor": settings.rotary_dim / settings.dim,
        }
        sizes = {"hidden_size": settings.dim * settings.heads}
        sizes |= {"num_attention_heads": settings.heads, "num_key_value_heads": settings.kv_heads}
        config = getattr(transformers, kind)(**sizes, rope_parameters=parameters)
        config.head_dim = settings.dim
        return config

    return make


@pytest.mark.parametrize(
    ("module", "config"),
    [
        ("qwen2_vl", "Qwen2VLTextConfig"),
        ("qwen3_vl", "Qwen3VLTextConfig"),
        ("qwen3_5", "Qwen3_5TextConfig"),
        ("glm4v", "Glm4vTextConfig"),
    ],
)
def test_transformers_conforms(module, config):
    report = check(of_transformers(module, configured(config)))
    assert report.refusal() == ""
    assert {row.settings for row in report.rows} == {module}
    assert len(report.left_out) == len(PUBLISHED) - 1


def of_timm(q, k, positions, settings):
    """Its channels and frequencies, which it gives to grids alone, and its rotation."""
    if settings.layout != "interleaved":
        raise NotImplementedError("timm interleaves")
    own = create_rope_embed(
        "mrope",
        dim=settings.rotary_dim * settings.heads,
        num_heads=settings.heads,
        mrope_section=settings.sections,
        temperature=settings.base,
    )
    angles = positions.float().permute(1, 2, 0)[:, None, ..., own.axis] * own.inv_freq
    both = torch.cat([angles.sin()] * 2 + [angles.cos()] * 2, -1)

    def turn(x):
        first, rest = x.split([settings.rotary_dim, settings.dim - settings.rotary_dim], -1)
        return torch.cat([apply_rot_embed_cat(first, both, half=True), rest], -1)

    return turn(q), turn(k)


def test_timm_conforms():
    report = check(of_timm)
    assert report.refusal() == ""
    assert {row.settings for row in report.rows} == {"qwen3_vl", "qwen3_5", "genlip"}


def ours(q, k, positions, settings):
    """`cloc.models.positions.rotary`, whose pairs are neighbours."""
    encoding = MRoPE(
        settings.rotary_dim,
        settings.kv_heads,
        base=settings.base,
        sections=list(settings.sections),
        layout=settings.layout,
    )
    angles = encoding.angles(positions.permute(1, 2, 0).float())
    order = torch.stack(channels(settings), 1).flatten()

    def turn(x):
        own = angles
        if len(own[0]) > 1:
            own = own.repeat_interleave(x.shape[1] // own.shape[1], 1)
        out = x.clone()
        out[..., order] = rotate(x[..., order], own)
        return out

    return turn(q), turn(k)


def test_our_own_conforms_with_everything_that_is_published():
    report = check(ours)
    assert report.refusal() == ""
    assert {row.settings for row in report.rows} == {own.name for own in PUBLISHED}


# What is no answer, and the command.


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda q, k: q, "it gives Tensor, not (q, k)"),
        (lambda q, k: (q, k[:, :1]), "keys come back as [1, 1, "),
        (lambda q, k: (q.transpose(1, 2), k), "queries come back as [1, 33, 4, 32], not [1, 4, 33"),
        (lambda q, k: (q, None), "keys come back as NoneType, not [1, 2,"),
        (lambda q, k: (q / 0, k), "queries come back not finite"),
        (lambda q, k: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_answer_is_told_on_one_line(answer, words):
    report = check(lambda q, k, positions, settings: answer(q, k), settings=[SMALL["chunked"]])
    assert words in report.refusal()
    assert "\n" not in report.refusal()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sections": (4, 6, 7)}, r"settings chunked: sections=\[4, 6, 7\] are not .* sum is 16"),
        ({"rotary_dim": 31}, "rotary_dim=31 is no even number of the 32 channels"),
        ({"layout": "spiral"}, "layout is chunked, interleaved or head_wise"),
        ({"pairs": "neox"}, "and pairs half or adjacent"),
        ({"kv_heads": 3}, "3 key heads do not divide 4 heads"),
    ],
)
def test_settings_that_cannot_be_are_one_line(change, words):
    with pytest.raises(UserError, match=words):
        check(engines.Engine(), settings=[SMALL["chunked"]._replace(**change)])


def test_the_table_has_a_line_per_check_and_says_what_is_wrong_and_left_out():
    def some(q, k, positions, settings):
        if settings.layout == "head_wise":
            raise NotImplementedError("one layout for all heads")
        return engines.SwapsAxes()(q, k, positions, settings)

    lines = check(some, settings=list(SMALL.values())).table().splitlines()
    assert lines[0].split() == ["check", *(name for name in SMALL if name != "head_wise")]
    assert [line[:12].strip() for line in lines[1 : 1 + len(CHECKS)]] == list(CHECKS)
    assert lines[9].split() == ["axes", *["FAILS"] * 5]
    assert lines[14] == "chunked, axes: queries: rows and columns are swapped"
    assert lines[-1] == "head_wise: left out: one layout for all heads"


def test_one_that_has_none_of_them_fails():
    def none(*_):
        raise NotImplementedError

    report = check(none, settings=[SMALL["chunked"], SMALL["partial"]])
    assert report.refusal() == "it has none of chunked, partial"


def page(language):
    [text] = re.findall(rf"```{language}\n(\S*?(?:import|python -m).*?)```", PAGE.read_text(), re.S)
    return text


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_engine.py").write_text(page("python"))
    monkeypatch.syspath_prepend(tmp_path)
    *command, what = page("bash").split()
    assert command == ["python", "-m", "cloc.models.positions.rotary_conformance"]
    monkeypatch.setattr(sys, "argv", ["rotary_conformance", what])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(ROOT / "cloc/models/positions/rotary_conformance.py", run_name="__main__")
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    assert len(out.splitlines()) == 1 + len(CHECKS) + 3  # settings that it has not


def test_the_page_names_every_check_and_all_settings():
    text = PAGE.read_text()
    assert all(f"`{name}`" in text for name in [*CHECKS, *(own.name for own in PUBLISHED)])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "error: own:turn: AttributeError: module 'own' has no attribute 'turn'"),
        ("import nothing_of_that_name", "error: own:turn: ModuleNotFoundError: No module named"),
        ("turn = 3", "error: own:turn is int, not a function of q, k and positions"),
        ("def turn(q): pass", "error: own:turn: 60 of 66 checks fail, first qwen2_vl, parts: Type"),
    ],
)
def test_a_module_that_does_not_work_is_told_on_one_line(
    body, words, tmp_path, monkeypatch, capsys
):
    (tmp_path / "own.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    assert main(["own:turn"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(words)


def test_the_command_says_how_it_is_called(capsys):
    assert main([]) == 1
    usage = "error: python -m cloc.models.positions.rotary_conformance my_module:rotate\n"
    assert capsys.readouterr().err == usage
    assert main(["my_module"]) == 1
    assert "names no function; write my_module:rotate" in capsys.readouterr().err


def test_of_other_packages_it_needs_torch_alone():
    code = """if True:
        import sys, torch
        before = set(sys.modules)
        import cloc.models.positions.rotary_conformance
        new = {name.partition('.')[0] for name in set(sys.modules) - before}
        print(*sorted(new - sys.stdlib_module_names))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["cloc"], done.stderr
