"""A folder that exists is no pattern."""

from contextlib import chdir

import pytest

from cloc.data.shards.patterns import find


@pytest.mark.parametrize("folder", ["set[v2]", "a*b", "photos (2024)", "what?", "[!x]"])
def test_a_folder_that_exists_is_no_pattern(tmp_path, folder):
    for name in ("b.tar", "a.tar", "c.txt"):
        (tmp_path / folder / "in").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "in" / name).touch()
    wanted = [f"{tmp_path}/{folder}/in/{name}" for name in ("a.tar", "b.tar")]
    assert find(f"{tmp_path}/{folder}/in/*.tar") == wanted
    assert find(f"{tmp_path}/{folder}/i?/*.tar") == wanted
    with chdir(tmp_path):
        assert find(f"{folder}/in/[ab].tar") == [f"{folder}/in/{n}" for n in ("a.tar", "b.tar")]
        assert find("*/in/c.txt") == [f"{folder}/in/c.txt"]


def test_a_path_that_exists_is_that_path(tmp_path):
    for name in ("[a].tar", "a.tar"):
        (tmp_path / name).touch()
    assert find(f"{tmp_path}/[a].tar") == [f"{tmp_path}/[a].tar"]
    assert find(f"{tmp_path}/[b].tar") == []
    assert find(f"{tmp_path}/nowhere/*.tar") == []
