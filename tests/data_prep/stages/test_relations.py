"""Relations from boxes: against the truth of scenes, and every refusal with its reason."""

import dataclasses
import json
from random import Random

import numpy as np
import pytest

from cloc.data.samples.orientation import to_stored
from cloc.data.samples.record import Caption, Record, Region, from_json, to_json
from cloc.data.samples.relations import FLIPPED, SYNONYMS
from cloc.errors import UserError
from cloc.scenes.words import relational_name
from data_prep.stage import Notes
from data_prep.stages.relations import Relations
from tests.helpers.depth_models import save_depth_anything
from tests.helpers.rle import compressed
from tests.helpers.scenes import SENTENCE, SIZE, Pixels, encoded, make_layouts

PLAIN = {
    **{text: word for word, said in SYNONYMS.items() for text in said},
    "higher in the picture than": "above",
    "lower in the picture than": "below",
}


def plain(text):
    """The phrase in the words that the truth of scenes knows."""
    for said in sorted(PLAIN, key=len, reverse=True):
        if f" {said} " in text:
            return text.replace(f" {said} ", f" {PLAIN[said]} ")
    raise AssertionError(text)


def things(*given, size=(200, 100), image=b"", **fields):
    """A record of (label, box)."""
    regions = tuple(Region(box, f"a {label}", label=label) for label, box in given)
    return Record("key", image, "png", *size, regions=regions, **fields)


CUP, LAPTOP = ("cup", (10, 40, 30, 60)), ("laptop", (80, 30, 120, 70))


def told(record, **settings):
    notes = Notes()
    (found,) = Relations(share=1.0, **settings)([record], notes)
    return found, notes


def reasons(notes):
    return {reason: n for (what, reason), n in notes.counts.items() if what == "relations"}


class Painted:
    """Depths that are known: what is painted later is nearer."""

    def __init__(self, maps):
        self.maps = maps

    def prepare(self, image):
        return None, (0,)

    def __call__(self, inputs, sizes):
        return [self.maps.pop(0) for _ in inputs]

    def describe(self):
        return {}


def as_record(layout, scene, number, *, masks):
    """A scene of which nothing but boxes and labels is known, and its masks where they are."""
    regions = tuple(Region(t.box, t.kind.name, label=t.kind.name) for t in layout.things)
    meta = {}
    if masks:
        meta["masks"] = [compressed(mask) for mask in visible(scene)]
    return Record(str(number), encoded(scene.final), "png", SIZE, SIZE, regions=regions, meta=meta)


def visible(scene):
    found = []
    for i, mask in enumerate(scene.covers):
        later = np.any(scene.covers[i + 1 :], 0) if scene.covers[i + 1 :] else False
        found.append(mask & ~later)
    return found


def painted(scene):
    near = np.zeros((SIZE, SIZE), np.float32)
    for i, mask in enumerate(scene.covers):
        near[mask] = 1 + i
    return near


@pytest.mark.parametrize("known", ["boxes", "masks", "depths", "masks and depths"])
def test_against_the_truth_of_scenes(known):
    """Truth is recomputed from pixels, by rules of its own (`tests.helpers.scenes.Pixels`): a
    phrase is right where it is true of its region, may be true of no other of its name, and its
    flipped form may not be true of it. What is nearer is what was painted later."""
    layouts = make_layouts(200)
    scenes = [Pixels(layout) for layout in layouts]
    records = [
        as_record(layout, scene, i, masks="masks" in known)
        for i, (layout, scene) in enumerate(zip(layouts, scenes, strict=True))
    ]
    stage = Relations(share=1.0, captions=2)
    if "depths" in known:
        stage.depth, stage.batch_size = Painted([painted(scene) for scene in scenes]), 1
    verdicts, able, named, heard = [], 0, 0, set()
    rng = Random(0)
    for layout, scene, record in zip(layouts, scenes, stage(records, Notes()), strict=True):
        for place, (region, thing) in enumerate(zip(record.regions, layout.things, strict=True)):
            can = relational_name(rng, layout, thing) is not None
            is_named = region.source == "relations"
            able, named = able + can, named + (can and is_named)
            if is_named:
                heard.add(SENTENCE.fullmatch(plain(region.text))[2])
                verdicts.append(is_right(scene, region.text, region.negatives[0], {place}))
        for said in record.meta.get("relations", ()):
            verdicts.append(is_right(scene, said["caption"], said["flipped"], None))
    precision, recall = np.mean(verdicts), named / able
    print(f"\n{known}: precision {precision:.4f} of {len(verdicts)}, recall {recall:.3f} of {able}")
    assert precision >= 0.98
    assert recall > 0.5
    expected = {"left of", "right of", "above", "below"}
    expected |= {"inside"} if "masks" in known else set()
    assert heard == expected | ({"in front of", "behind"} if "depths" in known else set())


