"""The shard checker: silent on what is right, one line for everything that is not."""

import html.parser
import io
import re
import sys
import tarfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cloc.cli import prepare
from cloc.cli.check_shards import main
from cloc.cli.pages.shard_stats import Statistics, bars, mean, side_bars, side_bin
from cloc.data.samples.record import Caption, Record, Region
from cloc.data.shards.index import count, index_path, read_index
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from tests.helpers.coco import coco_overrides
from tests.helpers.commands import start
from tests.helpers.server import serve
from tests.helpers.shards import encode, flat, make_record, make_shards, write_tar


@pytest.fixture
def out(tmp_path, capsys):
    prepare.main(coco_overrides(tmp_path))
    capsys.readouterr()
    return tmp_path / "out"


def test_passes_what_prepare_writes(out, capsys):
    assert main([str(out)]) == 0
    assert main([str(out / "train")]) == 0
    assert main([f"{out}/train/*.tar"]) == 0
    assert capsys.readouterr().out.count("well-formed") == 3


def damaged(content, old, new):
    """`content` with equal-length `old` replaced, so that the tar stays readable."""
    assert old in content
    assert len(old) == len(new)
    return content.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "reason", "says"),
    [
        (b'"box":[1.0,1.0,5.0', b'"box":[1.0,1.0,NaN', "box_not_finite", "region 0.*not a finite"),
        (b'"box":[1.0,1.0,5.0', b'"box":[1.0,1.0,0.5', "box_reversed", "region 0.*reversed"),
        (b'"width":8', b'"width":9', "size", "annotated as 9x6 but the image is 8x6"),
        (b"\x89PNG", b"\x89PNK", "image", "not an image of JPEG, PNG, WEBP"),
        (b"IDATx\x9c", b"IDATx\x9d", "image", "the image cannot be decoded"),
        (b"000000000001.json", b"000000000001.jsom", "members", "no json member"),
    ],
)
def test_names_each_wrong_sample(out, capsys, old, new, reason, says):
    shard = out / "train/shard-000000.tar"
    content = shard.read_bytes()
    if old == b"000000000001.json":  # a member's name is under the header's checksum
        content = damaged(content, b"000000000001.json", new)
        at = content.index(new)
        header = bytearray(content[at : at + 512])
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
        content = content[:at] + bytes(header) + content[at + 512 :]
    else:
        content = damaged(content, old, new)
    shard.write_bytes(content)
    assert main([str(out / "train")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3  # the sample, the digest and the count
    assert re.search(f"000000000001: {says}", lines[0]), lines[0]
    assert "sha256 is" in lines[1]
    assert lines[2] == f"2 problems: 1 {reason}, 1 manifest"


def test_names_a_missing_and_a_cut_shard(out, capsys):
    shard = out / "train/shard-000000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    assert main([str(out / "train")]) == 1
    assert "bytes is 700, the manifest says" in capsys.readouterr().out
    shard.unlink()
    assert main([str(out / "train")]) == 1
    assert "is in the manifest but not on disk" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give at least one shard folder"),
        (["write_index=true"], "give at least one shard folder"),
        (["write_index=yes", "x"], "write_index=yes; give true or false"),
        (["index_folder=", "x"], "index_folder=; give a text, or null"),
        (["out=x.tar", "x"], "out=x.tar: give the name of an .html file"),
        (["out=nowhere/x.html", "x"], "in a folder that exists"),
        (
            ["wriet_index=true", "x"],
            "wriet_index is not a key of this command; did you mean write_in",
        ),
    ],
)
def test_a_wrong_command_is_one_line(arguments, says):
    with pytest.raises(UserError, match=re.escape(says)):
        main(arguments)


def plain_shard(path):
    """As public sets have it: images and texts, here with a json of somebody else's schema."""
    image = encode(flat(9, 7), "JPEG")
    members = {"a.jpg": image, "a.txt": b"a red dog", "a.json": b'{"url": "x"}'}
    return write_tar(path, {**members, "b.JPG": image, "b.txt": b"two cats", "b.pkl": b"never"})


def test_plain_image_text_shards_are_well_formed_and_get_their_index(tmp_path, capsys):
    tar = plain_shard(tmp_path / "a.tar")
    assert main([str(tar)]) == 1
    [line, last] = capsys.readouterr().out.splitlines()
    assert re.search(
        r"a\.idx: there is no index; write it: cloc-pretrain .* write_index=true .*a.tar", line
    )
    assert last == "1 problems: 1 index"
    assert main(["write_index=true", str(tar)]) == 0
    assert count(tar) == 2
    assert main([str(tar)]) == 0


