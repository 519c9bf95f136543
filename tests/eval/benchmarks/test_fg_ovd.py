"""FG-OVD on a golden file in the upstream format."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cloc.errors import UserError
from cloc.eval.benchmarks.fg_ovd import FILES, FgOvd
from cloc.interfaces import Split
from tests.helpers.oracle import Constant, LowerCase
from tests.helpers.region_mocks import Colours, Hashed, Opposite

ROOT = Path(__file__).parents[1] / "regions/fg_ovd"
NONE = Split("own", (), {})
LEVELS = ("hard", "medium", "easy", "trivial")


def run(embedder, root=ROOT, negatives=2, **more):
    return FgOvd(root=str(root), negatives=negatives, **more).run(embedder, NONE)


def test_the_mocks():
    perfect, wrong, tied = (run(mock()) for mock in (Colours, Opposite, Constant))
    assert [perfect[level] for level in LEVELS] == [1] * 4
    assert [wrong[level] for level in LEVELS] == [0] * 4
    assert [tied[level] for level in LEVELS] == [0] * 4
    assert {perfect[f"{level}_chance"] for level in LEVELS} == {1 / 3}


def test_by_a_count_of_ones_own():
    encoder = Hashed()
    data = json.loads((ROOT / FILES["hard"]).read_text())
    captions = {c["id"]: c["name"] for c in data["categories"]}
    files = {i["id"]: i["file_name"] for i in data["images"]}
    for count in (1, 2, 3):
        right = {}
        for row in data["annotations"]:
            if len(row["neg_category_ids"]) < count:
                continue
            x, y, width, height = row["bbox"]
            with Image.open(ROOT / files[row["image_id"]]) as image:
                region = encoder.region(image.convert("RGB"), [x, y, x + width, y + height])
            ids = [row["category_id"], *row["neg_category_ids"][:count]]
            scores = [encoder.text(captions[i]) @ region for i in ids]
            right[row["id"]] = scores[0] > max(scores[1:])
        found = run(encoder, negatives=count, levels=["hard"])
        assert found["hard"] == pytest.approx(np.mean(list(right.values())))
        assert found["hard_chance"] == pytest.approx(1 / (1 + count))
        assert found.figures.about["hard"]["left_out"] == 4 - len(right)
        assert len(found.figures.cases["hard"].values) == len(right)


def test_names_are_the_picture_and_the_box():
    names = run(Colours()).figures.cases["easy"].names
    assert names == ["000000000001:0", "000000000001:1", "000000000002:0"]


def test_captions_that_the_encoder_reads_alike_are_ties_and_counted():
    class Cut(LowerCase, Colours):
        """Reads one word of each caption: "a"."""

    found = run(Cut(at_most=1))
    assert (found["hard"], found.figures.about["hard"]["read_alike"]) == (0, 3)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"negatives": 10}, r"no box has 10 negatives, the most are 3; set .*negatives to that"),
        ({"negatives": 0}, "negatives=0: give 1 or more"),
        ({"levels": ["hardest"]}, "levels has 'hardest'; known are hard, medium"),
        ({"levels": ["color"]}, "color.json: no such file; set benchmarks.fg_ovd.root"),
        ({"pictures": "nowhere"}, r"no such picture; 2 of 2 .* set .*pictures to the"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(more, says):
    with pytest.raises(UserError, match=says) as told:
        run(Colours(), **more)
    assert "\n" not in str(told.value)


def test_another_sets_annotations_are_refused(tmp_path):
    root = tmp_path / "fg"
    shutil.copytree(ROOT, root)
    path = root / FILES["hard"]
    data = json.loads(path.read_text())
    data["categories"] = data["categories"][:2]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"annotation 7 names category 12, which the file has not"):
        run(Colours(), root)
    data = json.loads((ROOT / FILES["hard"]).read_text())
    data["annotations"][0]["bbox"] = [0, 0, 0, 1]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"1_attributes.json: annotation \d+: bbox is \[0, 0, 0, 1"):
        run(Colours(), root)
    path.write_text("{")
    with pytest.raises(UserError, match=r"1_attributes.json: this is no JSON"):
        run(Colours(), root)
