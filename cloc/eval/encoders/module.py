"""An encoder that a person wrote: `module:your.module.factory`, called without arguments."""

from importlib import import_module

from cloc.errors import UserError, one_line
from cloc.eval.encoders.encoder import Encoder, checked, only_own
from cloc.eval.encoders.guarded import Guarded, told
from cloc.frame import Framing


def read(where: str, frame: str) -> Encoder:
    """What the factory returns is an `Embedder`; regions and ground may be missing, and then have
    no answer. It may say how it sees a picture, `framing` (`cloc.frame.Framing`), and which weights
    it has, `digest`; without that nothing of it is kept on disk. The package must be trusted. What
    it raises or answers is looked at (`guarded`)."""
    name = f"module:{where}"
    only_own(frame, name, "makes its frames itself")
    module, _, factory = where.replace(":", ".").rpartition(".")
    if not module:
        raise UserError(f"{name}; write module:your.module.factory")
    try:
        make = getattr(import_module(module), factory)
    except Exception as error:  # of its own code too, such as a library that is missing
        raise UserError(f"{name} cannot be imported ({one_line(error)})") from error
    try:
        made = make()
    except (Exception, SystemExit) as error:  # of somebody's code: whatever it is, it is a line
        raise UserError(f"{name} raises {told(error)}; it is called without arguments") from error
    if made is None:
        raise UserError(f"{name} gives None; it must return the encoder")
    embedder = Guarded(checked(made, name), name)
    framing, digest = getattr(made, "framing", None), getattr(made, "digest", "")
    if not isinstance(framing, Framing | None) or not isinstance(digest, str):
        raise UserError(
            f"{name}: framing is {framing!r:.40} and digest {digest!r:.40}; expected a "
            "cloc.frame.Framing and a text, or leave them out"
        )
    embedder.look()
    return Encoder(
        embedder,
        name,
        framing,
        "own: as it prepares them" if framing is None else f"own: {framing}",
        digest,
        has_regions=callable(getattr(made, "regions", None)),
    )
