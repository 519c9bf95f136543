"""The GRIT importer on img2dataset's tars and on its parquet files with a folder of pictures."""

import builtins
import json

import pyarrow as pa
import pytest

from cloc.data.samples.record import Caption, Region
from cloc.errors import UserError
from data_prep.importers.grit import write_grit
from tests.data_prep.importers.written import jpeg, written
from tests.helpers.shards import write_tar

CAPTION = "a wire hanger with a paper cover that reads we heart our customers"
# The example of GRIT's own page, shortened: two noun chunks and their referring expressions.
CHUNKS = [[19.0, 32.0, 0.25, 0.5, 0.75, 1.0, 0.79], [0.0, 13.0, 0.1, 0.1, 0.9, 0.9, 0.675]]
EXPRESSIONS = [[19.0, 66.0, 0.25, 0.5, 0.75, 1.0, 0.79], [0.0, 13.0, 0.1, 0.1, 0.9, 0.9, 0.675]]


def row(key="000000000", **more):
    return {
        **{"url": "http://x", "key": key, "status": "success", "error_message": None},
        **{"caption": CAPTION, "noun_chunks": CHUNKS, "ref_exps": EXPRESSIONS, "id": 1795296605919},
        **{"width": 40, "height": 30, "original_width": 1024, "original_height": 768, **more},
    }


def from_tar(tmp_path, *rows, image=None, **given):
    members = {}
    for each in rows:
        members[f"{each['key']}.jpg"] = jpeg() if image is None else image
        members[f"{each['key']}.txt"] = CAPTION.encode()
        members[f"{each['key']}.json"] = json.dumps(each).encode()
    write_tar(tmp_path / "00000.tar", members)
    manifest = write_grit(tmp_path / "out", shards=f"{tmp_path}/00000.tar", **given)["train"]
    return written(tmp_path / "out/train"), manifest["drops"]


def test_a_region_is_its_part_of_the_caption_and_equal_entries_are_one(tmp_path):
    [record], drops = from_tar(tmp_path, row(), keep=["id"])
    assert record.captions == (Caption(CAPTION, "grit"),)
    assert record.regions == (
        Region((10.0, 15.0, 30.0, 30.0), "a paper cover", score=0.79, source="grit"),
        Region((4.0, 3.0, 36.0, 27.0), "a wire hanger", score=0.675, source="grit"),
        Region((10.0, 15.0, 30.0, 30.0), CAPTION[19:], score=0.79, source="grit"),
    )
    assert record.meta == {"id": 1795296605919, "spans": [[19, 32], [0, 13], [19, 66]]}
    assert drops == {}


def test_one_column_alone(tmp_path):
    [record], _ = from_tar(tmp_path, row(noun_chunks=None), spans=["ref_exps"])
    assert [r.text for r in record.regions] == [CAPTION[19:], "a wire hanger"]
    with pytest.raises(UserError, match="spans: 'refs' is not known; name some of noun_chunks"):
        from_tar(tmp_path, row(), spans=["refs"])


def test_null_is_no_entry(tmp_path):
    [record], drops = from_tar(tmp_path, row(ref_exps=None))
    assert ([r.text for r in record.regions], drops) == (["a paper cover", "a wire hanger"], {})


def test_spans_are_of_the_caption_as_given_and_move_with_its_words(tmp_path):
    caption = "a  <b>red\u2028star</b> &amp; a cafÃ©, http://x.org/red"
    words = ["red\u2028star", "a cafÃ©", "org", "<b>"]
    places = [(caption.index(word), caption.index(word) + len(word)) for word in words]
    chunks = [[*place, 0.0, 0.0, 1.0, 1.0, 0.5] for place in places]
    [record], drops = from_tar(tmp_path, row(caption=caption, noun_chunks=chunks, ref_exps=[]))
    text = record.captions[0].text
    assert text == "a red star & a café,"
    assert [r.text for r in record.regions] == ["red star", "a café"]
    assert [text[slice(*span)] for span in record.meta["spans"]] == ["red star", "a café"]
    assert drops == {"span": 1, "text": 1}  # inside of an address; nothing but a tag


def test_entries_and_boxes_that_cannot_be_used_are_counted_by_reason(tmp_path):
    good = [0, 13, 0.0, 0.0, 1.0, 1.0, 0.5]
    chunks = [
        good,
        *([13, 0, *good[2:]], [0, 99, *good[2:]], good[:6], None, [*good[:6], "x"]),
        [0, 13, 0.5, 0.5, 0.5, 0.9, 0.5],
        [0, 13, 0.5, 0.5, 0.501, 0.9, 0.5],
        [0, 13, 0.5, None, 0.6, 0.9, 0.5],
        [6, 7, *good[2:]],
    ]
    caption = "a wire\x07hanger or so"
    [record], drops = from_tar(tmp_path, row(caption=caption, noun_chunks=chunks, ref_exps=[]))
    assert [r.text for r in record.regions] == ["a wire hanger"]
    assert drops == {
        **{"span": 5, "box_reversed": 1, "box_small": 1, "box_not_finite": 1, "text": 1}
    }


def test_tars_without_the_columns_say_how_to_download_them(tmp_path):
    lost = row()
    del lost["ref_exps"]
    with pytest.raises(UserError, match=r"there is no ref_exps; download .*additional_columns"):
        from_tar(tmp_path, lost)


