"""AdaptVis on models of transformers."""

import pytest
import torch

from cloc.decoder.steer import AdaptVis, Steer
from cloc.decoder.vlm.asked import ask
from cloc.decoder.vlm.attention import attending
from cloc.decoder.vlm.gaze import first_token
from cloc.decoder.vlm.steer import answer, steer_of, steered, steering
from cloc.decoder.vlm.vlm import open_vlm
from cloc.errors import UserError
from tests.decoder.vlm.conftest import QUESTIONS, photos
from tests.helpers.vlms import KINDS

OTHER = AdaptVis(unsure=0.2, sure=0.2)


def layers_of(vlm, asked, adapt):
    """What each layer's attention gives with it, and without."""
    told, plain = {}, {}

    def into(found):
        return lambda attended, out: found.setdefault(attended.layer, out)

    with steering(vlm, steer_of(vlm, asked, adapt)), attending(vlm, into(told)):
        first_token(vlm, asked)
    with attending(vlm, into(plain)):
        first_token(vlm, asked)
    return told, plain


def by_hand(vlm, asked):
    """Of the first layer, logits of the last row, queries and keys over the root of their width;
    and the values."""
    found = []
    with attending(vlm, lambda attended, out: found.append(attended) or out):
        first_token(vlm, asked)
    query, key = found[0].query[:, :, -1].double(), found[0].key.double()
    return torch.einsum("bhd,bhmd->bhm", query, key).div(8**0.5).float(), found[0].value


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_logits_of_the_picture_are_multiplied_before_the_softmax(vlm, asked, factor):
    one = AdaptVis(unsure=factor, sure=factor, layers=[0])
    told, plain = layers_of(vlm, asked, one)
    logits, value = by_hand(vlm, asked)
    changed = torch.where(asked.picture[:, None], logits * factor, logits)
    shares = changed.masked_fill(~asked.valid[:, None], -torch.inf).softmax(-1)
    expected = (shares[..., None] * value).sum(2)
    torch.testing.assert_close(told[0][:, -1], expected, rtol=1e-4, atol=1e-5)
    assert told[0][:, :-1].equal(plain[0][:, :-1])  # every other row, bit for bit


def test_a_factor_of_1_is_the_model_as_it_was_bit_for_bit(vlm, asked):
    plain = first_token(vlm, asked)
    assert steered(vlm, asked, AdaptVis(unsure=1, sure=1)).equal(plain)
    assert not steered(vlm, asked, OTHER).allclose(plain)
    mixed = Steer(torch.tensor([1.0, 0.2, 1.0]), asked.rows, asked.picture)
    with steering(vlm, mixed):
        found = first_token(vlm, asked)
    assert (found == plain).all(-1).tolist() == [True, False, True]


def test_chosen_layers_and_heads_alone(vlm, asked):
    told, plain = layers_of(vlm, asked, AdaptVis(unsure=0.2, sure=0.2, layers=[1], heads=[2]))
    assert told[0].equal(plain[0])
    moved = (told[1] != plain[1]).any(-1)[:, -1]  # no other head, bit for bit
    assert moved.tolist() == [[False, False, True, False]] * 3
    none = AdaptVis(unsure=0.2, sure=0.2, layers=[])
    assert steered(vlm, asked, none).equal(first_token(vlm, asked))


def test_two_passes_where_it_asks_first_and_one_where_factors_are_equal(vlm, asked):
    sure = first_token(vlm, asked).softmax(-1).amax(-1)
    own = AdaptVis(unsure=0.2, sure=3.0, threshold=float(sure.median()))  # at it is sure
    passes = []
    hook = vlm.language.register_forward_hook(lambda *_: passes.append(1))
    found = steered(vlm, asked, own)
    assert len(passes) == 2
    assert sorted(own.factors(sure).tolist()) == pytest.approx([0.2, 3.0, 3.0])
    steered(vlm, asked, OTHER)
    assert len(passes) == 3
    hook.remove()
    for row, factor in enumerate(own.factors(sure).tolist()):
        fixed = steered(vlm, asked, AdaptVis(unsure=factor, sure=factor))
        torch.testing.assert_close(found[row], fixed[row])


def test_a_batch_answers_as_each_alone(vlm, asked):
    own = AdaptVis(unsure=0.2, sure=3.0, threshold=0.5)
    texts = answer(vlm, asked, most=4, adapt=own)
    for row, (picture, question) in enumerate(zip(photos(), QUESTIONS, strict=True)):
        alone = ask(vlm, [picture], [question])
        assert answer(vlm, alone, most=4, adapt=own) == texts[row : row + 1]
        torch.testing.assert_close(
            steered(vlm, alone, own)[0], steered(vlm, asked, own)[row], rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("kind", KINDS)
def test_in_half_precision_a_row_is_steered_in_float32(kind, folders):
    """So that a factor of nearly 1 gives nearly what the model itself gives."""
    vlm = open_vlm(f"hf:{folders[kind]}", device=torch.device("cpu"))
    vlm.model.bfloat16()
    asked = ask(vlm, photos(), QUESTIONS)
    assert asked.inputs["pixel_values"].dtype == torch.bfloat16
    told, plain = layers_of(vlm, asked, AdaptVis(unsure=1.0001, sure=1.0001, layers=[0]))
    assert told[0].dtype == torch.bfloat16
    torch.testing.assert_close(told[0], plain[0], rtol=1e-2, atol=4e-3)


def test_only_the_prompt_is_steered_and_nothing_stays(vlm, asked):
    before = {name: weight.clone() for name, weight in vlm.model.state_dict().items()}
    plain, name = first_token(vlm, asked), vlm.language.config._attn_implementation
    lengths = []
    steer = steer_of(vlm, asked, OTHER)
    with steering(vlm, steer), attending(vlm, lambda a, out: lengths.append(out.shape[1]) or out):
        vlm.model.generate(**asked.inputs, max_new_tokens=3, do_sample=False)
    assert lengths == [asked.valid.shape[1]] * 2  # of the two layers; later tokens pass it by
    assert first_token(vlm, asked).equal(plain)
    assert vlm.language.config._attn_implementation == name
    after = vlm.model.state_dict()
    assert list(after) == list(before)
    assert all(after[name].equal(weight) for name, weight in before.items())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"layers": [2]}, r"steer\.layers=2; give 0 to 1, those of the model"),
        ({"heads": [-1]}, r"steer\.heads=-1; give 0 to 3, those of the model"),
    ],
)
def test_what_is_not_there_is_one_line(opened, more, says):
    vlm = opened["llava"]
    with pytest.raises(UserError, match=says):
        steered(vlm, ask(vlm, photos(), QUESTIONS), AdaptVis(unsure=0.5, sure=0.5, **more))


def test_an_answer_of_no_token_is_one_line(vlm, asked):
    with pytest.raises(UserError, match="most=0; give 1 or more, tokens of an answer"):
        answer(vlm, asked, most=0)
