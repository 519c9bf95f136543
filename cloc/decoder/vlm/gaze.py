"""Where a vision-language model looks when it is about to answer."""

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.decoder.gaze import Look
from cloc.decoder.vlm.asked import Asked
from cloc.decoder.vlm.attention import Attended, attending
from cloc.decoder.vlm.vlm import VLM
from cloc.errors import UserError, one_line


def gaze(vlm: VLM, asked: Asked) -> Look:
    """In one pass and float32, exactly what the model mixes values by, whichever function of
    attention it runs."""
    found: dict[int, Tensor] = {}

    def keep(attended: Attended, out: Tensor) -> Tensor:
        found[attended.layer] = _shares(attended, asked)
        return out

    with attending(vlm, keep):
        first = first_token(vlm, asked)
    numbers = tuple(sorted(found))
    return Look(numbers, torch.stack([found[number] for number in numbers]), first)


@torch.no_grad()
def first_token(vlm: VLM, asked: Asked) -> Float[Tensor, "b v"]:
    """Logits of the token that follows each prompt, in float32 and one pass. `UserError` where the
    model does not take what its processor made, as too few or too many tokens of a picture."""
    try:
        found: Tensor = vlm.model(**asked.inputs, use_cache=False, logits_to_keep=1).logits
    except UserError:
        raise
    except (RuntimeError, ValueError, IndexError) as error:  # of transformers' checks and of torch
        raise UserError(
            f"vlm={vlm.name}: it cannot be run on what its processor makes ({one_line(error)}); "
            "correct its config.json or its processor"
        ) from error
    return found[:, -1].float()


def _shares(attended: Attended, asked: Asked) -> Float[Tensor, "b h n"]:
    every = torch.arange(len(asked.valid), device=asked.valid.device)
    query = attended.query[every, :, asked.rows, None].float()
    logits = (query * attended.key.float()).sum(-1) / query.shape[-1] ** 0.5
    sees = attended.sees.expand(len(every), -1, -1, -1)[every, :, asked.rows]
    return logits.masked_fill(~sees, -torch.inf).softmax(-1)
