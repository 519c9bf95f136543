"""`limit` reaches every benchmark, and what cannot keep to it says so."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_class

from cloc.cli.config.folders import CONFIGS
from cloc.errors import UserError
from cloc.eval.benchmarks import clipself_macc, fg_ovd, refcoco, zero_shot
from cloc.eval.benchmarks.wherebench import WhereBench
from cloc.eval.partial import limited, spread
from cloc.eval.runner import has_own_data
from tests.helpers.oracle import Constant
from tests.helpers.region_mocks import Colours
from tests.helpers.suites import EMPTY, SUITES, Same, benchmark, lay_out

REGIONS = Path(__file__).parent / "regions"


def test_evenly_from_the_first_to_the_last_and_in_their_order():
    assert spread("abcdefghij", 3) == ["a", "d", "g"]
    assert spread("abcdefghij", 9) == list("abcdefghi")
    assert spread("abc", None) == spread("abc", 3) == spread("abc", 7) == ["a", "b", "c"]


def shipped():
    for path in sorted((CONFIGS / "benchmarks").glob("*.yaml")):
        parts = yaml.safe_load(path.read_text())
        parts.pop("defaults", None)  # of the file that names others
        for name, one in parts.items():
            yield name, get_class(one["_target_"])


@pytest.mark.parametrize(("name", "kind"), list(shipped()))
def test_every_shipped_benchmark_with_its_own_data_has_a_limit(name, kind):
    if has_own_data(kind):
        assert "limit" in {field.name for field in fields(kind)}


def test_one_without_is_refused_because_its_figures_would_be_called_partial():
    @dataclass
    class Theirs:
        own_data = True

    assert limited(Theirs(), None, name="theirs") == Theirs()
    for other in (Theirs(), object()):
        with pytest.raises(UserError, match="limit=5: benchmark theirs reads its own data and has"):
            limited(other, 5, name="theirs")


def least(found):
    return {name: len(cases.values) for name, cases in found.figures.cases.items()}


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_asks_so_many_cases(name, tmp_path):
    known = lay_out(name, tmp_path)
    whole = benchmark(name, tmp_path)
    found = limited(whole, 1, name=name).run(Same(known), EMPTY)
    assert least(found)["accuracy"] == 1 < least(whole.run(Same(known), EMPTY))["accuracy"]


@pytest.mark.parametrize(
    ("made", "metric", "cases"),
    [
        (fg_ovd.FgOvd(root=f"{REGIONS}/fg_ovd", levels=["hard"], negatives=2), "hard", 1),
        (clipself_macc.ClipselfMacc(root=f"{REGIONS}/panoptic"), "thing_top1", 1),
        (refcoco.RefcocoGtBoxes(root=f"{REGIONS}/referring", sets=["refcoco"]), "refcoco_val", 1),
        (refcoco.RefcocoProposals(root=f"{REGIONS}/referring", sets=["refcoco"]), "refcoco_val", 1),
        (refcoco.RefcocoBoxHead(root=f"{REGIONS}/referring", sets=["refcoco"]), "refcoco_val", 1),
        (zero_shot.ZeroShot(root=f"{REGIONS}/zero_shot/folders"), "top1", 1),
        (zero_shot.ZeroShotWds(root=f"{REGIONS}/zero_shot/wds"), "top1", 1),
    ],
)
def test_a_benchmark_of_regions_or_classes_looks_at_so_many_pictures(made, metric, cases):
    whole = least(made.run(Colours(), EMPTY))[metric]
    part = least(replace(made, limit=1).run(Colours(), EMPTY))[metric]
    assert cases <= part < whole


def test_wherebench_draws_so_many_pairs():
    found = WhereBench(pairs=5, size=64, limit=2).run(Constant(), EMPTY)
    assert least(found)["left_right_group"] == 2
