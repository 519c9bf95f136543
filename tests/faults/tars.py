"""Shards that are cut or damaged: what is yielded and what is counted is what the manifest says.

python -m tests.faults.tars     # one line of JSON
"""

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from cloc.data.shards.reader import Reader
from cloc.data.shards.shard_set import open_shards
from cloc.errors import BadSample
from tests.helpers.shards import make_shards

SAMPLES = 20


def damages(content):
    """(kind, bytes) of everything that is done to the shard."""
    for end in range(0, len(content), 256):
        yield "cut", content[:end]
    for at in range(0, len(content), 512):
        if content[at + 257 : at + 262] == b"ustar":  # a header: every 16th of its bytes
            for byte in range(at, at + 512, 16):
                flipped = bytearray(content)
                flipped[byte] ^= 0x40
                yield "flipped", bytes(flipped)
    yield "empty", b""
    yield "zeros", bytes(10_240)
    yield "html", b"<html><body>404 Not Found</body></html>" * 100
    yield "garbage", bytes(i * 7919 % 251 for i in range(len(content)))


def read_all(path, whole):
    """How many samples came, how many were bad, and how many came otherwise than they were."""
    read, counts = Reader(key="shards"), Counter()
    for index, sample in enumerate(whole):
        try:
            counts["partial" if read(path, index, count=SAMPLES) != sample else "yielded"] += 1
        except BadSample:
            counts["dropped"] += 1
    return counts


def run():
    """The figures over all damages."""
    began, kinds, wrong, total = time.perf_counter(), Counter(), [], Counter()
    with tempfile.TemporaryDirectory() as name:
        shards = open_shards(make_shards(Path(name) / "set", shards=1, each=SAMPLES), key="shards")
        path = shards.paths[0]
        content = Path(path).read_bytes()
        read = Reader(key="shards")
        whole = [read(path, index, count=SAMPLES) for index in range(SAMPLES)]
        for kind, damaged in damages(content):
            Path(path).write_bytes(damaged)
            counts = read_all(path, whole)
            kinds[kind] += 1
            total += counts
            if counts["partial"] or counts["yielded"] + counts["dropped"] != SAMPLES:
                wrong.append(f"{kind}: {dict(counts)}")
    seconds = round(time.perf_counter() - began, 1)
    return {"what": "tars", **kinds, **total, "wrong": wrong[:5], "seconds": seconds}


if __name__ == "__main__":
    found = run()
    print(json.dumps(found))
    sys.exit(bool(found["wrong"]))
