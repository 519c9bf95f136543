"""Lightning around tiny models."""

import warnings

import pytest
import torch


@pytest.fixture(autouse=True)
def _quiet_and_on_one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # Lightning 2.6 on torch 2.14
    warnings.filterwarnings("ignore", ".*does not have many workers")  # the batches are ready
    yield
    torch.set_num_threads(threads)
