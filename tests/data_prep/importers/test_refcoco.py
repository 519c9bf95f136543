"""The RefCOCO importer: its own splits, a region of each sentence, and no code from pickles."""

import json
import pickle
import re
import struct

import pytest

from cloc.data.samples.record import Region
from cloc.data.shards.manifest import read_manifest
from cloc.errors import UserError
from data_prep.importers.refcoco import read_refs, write_refcoco
from tests.helpers.imported import draw, imported, prepared


def python2(value):
    """A pickle as Python 2 wrote it: protocol 2, strings as bytes."""

    def body(v):
        if isinstance(v, dict):
            return b"}(" + b"".join(body(x) for pair in v.items() for x in pair) + b"u"
        if isinstance(v, list):
            return b"](" + b"".join(map(body, v)) + b"e"
        if isinstance(v, int):
            return b"J" + struct.pack("<i", v)
        raw = v.encode()
        return b"U" + bytes([len(raw)]) + raw

    return b"\x80\x02" + body(value) + b"."


def sentence(number, text):
    return {"tokens": text.split(), "raw": text.upper(), "sent_id": number, "sent": text}


def ref(number, ann, image, split, *texts):
    return {
        "sent_ids": list(range(len(texts))),
        "file_name": f"COCO_train2014_{image:012d}_{number}.jpg",
        "ann_id": ann,
        "ref_id": number,
        "image_id": image,
        "split": split,
        "sentences": [sentence(i, text) for i, text in enumerate(texts)],
        "category_id": 1,
    }


REFS = [
    ref(16, 31, 581857, "train", "the lady with the blue shirt", "lady", "naïve lady"),
    ref(4, 32, 581857, "train", "dog on the left"),
    ref(5, 32, 581857, "val", "dog"),
    ref(6, 33, 9, "testA", "man"),
    ref(7, 34, 9, "testA", "crowd of people", "crowd"),
]
LADY, DOG = (10.0, 5.0, 22.5, 15.0), (1.0, 2.0, 9.0, 9.0)


def box(number, image, category, bbox, crowd=0):
    row = {"segmentation": [[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]], "area": 9.0, "iscrowd": crowd}
    return {**row, "image_id": image, "bbox": bbox, "category_id": category, "id": number}


@pytest.fixture
def given(tmp_path):
    images = []
    for number in (581857, 9, 77):  # of the last there is neither a picture nor an expression
        name = f"COCO_train2014_{number:012d}.jpg"
        row = {"license": 1, "file_name": name, "coco_url": "http://mscoco.org/images/9"}
        images.append({**row, "height": 30, "width": 40, "id": number})
    draw(tmp_path / "train2014/COCO_train2014_000000581857.jpg")
    draw(tmp_path / "train2014/COCO_train2014_000000000009.jpg")
    boxes = [
        box(31, 581857, 1, [10, 5, 12.5, 10]),
        box(32, 581857, 18, [1, 2, 8, 7]),
        box(33, 9, 1, [0, 0, 9, 9]),
        box(34, 9, 1, [0, 0, 9, 9], crowd=1),
    ]
    names = [{"supercategory": "x", "id": i, "name": n} for i, n in ((1, "person"), (18, "dog"))]
    data = {"images": images, "annotations": boxes, "categories": names}
    (tmp_path / "instances.json").write_text(json.dumps(data))
    (tmp_path / "refs(unc).p").write_bytes(python2(REFS))
    return {
        "images": tmp_path / "train2014",
        "refs": tmp_path / "refs(unc).p",
        "instances": tmp_path / "instances.json",
    }


def test_every_sentence_is_a_region_and_those_of_one_object_have_the_same_box(given, tmp_path):
    prepared("refcoco", tmp_path / "out", **given)
    train = imported(tmp_path / "out/train")
    assert list(train) == ["000000581857"]  # one record of an image
    named = [("dog on the left", "dog", DOG)]  # in order of ref id
    named += [(t, "person", LADY) for t in ("the lady with the blue shirt", "lady", "naïve lady")]
    assert train["000000581857"].regions == tuple(
        Region(box, text, source="refcoco", label=label) for text, label, box in named
    )
    assert train["000000581857"].meta == {"image_id": 581857, "license": 1}


def test_the_sets_own_splits_become_folders_and_an_image_may_be_in_two(given, tmp_path):
    manifests = write_refcoco(tmp_path / "out", **given)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["testA", "train", "val"]
    assert {name: m["regions"] for name, m in manifests.items()} == {
        **{"train": 4, "val": 1},
        "testA": 1,
    }
    assert list(imported(tmp_path / "out/val")) == list(imported(tmp_path / "out/train"))
    manifest = read_manifest(tmp_path / "out/testA")
    assert manifest["drops"] == {"crowd": 2}  # both sentences
    assert manifest["classes"] == {"person": ["person"], "dog": ["dog"]}


