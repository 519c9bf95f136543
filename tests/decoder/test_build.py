"""A decoder from a plain mapping, from scratch and from one that has learned."""

import pytest
import torch

from cloc.decoder.build import attach, attach_as, box_words, routes
from cloc.decoder.twin import Twin
from cloc.errors import UserError
from cloc.models.build import build_model
from tests.helpers.answering import SMALL, answering, asked_batch, clip, learned, repaired
from tests.helpers.models import NATIVE, PROMPTER

PIN, TWIN = {"pin": {"channels": 8}}, {"twin": {"every": 2}}
FLAG = {"twin": {"route": "flag"}}
NEW = "decoder.language.blocks.1.feed_forward.new."


def trains(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


def test_a_model_with_a_decoder_says_how_likely_its_answers_are():
    model = answering()
    out = model(asked_batch(model))
    nll = out.extra["answer_nll"]
    assert nll.shape == (3, 1, 3)
    assert (nll > 0).sum(-1).tolist() == [[2], [3], [0]]
    nll.sum().backward()
    assert model.decoder.language.token_embedding.weight.grad.any()
    assert model.tower.clip.visual.conv1.weight.grad.any()


def test_the_rest_of_the_model_is_as_it_was():
    plain, model = clip(), answering()
    batch = asked_batch(plain)
    assert model(batch).image.equal(plain(batch).image)
    assert set(model.region_state()) == set(plain.region_state())


def test_beside_a_region_head_in_pieces_too():
    torch.manual_seed(0)
    model = build_model({"config": NATIVE}, region_head=PROMPTER, box_head={})
    attach(model, SMALL)
    batch = asked_batch(model)
    whole, pieces = model(batch), model(batch, accumulate=len(batch.images))
    for name in ("image", "region", "predicted_boxes"):
        torch.testing.assert_close(getattr(pieces, name), getattr(whole, name))
    torch.testing.assert_close(pieces.extra, whole.extra)


def test_blocks_side_by_side_are_read_and_change_what_is_said():
    model, last = answering(read=[1, 2]), answering()
    assert model.decoder.connector.encoder_width == 2 * last.decoder.connector.encoder_width
    assert model(asked_batch(model)).extra["answer_nll"].isfinite().all()


@pytest.mark.parametrize(("head", "read"), [(None, [1, 2]), ([1, 2], None), ([1, 2], [2])])
def test_other_blocks_than_those_of_the_region_head_are_refused_in_one_line(head, read):
    model = build_model({"config": NATIVE}, region_head={**PROMPTER, "layers": head})
    with pytest.raises(UserError, match=r"decoder\.read=.*region_head\.layers=.*set them alike"):
        attach(model, {**SMALL, "read": read})


def test_the_same_blocks_as_those_of_the_region_head_are_read_by_both():
    model = build_model({"config": NATIVE}, region_head={**PROMPTER, "layers": [1, 2]})
    attach(model, {**SMALL, "read": [1, 2]})
    out = model(asked_batch(model))
    assert out.region.isfinite().all()
    assert out.extra["answer_nll"].isfinite().all()


def test_a_start_gives_its_parts_and_its_weights():
    old, new = answering(0, boxes={"form": "tokens", "cells": 8}), clip(1)
    attach(new, {"connector": None}, start=learned(old))
    assert new.description["decoder"] == old.description["decoder"]
    assert new.decoder.state_dict().keys() == old.decoder.state_dict().keys()
    assert all(v.equal(new.decoder.state_dict()[k]) for k, v in old.decoder.state_dict().items())
    assert trains(new) == {name for name, _ in new.named_parameters()}


@pytest.mark.parametrize(
    ("repair", "parts"),
    [(PIN, ["decoder.pin."]), (TWIN, [NEW, "decoder.router."]), (FLAG, [NEW])],
)
def test_a_repair_is_all_that_learns(repair, parts):
    old = answering()
    model = clip()
    attach(model, repair, start=learned(old))
    for part in parts:
        assert any(name.startswith(part) for name in trains(model))
    assert all(name.startswith(tuple(parts)) for name in trains(model))
    assert routes(model.decoder) is (len(parts) == 2)
    assert model.description["decoder"] == {**old.description["decoder"], **repair}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("repair", [PIN, TWIN, FLAG])
def test_one_that_goes_on_is_still_all_that_learns(repair, named):
    """Where it is not asked for again too: else what twins answered would not stay."""
    old, model = answering(), clip()
    attach(model, repair, start=learned(old))
    again = clip()
    attach(again, repair if named else {}, start=learned(model))
    assert trains(again) == trains(model)
    assert again.description == model.description


def test_both_repairs_one_after_the_other():
    first, second = clip(), clip()
    attach(first, PIN, start=learned(answering()))
    attach(second, TWIN, start=learned(first))
    assert second.decoder.pin is not None
    assert all(name.startswith((NEW, "decoder.router.")) for name in trains(second))
    third = repaired(second, **PIN)
    assert all(name.startswith("decoder.pin.") for name in trains(third))
    assert not routes(third.decoder)


def test_attached_as_in_a_description():
    model, plain = clip(), clip()
    attach(model, {**PIN, **TWIN}, start=learned(answering()))
    with torch.device("meta"):
        double = build_model({"config": NATIVE})
        attach_as(double, model.description)
    assert {k: v.shape for k, v in double.state_dict().items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }
    attach_as(plain, plain.description)
    assert plain.decoder is None


def test_the_connector_is_measured_of_the_decoders_own_words():
    model = answering(connector={"norm": "rms_clip"})
    lengths = model.decoder.language.token_embedding.weight.norm(dim=1)
    torch.testing.assert_close(model.decoder.connector.mean, lengths.mean())


def test_boxes_are_said_as_the_description_has_it():
    model = answering(boxes={"form": "tokens", "cells": 4})
    boxes = box_words(model)
    assert boxes.encode((0.0, 0.0, 0.5, 1.0)) == [49408, 49408, 49410, 49412]
    assert model.decoder.language.token_embedding.num_embeddings == 49408 + 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (PIN, r"decoder\.pin repairs a decoder that has learned; set decoder\.start=runs/NAME"),
        (TWIN, r"decoder\.twin repairs a decoder that has learned"),
        ({"width": 3}, r"decoder: got an unexpected .*'width'; its options are language, words"),
        ({"connector": {"norm": "rms"}}, r"decoder\.connector\.norm=rms; choose none"),
        ({"connector": {"nrm": 1}}, r"decoder\.connector: got an unexpected"),
        ({"boxes": {"form": "words"}}, r"decoder\.boxes\.form=words; choose text, tokens"),
        ({"language": {"width": 30}}, r"decoder\.language\.width=30"),
        ({"language": {"rotary": {"turns": 1}}}, r"decoder\.language\.rotary: got .*'turns'"),
        ({"read": [7]}, r"decoder\.read=\[7\]: this tower has 2 blocks"),
        ({"read": [0, 1]}, r"decoder\.read=\[0, 1\]; give numbers of blocks from 1 on"),
        ({"read": [2, 1]}, r"decoder\.read=\[2, 1\]: give each block once"),
    ],
)
def test_what_does_not_fit_is_one_line(options, told):
    with pytest.raises(UserError, match=told):
        attach(clip(), {**SMALL, **options} if "language" not in options else options)


