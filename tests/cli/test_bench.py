"""The benchmark command prints what it promises; no speed is asserted."""

import json

import pytest

from cloc.cli import prepare
from cloc.cli.bench import command as bench
from cloc.cli.bench import data as data_bench
from cloc.cli.bench import loss as loss_bench
from cloc.cli.bench import measurements
from cloc.cli.bench import open_clip_loader as peer_bench
from cloc.cli.bench import save as save_bench
from cloc.data.samples.record import Caption, Record, Region
from cloc.data.samples.training_view import View
from cloc.data.shards.writer import write_shards
from cloc.data.sources import caption_only
from cloc.errors import UserError
from tests.helpers.shards import encode, flat, make_shards


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """Overrides of a tiny experiment on its own shards."""
    folder = tmp_path_factory.mktemp("bench") / "scenes"
    prepare.main(["import=scenes", f"out={folder}", "train=32", "val=0", "novel=0"])
    return ["experiment=smoke", f"data.train={folder}/train", "data.num_workers=0", "batch_size=4"]


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_step_is_timed_for_both_twins_and_their_ratio_given(smoke, capsys):
    bench.main(["what=step", "repeat=2", *smoke])
    found = last_line(capsys)
    assert found.keys() >= {"what", "images_per_s", "cloc_over_clip", "batch_size", "precision"}
    assert found["images_per_s"].keys() == {"cloc", "clip"}
    for values in (*found["images_per_s"].values(), found["cloc_over_clip"]):
        assert 0 < values["q1"] <= values["median"] <= values["q3"]


def test_the_loader_is_timed_alone(smoke, capsys):
    bench.main(["what=loader", "repeat=2", *smoke])
    found = last_line(capsys)
    assert found["samples_per_s"]["median"] > 0
    assert found["workers"] == 0


def photographs(folder):
    """Two captioned JPEGs with a region each."""
    records = []
    for i, shape in enumerate([(320, 240), (200, 300)]):
        region = Region((1.0, 1.0, 90.0, 80.0), "a thing")
        image = encode(flat(*shape, (90, 60 * i, 10)), "JPEG")
        caption = Caption(f"picture {i}")
        records.append(Record(f"{i}", image, "jpg", *shape, (caption,), (region,)))
    write_shards(records, folder, samples_per_shard=2)
    return folder


