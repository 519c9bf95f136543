"""What is written is what safetensors reads."""

import torch
from safetensors.torch import load_file

from cloc.checkpoints.tensors import DTYPES, write_tensors


def test_tensors_of_every_type_and_shape_come_back(tmp_path):
    tensors = {f"{name}.{dtype}": torch.ones(3, 5).to(dtype) for dtype, name in DTYPES.items()}
    tensors |= {"scalar": torch.tensor(2.5), "none": torch.empty(0, 4), "t": torch.rand(4, 3).T}
    with (tmp_path / "x").open("wb") as file:
        write_tensors(file, tensors)
    found = load_file(tmp_path / "x")
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert torch.equal(found[name], value)
