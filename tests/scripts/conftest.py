"""Scripts called inside the test process: they leave no setting behind."""

import logging

import pytest
import torch


@pytest.fixture(autouse=True)
def _as_it_was():
    threads, flash = torch.get_num_threads(), torch.backends.cuda.flash_sdp_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.backends.cuda.enable_flash_sdp(flash)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.NOTSET)
