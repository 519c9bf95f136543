"""The commands with one fault in them, to see that the figures tell of it.

python -m tests.faults.independent.planted FAULT evaluate ...

The only file here that imports what is measured.
"""

import pkgutil
import sys
from dataclasses import replace
from importlib import import_module


def boxes_swapped():
    """Crops take x for y."""
    crops = import_module("cloc.eval.extractors.crop")
    right = crops.crop
    crops.crop = lambda image, box: right(image, box[[1, 0, 3, 2]])


def macro_is_micro():
    """The mean of the classes is the mean of the boxes."""
    classes = import_module("cloc.eval.classes")
    right = classes.class_cases

    def micro(*args, **kwargs):
        return {name: replace(own, classes=None) for name, own in right(*args, **kwargs).items()}

    _everywhere("class_cases", micro)


def ties_are_right():
    """A score as high as that of the right answer does not make it wrong."""
    _everywhere("TIE", -import_module("cloc.eval.metrics").TIE)


def _everywhere(name, value):
    """In every module of the evaluator that has it, wherever it was imported from."""
    package = import_module("cloc.eval")
    for found in pkgutil.walk_packages(package.__path__, "cloc.eval."):
        if found.name != "cloc.eval.conformance.__main__":
            module = import_module(found.name)
            if hasattr(module, name):
                setattr(module, name, value)


FAULTS = {fault.__name__: fault for fault in (boxes_swapped, macro_is_micro, ties_are_right)}

if __name__ == "__main__":
    name, *words = sys.argv[1:]
    FAULTS[name]()
    import_module("cloc.cli.main").main(words)
