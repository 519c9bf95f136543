"""Small versions of the long fault suite (`make faults` runs the large ones).

Those of preempt, one_rank and launches are beside what they are about: test_preempt.py,
test_failures.py, test_finite.py, test_launch.py.
"""

import json

import pytest

from tests.faults import __main__ as suite
from tests.faults import layouts, poison, resume, saves, starts, tars

# `make faults` runs the large ones beside these
pytestmark = [pytest.mark.slow, pytest.mark.rare, pytest.mark.dist]


def test_a_run_that_is_cut_goes_on_with_the_same_samples_and_weights():
    found = resume.run(2)
    assert (found["exact"], found["wrong"]) == (2, [])
    assert found["dropped"] == {1: 1, 2: 1}  # the corrupt sample was met


def test_uneven_empty_and_ragged_layouts_pair_every_step():
    found = layouts.run(6)
    assert found["wrong"] == []


def test_of_a_damaged_shard_every_sample_is_yielded_or_counted(monkeypatch):
    monkeypatch.setattr(tars, "SAMPLES", 8)
    found = tars.run()
    assert found["wrong"] == []
    assert found["yielded"] > 150
    assert found["dropped"] > 150
    assert "partial" not in found


def test_nothing_from_outside_is_executed(tmp_path):
    assert poison.members(tmp_path, tmp_path / "canary") == (10, 1)  # the link is refused
    assert poison.names(tmp_path, tmp_path / "canary") == (5, 5)
    assert not (tmp_path / "canary").exists()


def test_what_a_killed_or_full_save_leaves_is_never_taken_for_whole():
    found = saves.run(5, 3, 8)
    assert (found["wrong"], found["kills"]) == ([], 5)
    assert len(found["files"]) == 4


def test_workers_start_beside_a_process_group():
    assert starts.run(1)["wrong"] == []


SUITE = """
import json, sys
def run():
    return {body}
if __name__ == "__main__":
    found = run()
    print("a word on the way")
    print(json.dumps(found))
    sys.exit({code})
"""


def test_every_suite_is_found_and_tells_its_verdict_by_its_exit_code():
    found = suite.sources()
    assert {"annotations", "independent", "launches", "layouts", "resume", "tars"} <= {*found}
    assert not {"mutants", "test_faults", "__main__"} & {*found}
    for name, path in found.items():
        assert name == "memory" or "sys.exit(" in path.read_text()


def test_all_suites_run_and_one_table_says_which_is_wrong(tmp_path, monkeypatch, capsys):
    for name, body, code in (
        ("a_good", '{"what": "a_good", "kills": 20, "wrong": []}', 0),
        ("b_wrong", '{"wrong": ["third kill"]}', 1),
        ("c_over", '{"over": 3}', 1),
        ("e_good", '{"drops": {"1": 2}}', 0),
    ):
        (tmp_path / f"{name}.py").write_text(SUITE.format(body=body, code=code))
    (tmp_path / "d_broken.py").write_text("def run(): pass\nraise SystemExit(3)\n")
    (tmp_path / "helper.py").write_text("def other(): pass\n")
    (tmp_path / "f_package").mkdir()
    body = '{"what": "f_package", "figures": 9, "wrong": []}'
    (tmp_path / "f_package/__main__.py").write_text(SUITE.format(body=body, code=0))
    monkeypatch.setattr(suite, "FOLDER", tmp_path)
    monkeypatch.setattr(suite.run_suite, "__defaults__", (tmp_path.name,))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path.parent))
    assert suite.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0]) == {
        "suite": "a_good",
        "found": {"what": "a_good", "kills": 20, "wrong": []},
    }
    rows = [line.split(" | ") for line in lines if line.startswith("| ")][1:]
    verdicts = ["well", "WRONG", "WRONG", "WRONG", "well", "well"]
    assert [row[2] for row in rows] == verdicts
    assert rows[0][3] == "kills 20 |"
    assert "b_wrong: ['third kill']" in lines
    assert "c_over: exit code 1" in lines
    assert "d_broken: no line of JSON, exit code 3" in lines
    assert suite.main(["a_good", "e_good"]) == 0
    assert suite.main(["none"]).startswith("error: none is no suite; choose from a_good, b_wrong")
