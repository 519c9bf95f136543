"""The keys of `metrics.json`, and what is left out of them."""

import sys

import pytest

from cloc.errors import UserError
from cloc.eval.benchmarks.grounding import Grounding
from cloc.eval.benchmarks.image_text_retrieval import ImageTextRetrieval
from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.benchmarks.region_retrieval import RegionRetrieval
from cloc.eval.benchmarks.relational_regions import RelationalRegions
from cloc.eval.benchmarks.spatial_relations import SpatialRelations
from cloc.eval.extractors import crop
from cloc.eval.runner import evaluate, refuse_empty
from tests.helpers.oracle import Constant, Oracle, example, split

ONE = example(("red", (0, 0, 8, 8)), ("blue", (16, 0, 32, 16)), captions=["red left of blue"])
SPLITS = [split(ONE), split(ONE, name="novel")]
BENCHMARKS = {"region_classification": RegionClassification(), "grounding": Grounding()}


def test_extractor_and_split_are_suffixes_and_val_has_none():
    found = evaluate(
        {"": Oracle(), "crop": crop.extractor(Oracle()), "roi": Oracle()},
        splits=SPLITS,
        benchmarks=BENCHMARKS,
    )
    assert list(found) == [
        "region_classification",
        "region_classification@crop",
        "region_classification@roi",
        "grounding",  # once: the other two do not ground, or ground as the first
        "region_classification/novel",
        "region_classification@crop/novel",
        "region_classification@roi/novel",
        "grounding/novel",
    ]
    assert found["grounding"]["acc@0.5"] == 1


def test_a_plain_clip_without_a_region_head_is_measured_by_the_other_extractors():
    class Plain(Oracle):
        def regions(self, x, boxes, valid):
            raise UserError("this model has no region head")

    found = evaluate(
        {"": Plain(), "crop": crop.extractor(Plain())},
        splits=SPLITS[:1],
        benchmarks=BENCHMARKS,
        own_regions=False,
    )
    assert list(found) == ["region_classification@crop", "grounding"]


def test_what_could_not_be_measured_has_no_key():
    found = evaluate({"": Constant(grounds=False)}, splits=SPLITS[:1], benchmarks=BENCHMARKS)
    assert list(found) == ["region_classification"]


def test_each_result_is_of_its_own_embedder_and_split():
    other = split(example(("red", (0, 0, 8, 8))), name="novel")
    found = evaluate(
        {"": Constant(), "crop": Oracle()},
        splits=[SPLITS[0], other],
        benchmarks={"region_retrieval": RegionRetrieval(ks=(1,))},
    )
    first = {name: values["r2t_r@1"] for name, values in found.items()}
    assert first == {
        "region_retrieval": 0,
        "region_retrieval@crop": 1,
        "region_retrieval/novel": 1,  # a single phrase and a single box: nothing to confuse
        "region_retrieval@crop/novel": 1,
    }


@pytest.mark.parametrize(
    ("benchmark", "with_regions"),
    [
        (RegionClassification, True),
        (RegionRetrieval, True),
        (RelationalRegions, True),
        (Grounding, False),
        (ImageTextRetrieval, False),
        (SpatialRelations, False),
    ],
)
def test_benchmarks_without_region_embeddings_run_for_the_own_embedder_alone(
    benchmark, with_regions
):
    assert benchmark.uses_regions is with_regions


def test_every_metric_has_its_chance_line():
    twins = {"twins": [{"region": 0, "other": 1, "phrase": "red", "flipped": "blue"}]}
    relations = {"relations": [{"caption": "red left of blue", "flipped": "red right of blue"}]}
    every = [RegionClassification, RegionRetrieval, RelationalRegions]
    every += [Grounding, ImageTextRetrieval, SpatialRelations]
    found = evaluate(
        {"": Oracle()},
        splits=[split(ONE._replace(meta=twins | relations))],
        benchmarks={kind.__name__: kind() for kind in every},
    )
    assert len(found) == 6
    lines = ("_chance", "_centre_box", "_random_box")
    for values in found.values():
        for name in values:
            assert name.endswith(lines) or f"{name}_chance" in values


