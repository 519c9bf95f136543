"""`prepare.py pipeline=vesl`: a command that is begun, gone on with, and finished once."""

import json

import pytest

from cloc.cli import prepare
from cloc.data.shards.reader import read_samples
from cloc.data.shards.shard_set import open_shards
from cloc.data.sources.cloc_regions import parse
from cloc.errors import UserError
from cloc.scenes.generate import write_scenes
from data_prep.engine_loop import IN_A_ROW
from tests.helpers.prep import digests, write_input

NONE = [f"stages/{group}=none" for group in ("phrases", "detect", "filter")]
WORDS = ["+trust=[tests]", "+stages.phrases._target_=tests.helpers.stages.Words"]
FAILS = ["+stages.detect._target_=tests.helpers.stages.Fails", "+stages.detect.mark=s1"]


@pytest.fixture
def begins(tmp_path):
    folder = write_input(tmp_path / "in")
    return ["pipeline=vesl", f"input={folder}", f"out={tmp_path / 'out'}", *NONE, *WORDS]


def test_a_job_is_made_shown_and_then_there_is_nothing_to_do(begins, tmp_path, capsys):
    prepare.main(begins)
    said = capsys.readouterr().out
    assert "4 of 4 shards" in said
    assert "images written" in said
    assert open_shards(str(tmp_path / "out"), key="x").total == 12
    assert "word0 x" in (tmp_path / "out/gallery.html").read_text()
    before = digests(tmp_path / "out")
    prepare.main(begins)
    assert "out was complete: there is nothing to do" in capsys.readouterr().out
    assert digests(tmp_path / "out") == before


def test_an_input_without_manifest_and_indexes_on_a_disk_of_somebody_elses(begins, tmp_path):
    for path in (tmp_path / "in").iterdir():
        if path.suffix != ".tar":
            path.unlink()
    with pytest.raises(UserError, match=r"there is no index; .* or give index_folder=DIR"):
        prepare.main(begins)
    prepare.main([*begins, f"index_folder={tmp_path / 'indexes'}"])
    assert open_shards(str(tmp_path / "out"), key="x").total == 12
    assert "data:image" in (tmp_path / "out/gallery.html").read_text()
    assert {path.suffix for path in (tmp_path / "in").iterdir()} == {".tar"}


def test_a_failed_shard_is_an_error_and_the_same_command_tries_it_alone(begins, tmp_path, capsys):
    fails = [*begins, *FAILS, f"+stages.detect.until={tmp_path / 'mended'}"]
    with pytest.raises(UserError, match=r"1 of 4 shards failed .* s1: no luck"):
        prepare.main([*begins, *FAILS])
    assert len(json.loads((tmp_path / "out/quarantine.json").read_text())) == 1
    with pytest.raises(UserError, match=r"stages\.detect\.until=None there"):
        prepare.main(fails)
    with pytest.raises(UserError, match=r"1 of 4 shards failed"):
        prepare.main([*begins, *FAILS])
    assert capsys.readouterr().out.count("3 of 4 shards; 1 failed") == 2
    prepare.main([*begins, *FAILS, "budget=0.3"])
    assert open_shards(str(tmp_path / "out"), key="x").total == 9


def test_where_nothing_works_any_more_the_rest_is_not_begun(tmp_path):
    """As with a caption server that is gone; a budget for it is kept to."""
    folder = write_input(tmp_path / "in", shards=IN_A_ROW + 4, each=1)
    begins = ["pipeline=vesl", f"input={folder}", *NONE, *WORDS, *FAILS, "stages.detect.mark=s"]
    with pytest.raises(UserError, match=f"{IN_A_ROW} of {IN_A_ROW + 4} shards failed .*not begun"):
        prepare.main([*begins, f"out={tmp_path / 'a'}"])
    with pytest.raises(UserError, match=f"no sample is left of {IN_A_ROW + 4} shards"):
        prepare.main([*begins, f"out={tmp_path / 'b'}", "budget=1"])


