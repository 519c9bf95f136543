"""What a run records of its data."""

from types import SimpleNamespace

from cloc.cli.build.callbacks import licences
from cloc.data.shards.writer import write_shards
from tests.data.shards.test_writer import make_records


def test_licences_are_told_in_words_with_the_records_they_cover(tmp_path):
    said = {"mine": "cc0-1.0", "coco": {"CC BY 2.0": 1200, "no known": 3}, "web": {}}
    sources = {}
    for name, licence in said.items():
        write_shards(
            make_records(1), tmp_path / name, samples_per_shard=1, extra={"license": licence}
        )
        sources[name] = SimpleNamespace(shards=str(tmp_path / name))
    found = licences(SimpleNamespace(sources=sources))
    assert found == {"mine": "cc0-1.0", "coco": "CC BY 2.0 (1,200); no known (3)"}
