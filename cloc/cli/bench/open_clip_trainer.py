"""open_clip's own training package, to be measured against, in an environment without pandas."""

import importlib
import importlib.util
import sys
import types

import open_clip  # noqa: F401  # brings torch's compiler, which asks for the real pandas


def module(name: str) -> types.ModuleType:
    """`open_clip_train.NAME`, for which pandas need not be installed: it reads CSV files alone.

    What stands in for pandas is gone afterwards. Left in place it is found by others, such as
    pyarrow, which then ask it for what it has not.
    """
    lent = importlib.util.find_spec("pandas") is None
    if lent:
        sys.modules["pandas"] = types.ModuleType("pandas")
    try:
        return importlib.import_module(f"open_clip_train.{name}")
    finally:
        if lent:
            del sys.modules["pandas"]