def test_a_padded_or_cropped_picture_is_refused_and_a_scaled_one_is_not(tmp_path):
    with pytest.raises(UserError, match=r"40x30, the original was 1024x500; .*keep_ratio"):
        from_tar(tmp_path, row(original_width=1024, original_height=500))
    [record], _ = from_tar(tmp_path, row(original_width=1024, original_height=749))  # 40 x 29.3
    assert len(record.regions) == 3


def parquet_set(tmp_path, rows, folder="00000"):
    from pyarrow import parquet

    (tmp_path / "set" / folder).mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "set/00000.parquet")
    for each in rows:
        if each.get("status") == "success":
            (tmp_path / f"set/{folder}/{each['key']}.jpg").write_bytes(jpeg())
    return {"parquet": f"{tmp_path}/set", "images": tmp_path / "set"}


@pytest.mark.parametrize("folder", ["00000", "."])
def test_parquet_with_a_folder_of_pictures_gives_the_same_records(tmp_path, folder):
    rows = [row(), row("000000001", status="failed_to_download", error_message="404")]
    given = parquet_set(tmp_path, rows, folder)
    manifest = write_grit(tmp_path / "p", **given, keep=["id"])["train"]
    assert manifest["drops"] == {"status": 1}
    records, _ = from_tar(tmp_path, row(), keep=["id"])
    assert written(tmp_path / "p/train") == records


def test_missing_pictures_are_counted_under_the_budget(tmp_path):
    given = parquet_set(tmp_path, [row(f"{i:09d}") for i in range(4)])
    (tmp_path / "set/00000/000000002.jpg").unlink()
    assert write_grit(tmp_path / "out", **given)["train"]["drops"] == {"missing": 1}
    with pytest.raises(UserError, match=r"000000002\.jpg: .*\(1 of 4 samples cannot be used"):
        write_grit(tmp_path / "out2", **given, budget=0.1)


def test_grits_own_parquet_is_refused_because_its_keys_are_of_another_download(tmp_path):
    own = row()
    del own["status"], own["error_message"]
    with pytest.raises(UserError, match=r"no column 'status' among .*that img2dataset wrote"):
        write_grit(tmp_path / "out", **parquet_set(tmp_path, [own]))


def test_val_takes_its_share_by_key(tmp_path):
    given = parquet_set(tmp_path, [row(f"{i:09d}") for i in range(30)])
    manifests = write_grit(tmp_path / "out", **given, val=0.4)
    assert sum(m["samples"] for m in manifests.values()) == 30
    assert min(m["samples"] for m in manifests.values()) > 3


def test_wrong_inputs_are_one_line(tmp_path):
    with pytest.raises(UserError, match="give shards=TARS, or parquet=FILES and images=DIR"):
        write_grit(tmp_path / "out", parquet="x")
    with pytest.raises(UserError, match=r"parquet=.*: no parquet file; give a file, a folder"):
        write_grit(tmp_path / "out", parquet=f"{tmp_path}/*.parquet", images=tmp_path)
    (tmp_path / "x.parquet").write_text("hello")
    with pytest.raises(UserError, match=r"x\.parquet: not readable as parquet") as error:
        write_grit(tmp_path / "out", parquet=f"{tmp_path}/x.parquet", images=tmp_path)
    assert "\n" not in str(error.value)


def test_without_pyarrow_the_error_names_the_extra(tmp_path, monkeypatch):
    given = parquet_set(tmp_path, [row()])
    real = builtins.__import__

    def without(name, *args):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'cloc-pretrain\[prep\]'"):
        write_grit(tmp_path / "out", **given)


def test_numbers_written_as_text_are_numbers(tmp_path):
    chunks = [[str(value) for value in chunk] for chunk in CHUNKS]
    sizes = {"original_width": "1024", "original_height": "768.0"}
    [record], drops = from_tar(tmp_path, row(noun_chunks=chunks, ref_exps=[], **sizes))
    assert [(r.text, r.score, r.box) for r in record.regions] == [
        ("a paper cover", 0.79, (10.0, 15.0, 30.0, 30.0)),
        ("a wire hanger", 0.675, (4.0, 3.0, 36.0, 27.0)),
    ]
    assert drops == {}


def test_a_size_that_nobody_said_is_none_and_one_that_says_nothing_is_named(tmp_path):
    for nothing, folder in ((None, "a"), ("", "b"), ("nan", "c")):
        (tmp_path / folder).mkdir()
        [record], _ = from_tar(tmp_path / folder, row(original_width=nothing))
        assert record.regions
    with pytest.raises(
        UserError, match=r"the original was \['wide', 768\], expected whole numbers"
    ):
        from_tar(tmp_path, row(original_width="wide"), budget=0.0)


def test_a_key_that_is_there_twice_costs_the_sample(tmp_path):
    text = json.dumps(row()).replace('"caption":', '"caption": "a dog", "caption":')
    write_tar(tmp_path / "00000.tar", {"0.jpg": jpeg(), "0.json": text.encode()})
    with pytest.raises(
        UserError, match="the key 'caption' occurs twice in one object, as 'a dog' and"
    ):
        write_grit(tmp_path / "out", shards=f"{tmp_path}/00000.tar")
