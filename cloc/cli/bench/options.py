"""What belongs to one question of `cloc-pretrain bench` and is no key of a config."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloc.errors import UserError

OF = {
    "tax": ("images",),
    "gpu": ("images", "device"),
    "doctor": ("images", "price_per_hour"),
    "prep": ("shards_of_a_job",),
    "race": ("images", "tower", "device", "workers"),
    "eval": ("images", "encoder"),
    "positions": ("images", "tower", "device"),
}
OWN_OPTIONS = sorted({name for names in OF.values() for name in names})
OF_A_RUN = ("step", "loader", "tax", "doctor", "gpu", "memory")
ALONE = ("startup", "save", "scenes", "plan", "dirt", "seek", "loss", "race", "prep", "positions")
NO_DATA = "none"  # stands in data.train where nothing is read
TURNS, TURNS_OF_STARTUP = 15, 5


def keys_of_its_own(overrides: Sequence[str]) -> list[str]:
    """Those of configs/bench.yaml; the others are of the run that is measured."""
    keys = ("what", "repeat", "shards", *OWN_OPTIONS)
    return [override for override in overrides if override.lstrip("+~").partition("=")[0] in keys]


def check_options(options: Mapping[str, Any], others: Sequence[str]) -> bool:
    """Whether `what` is a question about a run. An option that `what` does not read is the user's
    error: silence would hide it."""
    what = options["what"]
    given = [name for name in OWN_OPTIONS if options[name] is not None]
    foreign = [name for name in given if name not in OF.get(what, ())]
    if foreign:
        own = ", ".join(OF.get(what, ())) or "none"
        raise UserError(f"what={what} does not read {foreign[0]}=; its own options: {own}")
    with_shards = options["shards"] is not None
    alone = what in ("loader", "eval") if with_shards else what in ALONE
    if alone and others:
        asked = f"what={what}{' with shards=' if with_shards else ''}"
        raise UserError(f"{asked} is of no run and does not read {others[0]}; remove it")
    if alone:
        return False
    if what not in OF_A_RUN or with_shards:
        said = f"what={what}" if what else ", ".join(["no what= is given", *others])
        raise UserError(
            f"{said}; choose {', '.join(OF_A_RUN)} with experiment=NAME, loader or "
            f"eval with shards=DIR, or one of {', '.join(ALONE)} alone"
        )
    return True


def repeats(options: Mapping[str, Any]) -> int:
    """Turns of a measurement."""
    given: int | None = options["repeat"]
    startup = options["what"] == "startup"
    default = TURNS_OF_STARTUP if startup else TURNS
    if startup and given is not None and given < 2:
        raise UserError(f"repeat={given}; a spread needs repeat=2 or more")
    return default if given is None else given


def with_data(what: str, overrides: list[str]) -> list[str]:
    """Some questions need no data; then an experiment need not name any."""
    named = any(override.startswith("data.train=") for override in overrides)
    return (
        overrides if named or what not in ("tax", "gpu") else [*overrides, f"data.train={NO_DATA}"]
    )


def trains_on_gpu(what: str, accelerator: str) -> bool:
    """The other questions are asked of the CPU, whatever the experiment trains on."""
    return what == "gpu" or (what == "doctor" and accelerator != "cpu")


def whole_number(options: Mapping[str, str], name: str, default: int) -> int:
    """`default` where the command does not say; raises `UserError` below 1."""
    given = options.get(name, str(default))
    if not given.isdigit() or int(given) < 1:
        raise UserError(f"{name}={given}; give a whole number of 1 or more")
    return int(given)


def price(options: Mapping[str, str]) -> float | None:
    """Of one device for an hour, in any currency; None where the command does not say."""
    given = options.get("price_per_hour")
    if given is None:
        return None
    try:
        value = float(given)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise UserError(f"price_per_hour={given}; give what one device costs an hour, as 2.5")
    return value