def test_scattered_failures_are_all_tried_and_told_and_the_rest_is_done(tmp_path):
    """However many they are: their last tries stand together at the end."""
    folder = write_input(tmp_path / "in", shards=10 * (IN_A_ROW + 2), each=1)
    out = tmp_path / "out"
    begins = ["pipeline=vesl", f"input={folder}", f"out={out}", *NONE, *WORDS, *FAILS]
    with pytest.raises(UserError, match=f"^{IN_A_ROW + 2} of {10 * (IN_A_ROW + 2)} shards failed"):
        prepare.main([*begins, "stages.detect.mark=5i"])
    assert len(json.loads((out / "quarantine.json").read_text())) == IN_A_ROW + 2
    assert len(list(out.glob("*.tar"))) == 9 * (IN_A_ROW + 2)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["order=[detect]"], r"order=\['detect'\] leaves out the stage phrases"),
        (["engine=processes", "engine.workers=0"], r"engine\.workers=0"),
        (["engine=slurm_array"], r"engine\.tasks is not set"),
        (["stages.phrases.longest=x.y"], r"stages\.phrases\.longest is not a key"),
        (["budget=-1"], r"budget=-1"),
    ],
)
def test_what_is_wrong_in_the_command_is_one_line(begins, overrides, says):
    with pytest.raises(UserError, match=says):
        prepare.main([*begins, *overrides])


def test_neither_import_nor_pipeline_says_what_to_give(tmp_path):
    with pytest.raises(UserError, match=r"give import=NAME .* or pipeline=vesl"):
        prepare.main([f"out={tmp_path}/x"])


def test_no_stage_at_all_is_refused(tmp_path):
    folder = write_input(tmp_path / "in")
    with pytest.raises(UserError, match="no stage is chosen"):
        prepare.main(["pipeline=vesl", f"input={folder}", f"out={tmp_path / 'out'}", *NONE])


def test_relations_of_annotated_boxes_go_on_where_they_were_stopped(tmp_path, capsys):
    """One shard is done again, to the same bytes; margins and refusals are in every account."""
    write_scenes(tmp_path / "in", train=24, val=0, novel=0, samples_per_shard=8)
    out = tmp_path / "out"
    begins = ["pipeline=vesl", f"input={tmp_path / 'in/train'}", f"out={out}", *NONE]
    begins.append("stages/relations=boxes")
    prepare.main(begins)
    before = digests(out)
    (out / "markers/shard-000001.json").unlink()
    (out / "shard-000001.tar").write_bytes(b"half")
    (out / "manifest.json").unlink()
    prepare.main(begins)
    assert digests(out) == before
    records = [parse(raw) for raw in read_samples(open_shards(str(out), key="x"), key="x")]
    named = [r for record in records for r in record.regions if r.source == "relations"]
    assert len(named) > 20
    assert all(region.negatives[0] != region.text for region in named)
    assert records[0].meta["pipeline"]["relations"]["margins"]["apart"] == 8
    drops = json.loads((out / "manifest.json").read_text())["drops"]
    assert drops["relations: relations, margin"] > 0
    page = (out / "gallery.html").read_text()
    assert "left out: relations, margin" in page
    assert "&#39;apart&#39;: 8" in page
    assert "relations, margin" in capsys.readouterr().out


def test_relations_where_no_depth_model_is_one(tmp_path):
    write_scenes(tmp_path / "in", train=2, val=0, novel=0)
    (tmp_path / "model").mkdir()
    begins = ["pipeline=vesl", f"input={tmp_path / 'in/train'}", f"out={tmp_path / 'out'}", *NONE]
    begins += ["stages/relations=boxes", f"stages.relations.model={tmp_path / 'model'}"]
    with pytest.raises(UserError, match=r"^stages\.relations: model=.* a model for Depth"):
        prepare.main(begins)
