"""Whether words and pictures of a model are one sequence, and what stands for a picture in it."""

from typing import Any

from cloc.errors import UserError

CROSSED = ("CrossAttention", "EncDecAttention")  # in names of classes
CROSSED_AS = ("crossattention", "cross_attn", "encoder_attn")  # names of what a layer holds


def language_of(model: Any, name: str) -> Any:
    """Of a model of transformers the part with the layers that see words and pictures. `UserError`
    where words ask pictures by a cross-attention of its own: its shares sum to 1 over the picture
    alone, so there is none that is the picture's."""
    language: Any = model.get_decoder()
    while not hasattr(language, "layers") and hasattr(language, "get_decoder"):
        inner = language.get_decoder()  # of a language model with a head of its own
        if inner is language:
            break
        language = inner
    crossed = [
        type(part).__name__
        for path, part in language.named_modules()
        if any(word in type(part).__name__ for word in CROSSED)
        or path.rpartition(".")[2] in CROSSED_AS
    ]
    if crossed:
        raise UserError(
            f"vlm={name}: its words see pictures by cross-attention ({crossed[0]}), which no word "
            "takes part in; give a model that puts both in one sequence, as LLaVA or Qwen-VL"
        )
    if not hasattr(language, "layers"):
        raise UserError(
            f"vlm={name}: no layers of a language model are found in {type(language).__name__}; "
            "give a model that puts pictures among its words, as LLaVA or Qwen-VL"
        )
    return language


def picture_token_of(model: Any, name: str) -> int:
    """The id of a token of a picture. `UserError` where its configuration has none."""
    found = getattr(model.config, "image_token_id", None)
    if not isinstance(found, int):
        raise UserError(
            f"vlm={name}: its config.json does not say which token stands for a picture "
            "(image_token_id); give a model that does, as LLaVA or Qwen-VL"
        )
    return found
