"""A decoder comes back from the folder of its run, and the encoder alone too."""

import pytest
import torch

import cloc
from cloc.decoder.load import load_answering, trained_decoder
from cloc.errors import UserError
from cloc.models.cloc import QUESTION
from cloc.models.load import load_model
from tests.helpers.answering import answering, asked_batch, clip, repaired
from tests.helpers.checkpoints import save_run


@torch.no_grad()
def test_the_decoder_comes_back_exactly(tmp_path):
    model = answering(boxes={"form": "tokens", "cells": 8}).eval()
    save_run(tmp_path / "run", model)
    found = load_answering(tmp_path / "run")
    assert not found.training
    batch = asked_batch(model)
    assert found(batch).extra["answer_nll"].equal(model(batch).extra["answer_nll"])
    assert found.description == model.description


@torch.no_grad()
@pytest.mark.parametrize("route", ["classifier", "flag", "soft"])
def test_twins_and_their_router_come_back_exactly(tmp_path, route):
    model = repaired(answering(), twin={"every": 1, "route": route}).eval()
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    save_run(tmp_path / "run", model)
    found, batch = load_answering(tmp_path / "run"), asked_batch(model)
    seen, grid = model.tower.images(batch.images).read, model.tower.grid_at(batch.images)
    question = [batch.extra[name] for name in QUESTION]
    for share in (torch.zeros(3, 1), torch.ones(3, 1), *[None] * (route != "flag")):
        nll = [one.decoder.answer_nll(seen, grid, *question, share=share) for one in (found, model)]
        assert nll[0].equal(nll[1])
    odds = [one.decoder.route_nll(*question) for one in (found, model)]
    assert odds == [None, None] if route == "flag" else odds[0].equal(odds[1])
    assert found.description == model.description
    assert any("router" in name for name in found.state_dict()) is (route != "flag")


@torch.no_grad()
def test_the_encoder_alone_is_as_without_a_decoder(tmp_path):
    model = answering()
    save_run(tmp_path / "run", model)
    found = load_model(tmp_path / "run")
    assert found.decoder is None
    assert "decoder" not in found.description
    x = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = model.eval().tower.images(x).pooled
    assert cloc.load(tmp_path / "run").images(x).equal(expected)


def test_a_run_without_a_decoder_is_one_line(tmp_path):
    save_run(tmp_path / "run", clip())
    with pytest.raises(UserError, match=r"run has no decoder: train one with experiment=scenes_v"):
        trained_decoder(tmp_path / "run")
