"""A vision-language model of transformers, opened: `hf:FOLDER`, or `hf:ORG/NAME` from the hub."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch

from cloc.decoder.vlm.joint import language_of, picture_token_of
from cloc.errors import UserError, one_line
from cloc.foreign_code import described, unasked
from cloc.models.start import HFS, on_hub
from cloc.models.transformers_folder import quiet_transformers

KEY, RUNS = "vlm", "run:runs/NAME"


class VLM(NamedTuple):
    """`language` holds the layers in which words and pictures are one sequence; `picture_token` is
    the id that stands in a prompt for each token of a picture."""

    name: str
    model: Any
    processor: Any
    language: Any  # a module of transformers
    picture_token: int

    @property
    def device(self) -> torch.device:
        """That of its inputs."""
        return next(self.model.parameters()).device


def open_vlm(spec: str, *, device: torch.device) -> VLM:
    """In the number type its weights are kept in; none of its code is run. `UserError` for what
    transformers cannot open, and for a model whose words do not see pictures in one sequence with
    themselves, which is found out before its weights are read."""
    kind, _, where = spec.partition(":")
    if kind != "hf" or not where:
        raise UserError(f"{KEY}={spec}; write {KEY}={HFS}, or {RUNS}")
    transformers = _transformers()
    folder, at = _described(where)
    try:
        with quiet_transformers(), unasked():
            config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
            with torch.device("meta"):
                shape = transformers.AutoModelForImageTextToText.from_config(config)
            language_of(shape, spec)
            picture_token_of(shape, spec)
            model, processor = _read(transformers, folder, at)
    except UserError:
        raise
    except Exception as error:  # of a dozen classes, of transformers and of what it stands on
        raise UserError(f"{spec} cannot be read by transformers: {one_line(error)}") from error
    model = model.eval().requires_grad_(False).to(device)
    return VLM(spec, model, processor, language_of(model, spec), picture_token_of(model, spec))


def _transformers() -> Any:
    try:
        return import_module("transformers")
    except ImportError as error:
        raise UserError(
            f"{KEY}= needs the package transformers ({error}): pip install 'cloc-pretrain[hf]'"
        ) from None


def _described(where: str) -> tuple[Path, dict[str, Any]]:
    """The folder of all but the weights, and by what these are found."""
    folder = Path(where).expanduser()
    repository = None if folder.is_dir() else on_hub(where)
    if repository is None and not folder.is_dir():
        raise UserError(f"{KEY}=hf:{where}: there is no such folder; write {HFS}")
    try:
        found = described(repository or str(folder))
    except UserError:
        raise
    except Exception as error:  # the hub's client has had three HTTP libraries, each with its own
        raise UserError(
            f"{KEY}=hf:{where}: there is no such folder, and the hub gives none ({one_line(error)})"
        ) from error
    if repository is None:
        return found, {"pretrained_model_name_or_path": folder}
    return found, {"pretrained_model_name_or_path": repository, "revision": found.name}


def _read(transformers: Any, folder: Path, at: dict[str, Any]) -> tuple[Any, Any]:
    model, told = transformers.AutoModelForImageTextToText.from_pretrained(
        **at,
        trust_remote_code=False,
        use_safetensors=True,
        dtype="auto",
        output_loading_info=True,
    )
    if lacks := sorted(told["missing_keys"]):  # transformers goes on with random ones
        raise UserError(f"{folder}: the weights lack {', '.join(lacks[:3])}; take the whole model")
    processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    words = getattr(processor, "tokenizer", None)
    if words is None or not hasattr(processor, "image_processor"):
        raise UserError(
            f"{folder} says not how words and pictures are put together; give it the "
            "processor_config.json or preprocessor_config.json of the model"
        )
    words.padding_side = "left"  # so that all rows of a batch answer at the same place
    words.pad_token = words.pad_token or words.eos_token
    return model, processor
