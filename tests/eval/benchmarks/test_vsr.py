"""VSR: a threshold of dev alone, and the protocol with the opposite relation."""

import json

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.benchmarks.vsr import OPPOSITE, best_threshold, flipped
from tests.helpers.suites import EMPTY, Chance, Encoder, benchmark, lay_out, load

NAMES = ("vsr_random", "vsr_zeroshot")


def cosines(name, encoder):
    """(cosine, label, relation) of each record of dev and test, whose pictures are painted in the
    order of the files."""
    found, number = {}, 0
    for part, rows in load(name).items():
        for row in rows:
            picture = encoder.image(number, False).double()
            score = float(picture @ encoder.text(row["caption"]).double())
            found.setdefault(part, []).append((score, row["label"], row["relation"]))
            number += 1
    return found


def share(cases, threshold):
    return sum((score > threshold) == bool(label) for score, label, _ in cases) / len(cases)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_one_of_the_best_of_dev_and_the_figure_is_of_test(name, seed, tmp_path):
    lay_out(name, tmp_path)
    found = benchmark(name, tmp_path).run(Chance(seed), EMPTY)
    cases, threshold = cosines(name, Chance(seed)), found.figures.about["threshold"]
    tried = [-2.0, *(score + 1e-5 for score, _, _ in cases["dev"])]
    assert share(cases["dev"], threshold) == max(share(cases["dev"], t) for t in tried)
    assert found["accuracy"] == pytest.approx(share(cases["test"], threshold))
    by_relation = {}
    for case in cases["test"]:
        by_relation.setdefault(case[2], []).append(case)
    means = [share(own, threshold) for own in by_relation.values()]
    assert found["macro_relation"] == pytest.approx(sum(means) / len(means))
    assert found.figures.about["dev_cases"] == 5


def test_nothing_of_the_test_file_moves_the_threshold(tmp_path):
    lay_out("vsr_random", tmp_path)
    bench = benchmark("vsr_random", tmp_path)
    first = bench.run(Chance(2), EMPTY)
    file = tmp_path / "splits/random/test.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        row["label"] = 1 - row["label"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = bench.run(Chance(2), EMPTY)
    assert other.figures.about["threshold"] == first.figures.about["threshold"]
    assert other["accuracy"] == pytest.approx(1 - first["accuracy"])


@pytest.mark.parametrize("seed", range(20))
def test_no_other_threshold_is_better(seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(40, generator=generator).round(decimals=1)  # with ties
    labels = (torch.rand(40, generator=generator) < 0.5).float()
    found = best_threshold(values, labels)

    def right(threshold):
        return ((values > threshold) == (labels > 0)).sum()

    assert right(found) == max(right(t) for t in torch.arange(-5, 5, 0.05) + 0.013)
    assert (values.double() - found).abs().min() > 1e-6


def test_one_answer_for_all_where_no_threshold_is_better():
    assert best_threshold(torch.zeros(3), torch.tensor([1.0, 1, 0])) == -torch.inf
    assert best_threshold(torch.zeros(3), torch.tensor([1.0, 0, 0])) == torch.inf


def test_a_cosine_at_the_threshold_is_wrong(tmp_path):
    """Dev has its threshold at 0.5; every caption of test lies on it."""

    class Between(Encoder):
        dev = frozenset(row["caption"] for row in load("vsr_random")["dev"] if row["label"])
        test = frozenset(row["caption"] for row in load("vsr_random")["test"])

        def image(self, number, mirrored):
            return torch.tensor([1.0, 0.0])

        def text(self, text):
            cosine = 0.5 if text in self.test else float(text in self.dev)
            return torch.tensor([cosine, (1 - cosine**2) ** 0.5])

    lay_out("vsr_random", tmp_path)
    found = benchmark("vsr_random", tmp_path).run(Between({}), EMPTY)
    assert found.figures.about["threshold"] == pytest.approx(0.5)
    assert found["accuracy"] == 0


def test_the_test_file_is_told_by_its_count(tmp_path):
    lay_out("vsr_zeroshot", tmp_path)
    bench = benchmark("vsr_zeroshot", tmp_path)
    about = bench.run(Chance(), EMPTY).figures.about
    assert (about["test_cases"], about["test_file"]) == (8, "of no release that we know")
    file = tmp_path / "splits/zeroshot/test.jsonl"
    rows = file.read_text().splitlines(keepends=True)
    file.write_text("".join((rows * 77)[:616]))
    about = bench.run(Chance(), EMPTY).figures.about
    assert (about["test_cases"], about["test_file"][:9]) == (616, "the zero-")


def test_flipped_takes_true_captions_with_an_exact_opposite_alone(tmp_path):
    lay_out("vsr_random", tmp_path)
    found = flipped(benchmark("vsr_random", tmp_path).statements("test"))
    assert [choice.options for choice in found] == [
        ("The hat is left of the scarf.", "The hat is right of the scarf."),
        ("The pig is right of the fence.", "The pig is left of the fence."),
        ("The kite is above the tree.", "The kite is below the tree."),
        ("The boat is facing away from the pier.", "The boat is facing the pier."),
        ("The tram is at the left side of the bus.", "The tram is at the right side of the bus."),
    ]
    assert [choice.mirrored for choice in found] == [1, 1, None, None, 1]


def test_an_opposite_of_an_opposite_is_the_relation():
    assert all(OPPOSITE[OPPOSITE[relation]] == relation for relation in OPPOSITE)


@pytest.mark.parametrize("label", [2, -1, "1", None])
def test_a_label_that_is_none_is_refused(label, tmp_path):
    lay_out("vsr_random", tmp_path)
    file = tmp_path / "splits/random/dev.jsonl"
    first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text(json.dumps({**json.loads(first), "label": label}) + "\n" + "".join(rest))
    with pytest.raises(UserError, match="entry 0: label is"):
        benchmark("vsr_random", tmp_path).statements("dev")


def test_another_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="set split to random or zeroshot"):
        benchmark("vsr_random", tmp_path, split="train").statements("dev")
