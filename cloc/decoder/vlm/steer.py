"""ScalingVis and AdaptVis (arXiv 2503.01773) on a vision-language model: `cloc.decoder.steer` says
what they are. Nothing is added to the model and nothing is left in it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.decoder.steer import AdaptVis, Steer, applied
from cloc.decoder.vlm.asked import Asked
from cloc.decoder.vlm.attention import Attended, attending
from cloc.decoder.vlm.gaze import first_token
from cloc.decoder.vlm.vlm import VLM
from cloc.errors import UserError


@contextmanager
def steering(vlm: VLM, steer: Steer) -> Iterator[None]:
    """While it lasts, prompts are answered with `steer`; a row whose factor is 1 as it was, bit for
    bit. Tokens that are generated behind the prompt look as they always do."""

    def turn(attended: Attended, found: Tensor) -> Tensor:
        return applied(steer, found, *attended[1:]) if steer.in_layer(attended.layer) else found

    with attending(vlm, turn):
        yield


def steer_of(vlm: VLM, asked: Asked, adapt: AdaptVis) -> Steer:
    """What `adapt` does with these questions. It asks first how sure the model is, one pass, where
    its factors differ. `UserError` for layers and heads that are not there."""
    config = vlm.language.config
    confidence = torch.zeros(len(asked.valid), device=asked.valid.device)
    if adapt.asks_first:
        confidence = first_token(vlm, asked).softmax(-1).amax(-1)
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    return adapt.steer(confidence, asked.rows, asked.picture, layers=layers, heads=heads)


def steered(vlm: VLM, asked: Asked, adapt: AdaptVis) -> Float[Tensor, "b v"]:
    """Logits of the first token of each answer."""
    with steering(vlm, steer_of(vlm, asked, adapt)):
        return first_token(vlm, asked)


@torch.no_grad()
def answer(vlm: VLM, asked: Asked, *, most: int, adapt: AdaptVis | None = None) -> list[str]:
    """The likeliest next token, and so on, at most `most`. The prompt is read once, or twice where
    `adapt` asks first how sure the model is. `UserError` for a `most` below 1."""
    if most < 1:
        raise UserError(f"most={most}; give 1 or more, tokens of an answer")
    around = nullcontext() if adapt is None else steering(vlm, steer_of(vlm, asked, adapt))
    own = vlm.model.generation_config
    likeliest = type(own)(  # not what the folder says of chance and of repetitions
        do_sample=False,
        max_new_tokens=most,
        eos_token_id=own.eos_token_id,
        pad_token_id=vlm.processor.tokenizer.pad_token_id,
    )
    with around:
        found = vlm.model.generate(**asked.inputs, generation_config=likeliest)
    said = found[:, asked.valid.shape[1] :]
    texts: list[str] = vlm.processor.tokenizer.batch_decode(said, skip_special_tokens=True)
    return texts