def is_right(scene, text, flipped, meant):
    """`meant` are the objects that it is said of, None for a caption, which is of both names."""
    text, flipped = plain(text), plain(flipped)
    noun, word, anchor = SENTENCE.fullmatch(text).groups()
    meant = meant or set(scene.matches(noun))
    if len(scene.matches(anchor)) != 1 or len(meant) != 1:
        return False
    if word in ("in front of", "behind"):
        return nearer(scene, text) == meant and flipped == text.replace(word, FLIPPED[word])
    if scene.subjects(text, test=scene.holds) != meant:
        return False
    if word == "inside":
        return flipped.replace(" out of ", " outside ") == text.replace("inside", "outside")
    may = scene.subjects(text, test=scene.may_hold)
    return may == meant and not meant & scene.subjects(flipped, test=scene.may_hold)


def nearer(scene, text):
    """Objects of the name that stand in front of the other one, or behind: painted after or before
    it, in columns of the picture that it has, too."""
    noun, word, anchor = SENTENCE.fullmatch(text).groups()
    (other,) = scene.matches(anchor)
    columns = scene.covers[other].any(0)
    return {
        i
        for i in scene.matches(noun)
        if (i > other if word == "in front of" else i < other)
        and (scene.covers[i].any(0) & columns).any()
    }


def test_a_region_is_named_and_keeps_what_it_was():
    record = things(CUP, LAPTOP, captions=(Caption("x"),), meta={"a": 1})
    before = dataclasses.replace(record.regions[0], negatives=("a bowl",))
    record = dataclasses.replace(record, regions=(before, record.regions[1]))
    found, notes = told(record)
    cup, laptop = found.regions
    assert plain(cup.text) == "the cup left of the laptop"
    assert plain(laptop.text) == "the laptop right of the cup"
    assert plain(cup.negatives[0]) == "the cup right of the laptop"
    assert cup.negatives[1:] == ("a bowl",)
    assert (cup.box, cup.label, cup.source) == (CUP[1], "cup", "relations")
    assert found.captions[0] == Caption("x")
    assert found.captions[1].source == "relations"
    assert [c.text for c in found.captions[1:]] == [r["caption"] for r in found.meta["relations"]]
    assert found.meta["a"] == 1
    assert not notes.counts


def test_the_words_of_a_phrase_and_its_flipped_form_are_alike():
    """ "to the left of" against "to the right of": one says as much as the other."""
    heard = set()
    for number in range(30):
        record = dataclasses.replace(things(CUP, LAPTOP), key=str(number))
        text = told(record)[0].regions[0]
        heard.add(text.text)
        assert text.text.replace("left", "right") == text.negatives[0]
    assert heard == {"the cup left of the laptop", "the cup to the left of the laptop"}


def test_captions_have_the_right_article():
    record = things(("umbrella", CUP[1]), ("unicycle", LAPTOP[1]))
    text = plain(told(record)[0].captions[0].text)
    assert text in ("an umbrella left of a unicycle", "a unicycle right of an umbrella")


def test_a_label_that_has_an_article_or_capitals_is_called_without():
    found, _ = told(things(("The Cup", CUP[1]), ("Laptop", LAPTOP[1])))
    assert plain(found.regions[0].text) == "the cup left of the laptop"


@pytest.mark.parametrize(
    ("rival", "named"),
    [((150, 40, 170, 60), True), ((40, 40, 60, 60), False), ((90, 80, 110, 100), False)],
)
def test_look_alikes_are_told_apart_only_where_the_other_is_clearly_elsewhere(rival, named):
    found, notes = told(things(CUP, ("cup", rival), LAPTOP))
    assert (
        (plain(found.regions[0].text) == "the cup left of the laptop")
        if named
        else (found.regions[0].source == "")
    )
    assert (reasons(notes).get("rivals", 0) > 0) != named
    assert not found.captions  # "a cup left of a laptop" is true, and flipped, too
    assert len(found.meta["twins"]) == 2 * named if "twins" in found.meta else not named
    if named:
        one, other = found.meta["twins"]
        assert (one["region"], one["other"], other["region"], other["other"]) == (0, 1, 1, 0)
        assert one["phrase"] == other["flipped"] == "the cup left of the laptop"