def test_a_folder_of_other_peoples_tars_gets_its_indexes_as_the_readme_says(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    for name in ("a", "b"):
        plain_shard(tmp_path / f"set/{name}.tar")
    assert main([str(tmp_path)]) == 1
    assert "folders of them (set); name one, such as" in capsys.readouterr().out
    assert main(["write_index=true", f"{tmp_path}/set"]) == 0
    assert main([f"{tmp_path}/set", f"out={tmp_path}/page.html"]) == 0
    assert "set \u00b7 CLOC shards" in Page((tmp_path / "page.html").read_text()).text


def test_indexes_go_into_a_folder_also_of_shards_behind_a_url(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    plain_shard(tmp_path / "set/a.tar")
    with serve(tmp_path / "set") as server:
        for spec in (f"{tmp_path}/set", f"{server.url}/a.tar"):
            folder = f"index_folder={tmp_path}/indexes"
            assert main([spec]) == main([folder, spec]) == 1
            assert capsys.readouterr().out.count("there is no index; write it: cloc-pretrain") == 2
            assert main(["write_index=true", folder, spec]) == 0
            assert main([folder, spec, f"out={tmp_path}/page.html"]) == 0
            capsys.readouterr()
    assert len(list(tmp_path.glob("indexes/*/*.idx"))) == 2
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a.tar"]


def test_a_set_behind_a_url_is_checked_as_its_folder_is(tmp_path, capsys):
    folder = make_shards(tmp_path / "set", shards=2, each=3)
    with serve(folder) as server:
        assert main([server.url]) == 0
        (folder / "shard-000001.tar").write_bytes(bytes(10_240))
        assert main([server.url]) == 1
    out = capsys.readouterr().out
    assert re.search(r"shard-000001\.tar: a tar without a sample", out)
    assert re.search(r"shard-000001\.tar: sha256 is", out)


def test_a_url_that_is_not_there_is_one_line(tmp_path, capsys):
    with serve(tmp_path) as server:
        assert main([f"{server.url}/gone.tar", f"out={tmp_path}/page.html"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "gone.tar: FileNotFoundError; check the URL" in out[0]
    assert out[1] == "1 problems: 1 shards"


def test_members_apart_and_keys_that_occur_twice_are_one_line_of_the_tar(tmp_path, capsys):
    image = encode(flat(9, 7), "JPEG")
    apart = {"a.jpg": image, "b.jpg": image, "a.txt": b"one", "b.txt": b"two"}
    tar = write_tar(tmp_path / "apart.tar", apart)
    assert main(["write_index=true", str(tar)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert re.search(
        r"^.*apart\.tar: the members of 2 keys are not side by side \(jpg, txt of 'a'\), so .*: "
        r"mkdir -p .* && tar -xif",
        out[0],
    )
    assert out[-1] == "5 problems: 2 members, 2 image, 1 order"
    twice = [("a.jpg", image), ("a.txt", b"x"), ("b.jpg", image), ("b.txt", b"y")]
    tar = write_pairs(tmp_path / "twice.tar", [*twice, *twice[:2]])
    assert main(["write_index=true", str(tar)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "twice.tar: 1 keys occur twice, such as 'a'; give each" in out[0]
    assert len(out) == 2
    tar = write_tar(tmp_path / "none.tar", {"README": b"x", ".a.jpg": b"x"})
    assert main([str(tar)]) == 1
    assert "(a member is KEY.SUFFIX, 'README' is none)" in capsys.readouterr().out


def write_pairs(path, pairs):
    with tarfile.open(path, "w") as tar:
        for name, data in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_an_index_of_another_tar_is_named_and_left_alone(tmp_path, capsys):
    [tar] = make_shards(tmp_path / "set", shards=1, each=4).glob("*.tar")
    right = read_index(tar)
    for wrong, says in (
        (right[:-1], r"3 samples, the tar has 4, the first difference is at sample 4"),
        (right + 512 * (np.arange(5) == 2), r"4 samples, .* difference is at sample 2; remove"),
        (right[::-1], "not rising"),
    ):
        wrong.astype("<i8").tofile(index_path(tar))
        before = index_path(tar).read_bytes()
        assert main(["write_index=true", str(tar)]) == 1
        assert re.search(says, capsys.readouterr().out)
        assert index_path(tar).read_bytes() == before


def test_damage_is_counted_by_reason(tmp_path, capsys):
    """A cut tar, a tar that is a web page, one without samples, and one with a link."""
    folder = make_shards(tmp_path / "set", shards=4, each=3)
    paths = sorted(folder.glob("*.tar"))
    paths[0].write_bytes(paths[0].read_bytes()[:3000])
    paths[1].write_bytes(b"<html>not found</html>")
    paths[2].write_bytes(bytes(10_240))
    assert main([str(folder)]) == 1
    out = capsys.readouterr().out.splitlines()
    tars = [line for line in out if "not a readable tar" in line or "without a sample" in line]
    assert [re.search(r"shard-(\d+)", line)[1] for line in tars] == ["000000", "000001", "000002"]
    assert out[-1].endswith("problems: 6 manifest, 3 tar, 1 index")
    assert not any("samples is" in line for line in out if "000000" in line)  # nobody knows


def test_a_sample_that_is_not_whole_is_one_problem(tmp_path, capsys):
    tar = write_tar(tmp_path / "a.tar", {"a.png": encode(flat(4, 4)), "b.png": b"", "b.PNG": b""})
    assert main(["write_index=true", str(tar)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert re.search(r"a\.tar::a: no json member", out[0])
    assert re.search(r"a\.tar::#1: .*'b\.PNG' occurs twice", out[1])
    assert out[2] == "2 problems: 1 members, 1 tar"


def test_a_hostile_name_stays_on_its_line_and_off_the_terminal(tmp_path, capsys):
    tar = write_tar(tmp_path / "a.tar", {"a\n\x1b[31mb.png": b"no image", "ü.png": b"no"})
    assert main(["write_index=true", str(tar)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert r"::a\n\x1b[31mb: no json member" in out[0]
    assert "::ü: no json member" in out[1]
    assert len(out) == 3


class Page(html.parser.HTMLParser):
    """What a page would fetch or run, and its text."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.tags, self.text = [], Counter(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.fetched += [v for k, v in attrs if k in ("src", "href") and not v.startswith("#")]

    def handle_data(self, data):
        self.text += " " + " ".join(data.split())


def test_the_page_is_one_file_with_every_number(tmp_path, capsys):
    folder = make_shards(tmp_path / "set", shards=2, each=10)
    assert main([str(folder), f"out={tmp_path}/page.html"]) == 0
    assert capsys.readouterr().out.endswith(f"statistics: {tmp_path}/page.html\n")
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert not page.fetched
    assert not re.search(r"url\(|@import|https?://", text)
    assert (page.tags["script"], page.tags["svg"], page.tags["h1"]) == (0, 4, 1)
    assert "set · CLOC shards" in page.text
    regions = sum(number % 7 for number in range(20))
    assert f"Regions {regions} in 85.0% of the images" in " ".join(page.text.split())
    assert "6: 2" in page.text  # regions per image: two of the twenty images have six
    assert "All samples are well-formed." in page.text
    assert "thing 0 of 6" in page.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "set"]


def test_the_page_tells_drops_duplicates_and_stands_beside_the_paper(tmp_path):
    records = [
        replace(make_record(i), meta={"phash": phash}) for i, phash in enumerate(("a", "b", "a"))
    ]
    extra = {"drops": {"filter: regions, score": 1234}}
    write_shards(records, tmp_path / "set", samples_per_shard=9, extra=extra)
    assert main([str(tmp_path / "set"), f"out={tmp_path}/page.html"]) == 0
    text = " ".join(Page((tmp_path / "page.html").read_text()).text.split())
    assert "Duplicates 1 of 3 hashed images look like another one" in text
    assert "filter: regions, score 1,234" in text
    assert "set 3 1.0 " in text  # images, regions of an image
    assert "VESL WiT 300M 11.6 44.9 2.1" in text


def test_the_page_escapes_what_the_data_says_and_lists_problems(tmp_path):
    evil = "<script>alert(1)</script>"
    record = make_record(0)
    write_shards(
        [
            Record("k", record.image, "png", 20, 10, (), (Region((0.0, 0.0, 5.0, 5.0), evil),)),
            Record("<b>k", record.image, "png", 20, 99),
        ],
        tmp_path / "set",
        samples_per_shard=9,
    )
    assert main([f"{tmp_path}/set", f"out={tmp_path}/page.html"]) == 1
    page = Page((tmp_path / "page.html").read_text())
    assert (page.tags["script"], page.tags["b"]) == (0, 1)  # the one of the heading
    assert evil in page.text
    assert "<b>k: annotated as 20x99" in page.text


def test_a_page_without_samples_or_regions_says_so(tmp_path):
    tar = plain_shard(tmp_path / "a.tar")
    assert main(["write_index=true", str(tar), f"out={tmp_path}/page.html"]) == 0
    assert "There are no regions." in Page((tmp_path / "page.html").read_text()).text
    assert main([f"{tmp_path}/nothing", f"out={tmp_path}/page.html"]) == 1
    assert "no shard at" in Page((tmp_path / "page.html").read_text()).text


def test_statistics_count_what_is_there():
    seen = Statistics()
    regions = (Region((0.0, 0.0, 10.0, 10.0), "A  red Dog"), Region((0.0, 0.0, 5.0, 2.5), "dog"))
    seen.add(Record("a", b"12", "png", 10, 10, (Caption("one two"),), regions))
    seen.add(Record("b", b"1234", "png", 10, 10))
    assert (seen.samples, seen.regions, seen.captions, seen.image_bytes) == (2, 2, 1, 6)
    assert seen.phrases == {"a red dog": 1, "dog": 1}
    assert bars(seen.regions_per_image, at_most=9) == [("0", 1), ("1", 0), ("2", 1)]
    assert bars(seen.phrase_words, at_most=3) == [("0", 0), ("1", 1), ("2+", 1)]
    assert bars(Counter(), at_most=3) == []
    assert (mean(seen.phrase_words), mean(Counter())) == (2, 0)
    sides = side_bars(seen.box_sides)
    assert [pair for pair in sides if pair[1]] == [("35-40 %", 1), ("95-100 %", 1)]
    assert len(sides) == 20
    assert side_bin(regions[0], Record("a", b"", "png", 10, 10)) == 19


def test_rare_phrases_are_forgotten_in_time(monkeypatch):
    monkeypatch.setattr("cloc.cli.pages.shard_stats._MAX_PHRASES", 10)
    seen = Statistics()
    for i in range(100):
        regions = (Region((0.0, 0.0, 1.0, 1.0), "often"), Region((0.0, 0.0, 1.0, 1.0), f"once {i}"))
        seen.add(Record("a", b"", "png", 10, 10, (), regions))
    assert len(seen.phrases) <= 11
    assert seen.phrases["often"] == 100
    assert seen.forgot_phrases


@pytest.mark.slow
def test_the_real_command_is_quiet_without_a_terminal(tmp_path):
    folder = make_shards(tmp_path / "set", shards=1, each=3)
    done = start("check_shards", str(folder), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "all samples are well-formed\n"), done.stderr
    assert not done.stderr
    done = start("check_shards", "write_index=yes", str(folder), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: write_index=yes; give true or false\n")


def test_a_bar_shows_on_a_terminal(tmp_path, capsys, monkeypatch):
    folder = make_shards(tmp_path / "set", shards=1, each=3)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([str(folder)]) == 0
    assert "shard-000000.tar" in capsys.readouterr().out


def test_a_set_without_captions_and_regions_is_a_problem(tmp_path, capsys):
    bare = [replace(make_record(i), captions=(), regions=()) for i in range(3)]
    write_shards(bare, tmp_path / "set", samples_per_shard=3)
    assert main([str(tmp_path / "set")]) == 1
    says = "none of 3 samples has a caption or a region to learn from"
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/set: {says}",
        "1 problems: 1 empty",
    ]
    make_shards(tmp_path / "good", shards=1, each=3)
    assert main([str(tmp_path / "good"), str(tmp_path / "set")]) == 1
    assert f"{tmp_path}/set: {says}" in capsys.readouterr().out


def test_tars_whose_captions_are_in_their_json_are_read(tmp_path, capsys):
    members = {"a.png": encode(flat(8, 8)), "a.json": b'{"caption": "a cat"}'}
    write_tar(tmp_path / "a.tar", members)
    assert main(["write_index=true", str(tmp_path / "a.tar")]) == 0
    (tmp_path / "b.tar").write_bytes((tmp_path / "a.tar").read_bytes())
    assert "well-formed" in capsys.readouterr().out
