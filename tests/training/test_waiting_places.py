"""Where a rank waits for others, by the place of its code."""

import pytest
import torch

from cloc.training import waiting_places


@pytest.mark.parametrize(
    ("files", "busy", "gpu", "waits", "on_device"),
    [
        (["torch/autograd/graph.py"], False, False, True, False),  # gloo, in DDP's C++
        (["torch/autograd/graph.py"], True, False, False, False),  # a long backward on a CPU
        (["torch/autograd/graph.py"], True, True, True, True),
        (["cloc/losses/x.py", "torch/autograd/graph.py"], False, False, False, False),  # a hook
        (["torch/_ops.py", "torch/_library/autograd.py", "torch/distributed/x.py"], *"ffTf"),
        (["torch/_ops.py", "cloc/heads/x.py", "torch/distributed/x.py"], *"ffff"),
        (["torch/nn/parallel/distributed.py"], *"ffTf"),
        (["torch/cuda/streams.py", "cloc/training/callbacks/finite.py"], *"tfTT"),
        (["lightning/fabric/utilities/apply_func.py"], *"ftTT"),  # a value that is logged
        (["lightning/fabric/utilities/apply_func.py"], *"ffff"),
        (["cloc/numerics.py", "cloc/training/checkpoint_io.py"], *"ttTT"),
        (["cloc/training/finite_answers.py"], *"ftTT"),
        (["cloc/training/callbacks/nothing_to_learn.py"], *"ftTT"),
        ([], *"ffff"),
    ],
)
def test_where_a_rank_waits(monkeypatch, files, busy, gpu, waits, on_device):
    busy, gpu, *expected = (x in (True, "t", "T") for x in (busy, gpu, waits, on_device))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: gpu)
    stack = [(f"/site-packages/{file}", 1, "f") for file in files]
    assert [*waiting_places.waiting(stack, busy=busy)] == expected
