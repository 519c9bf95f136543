"""Settings of this process that make training on a CPU faster."""

import ctypes
import sys
from functools import partial

import torch
from timm.optim import muon


def multiplies_bf16() -> bool:
    """Whether this CPU has products of bf16; torch emulates them elsewhere, thirty to a hundred
    times slower than those of float32 (EPYC Milan)."""
    in_hardware: bool = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return in_hardware


def tune_for_cpu() -> None:
    """Settings that made a training step on a CPU twice as fast where they were measured.

    Torch's flash attention is slow in backward for the short sequences of small towers (0.31 s
    against 0.52 s a step with plain products), and glibc gives large buffers back to the system
    after every use (0.25 s against 0.31 s when told to keep them). timm's Muon orthogonalizes in
    bf16 and has no option for it, which was 0.9 of the 1.4 s of a step of the demo where bf16 is
    emulated.
    """
    if not multiplies_bf16():
        exact = partial(muon.zeropower_via_newtonschulz, dtype=torch.float32)
        muon.zeropower_via_newtonschulz = exact
    torch.backends.cuda.enable_flash_sdp(False)  # governs the CPU kernel too
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
