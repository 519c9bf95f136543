"""Entropy and distance of attention, against loops over every query and key."""

import math

import pytest
import torch

from cloc.eval.diagnosis.attention import Attention, distances, uniform_distance

GRID, PREFIX = (3, 4), 2
KEYS = PREFIX + 12


def measured(*parts, grid=GRID, num_prefix=PREFIX):
    found = Attention(grid, num_prefix)
    for part in parts:
        found.add(part)
    return found.figures()


def random(seed, b=5, h=3, n=KEYS):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(b, h, n, n, generator=generator, dtype=torch.float64)).softmax(-1)


def by_definition(shares):
    """One query at a time, in float64."""
    rows, columns = GRID
    found = {"entropy": [], "distance": [], "on_prefix": []}
    for head in shares.double().transpose(0, 1):
        entropy = reach = on_patches = on_prefix = queries = 0.0
        for picture in head:
            for query in range(rows * columns):
                own = picture[PREFIX + query]
                entropy -= sum(float(a) * math.log(a) for a in own if a > 0) / math.log(len(own))
                on_prefix += float(own[:PREFIX].sum())
                queries += 1
                for key in range(rows * columns):
                    y, x = query // columns - key // columns, query % columns - key % columns
                    reach += float(own[PREFIX + key]) * math.hypot(y, x)
                    on_patches += float(own[PREFIX + key])
        found["entropy"].append(entropy / queries)
        found["distance"].append(reach / on_patches)
        found["on_prefix"].append(on_prefix / queries)
    return found


def test_matches_the_definition_and_names_every_head():
    x = random(0)
    found = measured(x[:2], x[2:])
    for name, heads in by_definition(x).items():
        assert found[name]["heads"] == pytest.approx(heads, abs=1e-6)
        assert found[name]["mean"] == pytest.approx(sum(heads) / 3, abs=1e-6)
        assert found[name]["low"] == pytest.approx(min(heads), abs=1e-6)
        assert found[name]["high"] == pytest.approx(max(heads), abs=1e-6)


def test_equal_shares_have_an_entropy_of_1_and_the_distance_of_the_line():
    found = measured(torch.full((2, 2, KEYS, KEYS), 1 / KEYS))
    assert found["entropy"]["mean"] == pytest.approx(1)
    assert found["distance"]["mean"] == pytest.approx(uniform_distance(GRID))
    assert found["on_prefix"]["mean"] == pytest.approx(PREFIX / KEYS)


def test_attention_to_oneself_has_no_entropy_and_no_distance():
    found = measured(torch.eye(KEYS).expand(2, 1, -1, -1))
    assert [found[name]["mean"] for name in ("entropy", "distance", "on_prefix")] == [0, 0, 0]


def test_attention_to_the_class_token_alone_has_no_distance():
    shares = torch.zeros(1, 2, KEYS, KEYS)
    shares[:, 0, :, 0] = 1
    shares[:, 1] = torch.eye(KEYS)
    found = measured(shares)
    assert found["on_prefix"]["heads"] == [1, 0]
    assert found["distance"] == {"mean": 0, "low": 0, "high": 0, "heads": [None, 0]}
    found = measured(shares[:, :1])["distance"]
    assert found == {"mean": None, "low": None, "high": None, "heads": [None]}


def test_what_stands_behind_the_patches_is_padding():
    x = random(0)
    padded = torch.nn.functional.pad(x, (0, 3, 0, 3))
    assert measured(padded) == measured(x)


def test_a_single_patch_has_none():
    assert measured(torch.ones(1, 1, 1, 1), grid=(1, 1), num_prefix=0) is None
    assert Attention(GRID, PREFIX).figures() is None


def test_distances_are_euclidean_in_patches():
    found = distances((2, 3))
    assert found[0].tolist() == pytest.approx([0, 1, 2, 1, 2**0.5, 5**0.5])
    assert torch.equal(found, found.T)
