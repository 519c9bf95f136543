"""Mutated annotations against the reader: it must not crash, and must pass no invalid box.

python -m tests.faults.annotations [CASES] [SEED]     # 100,000 and 0; one line of JSON
"""

import io
import json
import math
import sys
import time
from collections import Counter

import PIL.Image

from cloc.data.samples import validate
from cloc.data.samples.record import from_json, to_bytes
from cloc.data.sources import caption_only, cloc_regions
from cloc.errors import BadSample
from tests.faults.mutants import mutant


def _image():
    file = io.BytesIO()
    PIL.Image.new("RGB", (2, 2)).save(file, "PNG")
    return file.getvalue()


IMAGE = _image()
UNCLEAN = {chr(c) for c in (*range(9), *range(14, 32), *range(127, 160), *range(0xD800, 0xE000))}


def box_is_invalid(box, width, height):
    """By the issue's words and not by the reader's code; lengths on the grid that files hold."""
    if len(box) != 4 or not all(type(v) is float and math.isfinite(v) for v in box):
        return True
    x0, y0, x1, y1 = box
    inside = 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    return not inside or min(round(x1, 2) - round(x0, 2), round(y1, 2) - round(y0, 2)) < 1 - 1e-9


def text_is_invalid(text, *, at_most, blank=False):
    if not isinstance(text, str) or len(text) > at_most or not (blank or text.strip()):
        return True
    return not UNCLEAN.isdisjoint(text)


def texts_are_invalid(record):
    long, short = {"at_most": validate.MAX_PHRASE_CHARS}, {"at_most": validate.MAX_NAME_CHARS}
    yield from (
        text_is_invalid(c.text, at_most=validate.MAX_CAPTION_CHARS) for c in record.captions
    )
    for region in record.regions:
        yield from (text_is_invalid(text, **long) for text in (region.text, *region.negatives))
        yield from (text_is_invalid(t, blank=True, **short) for t in (region.label, region.source))
        yield not math.isfinite(region.score) or len(region.negatives) > validate.MAX_NEGATIVES


class Tally:
    """What happened to the cases so far."""

    def __init__(self):
        self.counts, self.dropped = Counter(), Counter()
        self.first = {}  # count -> (number of the case, error) of its first case
        self.slowest_s = 0.0

    def blame(self, name, number, error=""):
        self.counts[name] += 1
        self.first.setdefault(name, (number, str(error)[:200]))

    def judge(self, number, read):
        """Counts one reading: dropped for a reason, crashed, or a record to look at."""
        began = time.process_time()
        try:
            record = read()
        except BadSample as error:
            self.dropped[f"sample/{error.reason}"] += 1
            if "\n" in str(error) or len(str(error)) > 500:
                self.blame("bad_messages", number, error)
            return
        except Exception as error:
            self.blame("crashes", number, repr(error))
            return
        finally:
            self.slowest_s = max(self.slowest_s, time.process_time() - began)
        self.look(number, record)

    def look(self, number, record):
        """Also writes what was read, and reads that again: nothing more may go."""
        self.counts["records"] += 1
        self.counts["boxes"] += len(record.regions)
        self.dropped.update(f"item/{problem.reason}" for problem in record.problems)
        for region in record.regions:
            if box_is_invalid(region.box, record.width, record.height):
                self.blame("invalid_boxes_passed", number, region.box)
        if any(texts_are_invalid(record)):
            self.blame("invalid_texts_passed", number)
        try:
            content = to_bytes(record, "again")
            again = from_json(record.key, record.image, record.extension, content, "again")
            boxes = [[round(x, 2) for x in r.box] for r in record.regions]
            assert boxes == [list(r.box) for r in again.regions]
        except Exception as error:
            self.blame("unwritable", number, repr(error))


def run(cases, seed=0):
    """Counts over `cases` mutants, each read as an annotation and, its bytes, as a caption.

    A crash is any exception but `BadSample`; unwritable is what is read but not written again.
    """
    tally, captions, began = Tally(), Tally(), time.perf_counter()
    for number in range(cases):
        content = mutant(seed, number)
        raw = {"__key__": "k", "__url__": "a.tar", "png": IMAGE, "json": content, "txt": content}
        tally.judge(number, lambda raw=raw: cloc_regions.parse(raw))
        captions.judge(number, lambda raw=raw: caption_only.parse(raw))
    faults = ("crashes", "invalid_boxes_passed", "invalid_texts_passed", "unwritable")
    return {
        "cases": cases,
        **{name: tally.counts[name] + captions.counts[name] for name in (*faults, "bad_messages")},
        "records": tally.counts["records"],
        "boxes": tally.counts["boxes"],
        "dropped": dict(sorted(tally.dropped.items())),
        "captions_dropped": dict(captions.dropped),
        "first": {**captions.first, **tally.first},
        "slowest_ms": round(1e3 * max(tally.slowest_s, captions.slowest_s), 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main(words):
    cases, seed = (*map(int, words), *(100_000, 0)[len(words) :])
    found = run(cases, seed)
    print(json.dumps(found))
    return 1 if found["first"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