def test_a_coffee_cup_is_a_cup():
    """So "the cup" may mean it; "the coffee cup" means no other cup."""
    given = things(CUP, ("coffee cup", (40, 40, 60, 60)), LAPTOP)
    cup, coffee, laptop = told(given)[0].regions
    assert cup.source == ""
    assert plain(coffee.text) == "the coffee cup left of the laptop"
    assert plain(laptop.text).endswith("right of the coffee cup")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (things(("", CUP[1]), LAPTOP), "no_label"),
        (things(("skis", CUP[1]), LAPTOP), "plural"),
        (things(("people", CUP[1]), LAPTOP), "plural"),
        (things(CUP, LAPTOP, meta={"not_exhaustive": ["cup"]}), "not_exhaustive"),
        (things(("cup", (10, 40, 14, 60)), LAPTOP), "small"),
        (things(CUP, ("cup", LAPTOP[1])), "no_anchor"),
        (things(CUP, ("laptop", (15, 40, 45, 60))), "meets"),
        (things(CUP, ("laptop", (45, 85, 75, 99))), "margin"),  # as far below as beside
        (things(CUP, ("laptop", (10, 61, 40, 90)), size=(100, 100)), ""),
        (things(CUP, ("laptop", (10, 60, 40, 90)), size=(100, 100)), "margin"),  # they touch
    ],
)
def test_what_is_not_sure_is_refused_with_its_reason(record, reason):
    found, notes = told(record)
    assert (found == record) == bool(reason)
    assert (reason in reasons(notes)) == bool(reason)
    if reason:
        example = next(e for e in notes.examples if e.reason == reason)
        assert example.box in [region.box for region in record.regions]


def test_a_small_one_is_not_spoken_of_and_still_a_rival():
    record = things(CUP, ("cup", (40, 48, 44, 52)), LAPTOP)
    found, notes = told(record)
    assert found == record
    assert reasons(notes) == {"small": 1, "rivals": 1, "no_anchor": 1}


def test_above_and_below_need_depths():
    """What is farther away stands higher up as well: without depths the words say so, and with
    them such a pair is refused."""
    record = things(("clock", (40, 10, 60, 30)), ("oven", (30, 60, 70, 95)), size=(100, 100))
    found, _ = told(record)
    assert found.regions[0].text == "the clock higher in the picture than the oven"
    assert found.regions[0].negatives == ("the clock lower in the picture than the oven",)
    record = dataclasses.replace(record, image=encoded(np.zeros((100, 100, 3))))
    for nearer, level in ((0.0, True), (3.0, True), (4.0, False), (-4.0, False)):
        depths = np.zeros((100, 100), np.float32)
        depths[50:] = nearer
        depths[:, :10], depths[:, 90:] = 9.0, -9.0  # a range of 18, of which 3.6 are the margin
        stage, notes = Relations(share=1.0), Notes()
        stage.depth = Painted([depths])
        (found,) = stage([record], notes)
        assert reasons(notes) == ({} if level else {"depth": 2})
        text = found.regions[0].text
        assert text in ("the clock above the oven", "the clock higher up than the oven") or (
            text == "a clock" and not level
        )


def test_look_alikes_before_and_behind_a_thing_are_twins_too():
    record = things(
        ("cup", (20, 40, 40, 80)),
        ("cup", (60, 20, 80, 60)),
        ("couch", (10, 30, 90, 70)),
        size=(100, 100),
        image=encoded(np.zeros((100, 100, 3))),
    )
    depths = np.zeros((100, 100), np.float32)
    depths[40:80, 20:40], depths[20:60, 60:80] = 5.0, -5.0
    stage = Relations(share=1.0)
    stage.depth = Painted([depths])
    (found,) = stage([record], Notes())
    front, behind = "the cup in front of the couch", "the cup behind the couch"
    assert found.meta["twins"] == [
        {"region": 0, "other": 1, "phrase": front, "flipped": behind},
        {"region": 1, "other": 0, "phrase": behind, "flipped": front},
    ]


def test_boxes_are_looked_at_upright():
    """Stored lying on its side, the cup is below the laptop."""
    upright = things(CUP, LAPTOP)
    for code in range(1, 9):
        size = (100, 200) if code >= 5 else (200, 100)
        boxes = to_stored(np.array([r.box for r in upright.regions]), *size, code)
        regions = tuple(
            dataclasses.replace(r, box=tuple(box.tolist()))
            for r, box in zip(upright.regions, boxes, strict=True)
        )
        turned = dataclasses.replace(
            upright, regions=regions, width=size[0], height=size[1], orientation=code
        )
        assert plain(told(turned)[0].regions[0].text) == "the cup left of the laptop"


def on_a_table(label):
    """A cup whose lower half is on a table, and its masks."""
    cup, table = np.zeros((2, 100, 200), bool)
    cup[30:60, 80:100] = True
    table[40:90, 20:180] = True
    table &= ~cup
    record = things(("cup", (80, 30, 100, 60)), (label, (20, 40, 180, 90)))
    meta = {"masks": [compressed(cup), compressed(table)]}
    return dataclasses.replace(record, meta=meta)