def test_refs_as_json_give_the_same_shards(given, tmp_path):
    write_refcoco(tmp_path / "a", **given)
    (tmp_path / "refs.json").write_text(json.dumps(REFS))
    write_refcoco(tmp_path / "b", **{**given, "refs": tmp_path / "refs.json"})
    a, b = (read_manifest(tmp_path / name / "train")["shards"] for name in "ab")
    assert a == b


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_from_every_protocol(tmp_path, protocol):
    value = [{"a": [1, 2.5, (None, True)], "b": {"ü": 10**30}}]
    (tmp_path / "refs.p").write_bytes(pickle.dumps(value, protocol))
    assert read_refs(tmp_path / "refs.p") == value


class Evil:
    def __init__(self, call, *args):
        self.call = (call, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_names_anything_is_refused_and_runs_nothing(tmp_path, protocol):
    made = tmp_path / "made"
    for thing in (Evil(made.mkdir), Evil(exec, f"open({str(made)!r}, 'w')"), [complex(1, 2)]):
        (tmp_path / "refs.p").write_bytes(pickle.dumps([thing], protocol))
        with pytest.raises(UserError, match=r"refs\.p: the pickle wants .* convert it to JSON"):
            read_refs(tmp_path / "refs.p")
        assert not made.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"(S'ls'\nios\nsystem\n.",  # INST
        b"cos\nsystem\n(S'ls'\ntR.",  # GLOBAL, REDUCE
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",  # STACK_GLOBAL
        b"\x80\x02\x82\x01.",  # EXT1
        b"Pid\n.",  # PERSID
    ],
)
def test_no_opcode_reaches_a_name(tmp_path, content):
    (tmp_path / "refs.p").write_bytes(content)
    with pytest.raises(UserError, match=r"refs\.p: (the pickle wants|not a pickle)") as error:
        read_refs(tmp_path / "refs.p")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"not a pickle \(Ran out of input\); download the file again"),
        (python2(REFS)[:200], "not a pickle .*; download"),
        (b"\x80\x02K\x05\x2e", "5 is no list of refs; give"),
        (b'[{"a"', "not JSON .*; download"),
        (b'{"a": 1}', "is no list of refs"),
        (b"<html>", "not a pickle .*; download"),
    ],
)
def test_a_file_that_is_neither_is_named_with_its_cure(tmp_path, content, says):
    (tmp_path / "refs.p").write_bytes(content)
    with pytest.raises(UserError, match=rf"refs\.p: .*{says}"):
        read_refs(tmp_path / "refs.p")
    with pytest.raises(UserError, match=r"none\.p: no such file; .* refs=FILE"):
        read_refs(tmp_path / "none.p")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"split": "../out"}, r"ref 1 is of split '\.\./out', known are train, val"),
        ({"ann_id": 99}, "annotation 99 of image 581857 is not in the file of instances"),
        ({"image_id": 9}, "annotation 31 of image 9 is not in"),
        ({"ann_id": [31, 32]}, r"has ann_id \[31, 32\], expected a whole number"),
        ({"sentences": None}, "sentences is None, expected a list"),
        ({"sentences": [{"raw": "a"}]}, "has no 'sent'"),
    ],
)
def test_a_wrong_ref_is_named(given, tmp_path, change, says):
    (tmp_path / "refs.json").write_text(json.dumps([{**ref(1, 31, 581857, "val", "a"), **change}]))
    with pytest.raises(UserError, match=says):
        write_refcoco(tmp_path / "out", **{**given, "refs": tmp_path / "refs.json"})
    assert not (tmp_path / "out").exists()


def test_the_same_picture_is_found_under_its_name_of_2017(given, tmp_path):
    old = given["images"] / "COCO_train2014_000000000009.jpg"
    old.rename(given["images"] / "000000000009.jpg")
    assert write_refcoco(tmp_path / "out", **given)["testA"]["samples"] == 1


def test_numbers_written_as_text_are_numbers_and_a_flag_is_what_it_says(given, tmp_path):
    write_refcoco(tmp_path / "a", **given)
    given["refs"] = tmp_path / "refs.json"
    for name, text in (("refs", json.dumps(REFS)), ("instances", given["instances"].read_text())):
        given[name].write_text(re.sub(r": (\d+)(?=[,}])", r': "\1"', text))
    write_refcoco(tmp_path / "b", **given)
    for split in ("train", "val", "testA"):
        a, b = (imported(tmp_path / name / split) for name in "ab")
        assert {k: r.regions for k, r in a.items()} == {k: r.regions for k, r in b.items()}


def test_an_annotation_that_is_there_twice_is_refused(given, tmp_path):
    data = json.loads(given["instances"].read_text())
    data["annotations"].append({**data["annotations"][0], "bbox": [0, 0, 9, 9]})
    given["instances"].write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"instances\.json: annotation 31 is listed twice"):
        write_refcoco(tmp_path / "out", **given)
