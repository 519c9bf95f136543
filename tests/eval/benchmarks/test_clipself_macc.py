"""CLIPSelf's figures on a golden file of COCO panoptic, by hand and by a count of one's own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cloc.errors import UserError
from cloc.eval.benchmarks.clipself_macc import ClipselfMacc, spoken
from cloc.interfaces import Split
from tests.helpers.oracle import Constant
from tests.helpers.region_mocks import Colours, Hashed, Opposite, prototype

ROOT = Path(__file__).parents[1] / "regions/panoptic"
NONE = Split("own", (), {})


def run(embedder, root=ROOT, templates="photo", **more):
    return ClipselfMacc(root=str(root), templates=templates, **more).run(embedder, NONE)


def test_an_oracle_is_perfect_and_its_opposite_never_right():
    found = run(Colours())
    assert {found[f"{kind}_{m}"] for kind in ("thing", "stuff") for m in ("macc", "top1")} == {1}
    assert found["thing_macc_chance"] == 1 / 4  # things and stuff are candidates alike
    wrong, tied = run(Opposite()), run(Constant())
    assert wrong["thing_macc"] == wrong["stuff_macc"] == tied["thing_macc"] == 0


def test_small_segments_are_left_out():
    found = run(Colours())
    assert found.figures.about["left_out"] == 1  # 4 x 4 pixels of picture 3
    names = found.figures.cases["thing_macc"].names
    assert names == [f"00000000000{i}" for i in ("1:0", "1:1", "1:2", "2:0", "3:0")]


def test_by_a_count_of_ones_own():
    from PIL import Image

    encoder = Hashed()
    data = json.loads((ROOT / "annotations/panoptic_val2017.json").read_text())
    called = {c["id"]: c["name"].split("-")[0] for c in data["categories"]}
    vectors = {i: prototype(encoder, [f"a photo of a {name}."]) for i, name in called.items()}
    things = {c["id"]: c["isthing"] for c in data["categories"]}
    rows = []
    for row in data["annotations"]:
        with Image.open(ROOT / "val2017" / row["file_name"]) as image:
            for segment in row["segments_info"]:
                x, y, width, height = segment["bbox"]
                if width * height >= 64:
                    region = encoder.region(image.convert("RGB"), [x, y, x + width, y + height])
                    best = max(vectors, key=lambda i, region=region: vectors[i] @ region)
                    right = best == segment["category_id"]
                    rows.append((segment["category_id"], right))
    found = run(encoder)
    for kind, is_thing in (("thing", 1), ("stuff", 0)):
        own = [row for row in rows if things[row[0]] == is_thing]
        means = [np.mean([r for c, r in own if c == i]) for i in {c for c, _ in own}]
        assert found[f"{kind}_macc"] == pytest.approx(np.mean(means))
        assert found[f"{kind}_top1"] == pytest.approx(np.mean([r for _, r in own]))
    assert found["thing_macc"] != found["thing_top1"]


def test_the_masks_reach_an_extractor_through_the_example():
    from cloc.eval.panoptic import read_panoptic

    examples, _, _ = read_panoptic(
        ROOT / "annotations/panoptic_val2017.json",
        masks=ROOT / "annotations/panoptic_val2017",
        pictures=ROOT / "val2017",
        key="k",
    )
    for example in examples:
        assert callable(example[8])  # read when looked at
        for mask, (x0, y0, x1, y1) in zip(example.masks, example.boxes.astype(int), strict=True):
            inside = np.zeros_like(mask)
            inside[y0:y1, x0:x1] = True
            assert (mask == inside).all()


def test_prompts_may_come_from_a_file(tmp_path):
    file = tmp_path / "prompts.json"
    names = {"red": "green", "green": "red", "blue-other": "blue", "pink-merged": "pink"}
    file.write_text(json.dumps({name: [word] for name, word in names.items()}))
    found = run(Colours(), prompts=str(file))
    assert (found["thing_macc"], found["stuff_macc"]) == (0, 1)  # red and green are exchanged
    file.write_text(json.dumps({"red": [" "]}))
    with pytest.raises(UserError, match=r"class 'red' has the prompts \[' '\], expected a list"):
        run(Colours(), prompts=str(file))
    file.write_text(json.dumps({"red": ["red"]}))
    with pytest.raises(UserError, match=r"class 'green' has the prompts None, .*prompts=null$"):
        run(Colours(), prompts=str(file))


def test_classes_in_words():
    said = {"wall-other-merged": "wall", "door-stuff": "door", "playing field": "playing field"}
    assert {name: spoken(name) for name in said} == said
    assert spoken("window-blind") == "window blind"


def test_a_missing_picture_is_named_and_counted(tmp_path):
    root = tmp_path / "coco"
    shutil.copytree(ROOT, root)
    for number in (2, 3):
        (root / f"val2017/00000000000{number}.png").unlink()
    with pytest.raises(UserError, match=r"000000000002.png: no such picture; 2 of 3"):
        run(Colours(), root)


def test_annotations_of_another_set_are_refused(tmp_path):
    root = tmp_path / "coco"
    shutil.copytree(ROOT, root)
    masks = root / "annotations/panoptic_val2017"
    shutil.copy(masks / "000000000001.png", masks / "000000000002.png")
    from cloc.eval.panoptic import read_masks

    with pytest.raises(UserError, match=r"no pixel is of segment 6000007; give the PNGs of this"):
        read_masks(masks / "000000000002.png", [6000007], (32, 32))
    with pytest.raises(UserError, match=r"the masks are 32x32, annotated as 64x32"):
        read_masks(masks / "000000000002.png", [6000007], (64, 32))
    with pytest.raises(UserError, match=r"val2018.json: no such file; set .*root"):
        run(Colours(), root, annotations="annotations/panoptic_val2018.json")
