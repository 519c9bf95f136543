"""Recall and precision of one set's regions against another's, by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from cloc.cli.compare_regions import main
from cloc.cli.tasks.compare_regions import Counts, compare
from cloc.data.samples.record import Region
from cloc.data.shards.writer import write_shards
from cloc.errors import UserError
from tests.helpers.shards import make_record

TRUE = (
    Region((0.0, 0.0, 10.0, 10.0), "a big red star", label="red star"),
    Region((10.0, 0.0, 20.0, 10.0), "a blue ring", label="blue ring"),
)
FOUND = (
    Region((1.0, 0.0, 11.0, 10.0), "the large red star"),  # IoU 0.82
    Region((10.0, 1.0, 20.0, 10.0), "a red star"),  # placed, misnamed
    Region((0.0, 6.0, 4.0, 10.0), "a red star"),  # nowhere
)


@pytest.fixture
def sets(tmp_path):
    first, second, third = (make_record(i) for i in range(3))
    true = [replace(first, regions=TRUE), replace(second, regions=TRUE)]
    write_shards(true, tmp_path / "true", samples_per_shard=9)
    found = [replace(first, regions=FOUND), replace(third, regions=FOUND[:1])]
    write_shards(found, tmp_path / "found", samples_per_shard=9)
    return str(tmp_path / "true"), str(tmp_path / "found")


def test_recall_counts_true_regions_and_precision_found_ones(sets, capsys):
    assert compare(*sets) == {"recall": Counts(4, 2, 1), "precision": Counts(4, 2, 1)}
    main(list(sets))
    said = capsys.readouterr().out
    assert "0.500" in said
    assert "0.250" in said


def test_a_set_finds_itself(sets):
    assert compare(sets[0], sets[0]) == {"recall": Counts(4, 4, 4), "precision": Counts(4, 4, 4)}


def test_sets_without_a_common_image_and_other_arguments_are_refused(sets, tmp_path):
    write_shards([make_record(9)], tmp_path / "other", samples_per_shard=9)
    with pytest.raises(UserError, match="have no image in common"):
        compare(sets[0], str(tmp_path / "other"))
    with pytest.raises(UserError, match="give two shard sets"):
        main([sets[0]])


def test_indexes_of_bare_tars_are_kept_where_it_is_said(sets, tmp_path, capsys):
    for folder in sets:
        for name in ("manifest.json", *(path.name for path in Path(folder).glob("*.idx"))):
            (Path(folder) / name).unlink()
    main([*sets, f"index_folder={tmp_path}/indexes"])
    assert "0.500" in capsys.readouterr().out
    assert list((tmp_path / "indexes").rglob("*.idx"))
    assert not [path for folder in sets for path in Path(folder).glob("*.idx")]
