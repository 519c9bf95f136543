"""Which images a filter leaves, near-duplicates by perceptual hash, and hooks."""

import builtins
import io
import json
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import PIL.Image
import PIL.ImageFilter
import pytest

from cloc.data.samples.record import Record
from cloc.errors import UserError
from data_prep.stage import Notes
from data_prep.stages.filter.images import ImageFilter
from data_prep.stages.filter.reject import BlockList, NsfwScore


def picture(seed: int, *, width: int = 64, height: int = 48) -> PIL.Image.Image:
    """A few soft blobs, others for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC)


def record(key: str, image: PIL.Image.Image, *, quality: int = 90, **meta: Any) -> Record:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Record(key, file.getvalue(), "jpg", image.width, image.height, meta=meta)


def left(records: list[Record], **settings: Any) -> tuple[list[str], dict[tuple[str, str], int]]:
    notes = Notes()
    found = ImageFilter(**settings)(records, notes)
    return [r.key for r in found], dict(notes.counts)


def test_bytes_sides_and_aspect():
    records = [
        record("good", picture(0)),
        record("narrow", picture(1, width=100, height=20)),
        record("tiny", picture(2, width=10, height=10)),
    ]
    least = min(len(records[0].image), len(records[1].image))
    assert left(records, bytes_at_least=least) == (["good", "narrow"], {("samples", "bytes"): 1})
    assert left(records, side_px_at_least=20) == (["good", "narrow"], {("samples", "side"): 1})
    assert left(records, aspect_at_most=4.9) == (["good", "tiny"], {("samples", "aspect"): 1})
    assert left(records, aspect_at_most=5.0)[0] == ["good", "narrow", "tiny"]


def test_the_first_of_near_duplicates_stays():
    image = picture(0)
    soft = image.filter(PIL.ImageFilter.GaussianBlur(1))
    records = [
        record("first", image),
        record("smaller", image.resize((48, 36)), quality=60),
        record("other", picture(1)),
        record("soft", soft),
    ]
    kept, counts = left(records, phash_distance=8)
    assert kept == ["first", "other"]
    assert counts == {("samples", "near_duplicate"): 2}
    assert left(records, phash_distance=None)[0] == [r.key for r in records]


def test_the_distance_counts_bits(monkeypatch: pytest.MonkeyPatch):
    hashes = iter(["0000000000000000", "0000000000000007", "8000000000000001"] * 2)
    monkeypatch.setattr(imagehash, "phash", lambda image: next(hashes))
    records = [record(key, picture(0)) for key in "abc"]
    assert left(records, phash_distance=2)[0] == ["a", "b"]
    assert left(records, phash_distance=1)[0] == ["a", "b", "c"]


def test_one_that_did_not_stay_hides_none():
    records = [record("no", picture(0), nsfw=1.0), record("yes", picture(0), nsfw=0.0)]
    kept, counts = left(records, reject=[NsfwScore()])
    assert kept == ["yes"]
    assert counts == {("samples", "nsfw"): 1}


def test_the_hash_is_kept_in_meta():
    image = picture(3)
    [found] = ImageFilter()([record("a", image, url="u")], Notes())
    stored = PIL.Image.open(io.BytesIO(found.image))
    assert found.meta == {"url": "u", "phash": str(imagehash.phash(stored))}
    assert len(found.meta["phash"]) == 16


def test_what_cannot_be_decoded_is_left_out_under_its_reason():
    good = record("good", picture(0))
    cut = Record("cut", good.image[:200], "jpg", 64, 48)
    wrong = Record("wrong", good.image, "jpg", 65, 48)
    kept, counts = left([cut, wrong, good])
    assert kept == ["good"]
    assert counts == {("samples", "image"): 1, ("samples", "size"): 1}


def test_a_score_is_judged_and_a_missing_one_told_apart():
    records = [
        record("fine", picture(0), nsfw=0.5),
        record("bad", picture(1), nsfw=0.51),
        record("none", picture(2)),
        record("nan", picture(3), nsfw=float("nan")),
    ]
    assert left(records, reject=[NsfwScore()]) == (
        ["fine"],
        {("samples", "nsfw"): 1, ("samples", "nsfw_missing"): 2},
    )
    assert left(records, reject=[NsfwScore(admit_missing=True)])[0] == ["fine", "none", "nan"]


def test_a_block_list(tmp_path: Path):
    [hashed] = ImageFilter()([record("x", picture(4))], Notes())
    near = f"{int(hashed.meta['phash'], 16) ^ 1:016x}"
    file = tmp_path / "block.txt"
    file.write_text(f"# ours\nkey:k1\nhost: Bad.example # and below\n\nphash:{near}\n")
    records = [
        record("k1", picture(0)),
        record("k2", picture(1), url="https://img.bad.example:80/a.jpg"),
        record("k3", picture(2), url="https://notbad.example/bad.example"),
        record("k4", picture(4)),
        record("k5", picture(5), url="http://[broken"),
    ]
    kept, counts = left(records, reject=[BlockList(file, phash_distance=1)])
    assert kept == ["k3", "k5"]
    assert counts == {
        ("samples", "blocked_key"): 1,
        ("samples", "blocked_host"): 1,
        ("samples", "blocked_phash"): 1,
    }
    assert left(records, reject=[BlockList(file)])[0] == ["k3", "k4", "k5"]
    with pytest.raises(UserError, match="phash_distance of the image filter"):
        left(records, phash_distance=None, reject=[BlockList(file)])


@pytest.mark.parametrize("reject", ["nope", ["nope"], [None]])
def test_what_is_no_hook_is_refused_at_once(reject):
    with pytest.raises(UserError, match=r"stages.images.reject=.*; give a list of hooks, such as"):
        ImageFilter(reject=reject)


@pytest.mark.parametrize("line", ["url:x", "phash:12", "host:", "words"])
def test_a_block_list_that_says_something_else_is_refused(line: str, tmp_path: Path):
    file = tmp_path / "block.txt"
    file.write_text(f"key:a\n{line}\n")
    with pytest.raises(UserError, match="line 2"):
        BlockList(file)
    with pytest.raises(UserError, match="cannot be read"):
        BlockList(tmp_path / "none.txt")


def too_new(record: Record) -> str | None:
    return "too_new" if record.meta.get("year", 0) > 2020 else None


def test_any_callable_is_a_hook_and_named_in_what_the_answers_depend_on(tmp_path: Path):
    records = [record("a", picture(0), year=2019), record("b", picture(1), year=2024)]
    assert left(records, reject=[too_new]) == (["a"], {("samples", "too_new"): 1})
    file = tmp_path / "block.txt"
    file.write_text("key:a\n")
    stage = ImageFilter(reject=[too_new, NsfwScore(), BlockList(file)])
    described = stage.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["reject"][0] == {"hook": f"{__name__}.too_new"}
    file.write_text("key:b\n")
    assert BlockList(file).describe() != described["reject"][2]


def test_without_imagehash_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "imagehash":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"cloc-pretrain\[prep\].*phash_distance=null"):
        ImageFilter()
    ImageFilter(phash_distance=None)


@pytest.mark.parametrize("settings", [{"phash_distance": 64}, {"aspect_at_most": 0.9}])
def test_settings_that_leave_nothing_are_refused(settings: dict[str, Any]):
    with pytest.raises(UserError, match=r"; give|is 1 or more"):
        ImageFilter(**settings)
