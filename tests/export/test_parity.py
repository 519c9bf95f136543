"""The answers of a model and the record of how far an export is from them."""

import json

import pytest
import torch

from cloc.errors import UserError
from cloc.export.parity import TEXTS, answers, embeddings, note_rounding, run_usage, write_parity
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import make_model
from tests.helpers.probe import probe_of


def test_answers_are_the_embedders_and_the_mode_is_left():
    model = make_model()
    probe = probe_of(model)
    model.train()
    found = answers(model, probe)
    assert model.training
    embedder = ModelEmbedder(model)
    assert set(found) == {"image", "text", "region", "box"}
    torch.testing.assert_close(found["image"], embedder.images(probe.images))
    torch.testing.assert_close(found["text"], embedder.texts(probe.texts))
    valid = torch.ones(probe.boxes.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(found["region"], embedder.regions(probe.images, probe.boxes, valid))
    boxes = embedder.ground(probe.images, [probe.texts] * len(probe.images))
    torch.testing.assert_close(found["box"], torch.stack(boxes))
    assert set(answers(make_model(region_head=None), probe)) == {"image", "text"}


def test_the_record_has_the_largest_and_mean_error_of_every_output(tmp_path):
    probe = probe_of(make_model(region_head=None))
    ours = {"image": torch.zeros(2, 2), "text": torch.ones(2)}
    theirs = {"image": torch.tensor([[0, 0.25], [0, 0]])}
    write_parity(tmp_path, ours, theirs, tolerance=0.25, loader="timm 1", probe=probe)
    assert json.loads((tmp_path / "parity.json").read_text()) == {
        "loader": "timm 1",
        "tolerance": 0.25,
        "images": "2 of noise",
        "outputs": {"image": {"max_error": 0.25, "mean_error": 0.0625}},
    }


@pytest.mark.parametrize("wrong", [0.2, float("nan")])
def test_above_the_tolerance_or_not_a_number_is_an_error_and_no_record(tmp_path, wrong):
    probe = probe_of(make_model(region_head=None))
    says = rf"exported text differs by {wrong:.1e} .*at most 1e-01.* through timm 1; nothing was"
    with pytest.raises(UserError, match=says):
        write_parity(
            tmp_path,
            {"text": torch.zeros(1)},
            {"text": torch.tensor([wrong])},
            tolerance=0.1,
            loader="timm 1",
            probe=probe,
        )
    assert not list(tmp_path.iterdir())


CODE = """\
import PIL.Image
import PIL.ImageOps
import numpy as np

with open("FOLDER/it's.txt") as file:
    place = file.read()
photos = [PIL.ImageOps.exif_transpose(PIL.Image.open("photo.jpg"))]
texts = ["a red star", "a dog"]
pixels = np.stack([np.asarray(photo) for photo in photos])
text = np.array([[len(text)] for text in texts])
print(place)
"""


def test_documented_code_runs_as_it_is_on_the_probes_pictures_and_texts(tmp_path, capsys):
    folder = tmp_path / 'it\'s a "folder"'
    folder.mkdir()
    (folder / "it's.txt").write_text("here")
    probe = probe_of(make_model(region_head=None))
    names = run_usage(CODE, folder, probe)
    assert names["place"] == "here"
    assert torch.from_numpy(names["pixels"]).permute(0, 3, 1, 2).equal(probe.images)
    assert embeddings(names)["text"].flatten().tolist() == list(map(len, TEXTS))
    assert capsys.readouterr().out == ""


def test_a_photograph_that_is_not_turned_upright_is_not_the_models(tmp_path):
    (tmp_path / "it's.txt").write_text("here")
    probe = probe_of(make_model(region_head=None))
    plain = CODE.replace("PIL.ImageOps.exif_transpose", "")
    pixels = run_usage(plain, tmp_path, probe)["pixels"]
    assert not torch.from_numpy(pixels).permute(0, 3, 1, 2).equal(probe.images)


def test_what_rounding_did_to_the_model_stands_beside(tmp_path):
    (tmp_path / "parity.json").write_text('{"loader": "x"}')
    note_rounding(tmp_path, "float16", {"image": torch.zeros(2)}, {"image": torch.ones(2) / 4})
    assert json.loads((tmp_path / "parity.json").read_text()) == {
        "loader": "x",
        "rounding": {
            "precision": "float16",
            "outputs": {"image": {"max_error": 0.25, "mean_error": 0.25}},
        },
    }
