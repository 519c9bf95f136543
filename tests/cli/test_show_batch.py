"""The gallery of a batch: pictures, words and what was left out, as a person sees them."""

import base64
import html
import io
import re

import numpy as np
import PIL.Image
import pytest

from cloc.cli import show_batch
from cloc.data.samples.record import Caption, Record, Region
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from tests.helpers.shards import corrupt, encode, flat, write_tar

EVIL = "<script>alert(1)</script>"


def test_pictures_words_and_drops_are_on_the_page(tmp_path, capsys):
    region = Region((10.0, 10.0, 40.0, 40.0), "a red star", negatives=("a blue star",))
    records = [
        Record(
            f"k{i}{EVIL}", encode(flat(64, 64)), "png", 64, 64, (Caption("two stars"),), (region,)
        )
        for i in range(4)
    ]
    write_shards(records, tmp_path / "set", samples_per_shard=4)
    corrupt(tmp_path / "set/shard-000000.tar", sample=2)
    settings = ("batch_size=4", "data.num_workers=0", f"out={tmp_path}/out")
    show_batch.main(
        ["experiment=smoke", f"data.train={tmp_path}/set", "data.view.max_negatives=1", *settings]
    )
    path = tmp_path / "out/batch.html"
    said = f"{path}: 4 images, 3 regions, 1 things left out\n"
    assert capsys.readouterr().out == said
    page = path.read_text()
    text = re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", page)))
    assert page.count("<img ") == page.count("data:image/png;base64,") == 4
    assert text.count("two stars") == text.count("a red star not: a blue star") == 3
    assert "dropped: a blank row no caption" in text
    assert re.search(r"samples tar train 1 .*shard-000000\.tar::#2 of 4", text)
    assert "<script" not in page
    assert EVIL in text


def test_a_start_that_the_model_does_not_take_is_refused_as_by_training(tmp_path):
    with pytest.raises(UserError, match="start=run:x, but this model has an architecture of its"):
        show_batch.main(["experiment=smoke", "start=run:x", f"out={tmp_path}/out"])
    assert not list(tmp_path.iterdir())


def test_a_folder_of_other_peoples_tars_is_shown_and_its_disk_left_alone(tmp_path, capsys):
    """No manifest, no index, and a logo without a background."""
    (tmp_path / "set").mkdir()
    image = encode(np.zeros((64, 64, 4), np.uint8))
    for name in ("a", "b"):
        write_tar(tmp_path / f"set/{name}.tar", {"k.png": image, "k.txt": b"a logo"})
    settings = ("batch_size=2", "data.num_workers=0", f"out={tmp_path}/out", "data=captions")
    given = ["experiment=smoke", f"data.train={tmp_path}/set", *settings]
    with pytest.raises(UserError, match=r"there is no index; write it: .*data\.index_folder=DIR"):
        show_batch.main(given)
    show_batch.main([*given, f"data.index_folder={tmp_path}/indexes"])
    assert "2 images, 0 regions, 0 things left out" in capsys.readouterr().out
    shown = re.search(r"data:image/png;base64,([^\"]+)", (tmp_path / "out/batch.html").read_text())
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(shown[1]))).convert("RGB")
    assert picture.getpixel((picture.width // 2, picture.height // 2)) == (255, 255, 255)
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["a.tar", "b.tar"]
