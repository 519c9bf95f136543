"""An encoder that a person wrote: `module:your.module.factory`, called without arguments."""

from importlib import import_module
from typing import Any

from cloc.errors import UserError, one_line
from cloc.eval.encoders.encoder import Encoder, checked, only_own


def read(where: str, frame: str) -> Encoder:
    """What the factory returns is an `Embedder`; regions and ground may be missing, and then have
    no answer. It may say how it sees a picture, `framing` (`cloc.frame.Framing`), and which weights
    it has, `digest`; without that nothing of it is kept on disk. The package must be trusted."""
    only_own(frame, f"module:{where}", "makes its frames itself")
    module, _, name = where.replace(":", ".").rpartition(".")
    if not module:
        raise UserError(f"module:{where}; write module:your.module.factory")
    try:
        factory = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"module:{where} cannot be imported ({one_line(error)})") from error
    made = factory()
    has_regions = hasattr(made, "regions")
    embedder = checked(with_silence(made), f"module:{where}")
    framing = getattr(embedder, "framing", None)
    told = "own: as it prepares them" if framing is None else f"own: {framing}"
    return Encoder(
        embedder,
        f"module:{where}",
        framing,
        told,
        str(getattr(embedder, "digest", "")),
        has_regions=has_regions,
    )


def with_silence(embedder: Any) -> Any:
    """The methods that an encoder of pictures and texts alone need not have."""
    for name, method in (("regions", _no_regions), ("ground", lambda x, phrases: None)):
        if not hasattr(embedder, name):
            setattr(embedder, name, method)
    return embedder


def _no_regions(x: Any, boxes: Any, valid: Any) -> Any:
    raise UserError("this encoder has no regions of its own; measure it with extractors=[crop]")
