"""Dotted paths through every module of every trusted root: none leads to code from elsewhere.

python -m tests.faults.targets     # one line of JSON
"""

import importlib
import json
import pkgutil
import sys
import time
import types
import warnings
from collections.abc import Iterator

from cloc.errors import UserError

ROOTS = ("cloc", "data_prep", "torch.optim", "timm.optim", "lightning.pytorch")
TRAINER = "lightning.pytorch.trainer"


def leads_out(modules, *, every=1):
    """How many paths were tried, how many are allowed, and those that lead out of trusted modules;
    `every` thins paths of two steps out.

    What is allowed must be a class, or one of the few functions, that such a module itself defines.
    """
    from cloc.cli.config.trust import CLASSES, FUNCTIONS, check_found, check_name

    tried, allowed, wrong = 0, 0, []
    for path, thing in _paths(modules, every):
        tried += 1
        try:
            check_name("x", path)
            check_found("x", path)
        except UserError:
            continue
        allowed += 1
        inside = str(thing.__module__).startswith((*CLASSES, TRAINER))
        if not inside or not (isinstance(thing, type) or path.startswith(FUNCTIONS)):
            wrong.append(path)
    return tried, allowed, wrong


def _paths(modules, every) -> Iterator[tuple[str, object]]:
    for module in modules:
        inner = []
        for name, thing in list(vars(module).items()):
            yield f"{module.__name__}.{name}", thing
            if isinstance(thing, types.ModuleType | type):
                held = list(vars(thing))
                inner += [(f"{module.__name__}.{name}.{n}", getattr(thing, n, None)) for n in held]
        yield from inner[::every]


def _walk(root):
    """Every module below, as far as it can be imported here."""
    package = importlib.import_module(root)
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{root}.", onerror=lambda _: None):
        if "__main__" in found.name:
            continue
        try:
            yield importlib.import_module(found.name)
        except Exception:  # of a library that is not installed
            continue


def run():
    """The figures of all roots."""
    began, tried, allowed, wrong = time.perf_counter(), 0, 0, []
    for root in ROOTS:
        found = leads_out(list(_walk(root)))
        tried, allowed, wrong = tried + found[0], allowed + found[1], wrong + found[2]
    return {
        "what": "targets",
        "paths": tried,
        "allowed": allowed,
        "lead_out": len(wrong),
        "wrong": wrong[:5],
        "seconds": round(time.perf_counter() - began),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    found = run()
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
