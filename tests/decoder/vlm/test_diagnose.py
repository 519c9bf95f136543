"""A VLM looked at over pictures: figures that do not hang on how they are batched."""

import json

import numpy as np
import pytest
import torch

from cloc.decoder.vlm.diagnose import diagnose
from cloc.decoder.vlm.of_transformers import OfTransformers
from cloc.decoder.vlm.question import questions
from cloc.errors import UserError
from cloc.interfaces import Example
from tests.decoder.vlm.conftest import photos


def asked(text="where is the {phrase} ?"):
    boxes = np.array([[0, 0, 12, 12], [4, 4, 16, 16]], np.float32)
    phrases = (("dog", "star"), ("star", "dog"), ("red star", "dog"), ("dog", "dog"))
    shown = [*photos(), photos()[0]]
    return list(
        questions(
            (
                Example(str(i), shown[i], (), boxes, own, ("",) * 2, {})
                for i, own in enumerate(phrases)
            ),
            text,
        )
    )


def told(vlm, size, **more):
    given = {"top_heads": 2, "shown": 3, **more}
    return diagnose(OfTransformers(vlm), asked(), batch_size=size, **given)


def test_figures_are_the_same_in_batches_and_one_by_one(vlm):
    (whole, maps), (single, same) = told(vlm, 3), told(vlm, 1)
    assert json.dumps(whole, allow_nan=False)
    for one, other in zip(whole["layers"], single["layers"], strict=True):
        for name in ("image", "image_without_system", "entropy", "on_boxes"):
            assert one[name] == pytest.approx(other[name], abs=1e-4), name
    for kind in ("image", "words"):
        assert whole["token_norms"][kind] == pytest.approx(single["token_norms"][kind])
    assert whole["first_token"] == pytest.approx(single["first_token"], abs=1e-4)
    assert whole["tokens"] == single["tokens"]
    assert whole["best_heads"]["reported_on"] == 2
    assert [one.question.example.key for one in maps] == ["2", "3"]
    for one, other in zip(maps, same, strict=True):
        np.testing.assert_allclose(one.all_heads, other.all_heads, atol=1e-4)


def test_maps_are_parts_of_the_picture_row_by_row(vlm):
    found, maps = told(vlm, 2)
    grid = {"llava": (4, 4)}.get(vlm.model.config.model_type, (6, 2))
    assert maps[0].all_heads.shape == maps[0].best_heads.shape == grid
    assert maps[0].all_heads.sum() == pytest.approx(1, abs=1e-4)
    assert maps[0].best_heads.sum() == pytest.approx(1, abs=1e-4)
    assert found["grid"] == ([4, 4] if OfTransformers(vlm).is_square else None)  # Qwen's differ
    assert maps[0].said in vlm.processor.tokenizer.get_vocab()


def test_two_passes_a_picture_and_nothing_stays(vlm):
    before = {name: weight.clone() for name, weight in vlm.model.state_dict().items()}
    passes = []
    hook = vlm.language.register_forward_hook(lambda *_: passes.append(1))
    told(vlm, 1)
    hook.remove()
    assert len(passes) == 2 * 4
    assert all(before[name].equal(weight) for name, weight in vlm.model.state_dict().items())
    assert not vlm.language._forward_pre_hooks


def test_without_boxes_or_places_it_says_why(opened, monkeypatch):
    vlm = opened["llava"]
    bare = [one._replace(boxes=np.zeros((0, 4))) for one in asked("what ?")]
    found, maps = diagnose(OfTransformers(vlm), bare, batch_size=4, top_heads=2, shown=1)
    assert found["best_heads"] is found["even"] is found["layers"][0]["on_boxes"] is None
    assert "no box holds the middle of a patch" in found["absent"]["on_boxes"]
    assert maps[0].best_heads is None
    monkeypatch.setattr("cloc.decoder.vlm.asked.queries_of", lambda model: "QFormer")
    found, maps = told(vlm, 4)
    assert found["absent"] == {
        "on_boxes": "its picture tokens are made by queries, which lie nowhere in the picture"
    }
    assert (found["grid"], maps) == (None, [])


def test_a_single_picture_is_too_few(opened):
    with pytest.raises(UserError, match="1 pictures to ask about; give 2 or more"):
        diagnose(OfTransformers(opened["llava"]), asked()[:1], batch_size=1, top_heads=1, shown=1)


def test_a_model_without_order_does_not_change_when_it_is_permuted(opened, monkeypatch):
    """The figure of the permutation is of the permutation: with the order as it was it is 0."""
    monkeypatch.setattr(
        "cloc.decoder.vlm.permute.order_of", lambda count, *, seed: torch.arange(count)
    )
    found, _ = told(opened["llava"], 4)
    assert (found["first_token"]["changed"], found["first_token"]["moved"]) == (0, 0)
    monkeypatch.undo()
    found, _ = told(opened["llava"], 4)
    assert found["first_token"]["moved"] > 0
