"""Full precision, and whether numbers are numbers."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.distributed.tensor import DTensor


def upcast(x: Tensor) -> Tensor:
    """Half types become float32; float32 and float64 stay what they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def full_precision(like: Tensor) -> torch.autocast:
    """A context without autocast, which would compute similarities in half precision again."""
    return torch.autocast(like.device.type, enabled=False)


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
