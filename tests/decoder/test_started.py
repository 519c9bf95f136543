"""What a decoder is that goes on from a trained one."""

import pytest
import torch

from cloc.decoder.build import attach
from cloc.errors import UserError
from tests.helpers.answering import SMALL, answering, asked_batch, clip, learned

OWN = {"pin": {"channels": 8}}
TOLD = {"connector": {"places": True}, "boxes": {"cells": 8}}


def goes_on(asked, there=TOLD):
    """A model that is asked so, from a decoder that is so."""
    model = clip()
    attach(model, asked, start=learned(answering(**there)))
    return model


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"connector": {"places": True, "kind": "mlp"}},
        {"boxes": {"form": "text"}, "language": {"rotary": {"kind": "mrope"}}},
        {"language": {**SMALL["language"], "rotary": None, "hidden": None}},
    ],
)
def test_what_it_does_not_say_is_the_default_of_its_maker(asked):
    """So a run of before an option was there goes on."""
    assert goes_on(asked).description["decoder"] == {**SMALL, **TOLD}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"connector": {"places": False}}, r"decoder\.connector\.places=False, .* has True; set"),
        ({"connector": {"norm": "rms_clip"}}, r"decoder\.connector\.norm=rms_clip, .* has none"),
        ({"boxes": {"form": "tokens"}}, r"decoder\.boxes\.form=tokens, .* has text"),
        ({"language": {"rotary": {"kind": "flat"}}}, r"language\.rotary\.kind=flat, .* has mrope"),
        ({"language": {"width": 64}}, r"decoder\.language\.width=64, .* has 32"),
        ({"read": [2]}, r"decoder\.read=\[2\], .* has None"),
        ({"twin": {}, "connector": {"places": False}}, r"decoder\.connector\.places=False"),
        ({**OWN, "connector": {"norm": "rms_clip", "places": False}}, r"connector\.norm=rms_clip"),
    ],
)
def test_another_thing_is_one_line(asked, told):
    with pytest.raises(UserError, match=told):
        goes_on(asked)


@pytest.mark.parametrize(("repair", "other"), [("pin", {"channels": 16}), ("twin", {"every": 1})])
def test_a_repair_that_is_there_stays_as_it_is(repair, other):
    first = goes_on({repair: {}})
    for own in ({}, {repair: {}}):
        again = clip()
        attach(again, own, start=learned(first))
        assert again.description == first.description
    with pytest.raises(UserError, match=rf"decoder\.{repair}\.{min(other)}="):
        attach(clip(), {repair: other}, start=learned(first))


def test_a_new_pin_takes_the_place_of_places():
    asked = {**OWN, "connector": {"places": False}}
    model = goes_on(asked)
    assert model.decoder.connector.places is False
    assert model.description["decoder"]["connector"] == {"places": False}
    again = clip()
    attach(again, asked, start=learned(model))  # and so it goes on
    assert again.description == model.description
    assert goes_on(OWN).decoder.connector.places is True  # which is not said stays


@torch.no_grad()
def test_without_the_pin_it_is_the_decoder_without_places():
    old = answering(**TOLD)
    model = clip()
    attach(model, {**OWN, "connector": {"places": False}}, start=learned(old))
    model.decoder.pin = None
    old.decoder.connector.places = False
    batch = asked_batch(model)
    said, known = (m.eval()(batch).extra["answer_nll"] for m in (model, old))
    assert said.equal(known)
