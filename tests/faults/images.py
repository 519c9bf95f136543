"""Hostile pictures, each decoded in a process of its own: what they cost.

python -m tests.faults.images     # one line of JSON; ms and MiB beyond those of an ordinary picture

A hostile picture claims more than its bytes hold. Beside them stand the dearest honest ones, noise
of as many bytes as it looks: they are decoded, whatever the limit says.
"""

import io
import json
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import PIL.Image

from cloc.data.samples.decode import record_header
from cloc.data.samples.raster import from_header
from cloc.data.samples.record import Record
from cloc.errors import BadSample
from tests.helpers.shards import encode, flat

MAX_MS, MAX_MIB = 50, 64


def zeros(side, format, *, pad=0, mode="RGB", **options):
    """A black picture with `pad` bytes behind its end, so that it looks less empty."""
    file = io.BytesIO()
    PIL.Image.MAX_IMAGE_PIXELS = None
    PIL.Image.new(mode, (side, side)).save(file, format, **options)
    return file.getvalue() + bytes(pad)


def noise(side, format, **options):
    """The dearest picture of its size that is honest."""
    rng, file = np.random.default_rng(0), io.BytesIO()
    pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def beside(data, count):
    """The JPEG or PNG with `count` or more bytes in a part that makes no pixels."""
    if data[:2] == b"\xff\xd8":
        comment = b"\xff\xfe\xff\xff" + bytes(65533)
        return data[:2] + comment * -(-count // len(comment)) + data[2:]
    length, part = struct.pack(">I", count), b"puNk" + bytes(count)
    end_of_header = 33
    part = length + part + struct.pack(">I", zlib.crc32(part))
    return data[:end_of_header] + part + data[end_of_header:]


def hostile():
    """Name -> (bytes, extension, side)."""
    progressive = zeros(3300, "JPEG", progressive=True, subsampling=0)
    return {
        "png_9000": (zeros(9000, "PNG"), "png", 9000),
        "png_5000": (zeros(5000, "PNG"), "png", 5000),
        "png_1440": (zeros(1440, "PNG"), "png", 1440),
        "png_1440_rgba": (zeros(1440, "PNG", mode="RGBA"), "png", 1440),
        "png_3900_padded": (zeros(3900, "PNG", pad=980_000), "png", 3900),
        "png_3900_beside": (beside(zeros(3900, "PNG"), 980_000), "png", 3900),
        "jpg_5000": (zeros(5000, "JPEG"), "jpg", 5000),
        "jpg_5000_beside": (beside(zeros(5000, "JPEG"), 980_000), "jpg", 5000),
        "jpg_1440_progressive": (zeros(1440, "JPEG", progressive=True), "jpg", 1440),
        "jpg_3300_progressive_padded": (progressive + bytes(980_000), "jpg", 3300),
        "jpg_3300_progressive_beside": (beside(progressive, 980_000), "jpg", 3300),
        "jpg_1440_cmyk": (zeros(1440, "JPEG", mode="CMYK"), "jpg", 1440),
        "jpg_2800_cmyk_padded": (zeros(2800, "JPEG", mode="CMYK", pad=980_000), "jpg", 2800),
        "webp_2000": (zeros(2000, "WEBP"), "webp", 2000),
        "webp_2000_lossless": (zeros(2000, "WEBP", lossless=True), "webp", 2000),
        "webp_2900_padded": (zeros(2900, "WEBP", pad=980_000), "webp", 2900),
        "webp_9000": (zeros(9000, "WEBP"), "webp", 9000),
    }


def honest():
    """The same of noise."""
    return {
        "noise_jpg_2000": (noise(2000, "JPEG", quality=95), "jpg", 2000),
        "noise_jpg_2000_progressive": (
            noise(2000, "JPEG", progressive=True, quality=95),
            "jpg",
            2000,
        ),
        "noise_webp_2000": (noise(2000, "WEBP"), "webp", 2000),
        "noise_png_1440": (noise(1440, "PNG"), "png", 1440),
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
    """The figures of every picture, and the hostile ones over the limits."""
    found = _measure(hostile())
    over = [n for n, f in found.items() if f["ms"] > MAX_MS or f["mib"] > MAX_MIB]
    return {
        "what": "images",
        **found,
        "largest": {unit: max(f[unit] for f in found.values()) for unit in ("ms", "mib")},
        "over_the_limits": over,
        "honest": _measure(honest()),
    }


def _measure(pictures):
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, extension, side) in pictures.items():
            path = Path(folder, name)
            path.write_bytes(data)
            command = [sys.executable, "-m", "tests.faults.images", str(path), extension, str(side)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name] = {"kb": len(data) // 1000, **json.loads(done.stdout.splitlines()[-1])}
    return found


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(decode(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
    else:
        figures = run()
        print(json.dumps(figures))
        sys.exit(bool(figures["over_the_limits"]))
