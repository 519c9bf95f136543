"""Reading and drawing of curves: resumed runs, lost values, long runs, and where a curve lands."""

import json
import math

import numpy as np
import pytest

from cloc.errors import UserError
from cloc.report.curves import draw, panels, read_series, thinned


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_where_a_step_was_logged_again_the_later_line_wins(tmp_path):
    rows = [{"step": 1, "a": 1.0}, {"step": 2, "a": 2.0, "b": 7}, {"step": 2, "a": 3.0}]
    assert read_series(write(tmp_path / "m", rows)) == {"a": {1: 1.0, 2: 3.0}, "b": {2: 7.0}}


def test_null_and_nan_are_kept_as_nan_and_words_are_no_curve(tmp_path):
    rows = [{"step": 1, "a": None, "note": "hi"}, {"step": 2, "a": math.nan}]
    series = read_series(write(tmp_path / "m", rows))
    assert list(series) == ["a"]
    assert all(math.isnan(v) for v in series["a"].values())


def test_a_last_line_cut_off_by_a_crash_is_left_out_and_any_other_bad_line_is_an_error(tmp_path):
    path = write(tmp_path / "m", [{"step": 1, "a": 1.0}])
    path.write_text(path.read_text() + '{"step": 2, "a"')
    assert read_series(path) == {"a": {1: 1.0}}
    for bad in ('{"a": 1}', "[1]", "nonsense"):
        path.write_text(f'{bad}\n{{"step": 2, "a": 1}}\n')
        with pytest.raises(UserError, match=r'line 1 is not a JSON object with a "step"'):
            read_series(path)


def test_every_key_is_in_exactly_one_chart_and_its_chance_is_a_line_in_it():
    keys = [
        "train/image_text",
        "train/region_text.masked_fraction",
        "val/grounding.acc@0.5",
        "scale/image_text",
        "scale/region",
        "speed/images_per_s",
        "speed/mfu",
        "optim/lr",
        "epoch",
        "memory/peak_gib",
        *(f"grad/part{i}" for i in range(8)),
    ]
    beside = {f"val/grounding.acc@0.5{s}": {0: 0.25} for s in ("_chance", "_centre_box")}
    alone = {"val/x_chance": {0: 1.0}}  # nothing to be the chance line of
    found = panels({key: {0: 1.0} for key in keys} | beside | alone, {})
    titles = [panel.title for group in found.values() for panel in group]
    drawn = sum(len(panel.curves) for group in found.values() for panel in group)
    assert drawn == len(keys) + 1
    assert titles.count("grad/*") == 2  # six lines at most
    assert titles.count("scale/*") == 1
    assert [p.chance for p in found["Benchmark"]] == [0.25, None]
    assert [p.title for p in found["Other"]] == ["epoch"]
    speed = ["memory/peak_gib", "speed/images_per_s", "speed/mfu"]
    assert [p.title for p in found["Speed and memory"]] == speed


def test_the_twins_curve_is_drawn_beside_the_runs():
    run, twin = {"train/a": {0: 1.0}, "train/b": {0: 1.0}}, {"train/a": {0: 3.0}, "train/c": {0: 1}}
    both, alone = panels(run, twin)["Training"]
    assert [curve.last for curve in both.curves] == [1.0, 3.0]
    assert [curve.dashed for curve in both.curves] == [False, True]
    assert len(alone.curves) == 1


def test_last_is_the_last_finite_value_and_lost_ones_are_counted():
    curve = panels({"train/a": {0: 1.0, 5: 2.0, 9: math.nan}}, {})["Training"][0].curves[0]
    assert (curve.last, curve.num_lost) == (2.0, 1)


def test_a_long_curve_is_at_most_300_points_each_the_mean_of_its_bin():
    steps = np.arange(3000.0)
    values = np.where(steps % 10 < 5, 0.0, 2.0)  # ten values to a bin, with mean 1
    values[7], values[20:30] = math.nan, math.nan
    few, means = thinned(steps, values)
    assert len(few) == len(means) == 300
    assert few[0] == 4.5
    assert means[0] == pytest.approx(8 / 9)
    assert math.isnan(means[2])
    assert (np.delete(means, [0, 2]) == 1).all()
    assert thinned(steps[:300], values[:300])[0] is not None
    assert (thinned(steps[:300], values[:300])[0] == steps[:300]).all()


def test_ink_follows_the_page_and_the_drawing_stands_alone():
    svg = draw(panels({"train/a": {0: 1.0, 1: 2.0}}, {})["Training"][0])
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "#0a0b0c" not in svg
    assert "#000000" not in svg


def test_a_curve_without_finite_values_says_so():
    assert "no finite value" in draw(panels({"train/a": {0: math.nan}}, {})["Training"][0])


@pytest.mark.parametrize("values", [(0.0, 1.0), (-1.0, 2.0), (math.nan, 1.0)])
def test_gradient_norms_that_a_log_axis_cannot_show_are_drawn(values):
    panel = panels({"grad/a": dict(enumerate(values))}, {})["Gradient norms"][0]
    assert draw(panel).startswith("<svg")
