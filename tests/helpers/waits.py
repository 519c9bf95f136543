"""What makes the host wait for a device, on a machine that has none: reads of tensors raise."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# whose result, or its shape, is known only when the device is through
READS = (
    *("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "argwhere"),
    *("_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
    *("bincount", "repeat_interleave.Tensor", "histogram"),
)


class HostWaits(AssertionError):
    """Something read what only the device knows."""


class NoWaits(TorchDispatchMode):
    """Inside, every operation that reads a tensor's numbers raises, and every copy from a device to
    the host that is waited for. On the CPU too, as if it were a device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("aten::")
        kwargs = kwargs or {}
        if name in READS or name.partition(".")[0] in READS:
            raise HostWaits(name)
        if name.startswith(("index.", "index_put")) and _masked(args[1]):
            raise HostWaits(f"{name} with a mask")
        out = function(*args, **kwargs)
        if name in ("_to_copy", "copy_", "copy") and not kwargs.get("non_blocking"):
            source = args[0] if name == "_to_copy" else args[1]
            if source.device.type != out.device.type and source.numel():
                raise HostWaits(f"{name} from {source.device.type} to {out.device.type}")
        return out


def _masked(indices):
    return any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in indices)
