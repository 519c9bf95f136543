"""Where the real photographs lie that tests read: beside the checkout, in CI too."""

from pathlib import Path

import pytest

MINI = Path(__file__).parents[3] / "shared/data/coco-mini"
NEEDS_MINI = pytest.mark.skipif(
    not MINI.is_dir(), reason="../shared/data/coco-mini is not beside this checkout; CI has it"
)
