"""SugarCrepe: seven files, a strictly higher cosine, by file and over all."""

import numpy as np
import pytest

from cloc.errors import UserError
from cloc.eval.benchmarks.sugarcrepe import PUBLISHED
from tests.helpers.suites import EMPTY, Chance, Encoder, benchmark, lay_out, load


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_the_protocol(seed, tmp_path):
    known = lay_out("sugarcrepe", tmp_path)
    number = {own[0][0]: i for i, own in known.items()}
    encoder, right = Chance(seed), {}
    for category, rows in load("sugarcrepe").items():
        for row in rows.values():
            picture = encoder.image(number[row["caption"]], False).double()
            good, bad = (encoder.text(row[k]).double() for k in ("caption", "negative_caption"))
            right.setdefault(category, []).append(bool(picture @ good > picture @ bad))
    found = benchmark("sugarcrepe", tmp_path).run(Chance(seed), EMPTY)
    assert set(right) == set(PUBLISHED)
    for category, values in right.items():
        assert found[f"accuracy_{category}"] == pytest.approx(np.mean(values))
    assert found["accuracy"] == pytest.approx(np.mean([x for own in right.values() for x in own]))
    assert found["macro_category"] == pytest.approx(np.mean([np.mean(x) for x in right.values()]))


def test_the_mean_over_files_is_not_the_share_of_cases(tmp_path):
    known = lay_out("sugarcrepe", tmp_path)
    birds = {i: own if "bird" in own[0][0] else ((), ()) for i, own in known.items()}
    found = benchmark("sugarcrepe", tmp_path).run(Encoder(birds), EMPTY)
    assert found["accuracy"] == 3 / 9
    assert found["macro_category"] == pytest.approx(1 / 7)


def test_a_file_less_is_told_by_name(tmp_path):
    lay_out("sugarcrepe", tmp_path)
    (tmp_path / "swap_att.json").unlink()
    with pytest.raises(UserError, match=r"swap_att\.json: no such file"):
        benchmark("sugarcrepe", tmp_path).choices()