@pytest.mark.parametrize(
    ("label", "word"),
    [
        *(("dining table", "on"), ("bowl", "inside"), ("bus", "")),
        # A bottle on the rim of a sink, and one behind a glass, look just so: seen in photographs.
        *(("sink", ""), ("wine glass", "")),
    ],
)
def test_what_masks_show_to_be_held(label, word):
    found, notes = told(on_a_table(label))
    if word:
        assert plain(found.regions[0].text) == f"the cup {word} the {label}"
        opposite = {"on": ("under", "underneath"), "inside": ("outside", "out of")}[word]
        assert any(f" {text} " in found.regions[0].negatives[0] for text in opposite)
    else:
        assert found.regions[0].source == ""
        assert reasons(notes) == {"held": 2}


@pytest.mark.parametrize("bowls", [1, 2])
@pytest.mark.parametrize("has_holes", [False, True])  # COCO's outlines cover what is on a table
def test_what_is_in_a_bowl_on_a_table_is_not_said_to_be_on_the_table(bowls, has_holes):
    """Nor is it on, or inside, the carpet under that table."""
    spoon, bowl, table, carpet, other = np.zeros((5, 100, 200), bool)
    spoon[30:50, 95:100] = True
    bowl[40:60, 80:120] = True
    other[42:60, 140:160] = True
    table[35:80, 40:180] = True
    carpet[20:100, 10:200] = True
    masks, boxes = [], []
    for i, mask in enumerate(given := (spoon, bowl, other, table, carpet)):
        rows, columns = np.nonzero(mask)
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        masks.append(mask & ~np.any(given[:i], 0) if i and has_holes else mask)
    names = ("spoon", "bowl", "bowl" if bowls == 2 else "cake", "dining table", "carpet")
    record = things(*zip(names, (tuple(map(float, box)) for box in boxes), strict=True))
    record = dataclasses.replace(record, meta={"masks": [compressed(mask) for mask in masks]})
    found, notes = told(record)
    said = [plain(r.text) if r.source == "relations" else "" for r in found.regions]
    assert said[0] == ("the spoon inside the bowl" if bowls == 1 else "")
    assert said[3] == "the dining table on the carpet"
    assert not any("carpet" in text for text in said[:3])
    if bowls == 1:
        assert said[1:3] == ["the bowl on the dining table", "the cake on the dining table"]
    assert reasons(notes)["held"] >= 4


def test_share_captions_and_seed():
    records = [dataclasses.replace(things(CUP, LAPTOP), key=str(i)) for i in range(200)]
    found = Relations(share=0.3, captions=0)(records, Notes())
    named = [region.source == "relations" for record in found for region in record.regions]
    assert 0.24 < np.mean(named) < 0.36
    assert not any(record.captions for record in found)
    assert found == Relations(share=0.3, captions=0)(records[::-1], Notes())[::-1]
    other = Relations(share=0.3, captions=0, seed=1)(records, Notes())
    assert [r.regions for r in other] != [r.regions for r in found]


def test_what_it_writes_can_be_read():
    found, _ = told(things(CUP, ("cup", (150, 40, 170, 60)), LAPTOP))
    read = from_json("key", b"", "png", json.dumps(to_json(found)), "test")
    assert not read.problems
    assert read.meta == found.meta


def test_with_a_depth_model(tmp_path):
    """A small random one: the way of a picture through it, and what cannot be decoded."""
    folder = save_depth_anything(tmp_path / "depth")
    pixels = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
    good = dataclasses.replace(things(CUP, LAPTOP), image=encoded(pixels))
    alone = dataclasses.replace(things(CUP), key="alone")
    broken = dataclasses.replace(good, key="broken", image=b"x")
    notes = Notes()
    stage = Relations(share=1.0, model=str(folder))
    found = stage([good, alone, broken], notes)
    assert [record.key for record in found] == ["key", "alone"]
    assert notes.counts["samples", "image"] == 1
    assert plain(found[0].regions[0].text) == "the cup left of the laptop"
    said = stage.describe()
    assert json.loads(json.dumps(said)) == said
    assert (said["larger_is"], said["margins"]["apart"]) == ("nearer", 8)
    assert len(said["digest"]) == 64


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([things(), things()], "the shard of key is of no use.*has no regions; give annotated"),
        ([things(("", CUP[1]))], "none of its 1 regions has a label; give annotated boxes"),
    ],
)
def test_a_shard_without_boxes_or_labels_is_one_line(records, message):
    with pytest.raises(UserError, match=message) as error:
        Relations()(records, Notes())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 1.5}, "share=1.5"),
        ({"captions": -1}, "captions=-1"),
        ({"side_at_least": 1.0}, "side_at_least=1.0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"model": "no/such/folder/here"}, "model=no/such/folder/here cannot be loaded"),
        ({"larger_is": "nearer"}, "larger_is=nearer is of a depth model; give its model="),
    ],
)
def test_settings_that_cannot_work_are_one_line(settings, message):
    with pytest.raises(UserError, match=message) as error:
        Relations(**settings)
    assert "\n" not in str(error.value)
