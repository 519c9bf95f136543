"""A decoder behind a model's encoder, from a plain mapping like the rest (`cloc.models.build`)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from cloc.decoder.boxes_in_words import BoxWords, own_tokens
from cloc.decoder.connector import Connector
from cloc.decoder.decoder import Decoder
from cloc.decoder.pin import PIN
from cloc.decoder.prefix_lm import PrefixLM
from cloc.decoder.prompts import FORMS
from cloc.decoder.questions import SAID
from cloc.decoder.rotary import Rotary
from cloc.decoder.router import router_of
from cloc.decoder.started import KEY, REPAIRS, as_started
from cloc.decoder.twin import Twin, set_twins
from cloc.decoder.words import Words, tokens_of
from cloc.errors import UserError
from cloc.models.cloc import CLOC
from cloc.models.made import made
from cloc.models.readout import refuse_layers
from cloc.models.towers import Tower

NOT_BUILT = ("start", "kinds", "slots")  # of the options: what a decoder is trained from, and with


class Trained(NamedTuple):
    """A decoder that has learned, to go on from: its description and its weights."""

    description: Mapping[str, Any]
    state: Mapping[str, Tensor]


def attach(model: CLOC, options: Mapping[str, Any], *, start: Trained | None = None) -> None:
    """Gives `model` a decoder, and its description the options of `_decoder` and `_repair`.

    With a `start` its parts are those of the start, with its weights, and of `options` what is
    given must be the same (`cloc.decoder.started`), but for repairs. A repair that is asked for is
    all that still learns, or where none is, those that the start has: every other weight of the
    model is frozen. `UserError` for a repair of a decoder that has learned nothing, and for options
    that do not fit.
    """
    asked = {key: x for key, x in options.items() if x is not None and key not in NOT_BUILT}
    if isinstance(asked.get("words"), str):
        asked["words"] = _tokens(model.tower, Path(asked["words"]))
    repairs = {name: asked[name] for name in REPAIRS if name in asked}
    if start is None:
        if repairs:
            raise UserError(
                f"{KEY}.{min(repairs)} repairs a decoder that has learned; set "
                f"{KEY}.start=runs/NAME"
            )
        _set(model, asked)
        return
    known = as_started(asked, start.description, _makers())
    _set(model, known)
    model.decoder.load_state_dict(start.state)
    new = {name: own for name, own in repairs.items() if name not in known}
    made(_repair, new, KEY, model.decoder, model.tower)
    model.description[KEY] = {**known, **new}
    learning = list(repairs) or [name for name in REPAIRS if name in known]
    if learning:
        model.requires_grad_(False)
        for part in _learners(model.decoder, learning):
            part.requires_grad_(True)


def attach_as(model: CLOC, description: Mapping[str, Any]) -> None:
    """Gives `model` a decoder as the `description` of another model has it, or none."""
    if KEY in description:
        _set(model, description[KEY])


def _makers() -> dict[str, Callable[..., Any]]:
    return {
        f"{KEY}.language": PrefixLM,
        f"{KEY}.language.rotary": Rotary,
        f"{KEY}.connector": Connector,
        f"{KEY}.boxes": own_tokens,
        f"{KEY}.pin": PIN,
        f"{KEY}.twin": _twins,
    }


def _set(model: CLOC, options: Mapping[str, Any]) -> None:
    _refuse_other_blocks(model, options.get("read"))
    model.decoder = made(_decoder, options, KEY, model.tower)
    model.description[KEY] = dict(options)


def _refuse_other_blocks(model: CLOC, read: Any) -> None:
    """The region head and the decoder are given the same tokens."""
    if model.region_head is None:
        return
    others = model.description["region_head"].get("layers")
    if (others and list(others)) != (read and list(read)):
        raise UserError(
            f"{KEY}.read={read}, but model.region_head.layers={others}, and both read the same "
            "tokens; set them alike, or model.region_head=null"
        )


def _learners(decoder: Decoder, repairs: Iterable[str]) -> list[nn.Module]:
    twins = [module.new for module in decoder.modules() if isinstance(module, Twin)]
    twins += [decoder.router] if decoder.router else []
    of: dict[str, list[nn.Module]] = {"pin": [decoder.pin] if decoder.pin else [], "twin": twins}
    return [part for name in repairs for part in of[name]]


def routes(decoder: Decoder) -> bool:
    """Whether it has a router that is to learn."""
    return decoder.router is not None and decoder.router.score.weight.requires_grad


def box_words(model: CLOC) -> BoxWords:
    """How the decoder of `model` reads and says words and boxes."""
    options, kept = (model.description[KEY].get(key) for key in ("boxes", "words"))
    words = Words(model.tower.tokenizer(), kept)
    count = model.tower.vocabulary if kept is None else len(kept)
    return made(BoxWords, options or {}, f"{KEY}.boxes", words, count)


def _tokens(tower: Tower, file: Path) -> list[int]:
    """Those of the lines of `file`, of questions, of prompts and of digits."""
    if not file.is_file():
        raise UserError(f"{KEY}.words={file}: there is no such file; give one with a text a line")
    texts = file.read_text(encoding="utf-8").split("\n")
    said = [form.format(name="") for form in FORMS]
    return tokens_of(tower.tokenizer(), [*texts, *SAID, *said, " ".join("0123456789")])


def _decoder(
    tower: Tower,
    *,
    language: Mapping[str, Any] | None = None,
    words: Sequence[int] | None = None,
    connector: Mapping[str, Any] | None = None,
    boxes: Mapping[str, Any] | None = None,
    read: Sequence[int] | None = None,
    pin: Mapping[str, Any] | None = None,
    twin: Mapping[str, Any] | None = None,
) -> Decoder:
    """`words` are the tokens that are kept of the tower's, `read` blocks of the image tower whose
    tokens stand side by side."""
    if read is not None:
        refuse_layers(read, tower.model_config["vision_cfg"], key=f"{KEY}.read")
        tower.read_layers(read, key=f"{KEY}.read")
    lines = made(own_tokens, boxes or {}, f"{KEY}.boxes")
    count = tower.vocabulary if words is None else len(words)
    own = made(PrefixLM, language or {}, f"{KEY}.language", count + lines)
    width = tower.width * len(read or (1,))
    seen = made(Connector, connector or {}, f"{KEY}.connector", width, own.width)
    if not own.token_embedding.weight.is_meta:
        seen.listen(own.token_embedding.weight)
    found = Decoder(seen, own)
    _repair(found, tower, pin=pin, twin=twin)
    return found


def _repair(
    decoder: Decoder,
    tower: Tower,
    *,
    pin: Mapping[str, Any] | None = None,
    twin: Mapping[str, Any] | None = None,
) -> None:
    """In place."""
    if pin is not None:
        own = decoder.connector.encoder_width
        decoder.pin = made(PIN, pin, f"{KEY}.pin", tower.grid, own)
    if twin is not None:
        made(_twins, twin, f"{KEY}.twin", decoder)


def _twins(
    decoder: Decoder, *, every: int = 2, begin: str = "copy", route: str = "classifier"
) -> None:
    decoder.router = router_of(route, decoder.language.width)
    set_twins(decoder.language, every=every, begin=begin)
