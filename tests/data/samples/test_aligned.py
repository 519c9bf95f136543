"""What `meta` says of single regions stays with them, whatever leaves some out or adds others."""

import ast
import json
from pathlib import Path

import pytest

from cloc.data.samples.aligned import carried, check_masks
from cloc.data.samples.record import Record, Region, from_json, to_json
from cloc.errors import BadSample

REGIONS = tuple(Region((i, 0, i + 5, 5), f"thing {i}") for i in range(4))
MASKS = [{"size": [9, 9], "counts": "Q2"}, None, {"size": [9, 9], "counts": "a"}, None]


def twin(region, other):
    return {"region": region, "other": other, "phrase": "the one", "flipped": "the other"}


def of_scene():
    things = [{"holder": None}, {"holder": 0}, {"holder": 3}, {"holder": None}]
    return {
        "masks": MASKS,
        "twins": [twin(0, 2), twin(2, 0), twin(1, 3)],
        "pairs": [{"region": 2, "word": "on", "other": 3}, {"region": 1, "word": "in", "other": 0}],
        "objects": ["a", "b", "c", "d"],
        "things": things,
        "relations": [{"caption": "x", "flipped": "y"}],
        "license": "by",
    }


def record(meta, regions=REGIONS):
    return Record("key", b"", "png", 9, 9, regions=regions, meta=meta)


def test_lists_and_places_go_with_the_regions_that_stay():
    found = record(of_scene()).with_regions([2, 3, 0])
    assert [r.text for r in found.regions] == ["thing 2", "thing 3", "thing 0"]
    assert found.meta == {
        "masks": [MASKS[2], None, MASKS[0]],
        "twins": [twin(2, 0), twin(0, 2)],
        "pairs": [{"region": 0, "word": "on", "other": 1}],
        "objects": ["c", "d", "a"],
        "things": [{"holder": 1}, {"holder": None}, {"holder": None}],
        "relations": [{"caption": "x", "flipped": "y"}],
        "license": "by",
    }


def test_the_holder_of_a_thing_is_gone_with_it():
    assert record(of_scene()).with_regions([1]).meta["things"] == [{"holder": None}]


def test_new_regions_have_no_mask_and_move_nothing():
    added = (Region((0, 0, 2, 2), "new"), Region((0, 0, 3, 3), "newer"))
    found = record(of_scene()).with_regions(range(4), added)
    assert found.regions == REGIONS + added
    assert found.meta == {**of_scene(), "masks": [*MASKS, None, None]}
    fresh = record(of_scene()).with_regions((), added)
    assert (fresh.meta["masks"], fresh.meta["twins"]) == ([None, None], [])


def test_where_all_stay_nothing_changes():
    assert record(of_scene()).with_regions(range(4)) == record(of_scene())
    assert record({}).with_regions([1]).meta == {}
    assert record({"masks": None}).with_regions([1]).meta == {"masks": None}


def test_of_a_region_that_is_there_again_the_first_place_counts():
    assert record({"twins": [twin(0, 1)]}).with_regions([1, 0, 0]).meta["twins"] == [twin(1, 0)]


def test_scenes_may_have_further_regions_behind_those_of_their_things():
    meta = {"objects": ["a", "b"], "twins": [twin(0, 1)]}
    assert record(meta).with_regions([1, 2, 3]).meta == {"objects": ["b"], "twins": []}


@pytest.mark.parametrize(
    "meta",
    [
        {"objects": ["a", "b"], "things": "x"},  # no scene
        {"objects": list("abcdefgh"), "twins": []},  # more than regions
        {"pairs": [[0, 3], "x", {"region": 0}, {"region": True, "other": 0}]},
        {"twins": "two"},
    ],
)
def test_what_other_people_call_alike_stays(meta):
    assert record(meta).with_regions([1]).meta == meta


@pytest.mark.parametrize(("given", "says"), [(MASKS[:3], "3 masks for 4"), ("x", "'x' for 4")])
def test_masks_that_are_not_one_for_each_are_refused_before_they_could_match_by_chance(given, says):
    with pytest.raises(BadSample, match=rf"^record key: meta\.masks has {says} regions, expected"):
        record({"masks": given}).with_regions([0, 1, 2])
    with pytest.raises(BadSample, match="one or null for each"):
        check_masks(given, "here", count=4)


def test_what_is_given_stays_as_it_was():
    meta = of_scene()
    carried(meta, "here", kept=[3], count=4, added=1)
    assert meta == of_scene()


def read(meta):
    data = to_json(record(meta))
    data["regions"][1]["box"] = [5, 5, 1, 1]
    return from_json("key", b"", "png", json.dumps(data), "here")


def test_a_region_that_reading_leaves_out_takes_its_mask_along():
    found = read(of_scene())
    assert [p.reason for p in found.problems] == ["box_reversed"]
    assert found.meta["masks"] == [MASKS[0], MASKS[2], None]
    assert found.meta["twins"] == [twin(0, 1), twin(1, 0)]


def test_reading_leaves_out_meta_whose_masks_fit_no_longer():
    found = read({"masks": MASKS[:3], "license": "by"})
    assert [p.reason for p in found.problems] == ["box_reversed", "meta"]
    assert found.meta == {}


# Files that set `regions` of a record anew, each one in its place: none goes, none is added.
IN_PLACE = {
    "data_prep/stages/relations.py",
    "data_prep/stages/negatives/rules.py",
    "data_prep/stages/negatives_endpoint.py",
    # scenes: "the places of regions that `meta` speaks of stay", and no `meta` without regions
    "cloc/scenes/generate.py",
    "cloc/data/samples/record.py",  # with_regions itself
}


def test_nobody_else_changes_the_regions_of_a_record():
    root = Path(__file__).parents[3]
    found = set()
    for path in (*root.glob("cloc/**/*.py"), *root.glob("data_prep/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func if isinstance(node, ast.Call) else None
            if getattr(name, "id", getattr(name, "attr", "")) in ("replace", "_replace"):
                if any(keyword.arg == "regions" for keyword in node.keywords):
                    found.add(path.relative_to(root).as_posix())
    assert found == IN_PLACE