def test_quiet_where_stdout_is_no_terminal(capsys):
    evaluate({"": Oracle()}, splits=SPLITS[:1], benchmarks=BENCHMARKS)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False)])
def test_a_bar_where_stdout_is_a_terminal(monkeypatch, capsys, progress, shown):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    evaluate({"": Oracle()}, splits=SPLITS[:1], benchmarks=BENCHMARKS, progress=progress)
    assert ("evaluated" in capsys.readouterr().out) is shown


def test_the_runs_own_embedder_is_asked_for():
    with pytest.raises(UserError, match=r"\['crop'\] without the run's own, named ''; .* give"):
        evaluate({"crop": Oracle()}, splits=SPLITS, benchmarks=BENCHMARKS)


def test_two_splits_of_one_name_are_refused():
    with pytest.raises(UserError, match="share a name, so one would hide the other; rename one"):
        evaluate({"": Oracle()}, splits=[SPLITS[0]] * 2, benchmarks=BENCHMARKS)


def test_a_split_on_which_nothing_could_be_measured_is_named_with_what_it_lacks():
    found = evaluate({"": Oracle()}, splits=SPLITS, benchmarks=BENCHMARKS)
    refuse_empty(found, SPLITS, ["x"])
    bare = split(example(captions=["red"]), name="bare")
    more = evaluate({"": Oracle()}, splits=[*SPLITS, bare], benchmarks=BENCHMARKS)
    says = (
        r"^split bare: no benchmark had .* \(1 samples, 1 captions, 0 regions, .*; nothing was wr"
    )
    with pytest.raises(UserError, match=says):
        refuse_empty(more, [*SPLITS, bare], ["x"])
    with pytest.raises(UserError, match="split val: no benchmark had"):
        refuse_empty({}, SPLITS, ["x"])
    says = r"^benchmarks=\[x,y\]: none has anything to measure of this encoder, .* Give others"
    with pytest.raises(UserError, match=says):
        refuse_empty({}, [], ["x", "y"])


class Worse(Oracle):
    """It takes each box for the next one, grounds nowhere, and tells what it was asked."""

    def __init__(self, asked):
        self.asked = asked

    def images(self, x):
        self.asked.append("images")
        return super().images(x)

    def texts(self, texts):
        self.asked.append("texts")
        return super().texts(texts)

    def regions(self, x, boxes, valid):
        self.asked.append("regions")
        return super().regions(x, boxes, valid).roll(1, 1)

    def ground(self, x, phrases):
        self.asked.append("ground")
        return [0 * boxes for boxes in super().ground(x, phrases)]


def test_shuffled_patches_stand_beside_every_figure_and_cost_what_they_must():
    asked = {"patches": [], "tokens": []}
    found = evaluate(
        {"": Oracle()},
        splits=SPLITS[:1],
        benchmarks={**BENCHMARKS, "image_text_retrieval": ImageTextRetrieval()},
        permuted={kind: {"": Worse(own)} for kind, own in asked.items()},
    )
    for key, metric in (("region_classification", "top1"), ("grounding", "acc@0.5")):
        assert found[key][metric] == 1
        for kind in ("patches", "tokens"):
            assert found[key][f"{metric}_permuted_{kind}"] < 1
            assert found[key][f"{metric}_psi_{kind}"] > 0
    whole = found["image_text_retrieval"]
    assert whole["i2t_r@1_permuted_tokens"] == whole["i2t_r@1"]  # by construction
    assert whole["i2t_r@1_psi_tokens"] == 0
    # so it is not asked, and words are those of the encoder itself
    assert {kind: set(own) for kind, own in asked.items()} == {
        "patches": {"images", "regions", "ground"},
        "tokens": {"regions", "ground"},
    }


def test_without_it_nothing_is_asked_twice_and_no_line_stands_there():
    found = evaluate({"": Oracle()}, splits=SPLITS[:1], benchmarks=BENCHMARKS)
    assert not [m for values in found.values() for m in values if "permuted_" in m or "psi" in m]
