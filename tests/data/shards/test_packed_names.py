"""Strings as one buffer."""

from cloc.data.shards.packed_names import Names


def test_names_come_back_in_any_order():
    words = ["a", "", "größe", "x" * 300, "bad\udcff"]
    names = Names(words)
    assert len(names) == 5
    assert [names[i] for i in (4, 2, 0, 1, 3)] == [words[i] for i in (4, 2, 0, 1, 3)]


def test_a_million_shards_cost_their_letters():
    names = Names(f"folder/shard-{i:06d}.tar" for i in range(10_000))
    assert len(names.text) == 10_000 * 23
    assert names.ends.itemsize == 8
