"""The webdataset importer on tars as img2dataset writes them."""

import json

import pytest

from cloc.data.samples.record import Caption
from cloc.data.shards.index import write_index
from cloc.errors import UserError
from data_prep.importers.webdataset import write_webdataset
from tests.data_prep.importers.written import jpeg, written
from tests.helpers.shards import make_shards, write_tar


def details(key, **more):
    """The json member of img2dataset."""
    return {
        **{"url": f"http://x/{key}", "key": key, "status": "success", "error_message": None},
        **{"width": 40, "height": 30, "original_width": 80, "original_height": 60, "exif": "{}"},
        **{"sha256": "ab", "caption": f"picture {key}", **more},
    }


def sample(key, image=None, txt=None, **more):
    data = {f"{key}.jpg": jpeg() if image is None else image}
    data[f"{key}.txt"] = (f"A picture {key}" if txt is None else txt).encode()
    return {**data, f"{key}.json": json.dumps(details(key, **more), indent=4).encode()}


@pytest.fixture
def tars(tmp_path):
    folder = tmp_path / "tars"
    folder.mkdir()
    keys = [("00000", "000000000"), ("00000", "000000001"), ("00001", "000010000")]
    for stem in ("00000", "00001"):
        found = [sample(key) for tar, key in keys if tar == stem]
        write_tar(folder / f"{stem}.tar", {k: v for each in found for k, v in each.items()})
    return folder


def drops_of(tmp_path, members, **given):
    tmp_path.mkdir(exist_ok=True)
    write_tar(tmp_path / "00000.tar", members)
    manifest = write_webdataset(tmp_path / "out", shards=f"{tmp_path}/00000.tar", **given)["train"]
    return manifest["drops"]


def test_tars_become_one_shard_set_with_keys_and_captions_as_they_were(tars, tmp_path):
    manifest = write_webdataset(tmp_path / "out", shards=str(tars))["train"]
    records = written(tmp_path / "out/train")
    assert [r.key for r in records] == ["000000000", "000000001", "000010000"]
    assert records[0].captions == (Caption("A picture 000000000", "webdataset"),)
    assert (records[0].image, records[0].meta, records[0].regions) == (jpeg(), {}, ())
    assert (len(manifest["shards"]), manifest["drops"]) == (1, {})


def test_an_index_beside_the_tar_gives_the_same(tars, tmp_path):
    write_webdataset(tmp_path / "a", shards=f"{tars}/*.tar")
    write_index(tars / "00000.tar")
    write_webdataset(tmp_path / "b", shards=f"{tars}/*.tar")
    tar = "train/shard-000000.tar"
    assert (tmp_path / "a" / tar).read_bytes() == (tmp_path / "b" / tar).read_bytes()


def test_captions_of_a_json_field_and_only_the_fields_to_keep(tars, tmp_path):
    given = {"caption_key": "caption", "keep": ["url", "original_width", "error_message"]}
    write_webdataset(tmp_path / "out", shards=str(tars), **given)
    first = written(tmp_path / "out/train")[0]
    assert first.captions == (Caption("picture 000000000", "webdataset"),)
    assert first.meta == {"url": "http://x/000000000", "original_width": 80}  # null is nothing


@pytest.mark.parametrize(
    ("setting", "value"), [("caption_key", "capton"), ("keep", ["url", "capton"])]
)
def test_a_field_that_no_sample_has_is_refused(tars, tmp_path, setting, value):
    with pytest.raises(UserError, match=f"{setting}: none of 3 .* 'capton', the last one had url"):
        write_webdataset(tmp_path / "out", shards=str(tars), **{setting: value})


def test_samples_that_cannot_be_used_are_counted_under_the_budget(tmp_path):
    members = {
        **sample("000000000"),
        **sample("000000001", status="failed_to_download", error_message="404"),
        **sample("000000002", image=b"no picture"),
        **sample("000000003", image=jpeg()[:40]),
        **{"000000004.txt": b"no image"},
        **{"000000005.jpg": jpeg(), "000000005.json": b"{"},
        **{"000000006.jpg": jpeg(), "000000006.json": b"[]"},
    }
    with pytest.raises(UserError, match=r"no object; .*\(6 of 7 samples cannot .* budget=0\.01\)"):
        drops_of(tmp_path, members)
    assert not (tmp_path / "out/train").exists()
    assert drops_of(tmp_path, members, budget=0.9) == {
        **{"status": 1, "picture": 2, "image": 1, "json": 2}
    }


def test_a_picture_that_no_loader_takes_is_counted(tmp_path):
    bomb = bytearray(jpeg())
    at = bomb.index(b"\xff\xc0") + 5
    bomb[at : at + 4] = (5000).to_bytes(2, "big") + (6000).to_bytes(2, "big")  # as it claims
    members = {**sample("000000000"), **sample("000000001", image=bytes(bomb))}
    assert drops_of(tmp_path, members, budget=0.5) == {"bomb": 1}


def test_odd_captions_and_meta_cost_themselves_alone(tmp_path):
    members = {
        **sample("000000000", similarity=float("nan")),
        **sample("000000001", txt="", similarity=0.5, caption=None),
        **{"000000002.jpg": jpeg(), "000000002.txt": b"\xff"},
    }
    assert drops_of(tmp_path, members, keep=["similarity"]) == {"meta": 1, "caption": 2}
    found = [(len(r.captions), r.meta) for r in written(tmp_path / "out/train")]
    assert found == [(1, {}), (0, {"similarity": 0.5}), (0, {})]


