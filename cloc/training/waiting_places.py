"""Places of the code where a rank waits for others, or for its own device."""

from collections.abc import Sequence

import torch

# Where a rank is when it waits for others: its innermost frame, or the one below what only passes
# calls on. DDP's C++ waits in its forward (buffers, buckets) and in the middle of backward.
RANKS = ("torch/distributed/", "torch/nn/parallel/distributed.py", "cloc/dist.py")
BACKWARD = "torch/autograd/graph.py"
# The host waits for its own device, which may be at work or wait for other ranks.
DEVICE = ("torch/cuda/", "torch/accelerator/")
# It waits for a GPU where it reads a value from there: each logged step, each look before a save.
READS = (
    "lightning/fabric/utilities/apply_func.py",
    "cloc/numerics.py",
    "cloc/training/finite_answers.py",
    "cloc/training/callbacks/nothing_to_learn.py",
)
PASSES_ON = (
    *("torch/_ops.py", "torch/_library/", "torch/utils/_contextlib.py"),
    "torch/autograd/function.py",
)


def waiting(stack: Sequence[tuple[str, int, str]], *, busy: bool) -> tuple[bool, bool]:
    """Whether a rank at this place waits for others, and whether that may be its device alone.

    Backward is C++: on a CPU it is at work where the processor is, on a GPU it waits for the device
    whatever the processor does.
    """
    files = [file for file, _, _ in stack if not any(part in file for part in PASSES_ON)]
    innermost = files[0] if files else ""
    on_gpu = torch.cuda.is_initialized()
    if BACKWARD in innermost:
        return on_gpu or not busy, on_gpu
    places = (*DEVICE, *READS) if on_gpu else DEVICE
    on_device = any(part in innermost for part in places)
    return on_device or any(part in innermost for part in RANKS), on_device
