"""Scripts called inside the test process: they leave no setting behind."""

import logging

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """For a module's own runs too: sums over two threads have other last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _as_it_was():
    flash = torch.backends.cuda.flash_sdp_enabled()
    yield
    torch.backends.cuda.enable_flash_sdp(flash)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.NOTSET)
