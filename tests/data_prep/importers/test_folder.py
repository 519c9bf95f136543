"""The folder importer: keys, captions from every kind of file, and what cannot be used."""

import json

import pytest

from cloc.data.samples.record import Caption
from cloc.errors import UserError
from data_prep.importers.folder import write_folder
from tests.data_prep.importers.written import jpeg, written
from tests.helpers.shards import encode, flat


@pytest.fixture
def images(tmp_path):
    """`a.jpg` with a text beside it, `sub.v2/b.c.png` without."""
    folder = tmp_path / "images"
    (folder / "sub.v2").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(jpeg())
    (folder / "a.txt").write_text(" A cat \n\n it  sits\n")
    (folder / "sub.v2/b.c.PNG").write_bytes(encode(flat(20, 10)))
    return folder


def texts(folder):
    return {record.key: [c.text for c in record.captions] for record in written(folder)}


def test_each_line_of_the_text_beside_a_picture_is_a_caption(images, tmp_path):
    manifest = write_folder(tmp_path / "out", images=images)["train"]
    first, second = written(tmp_path / "out/train")
    assert first.key == "a"
    assert first.captions == (Caption("A cat", "folder"), Caption("it sits", "folder"))
    assert first.image == (images / "a.jpg").read_bytes()
    assert (second.key, second.captions) == ("sub_v2/b_c", ())  # kept, without a caption
    assert (second.extension, second.width, second.height) == ("png", 20, 10)
    assert manifest["drops"] == {}


def test_a_caption_goes_on_behind_what_is_no_line_end_and_is_clean(images, tmp_path):
    content = "a\u2028red\x0bstar\r\n<b>a</b> &amp;amp; b\x85\rhttps://x.org\n"
    (images / "a.txt").write_bytes(content.encode())
    manifest = write_folder(tmp_path / "out", images=images)["train"]
    assert texts(tmp_path / "out/train")["a"] == ["a red star", "a & b…"]
    assert manifest["drops"] == {"caption": 1}  # of which nothing is left


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", 'file_name,text\na.jpg,"one, two"\nsub.v2/b.c.PNG,three\n./a.jpg,four\n'),
        ("c.tsv", "text\tfile_name\none, two\ta.jpg\nthree\tsub.v2/b.c.PNG\nfour\ta.jpg\n"),
        ("c.json", '{"a.jpg": ["one, two", "four"], "sub.v2/b.c.PNG": "three"}'),
        (
            "list.json",
            '[{"file_name": "a.jpg", "text": ["one, two", "four"]},\n'
            ' {"file_name": "sub.v2/b.c.PNG", "text": "three"}]',
        ),
        (
            "c.jsonl",
            '{"file_name": "a.jpg", "text": ["one, two", "four"]}\n'
            '{"file_name": "sub.v2/b.c.PNG", "text": "three"}\n',
        ),
    ],
)
def test_captions_of_one_file_by_name_below_the_folder(images, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    write_folder(tmp_path / "out", images=images, captions=tmp_path / name)
    # And not the text beside the picture.
    assert texts(tmp_path / "out/train") == {"a": ["one, two", "four"], "sub_v2/b_c": ["three"]}


def test_columns_can_have_other_names(images, tmp_path):
    (tmp_path / "c.csv").write_text("path,caption\na.jpg,one\n")
    given = {"images": images, "captions": tmp_path / "c.csv"}
    with pytest.raises(UserError, match=r"no column 'file_name' among path, caption; set file_key"):
        write_folder(tmp_path / "out", **given)
    with pytest.raises(UserError, match=r"no column 'text' among path, caption; set caption_key"):
        write_folder(tmp_path / "out", **given, file_key="path")
    write_folder(tmp_path / "out", **given, file_key="path", caption_key="caption")
    assert texts(tmp_path / "out/train") == {"a": ["one"], "sub_v2/b_c": []}


def test_listed_but_missing_and_unreadable_pictures_are_counted_under_the_budget(images, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"gone.jpg": "x", "a.jpg": "cat", "../b.jpg": ""}))
    (images / "d.gif").write_bytes(encode(flat(8, 8), "GIF"))
    (images / "e.jpg").write_text("hello")
    (images / ".hidden.jpg").write_text("hello")
    given = {"images": images, "captions": tmp_path / "c.json"}
    with pytest.raises(
        UserError, match=r"gone\.jpg: .* cannot be read .*\(4 of 6 samples .* budget=0\.6"
    ):
        write_folder(tmp_path / "out", **given, budget=0.6)
    assert not (tmp_path / "out/train").exists()
    manifest = write_folder(tmp_path / "out", **given, budget=0.7)["train"]
    assert (manifest["samples"], manifest["drops"]) == (2, {"missing": 2, "picture": 2})


def test_captions_that_no_shard_takes_are_counted_and_the_picture_stays(images, tmp_path):
    given = {"a.jpg": ["", None, "x" * 10_001, "good", "\ud800", *["more"] * 100]}
    (tmp_path / "c.json").write_text(json.dumps(given))
    drops = write_folder(tmp_path / "out", images=images, captions=tmp_path / "c.json")["train"]
    assert drops["drops"] == {"caption": 5}
    assert texts(tmp_path / "out/train")["a"] == ["good", *["more"] * 99]


