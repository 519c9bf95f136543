"""The prepare command: it writes whole folders or none, and says what is wrong in one line."""

import re

import PIL.Image
import pytest

from cloc.cli.prepare import main, run
from cloc.cli.tasks.prepare import prepare, summary
from cloc.data.shards.manifest import read_manifest
from cloc.errors import UserError
from tests.helpers.coco import coco_overrides
from tests.helpers.imported import draw


@pytest.fixture
def given(tmp_path):
    return coco_overrides(tmp_path)


def test_prepare_writes_the_shards_and_prints_what_it_wrote(given, tmp_path, capsys):
    main(given)
    manifest = read_manifest(tmp_path / "out/train")
    assert (manifest["samples"], manifest["regions"], manifest["drops"]) == (4, 2, {"crowd": 1})
    printed = capsys.readouterr().out
    assert "1 crowd" in printed
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["prepare.json", "train"]


def test_a_set_of_which_nothing_can_be_learnt_is_told(tmp_path, capsys):
    draw(tmp_path / "images/a.png")
    main(["import=folder", f"images={tmp_path}/images", f"out={tmp_path}/out"])
    told = capsys.readouterr().err
    assert f"{tmp_path}/out/train: none of 1 samples has a caption or a region, so nothing" in told


@pytest.mark.parametrize("name", ["scenes", "scenes_depth"])
def test_scenes_are_prepared_by_the_same_command(tmp_path, name):
    main([f"import={name}", f"out={tmp_path}/s", "train=3", "val=2", "novel=1", "seed=5"])
    samples = {s: read_manifest(tmp_path / "s" / s)["samples"] for s in ("train", "val", "novel")}
    assert samples == {"train": 3, "val": 2, "novel": 1}
    assert summary(tmp_path / "s").row_count == 3


def test_a_folder_that_exists_is_refused(given):
    main(given)
    with pytest.raises(UserError, match=r"out exists and is not empty; remove it"):
        main(given)


def test_equal_settings_are_skipped_if_asked(given, tmp_path, capsys):
    main(given)
    before = (tmp_path / "out/prepare.json").stat().st_mtime_ns
    main([*given, "if_exists=skip"])
    assert "was there already" in capsys.readouterr().out
    assert (tmp_path / "out/prepare.json").stat().st_mtime_ns == before


def test_other_settings_are_not_skipped_but_named(given):
    main(given)
    says = "other settings .samples_per_shard=1000 there, 7 asked.; remove it"
    with pytest.raises(UserError, match=says):
        main([*given, "if_exists=skip", "samples_per_shard=7"])


def test_an_import_that_fails_leaves_nothing(given, tmp_path):
    (tmp_path / "pictures/4.png").unlink()
    with pytest.raises(UserError, match=r"4\.png: the picture cannot be read"):
        main(given)
    assert not list(tmp_path.glob("out*"))
    PIL.Image.new("RGB", (8, 6)).save(tmp_path / "pictures/4.png")
    (tmp_path / "out.partial").mkdir()  # of one that was killed
    main([*given, "if_exists=skip"])
    assert read_manifest(tmp_path / "out/train")["samples"] == 4


def test_settings_that_write_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match="write no sample"):
        main(["import=scenes", f"out={tmp_path}/s", "train=0", "val=0", "novel=0"])


@pytest.mark.parametrize("size", ["abc", "0", "2.5"])
def test_a_size_of_a_shard_that_is_no_number_is_one_line(given, tmp_path, size):
    with pytest.raises(
        UserError, match=f"samples_per_shard={size}; give a whole number of 1 or more"
    ):
        main([*given, f"samples_per_shard={size}"])
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("source", ["import=scenes", "pipeline=vesl"])
def test_if_exists_is_one_of_two_words(tmp_path, source):
    given = [source, f"out={tmp_path}/out", *(["input=x"] if source == "pipeline=vesl" else [])]
    with pytest.raises(UserError, match="if_exists=maybe is not known; give if_exists=refuse or"):
        main([*given, "if_exists=maybe"])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["import=coco", "imges=x"], "error: imges is not a key .* did you mean images"),
        (["import=coco", "out=x", "images=x"], "error: instances is not set; give instances="),
        (["import=cocoa"], "error: .*cocoa.* coco.* scenes"),
        ([], "error: give import=NAME .* or pipeline=vesl"),
        (["out=x", "importx=1"], "error: neither .* stands in out=x, importx=1; give import=NAME"),
    ],
)
def test_a_wrong_command_is_one_line_and_an_exit_code(capsys, overrides, says):
    with pytest.raises(SystemExit) as stop:
        run(overrides)
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert re.match(says, said)
    assert said.count("\n") == 1


def test_a_damaged_record_of_the_settings_is_named(given, tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "prepare.json").write_text('{"val": ')
    with pytest.raises(UserError, match=r"prepare\.json is damaged.*; remove .*there, or choose"):
        prepare({}, out=folder, if_exists="skip")
