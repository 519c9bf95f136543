"""Tensors as a safetensors file, written without its one copy of everything in memory and its hold
on the GIL, which would stop training while a thread writes."""

import json
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}  # safetensors' names


@runtime_checkable
class Writable(Protocol):
    """A file that takes bytes, front to back."""

    def write(self, data: bytes | memoryview) -> int:
        """All of it."""


def write_tensors(file: Writable, tensors: Mapping[str, Tensor]) -> None:
    """On the CPU; the largest numbers first, so that all are aligned."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # aligned
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        tensor, start = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        if tensors[name].numel():
            file.write(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
