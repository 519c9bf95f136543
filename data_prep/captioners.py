"""Image-to-text models of transformers: a prompt and pictures in, texts out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import PIL.Image

from cloc.errors import UserError
from data_prep.pretrained import Pretrained


class Written(NamedTuple):
    """A model's text, and whether the model ended it or was cut off."""

    text: str
    is_whole: bool


class Captioner:
    """A chat model gets the picture and the prompt as one turn of its own template; another model
    the prompt as it is, such as a task of Florence-2 or the beginning of a caption for BLIP, or
    none. No sampling: the same pictures give the same texts."""

    def __init__(
        self, pretrained: Pretrained, *, prompt: str, max_new_tokens: int, num_beams: int
    ) -> None:
        self.pretrained = pretrained
        self.settings = {
            "max_new_tokens": max_new_tokens,
            "num_beams": num_beams,
            "do_sample": False,
        }
        processor = pretrained.processor
        # A decoder alone goes on from the last token of a row, which must not be padding.
        is_pair = bool(getattr(pretrained.model.config, "is_encoder_decoder", False))
        processor.tokenizer.padding_side = "right" if is_pair else "left"
        self.special = set(processor.tokenizer.all_special_ids)
        self.is_chat = bool(getattr(processor, "chat_template", None))
        self.prompt = _chat(processor, prompt) if self.is_chat else prompt
        _check_task(processor, prompt)

    def inputs(self, images: Sequence[PIL.Image.Image]) -> Any:
        """What the model reads, padded to one length."""
        processor = self.pretrained.processor
        given: dict[str, Any] = {"return_tensors": "pt"}
        if self.prompt:
            given |= {"text": [self.prompt] * len(images), "padding": True}
        if self.is_chat:  # which has its beginning of a text already, if it has one
            bos = processor.tokenizer.bos_token
            given["add_special_tokens"] = not (bos and self.prompt.startswith(bos))
            return processor(images=[[image] for image in images], **given)
        return processor(images=list(images), **given)

    def __call__(self, images: Sequence[PIL.Image.Image]) -> list[Written]:
        """A prompt that the model repeats before its answer is cut off."""
        model, processor, _, device, dtype = self.pretrained
        given = self.inputs(images).to(device, dtype)
        made = model.generate(**given, **self.settings)
        asked = given.get("input_ids")
        if asked is not None and made.shape[1] >= asked.shape[1]:
            if bool((made[:, : asked.shape[1]] == asked).all()):
                made = made[:, asked.shape[1] :]
        texts = processor.batch_decode(made, skip_special_tokens=True)
        return [
            # Its end, or the padding after it. The id of the end is not looked for: BLIP's is not
            # the one of its configuration, and Florence-2 begins with the id of its end.
            Written(text, row[-1] in self.special)
            for text, row in zip(texts, made.tolist(), strict=True)
        ]


def _chat(processor: Any, prompt: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": prompt}]
    turn = [{"role": "user", "content": content}]
    return str(processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))


def _check_task(processor: Any, prompt: str) -> None:
    """Florence-2 answers some tasks with boxes; those are no captions."""
    tasks = getattr(processor, "tasks_answer_post_processing_type", {})
    if tasks.get(prompt, "pure_text") != "pure_text":
        raise UserError(
            f"prompt={prompt} is answered with places and not with a caption; give "
            "prompt=<MORE_DETAILED_CAPTION>, <DETAILED_CAPTION> or <CAPTION>"
        )
