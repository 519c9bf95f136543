"""The command: anybody's encoder in, a page and its figures out; what is wrong is one line."""

import json

import pytest
import timm
from safetensors.torch import save_file

from cloc.cli import diagnose
from cloc.cli.config.compose import compose_config
from cloc.cli.pages.diagnosis import write_diagnosis
from cloc.cli.tasks import diagnose as task
from cloc.errors import UserError
from tests.helpers.encoders import save_coca, save_naflex, save_open_clip
from tests.helpers.shards import make_shards
from tests.helpers.vectors import Vectors


class Patched(Vectors):
    """An encoder of somebody's, with patches of 2 x 3."""

    def patches(self, x, *, values=False):
        cells = x.float().reshape(len(x), -1)[:, :24].reshape(len(x), 6, 4)
        return cells / 255, (2, 3)


class Broken(Patched):
    def patches(self, x, *, values=False):
        return super().patches(x)[0] * float("nan"), (2, 3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_open_clip(tmp_path_factory.mktemp("encoder") / "clip", resize_mode="shortest")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data") / "set", shards=2, each=6)


def read(folder):
    return json.loads((folder / "diagnose.json").read_text())


def test_a_page_and_its_figures_of_drawn_pictures(clip, tmp_path, capsys):
    words = [f"model=open_clip:{clip}", "images=10", f"out={tmp_path}/a"]
    diagnose.main([*words, "batch_size=4"])
    assert capsys.readouterr().out == f"{tmp_path}/a/diagnose.html\n"
    found, page = read(tmp_path / "a"), (tmp_path / "a/diagnose.html").read_text()
    assert (found["schema"], found["pictures"]) == ("cloc-diagnose/1", 10)
    assert found["encoder"] == f"open_clip:{clip}"
    assert found["frame"] == "own: crop 32x32, bicubic"
    assert found["shown"] == "WhereBench 1, drawn at 64 px"
    assert found["absent"] == {}
    for section in (
        "Input: content",
        "Norms of tokens",
        "Variance that place",
        "without positions",
    ):
        assert section in page
    assert page.count("<svg") == 9  # no layer has an outlier
    assert "Not measured" not in page
    assert "Only 160 tokens" in page  # 160 rows of width 32
    diagnose.main([*words[:-1], f"out={tmp_path}/b", "batch_size=10"])
    assert read(tmp_path / "b")["layers"][1]["cka"] == pytest.approx(found["layers"][1]["cka"])


def test_pictures_of_shards_in_another_frame(clip, shards, tmp_path):
    words = [f"data={shards}", "images=7", "frame=pad", "image_size=64", f"out={tmp_path}"]
    diagnose.main([f"model=open_clip:{clip}", *words])
    found = read(tmp_path)
    assert (found["pictures"], found["shown"]) == (7, f"{shards}, the first 7")
    assert found["frame"] == "pad: pad 64x64, bicubic"
    assert found["layers"][0]["grid"] == [8, 8]


def test_encoders_of_every_kind(tmp_path):
    save_file(timm.create_model("test_efficientnet").state_dict(), tmp_path / "t.safetensors")
    (tmp_path / "coca").mkdir()
    (tmp_path / "naflex").mkdir()
    kinds = {
        f"timm:test_efficientnet,{tmp_path}/t.safetensors": {"cka", "attention", "input"},
        f"open_clip:{save_coca(tmp_path / 'coca')}": set(),
        f"hf:{save_naflex(tmp_path / 'naflex')}": set(),
        f"module:{__name__}.Patched": {"cka", "attention", "input"},
    }
    for number, (spec, absent) in enumerate(kinds.items()):
        out = tmp_path / str(number)
        diagnose.main([f"model={spec}", "images=48", f"out={out}", "+trust=[tests]"])
        found, page = read(out), (out / "diagnose.html").read_text()
        assert set(found["absent"]) == absent
        assert page.count("Not measured: ") == len(absent)
        assert found["frame"].endswith("of squares") == spec.startswith("hf:")


def test_drawn_pictures_are_all_different_and_the_same_each_time():
    source = task.drawn(64)
    keys = [next(source).key for _ in range(20)]
    assert len(set(keys)) == 20
    assert keys[0] == "left_right-00000-0"
    assert keys[8] == "left_right-00001-0"


def test_names_are_escaped_and_a_page_of_one_layer_is_drawn(tmp_path):
    norms = {key: 1.0 for key in ("mean", "min", "p05", "p25", "p50", "p75", "p95", "max")}
    layer = {
        **{"name": "patches", "grid": [2, 2], "width": 4, "prefix_norms": None, "cka": None},
        **{"norms": {**norms, "outliers": 0.0, "tokens": 8}, "place": None, "attention": None},
        **{"place_without_positions": None, "read": None},
    }
    document = {
        **{"encoder": "<b>mine", "frame": "own", "shown": "x", "pictures": 2, "input": None},
        **{"layers": [layer], "uniform_distance": 1.0, "turned_off": [], "provenance": {}},
        "absent": {"cka": "a <i>reason"},
    }
    write_diagnosis(tmp_path / "page.html", document)
    page = (tmp_path / "page.html").read_text()
    assert "<b>mine" not in page
    assert "a &lt;i&gt;reason" in page
    assert page.count("<svg") == 1  # norms; there is no outlier


WRONG = {
    "": "give either run=runs/NAME or model=open_clip:NAME/TAG",
    "run=runs/a model=open_clip:x/y": r"run=runs/a and model=open_clip:x/y \(encoder\): give",
    "model=open_clip:x/y": r"with model= give out=DIR too: diagnose\.html is written there",
    "run=runs/nowhere": r"runs/nowhere holds no checkpoint: there is no such folder",
    "run=runs/a image_size=64": r"image_size=64 goes with model=; give model=run:runs/a",
    "model=CLIP out=OUT images=1": r"images=1: give 2 or more; what varies between one is nothing",
    "model=CLIP out=OUT images=0": r"images=0; give a whole number of 1 or more",
    "model=CLIP out=OUT images=ten": r"images=ten; give a whole number",
    "model=CLIP out=OUT images=null": r"images=null; give a whole number",
    "model=CLIP out=OUT images=[2]": r"images=\[2\]; give a whole number",
    "model=CLIP out=OUT batch_size=0": r"batch_size=0; give a whole number of 1 or more",
    "model=CLIP out=OUT frame=round": r"frame=round; choose own, pad, squash, crop",
    "model=CLIP out=OUT image_size=30": r"divides an image by 8, but it has 30x30 pixels; set",
    "model=CLIP out=OUT image_size=0": r"image_size=0: give pixels, 1 or more",
    "model=CLIP out=OUT device=gpu": r"device=gpu.* give device=cpu",
    "model=CLIP out=OUT data=nowhere": r"data=nowhere: ",
    "model=CLIP out=OUT data=": r"shards=; give a text",
    "model=CLIP out=OUT image=3": r"image is not a key of this command; did you mean images",
    "model=CLIP out=FILE/x": r"out=.*/file/x: .*/file is no folder; give another",
    "model=open_clip: out=OUT": r"model=open_clip:; write open_clip:NAME/TAG",
    "model=open_clip:ViT-B-32/mine out=OUT": r"open_clip cannot load ViT-B-32/mine: 'mine' is",
    "model=nowhere out=OUT": r"model=nowhere: no such folder; write open_clip:NAME/TAG",
    "model=onnx:nowhere out=OUT": r"onnx:nowhere: no onnx_config\.json there",
    "model=timm:vit_nothing,x out=OUT": r"timm:vit_nothing,x cannot be loaded",
    "model=module:os.getcwd out=OUT": r"model=module:os\.getcwd is ",
    "model=module:nodots out=OUT": r"model=module:nodots; write model=module:your\.module",
    "model=module:tests.helpers.vectors.Vectors +trust=[tests] out=OUT": r"has no patches\(x\)",
    "model=module:HERE.Broken +trust=[tests] out=OUT": r"a token of this encoder is not finite",
    "model=module:HERE.Patched +trust=[tests] image_size=64 out=OUT": r"size of .* is fixed",
}


@pytest.mark.parametrize(("words", "says"), WRONG.items())
def test_what_is_wrong_is_one_line_and_nothing_is_written(words, says, clip, tmp_path):
    (tmp_path / "file").write_text("x")
    meant = {"CLIP": f"open_clip:{clip}", "OUT": f"{tmp_path}/out", "FILE": f"{tmp_path}/file"}
    for word, value in {**meant, "HERE": __name__}.items():
        words = words.replace(word, value)
    with pytest.raises(UserError, match=says) as error:
        diagnose.main(words.split())
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_configuration_says_what_a_data_key_means():
    cfg = compose_config("diagnose", diagnose.named(["model=x", "data=y", "out=z"]))
    assert (cfg.encoder, cfg.shards) == ("x", "y")
