"""The page of an evaluation: boxes that are right and wrong, and what they were taken for."""

from dataclasses import replace

import pytest
import torch

from cloc.cli.pages.cases import write_cases
from cloc.data.eval_splits import read_split
from cloc.data.samples.record import Record, Region
from cloc.data.shards.writer import write_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.eval.measured import Figures, Measured, cases_of
from cloc.eval.pictures import case_names
from tests.helpers.shards import encode, flat

BOX = (1.0, 1.0, 7.0, 7.0)


def made(folder, labels):
    """A split with a picture of each label, and the names of its cases."""
    records = [
        Record(str(i), encode(flat(8, 8)), "png", 8, 8, regions=(Region(BOX, f"a {w}", label=w),))
        for i, w in enumerate(labels)
    ]
    write_shards(records, folder, samples_per_shard=99, extra={"classes": {}})
    split = read_split(str(folder), name="val", parse=parse)
    return split, [name for example in split.examples for name in case_names(example)]


def test_a_page_shows_boxes_that_are_right_and_wrong(tmp_path):
    red = Region((1.0, 1.0, 7.0, 7.0), "a red thing", label="red <b>")
    records = [
        Record(str(i), encode(flat(8, 8)), "png", 8, 8, regions=(red,) * (i + 1)) for i in range(3)
    ]
    write_shards(records, tmp_path / "set", samples_per_shard=3, extra={"classes": {}})
    split = read_split(str(tmp_path / "set"), name="val", parse=parse)
    names = [name for example in split.examples for name in case_names(example)]
    right = torch.tensor([True, False, False, True, True, True])
    found = Measured(Figures(cases={"top1": cases_of(right, names)}))
    captions = Measured(Figures(cases={"x": cases_of(right, "abcdef")}))
    results = {"boxes@crop": found, "captions": captions}
    page = tmp_path / "cases.html"
    assert write_cases(page, results, [split], shown=4, title="x <y>")
    html = page.read_text()
    assert html.count("<b>wrong</b>") == html.count("<b>right</b>") == 2
    assert "boxes@crop: top1 0.667" in html
    assert "captions" not in html
    assert "red &lt;b&gt; (4 of 6)" in html
    assert "x &lt;y&gt;" in html
    assert not write_cases(tmp_path / "none.html", {}, [split], shown=4, title="x")
    assert not (tmp_path / "none.html").exists()
    assert not write_cases(page, {}, [split], shown=4, title="x")
    assert not page.exists()  # it was of figures that are gone
    with pytest.raises(UserError, match=r"cases\.html cannot be written \(No such file or direct"):
        write_cases(tmp_path / "no/cases.html", results, [split], shown=4, title="x")


def test_worst_confused_and_best_are_shown_with_what_a_box_was_taken_for(tmp_path):
    labels = ["cat"] * 4 + ["dog"] * 4
    split, names = made(tmp_path / "set", labels)
    margins = torch.tensor([-0.1, -0.2, -0.3, 0.9, 0.1, -0.8, 0.2, 0.3])
    taken_for = ["dog", "dog", "dog", "dog", "cat", "cow", "cat", "cat"]
    top1 = replace(cases_of(margins > 0, names), margins=margins, nearest_wrong=taken_for)
    results = {"boxes": Measured(Figures(cases={"top1": top1}))}
    assert write_cases(tmp_path / "a.html", results, [split], shown=3, title="x")
    html = (tmp_path / "a.html").read_text()
    assert shots(html) == [
        ("worst", "dog, taken for cow", "5:0"),
        ("confused", "cat, taken for dog", "2:0"),
        ("best", "cat", "3:0"),
    ]
    assert " ".join(html.split()).count("cat as dog (3), dog as cow (1)") == 1


@pytest.mark.parametrize("shown", [1, 2, 3, 5, 8, 20])
@pytest.mark.parametrize("right", [0, 1, 4, 8])
def test_so_many_are_shown_whatever_is_right_and_none_twice(tmp_path, shown, right):
    split, names = made(tmp_path / "set", ["cat"] * 8)
    margins = torch.tensor([1.0] * right + [-1.0] * (8 - right))
    top1 = replace(cases_of(margins > 0, names), margins=margins, nearest_wrong=["dog"] * 8)
    results = {"boxes": Measured(Figures(cases={"top1": top1}))}
    write_cases(tmp_path / "a.html", results, [split], shown=shown, title="x")
    found = [name for _, _, name in shots((tmp_path / "a.html").read_text())]
    assert len(found) == len(set(found)) == min(shown, 8)


def test_no_box_is_held_against_every_pair_of_classes(tmp_path):
    compared = []

    class Label(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            compared.append(1)
            return str.__eq__(self, other)

    count = 60  # each mixed up with another class: as many pairs as boxes
    split, names = made(tmp_path / "set", list(map(str, range(count))))
    examples = [e._replace(labels=tuple(map(Label, e.labels))) for e in split.examples]
    taken_for = [f"not {i}" for i in range(count)]
    margins = -torch.arange(1.0, count + 1)
    top1 = replace(cases_of(margins > 0, names), margins=margins, nearest_wrong=taken_for)
    results = {"boxes": Measured(Figures(cases={"top1": top1}))}
    write_cases(
        tmp_path / "a.html", results, [split._replace(examples=examples)], shown=3, title=""
    )
    assert len(compared) < 20 * count


def shots(html):
    """Why a picture is shown, the words beneath it, and which box it is."""
    found = []
    for part in html.split("<figcaption")[1:]:
        why, rest = part.split("<b>")[1].split("</b>", 1)
        words, rest = rest.split("<div", 1)
        found.append((why, " ".join(words.split()), rest.split(">", 1)[1].split("</div>")[0]))
    return found
