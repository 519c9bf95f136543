"""Hostile pictures, each decoded in a process of its own: what they cost.

python -m tests.faults.images     # one line of JSON; ms and MiB beyond those of an ordinary picture
"""

import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL.Image

from cloc.data.decode import record_header
from cloc.data.raster import from_header
from cloc.data.record import Record
from cloc.errors import BadSample
from tests.helpers.shards import encode, flat

MAX_MS, MAX_MIB = 50, 64


def zeros(side, format, *, pad=0, mode="RGB", **options):
    """A black picture with `pad` bytes behind its end, so that it looks less empty."""
    file = io.BytesIO()
    PIL.Image.MAX_IMAGE_PIXELS = None
    PIL.Image.new(mode, (side, side)).save(file, format, **options)
    return file.getvalue() + bytes(pad)


def noise(side, **options):
    """The dearest picture of its size that is honest."""
    rng, file = np.random.default_rng(0), io.BytesIO()
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def pictures():
    """Name -> (bytes, extension, side)."""
    return {
        "png_9000": (zeros(9000, "PNG"), "png", 9000),
        "png_5000": (zeros(5000, "PNG"), "png", 5000),
        "png_1580": (zeros(1580, "PNG"), "png", 1580),
        "png_1580_rgba": (zeros(1580, "PNG", mode="RGBA"), "png", 1580),
        "png_4000_padded": (zeros(4000, "PNG", pad=980_000), "png", 4000),
        "jpg_5000": (zeros(5000, "JPEG"), "jpg", 5000),
        "jpg_3300_progressive_padded": (
            zeros(3300, "JPEG", pad=164_000, progressive=True, subsampling=0),
            "jpg",
            3300,
        ),
        "jpg_2000_noise_progressive": (noise(2000, progressive=True, quality=95), "jpg", 2000),
        "webp_2000": (zeros(2000, "WEBP"), "webp", 2000),
        "webp_9000": (zeros(9000, "WEBP"), "webp", 9000),
    }


def decode(path, extension, side):
    """In the process that is measured: an ordinary picture first, then this one."""
    _see(Record("k", encode(flat(64, 64)), "png", 64, 64))
    data = Path(path).read_bytes()
    forget_peak()
    before, began = kib("VmRSS"), time.process_time()
    outcome = _see(Record("k", data, extension, side, side))
    spent = time.process_time() - began
    mib = round((kib("VmHWM") - before) / 1024)
    return {"outcome": outcome, "ms": round(1000 * spent), "mib": mib}


def forget_peak():
    """What was imported before is no cost of what comes (Linux: proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def kib(field):
    """VmRSS, what this process holds now, or VmHWM, the most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


def _see(record):
    try:
        from_header(record_header(record, "here"), "here").pixels(224, 224)
    except BadSample as error:
        return f"refused: {error.reason}"
    return "decoded"


def run():
    """The figures of every picture, and those over the limits."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, extension, side) in pictures().items():
            path = Path(folder, name)
            path.write_bytes(data)
            command = [sys.executable, "-m", "tests.faults.images", str(path), extension, str(side)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name] = {"kb": len(data) // 1000, **json.loads(done.stdout.splitlines()[-1])}
    over = [n for n, f in found.items() if f["ms"] > MAX_MS or f["mib"] > MAX_MIB]
    return {"what": "images", **found, "over_the_limits": over}


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(decode(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        print(json.dumps(run()))