@pytest.mark.parametrize(
    ("twin", "told"),
    [
        ({"route": "data"}, r"decoder\.twin\.route=data; choose classifier, flag, soft"),
        ({"root": "flag"}, r"decoder\.twin: got an unexpected .*'root'; its options are every, be"),
        ({"every": 9}, r"decoder\.twin\.every=9"),
        ({"every": 1.5}, r"decoder\.twin\.every=1\.5; give a whole number"),
    ],
)
def test_twins_that_do_not_fit_are_one_line(twin, told):
    with pytest.raises(UserError, match=told):
        repaired(answering(), twin=twin)


def test_a_start_of_other_parts_is_one_line():
    with pytest.raises(
        UserError, match=r"decoder\.boxes\.cells=8, but the decoder to start from has 16"
    ):
        attach(clip(), {"boxes": {"cells": 8}}, start=learned(answering()))


@torch.no_grad()
def test_rows_that_ground_are_the_new_ones_while_they_learn():
    """In evaluation the router decides, which has learned nothing yet."""
    old = answering()
    model = repaired(old, **TWIN)
    batch = asked_batch(model)
    for twin in (m for m in model.decoder.modules() if isinstance(m, Twin)):
        twin.new.down.weight.mul_(2)
    known = old.eval()(batch).extra["answer_nll"]
    assert model.eval()(batch).extra["answer_nll"].equal(known)
    found = model.train()(batch).extra["answer_nll"]
    assert batch.extra["grounds"].tolist() == [[True], [False], [False]]
    assert not found[0].allclose(known[0])
    assert found[1:].equal(known[1:])


def test_how_likely_the_right_route_is_is_told_where_there_is_a_router():
    model = repaired(answering(), **TWIN)
    batch = asked_batch(model)
    out = model(batch)
    torch.testing.assert_close(out.extra["route_nll"], torch.full((3, 1), 2.0).log())
    pieces = model(batch, accumulate=3)
    torch.testing.assert_close(pieces.extra, out.extra)
    for other in (repaired(answering(), **FLAG), answering()):
        assert "route_nll" not in other(batch).extra
