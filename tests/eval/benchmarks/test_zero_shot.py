"""Zero-shot classification on golden folders and tars, which hold the same pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cloc.errors import UserError
from cloc.eval.benchmarks.zero_shot import ZeroShot, ZeroShotWds
from cloc.interfaces import Split
from tests.helpers.oracle import Constant, prepare
from tests.helpers.region_mocks import Colours, Hashed, Opposite, prototype

ROOT = Path(__file__).parents[1] / "regions/zero_shot"
NONE = Split("own", (), {})
NAMES = ["red", "green", "blue"]
TEMPLATES = ["a photo of a {}.", "the {} thing."]


def folders(embedder, root=ROOT / "folders", templates="photo", **more):
    return ZeroShot(root=str(root), templates=templates, **more).run(embedder, NONE)


def tars(embedder, root=ROOT / "wds", **more):
    return ZeroShotWds(root=str(root), **more).run(embedder, NONE)


@pytest.mark.parametrize("run", [folders, tars])
def test_the_mocks(run):
    found = run(Colours())
    # of four red pictures one is painted green
    assert (found["top1"], found["macc"]) == pytest.approx((6 / 7, (3 / 4 + 1 + 1) / 3))
    assert found["top1_chance"] == pytest.approx(1 / 3)
    wrong, tied = run(Opposite()), run(Constant())
    assert wrong["macc"] == 0
    assert tied["top1"] == tied["macc"] == 0


def test_by_a_count_of_ones_own():
    encoder = Hashed()
    vectors = [prototype(encoder, [t.replace("{}", name) for t in TEMPLATES]) for name in NAMES]
    right = {}
    for number in range(3):
        for path in sorted((ROOT / f"folders/n{number}").glob("*.png")):
            with Image.open(path) as image:
                x = prepare([image.convert("RGB")], [np.zeros((0, 4), np.float32)]).images
            seen = encoder.images(x)[0].double().numpy()
            best = int(np.argmax([vector @ seen for vector in vectors]))
            right.setdefault(number, []).append(best == number)
    found = tars(encoder)
    assert found["top1"] == pytest.approx(np.mean([x for own in right.values() for x in own]))
    assert found["macc"] == pytest.approx(np.mean([np.mean(own) for own in right.values()]))
    assert found["top1"] != pytest.approx(found["macc"])


def test_folders_and_tars_of_the_same_pictures_agree(tmp_path):
    file = tmp_path / "templates.txt"
    file.write_text("\n".join(TEMPLATES))
    one, other = folders(Hashed(), templates=str(file)), tars(Hashed())
    assert one == other
    assert one.figures.about["layout"] != other.figures.about["layout"]
    assert one.figures.cases["top1"].names[0] == "n0/0.png"
    assert other.figures.cases["top1"].names[0] == "0/s0000000"


def test_without_classnames_the_folders_say_what_a_class_is_called(tmp_path):
    for number, name in enumerate(NAMES):
        shutil.copytree(ROOT / f"folders/n{number}", tmp_path / f"all_{name}")
    # in the order of the folders' names, blue is the first
    found = folders(Colours(), tmp_path, classnames=None)
    assert found["top1"] == pytest.approx(6 / 7)


def test_two_classes_may_have_one_name(tmp_path):
    root = tmp_path / "folders"
    shutil.copytree(ROOT / "folders", root)
    (root / "classnames.txt").write_text("red\nred\nblue\n")
    with pytest.warns(UserWarning, match=r"classes 0 \(red\), 1 \(red\) alike"):
        found = folders(Colours(), root)
    assert found["top1_chance"] == 1 / 2


def test_a_root_that_is_none_is_told(tmp_path):
    says = r"classnames\.txt: no such file; set benchmarks\.zero_shot\.root to the folder that"
    with pytest.raises(UserError, match=says):
        folders(Colours(), tmp_path)
    says = r"classnames\.txt: no such file; set benchmarks\.zero_shot_wds\.root to a folder as"
    with pytest.raises(UserError, match=says):
        tars(Colours(), tmp_path)


def test_a_templates_file_that_is_not_there_is_told(tmp_path):
    shutil.copytree(ROOT / "wds", tmp_path / "wds")
    (tmp_path / "wds/zeroshot_classification_templates.txt").unlink()
    with pytest.raises(UserError, match=r"zero_shot_wds.templates=.*no list of templates and no"):
        tars(Colours(), tmp_path / "wds")