def test_members_outside_the_allowlist_are_never_read(tmp_path):
    members = {"000000000.jpg": jpeg(), "000000000.pyd": b"\x80", "000000000.cls": b"3"}
    assert drops_of(tmp_path, members) == {}
    assert len(written(tmp_path / "out/train")) == 1


def test_keys_that_begin_anew_in_every_tar_stay_apart(tmp_path):
    for stem in ("a.1", "b"):
        write_tar(tmp_path / f"{stem}.tar", sample("0"))
    write_webdataset(tmp_path / "out", shards=str(tmp_path))
    assert [r.key for r in written(tmp_path / "out/train")] == ["a_1_0", "b_0"]


def test_val_takes_its_share_by_key_and_every_drop_is_counted_once(tmp_path):
    members = {}
    for number in range(40):
        bad = {"image": b"x"} if number % 10 == 0 else {}
        members |= sample(f"{number:09d}", **bad)
    write_tar(tmp_path / "00000.tar", members)
    manifests = write_webdataset(tmp_path / "out", shards=str(tmp_path), val=0.4, budget=0.5)
    counts = [m["samples"] for m in manifests.values()]
    assert sum(counts) == 36
    assert min(counts) > 5
    assert sum(m["drops"].get("picture", 0) for m in manifests.values()) == 4


def test_broken_tars_and_wrong_places_are_one_line(tars, tmp_path):
    path = tars / "00001.tar"
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(UserError, match=r"00001\.tar: not a readable tar .* copy or write it"):
        write_webdataset(tmp_path / "out", shards=str(tars))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"shards=.*empty: the folder is empty"):
        write_webdataset(tmp_path / "out", shards=f"{tmp_path}/empty")
    with pytest.raises(UserError, match=r"shards=.*: no shard at .*none\.tar"):
        write_webdataset(tmp_path / "out", shards=f"{tmp_path}/none.tar")


def test_our_own_shards_are_refused(tmp_path):
    make_shards(tmp_path / "own", shards=1, each=2)
    with pytest.raises(UserError, match="of schema cloc-regions/1 already; train on these shards"):
        write_webdataset(tmp_path / "out", shards=f"{tmp_path}/own")


def test_a_key_that_is_there_twice_costs_the_sample(tmp_path):
    members = {"0.jpg": jpeg(), "0.json": b'{"text": "a cat", "text": "a dog"}'}
    write_tar(tmp_path / "0.tar", members)
    says = "0.tar::0_0: the json member is not JSON .the key 'text' .* as 'a cat' and 'a dog'"
    with pytest.raises(UserError, match=says):
        write_webdataset(tmp_path / "out", shards=f"{tmp_path}/0.tar", caption_key="text")


@pytest.mark.parametrize("ending", ["jfif", "JPE", "pjpeg"])
def test_a_jpeg_of_another_ending_is_the_picture_of_its_sample(tmp_path, ending):
    drops = drops_of(tmp_path, {f"0.{ending}": jpeg(), "0.txt": b"a cat"})
    assert (drops, written(tmp_path / "out/train")[0].extension) == ({}, "jpg")


def without(members, suffix):
    return {name: data for name, data in members.items() if not name.endswith(suffix)}


@pytest.mark.parametrize("how", ["no txt", "blank txt"])
def test_the_caption_of_the_json_is_taken_where_there_is_no_txt(tmp_path, how):
    members = sample("a")
    members = without(members, ".txt") if how == "no txt" else {**members, "a.txt": b"\n"}
    assert drops_of(tmp_path, members) == {}
    [record] = written(tmp_path / "out/train")
    assert record.captions == (Caption("picture a", "webdataset"),)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_a_set_of_texts_in_another_encoding_is_refused(tmp_path, encoding):
    members = {}
    for i in range(12):
        members |= {**sample(f"{i:02d}"), f"{i:02d}.txt": f"ein Bär {i}".encode(encoding)}
    with pytest.raises(UserError, match=r"12 of 12 captions .*; texts are read as UTF-8\); mend"):
        drops_of(tmp_path, members)
    assert not (tmp_path / "out/train").exists()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"0.json": b'{"text": "a cat", "id": 3}'}, r"the json has text, id\. Set caption_key="),
        ({"0.json": b'{"TEXT": "a cat"}'}, r"the json has TEXT\. Set caption_key="),
        ({"0.caption": b"a cat"}, r"there are members \.caption\. Set .* rename the members"),
        ({"0.Text": b"a cat"}, r"there are members \.text\."),
    ],
)
def test_captions_that_stand_elsewhere_are_not_lost_in_silence(tmp_path, members, says):
    members = {"0.jpg": jpeg(), **members}
    with pytest.raises(UserError, match=rf"no sample has a caption, as txt or .*; {says}"):
        drops_of(tmp_path, members)
    assert drops_of(tmp_path / "set", members, caption_key="none") == {}


@pytest.mark.parametrize("status", [200, "200", "Success", "ok", True, float("nan"), ""])
def test_only_what_img2dataset_says_of_a_failure_is_one(tmp_path, status):
    assert drops_of(tmp_path, sample("a", status=status)) == {}
    with pytest.raises(UserError, match="it was not downloaded"):
        drops_of(tmp_path / "b", sample("a", status="failed_to_download"))