# open_clip's reader leaves closing its shards to the garbage collector.
UNCLOSED = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@UNCLOSED
def test_our_loader_is_timed_against_open_clips_on_the_same_shards(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(peer_bench, "BATCH", 3)
    bench.main(["what=loader", f"shards={photographs(tmp_path / 'photos')}", "repeat=3"])
    found = last_line(capsys)
    assert found["samples_per_s"].keys() == {"open_clip", "captions", "crop", "regions"}
    assert all(values["median"] > 0 for values in found["samples_per_s"].values())
    for ratio in ("captions_over_open_clip", "crop_over_open_clip", "regions_over_captions"):
        assert found[ratio] > 0


@UNCLOSED
def test_both_loaders_give_the_same_samples_at_the_same_size(tmp_path):
    """The comparison is of equal work: every caption once, pictures of 224 x 224."""
    count = 6
    records = list(peer_bench.numbered(str(photographs(tmp_path / "photos")), count))
    peer_bench.write_captions(records, tmp_path / "captions.tar")
    theirs = peer_bench.of_open_clip(tmp_path / "captions.tar", count, batch=3)
    ours = peer_bench.ours(tmp_path / "captions.tar", caption_only.parse, View(), count, batch=3)
    seen = []
    for _ in range(2):
        images, texts = next(theirs)
        batch = next(ours)
        assert images.shape == batch.images.shape == (3, 3, 224, 224)
        seen.append((texts.tolist(), batch.captions.tolist()))
    open_clips, own = (
        sorted(row for batch in side for row in batch) for side in zip(*seen, strict=True)
    )
    assert open_clips == own
    assert len({tuple(row) for row in own}) == count


def test_shards_without_captioned_photographs_are_refused(tmp_path):
    make_shards(tmp_path / "set", shards=1, each=3)  # PNG
    with pytest.raises(UserError, match="no photograph"):
        bench.main(["what=loader", f"shards={tmp_path / 'set'}"])


@pytest.mark.rare
def test_planning_is_timed_in_a_process_of_its_own(capsys, monkeypatch):
    monkeypatch.setattr(data_bench, "FOLDERS", 3)
    monkeypatch.setattr(data_bench, "SHARDS", 50)
    bench.main(["what=plan"])
    found = last_line(capsys)
    assert found["shards"] == 150
    assert found["open_s"] >= 0
    assert 0 <= found["mib"] < 300


def test_dirty_shards_are_timed_against_clean_ones(capsys, monkeypatch):
    """Only whole samples count: with every second image broken there are half as many."""
    monkeypatch.setattr(data_bench, "BATCH", 4)
    monkeypatch.setattr(data_bench, "BAD_SHARE", 0.5)
    clean = list(data_bench._photographs(8, bad=False))
    dirty = list(data_bench._photographs(8, bad=True))
    assert [a.image == b.image for a, b in zip(clean, dirty, strict=True)] == [True, False] * 4
    bench.main(["what=dirt", "repeat=2"])
    found = last_line(capsys)
    assert found["whole_samples_per_s"].keys() == {"clean", "dirty"}
    assert found["dirty_over_clean"] > 0


def test_a_seek_is_timed_against_a_start(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(data_bench, "SAMPLES", 300)
    bench.main(["what=seek", "repeat=2"])
    times = last_line(capsys)["first_batch_s"]
    assert times["start"]["median"] > 0
    assert times["middle"]["median"] > 0


@pytest.mark.rare
@pytest.mark.slow
def test_losses_are_measured_on_one_rank_of_many_and_dense(capsys, monkeypatch):
    monkeypatch.setattr(loss_bench, "COLUMNS", (2048,))
    monkeypatch.setattr(loss_bench, "FORMS", ("region_text", "dense"))
    bench.main(["what=loss"])
    found = last_line(capsys)["2048"]
    assert found["region_text"]["s"] > 0
    # a rank's rows against all rows, of which the similarities alone are 16 MiB
    assert 0 < found["region_text"]["peak_mib"] < found["dense"]["peak_mib"]
    assert found["dense"]["peak_mib"] > 16
    assert found["dense_needs_gib"] == 0.1
    monkeypatch.setattr(loss_bench, "_free_gib", lambda: 0.01)
    monkeypatch.setattr(loss_bench, "FORMS", ("dense",))
    bench.main(["what=loss"])
    assert last_line(capsys)["2048"]["dense"] is None


def test_a_save_is_timed_until_training_goes_on_and_until_it_is_on_the_disk(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(save_bench, "MIB", 1)
    monkeypatch.chdir(tmp_path)
    bench.main(["what=save", "repeat=2"])
    found = last_line(capsys)
    assert found["seconds"].keys() == {"waited", "blocked"}
    assert 0 < found["blocked_over_waited"]
    assert found["mib"] == 1
    assert list(tmp_path.iterdir()) == []


def test_scenes_are_timed_before_and_after_encoding(capsys, monkeypatch):
    monkeypatch.setattr(measurements.drawing, "__kwdefaults__", {"count": 5})
    bench.main(["what=scenes", "repeat=3"])
    speeds = last_line(capsys)["scenes_per_s"]
    assert speeds.keys() == {"composed", "encoded", "depth_composed", "depth_encoded"}
    assert all(speed["median"] > 0 for speed in speeds.values())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["what=scenes", "experiment=smoke"], "what=scenes is of .* not read experiment=smoke"),
        (["what=plan", "hydra=3"], "what=plan is of no run and does not read hydra=3; remove it"),
        (["what=eval", "shards=x", "steps=1"], "what=eval with shards= is of .* not read steps=1"),
    ],
)
def test_what_stands_alone_names_what_it_does_not_read(given, named):
    with pytest.raises(UserError, match=named):
        bench.main(given)


def test_a_question_by_a_mistyped_key_shows_the_key():
    with pytest.raises(UserError, match=r"^no what= is given, wath=eval; choose step, loader"):
        bench.main(["wath=eval"])


@pytest.mark.parametrize("given", [["what=speed"], [], ["shards=x"]])
def test_an_unknown_question_is_one_line(given):
    with pytest.raises(UserError, match=r"choose step, loader, .* with experiment=NAME, loader"):
        bench.main(given)
