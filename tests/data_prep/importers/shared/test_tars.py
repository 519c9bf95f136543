"""Samples of foreign tars: one at a time, with or without an index, broken ones told."""

import tracemalloc

import pytest

from cloc.data.shards.index import write_index
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.tars import read_details, read_text, tar_paths, tar_samples
from tests.helpers.shards import corrupt, write_tar


def samples(path, count=4, size=10):
    members = {f"{i}.{suffix}": b"x" * size for i in range(count) for suffix in ("jpg", "txt")}
    return write_tar(path, members)


def test_an_index_changes_nothing(tmp_path):
    path = samples(tmp_path / "t.tar")
    without = list(tar_samples([path]))
    assert [(s["__key__"], s["jpg"]) for s in without] == [(f"t_{i}", b"x" * 10) for i in range(4)]
    write_index(path)
    assert list(tar_samples([path])) == without


@pytest.mark.parametrize(
    ("tar", "member", "key"),
    [
        ("00001.tar", "000010002.jpg", "000010002"),  # img2dataset's
        ("00001.tar", "2.jpg", "00001_2"),
        ("1.tar", "12.jpg", "1_12"),  # 12.tar may hold one of that name
        ("v1.0.tar", "./0002.JPG", "v1_0_0002"),  # tar -cf v1.0.tar .
        ("00001.tar", "v1.0/a b/2.jpg", "00001_v1_0/a b/2"),
    ],
)
def test_a_key_tells_the_tar_and_holds_no_dot(tmp_path, tar, member, key):
    [sample] = tar_samples([write_tar(tmp_path / tar, {member: b"x"})])
    assert (sample["__key__"], sample["jpg"]) == (key, b"x")


def test_a_tar_is_never_whole_in_memory(tmp_path):
    path = samples(tmp_path / "t.tar", count=20, size=1 << 20)  # 40 MiB
    tracemalloc.start()
    try:
        count = sum(1 for _ in tar_samples([path]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20
    assert peak < 12 << 20  # two samples and their members


def test_a_sample_that_is_not_whole_is_bad_and_the_others_are_read(tmp_path):
    path = samples(tmp_path / "t.tar")
    write_index(path)
    corrupt(path, sample=1)
    found = list(tar_samples([path]))
    assert [isinstance(s, BadSample) for s in found] == [False, True, False, False]
    assert found[1].reason == "tar"


def test_an_index_of_another_tar_is_an_error(tmp_path):
    write_index(samples(tmp_path / "t.tar", count=40))
    samples(tmp_path / "t.tar", count=4)
    with pytest.raises(UserError, match=r"t\.idx: the samples end at byte .* but the tar has"):
        list(tar_samples([tmp_path / "t.tar"]))


def test_a_folder_stands_for_its_tars_and_a_url_is_refused(tmp_path):
    paths = [samples(tmp_path / f"{name}.tar") for name in "ba"]
    assert tar_paths(str(tmp_path), key="shards") == sorted(paths)
    assert tar_paths(f"{tmp_path}/a.tar", key="shards") == [tmp_path / "a.tar"]
    with pytest.raises(UserError, match=r"only local tars are imported; copy them first"):
        tar_paths("http://localhost/a.tar", key="shards")


def test_details_and_texts_that_cannot_be_read(tmp_path):
    sample = {"__url__": "u", "__key__": "k"}
    assert read_details(sample) == {}
    for given, reason in ((b"{", "json"), (b"3", "json"), (b'{"status": "failed"}', "status")):
        with pytest.raises(BadSample, match="u::k: ") as error:
            read_details({**sample, "json": given})
        assert error.value.reason == reason
    drops = {"caption": 0}
    assert read_text(sample, drops) is None
    assert read_text({"txt": "\ufeffé".encode()}, drops) == "é"
    assert (read_text({"txt": b"\xff"}, drops), drops) == (None, {"caption": 1})
