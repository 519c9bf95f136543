"""Property tests draw the same examples every time, and a slow machine fails none of them.

Files that hold slow tests run first, so that no process is left with one of them at the end.
"""

import pytest
from hypothesis import settings

settings.register_profile("cloc", deadline=None, derandomize=True)
settings.load_profile("cloc")


@pytest.fixture(autouse=True)
def _numbers_of_its_own():
    """A test draws the same numbers whichever tests its process ran before."""
    import torch  # not in the process that only hands out tests

    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    """Files stay whole, and in their order otherwise (`--no-loadscope-reorder` keeps it)."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
