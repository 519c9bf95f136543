"""Answers of a run as a benchmark."""

import pytest

from cloc.decoder.benchmark import Answers
from cloc.errors import UserError
from cloc.interfaces import Split
from cloc.models.embedder import ModelEmbedder
from tests.helpers.answering import answering, clip
from tests.helpers.checkpoints import save_run
from tests.helpers.oracle import example

EMBEDDER = ModelEmbedder(clip())
LEFT, BALL = (0, 0, 16, 16), (0, 16, 16, 32)


def split(count):
    one = example(("red", LEFT), ("blue", BALL), phrases=["a red", "the blue below it"])
    one = one._replace(negatives=((), ("the blue above it",)))
    return Split("val", [one] * count, {})


def test_figures_of_the_runs_decoder_with_lines_beside_them(tmp_path):
    save_run(tmp_path / "run", answering(boxes={"form": "tokens", "cells": 4}))
    found = Answers(run_folder=str(tmp_path / "run"), questions=4).run(EMBEDDER, split(6))
    names = {"what", "whether", "where_acc@0.5", "where_miou"}
    assert names | {f"{name}_permuted" for name in names} <= set(found)
    assert found["whether_chance"] == 0.5
    assert all(0 <= value <= 1 for value in found.values())


def test_a_run_is_needed():
    with pytest.raises(UserError, match="benchmarks=answers asks the decoder of a run; give run="):
        Answers(run_folder=None).run(EMBEDDER, split(1))
