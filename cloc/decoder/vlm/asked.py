"""Questions about pictures as a vision-language model takes them in."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import PIL.Image
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from cloc.decoder.vlm.grid import Grid, grids_of, queries_of
from cloc.decoder.vlm.vlm import VLM
from cloc.errors import UserError

KEY = "question"


class Asked(NamedTuple):
    """Rows of one picture and one question each, padded on the left. A token is of the `picture`,
    stands `before` it (the begin of text, a system prompt), or behind: the question."""

    inputs: dict[str, Tensor]  # what the model is called with
    valid: Bool[Tensor, "b n"]
    picture: Bool[Tensor, "b n"]
    before: Bool[Tensor, "b n"]
    grids: list[Grid] | None  # of each; None where tokens are made by queries, which lie nowhere

    @property
    def rows(self) -> Int[Tensor, " b"]:
        """Of the token that answers: the last one of each."""
        place = torch.arange(self.valid.shape[1], device=self.valid.device)
        return (self.valid * place).argmax(1)


def ask(vlm: VLM, pictures: Sequence[PIL.Image.Image], questions: Sequence[str]) -> Asked:
    """In the chat that its folder describes, picture first, ready to answer; or where it describes
    none, the picture, a line break and the question. `UserError` for a question that names the
    token of a picture, and where a row does not hold one picture and one question."""
    if not questions or len(pictures) != len(questions):
        raise UserError(
            f"{len(pictures)} pictures and {len(questions)} of {KEY}; give one question for each "
            "picture, one at least"
        )
    words = vlm.processor.tokenizer
    mark = words.convert_ids_to_tokens(vlm.picture_token)
    for question in questions:
        if not question.strip() or mark in question:
            raise UserError(f"{KEY}={question}; give words, and without {mark}")
    texts = [_prompt(vlm.processor, mark, question) for question in questions]
    begins = bool(words.bos_token) and texts[0].startswith(words.bos_token)  # else it is put twice
    made = vlm.processor(
        text=texts,
        images=[[picture.convert("RGB")] for picture in pictures],
        return_tensors="pt",
        padding=True,
        add_special_tokens=not begins,
    )
    numbers = vlm.model.dtype  # of pixels: those of the weights
    inputs = {
        key: x.to(vlm.device, numbers if x.is_floating_point() else x.dtype)
        for key, x in made.items()
    }
    valid = inputs["attention_mask"].bool()
    picture = (inputs["input_ids"] == vlm.picture_token) & valid
    counts = picture.sum(1).tolist()
    if not all(counts):
        raise UserError(f"vlm={vlm.name}: no token of a picture is in its prompt ({mark})")
    if not valid[:, -1].all():
        raise UserError(f"vlm={vlm.name}: its tokenizer pads on the right; make it pad on the left")
    before = (picture.cumsum(1) == 0) & valid
    lies = not queries_of(vlm.model)
    grids = grids_of(vlm.model.config, inputs, counts, name=vlm.name) if lies else None
    return Asked(inputs, valid, picture, before, grids)


def _prompt(processor: Any, mark: str, question: str) -> str:
    if not getattr(processor, "chat_template", None):
        puts_marks = getattr(processor, "num_query_tokens", None)  # BLIP-2's, before the text
        return question if puts_marks else f"{mark}\n{question}"
    content = [{"type": "image"}, {"type": "text", "text": question}]
    chat = [{"role": "user", "content": content}]
    found: str = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    return found
