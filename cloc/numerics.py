"""Whether numbers are numbers."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.distributed.tensor import DTensor


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first floating-point tensor that holds NaN or infinity; None where none does.

    Of a sharded tensor this rank's part is looked at; tensors without values (meta, fake) are
    passed over.
    """
    verdicts = {}
    for name, tensor in tensors.items():
        own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
        empty = own.numel() == 0 or own.is_meta or isinstance(own, FakeTensor)
        if own.is_floating_point() and not empty:
            # the extremes pass NaN on, and take one pass where `isfinite` takes four
            verdicts[name] = torch.stack(own.detach().aminmax()).isfinite().all()
    return next((name for name, finite in verdicts.items() if not finite), None)
