"""What the suite of positions calls wrong."""

import pytest

from tests.faults.positions import BLIND, CARRIED, DIRECTED, tables, wrong_sides, wrong_sizes

WELL = {
    **dict.fromkeys(CARRIED, (1.0, 0.9, 0.8, 0.7)),
    "flattened": (1.0, 0.5, 0.3, 0.3),
    "irpe product bias": (1.0, 1.0, 1.0, 0.96),
    "irpe product contextual": (1.0, 1.0, 1.0, 0.96),
}


def test_every_encoding_is_blind_or_directed_and_what_is_carried_is_directed():
    assert not set(BLIND) & set(DIRECTED)
    assert set(CARRIED) <= set(DIRECTED)


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("axial", (0.5, 0.5, 0.5), "below 0.98"),  # parsed and not wired
        ("axial", (1.0, 0.9, 1.0), "above 0.6"),  # reads what the patches show
        ("axial", (1.0, 0.5, 0.0), "mirrored"),  # knows the pictures, not the sides
        ("irpe euclid bias", (1.0, 0.5, 1.0), "chance is 0.5"),  # a direction it has not
    ],
)
def test_sides(name, found, said):
    assert wrong_sides("axial", (1.0, 0.5, 1.0)) == []
    assert wrong_sides("none", (0.499, 0.499, 0.5)) == []
    assert said in " ".join(wrong_sides(name, found))


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("mixed", (0.9, 0.9, 0.8, 0.7), "mixed: 0.9 at 5 x 5"),
        ("axial", (1.0, 0.6, 0.3, 0.3), "5 x 8: axial 0.6"),  # flattened, called axial
        ("irpe product bias", (1.0, 0.9, 0.8, 0.7), "irpe product bias: 0.7 at 10 x 10"),
    ],
)
def test_sizes(name, found, said):
    assert wrong_sizes(WELL) == []
    [line] = wrong_sizes({**WELL, name: found})
    assert said in line


def test_tables_hold_every_seed():
    rows = [{"axial": [(1.0, 0.5, 1.0), (0.99, 0.4, 1.0)]}, {"axial": [WELL["axial"]]}]
    text = tables({"columns": [("original", "permuted", "mirrored"), [(5, 5)] * 4], "rows": rows})
    assert "| axial | 1.000 0.990 | 0.500 0.400 | 1.000 1.000 |" in text
    assert "| axial | 1.000 | 0.900 | 0.800 | 0.700 |" in text
