"""Which code runs, and on what: what stands beside every figure."""

import platform
import subprocess
from pathlib import Path
from typing import Any

import torch


def git_commit() -> str:
    """Of the code that runs, with "+changes" where it is not clean; "" outside git."""
    git = ["git", "-C", str(Path(__file__).parent)]
    run: Any = {"capture_output": True, "text": True, "check": False}
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], **run)
    except FileNotFoundError:  # git is not installed
        return ""
    if head.returncode:
        return ""
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], **run).stdout.strip()
    return head.stdout.strip() + ("+changes" if changed else "")


def device_name(device: torch.device) -> str:
    """What the accelerator or processor calls itself."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