def test_val_takes_its_share_by_key(images, tmp_path):
    for number in range(40):
        (images / f"{number}.jpg").write_bytes(jpeg(8, 8))
    write_folder(tmp_path / "out", images=images, val=0.3)
    train, val = (set(texts(tmp_path / "out" / name)) for name in ("train", "val"))
    assert len(train | val) == 42
    assert not train & val
    assert 5 <= len(val) <= 20


def test_two_pictures_with_one_key_are_refused(images, tmp_path):
    (images / "a.png").write_bytes(encode(flat(20, 10)))
    with pytest.raises(UserError, match=r"a\.jpg and a\.png would both have the key 'a'; rename"):
        write_folder(tmp_path / "out", images=images)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.csv", None, "no such file; give the captions with captions=FILE"),
        ("c.xls", "x", "captions are read from .csv, .tsv, .json, .jsonl; rename"),
        ("c.csv", "", "no column 'file_name' among ; set file_key"),
        ("c.csv", "file_name,text\n,x\n", "line 2 names no file; correct"),
        ("c.csv", b"file_name,text\n\xff,x\n", "not a table in UTF-8"),
        ("c.csv", "file_name,text\na.jpg,A cat, that sits\n", "line 2 has more columns than the"),
        ("c.csv", "file_name,text\n/x/a.jpg,x\n", "/x/a.jpg is no path below images=DIR"),
        ("c.tsv", 'file_name\ttext\na.jpg\t"Hi\nb.jpg\tx\n', "line 3: unexpected end of data"),
        ("c.tsv", 'file_name\ttext\na.jpg\t"Hi" he says\n', "line 2: .* expected after .*; corr"),
        ("c.json", "1", "a int, expected an object of file names and captions"),
        ("c.json", "[1]", "element 1 is a int, expected an object"),
        ("c.json", "{", "not JSON in UTF-8"),
        ("c.jsonl", '{"file_name": "a.jpg"}', "no column 'text' among file_name; set caption_key"),
        ("c.jsonl", '{"file_name": 3, "text": "x"}', "file_name is 3, expected a file name"),
        ("c.jsonl", '{"file_name": ', "not JSON in UTF-8"),
    ],
)
def test_a_wrong_captions_file_is_one_line(images, tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=says) as error:
        write_folder(tmp_path / "out", images=images, captions=tmp_path / name)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_wrong_folder_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder; give the folder of pictures"):
        write_folder(tmp_path / "out", images=tmp_path / "none")
    with pytest.raises(UserError, match="holds no picture"):
        write_folder(tmp_path / "out", images=tmp_path)


def test_pictures_of_any_ending_and_behind_links_have_their_captions(images, tmp_path):
    for name in ("p.JFIF", "q.jpe", "r", "IMG.2024", "IMG.2025"):
        (images / name).write_bytes(jpeg())
    (images / "r.TXT").write_text("an R")
    (images / "IMG.2024.txt").write_text("a year")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/s.png").write_bytes(encode(flat(20, 10)))
    (images / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/round").symlink_to(images)
    manifest = write_folder(tmp_path / "out", images=images)["train"]
    assert manifest["drops"] == {}
    assert texts(tmp_path / "out/train") == {
        **{"IMG_2024": ["a year"], "IMG_2025": [], "a": ["A cat", "it sits"], "link/s": []},
        **{"p": [], "q": [], "r": ["an R"], "sub_v2/b_c": []},
    }


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("c.json", '{"a.jpg": "one", "a.jpg": "two"}', "the key 'a.jpg' .* as 'one' and 'two'"),
        ("c.jsonl", '{"file_name": "a.jpg", "text": "1", "text": "2"}', "'text' .* as '1' and '2'"),
        (
            "l.json",
            '[{"file_name": "a.jpg", "text": "1", "text": "2"}]',
            "'text' .* as '1' and '2'",
        ),
        ("c.csv", "file_name,text,text\na.jpg,one,two\n", "the column 'text' is there twice"),
    ],
)
def test_of_two_captions_under_one_name_none_wins_silently(images, tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name}: .*{says}"):
        write_folder(tmp_path / "out", images=images, captions=tmp_path / name)


@pytest.mark.parametrize("name", ["a.caption", "a.json", "a.jpg.txt", "a.Txt"])
def test_captions_that_stand_elsewhere_are_not_lost_in_silence(tmp_path, name):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(jpeg())
    (tmp_path / "images" / name).write_text("a cat")
    says = f"none of 1 pictures has a caption; beside a.jpg lies {name}: rename such files to a.txt"
    with pytest.raises(UserError, match=says):
        write_folder(tmp_path / "out", images=tmp_path / "images")
    given = {"images": tmp_path / "images", "captions": "none"}
    assert write_folder(tmp_path / "alone", **given)["train"]["captions"] == 0


@pytest.mark.parametrize("name", ["a", "a.JPG", "a.png"])
def test_a_table_may_name_pictures_without_their_ending_or_by_another(images, tmp_path, name):
    (tmp_path / "c.csv").write_text(f"file_name,text\n{name},a cat\n")
    write_folder(tmp_path / "out", images=images, captions=tmp_path / "c.csv")
    assert texts(tmp_path / "out/train") == {"a": ["a cat"], "sub_v2/b_c": []}
