"""What is in a shard set: counts over its whole samples, in bounded memory."""

from collections import Counter

from cloc.data.samples.record import Record, Region

PHASH = "phash"  # the key of a record's meta data
_MAX_PHRASES = 500_000  # different ones; beyond, the rare ones are forgotten
_SIDE_BINS = 20


class Statistics:
    """Sums over records; keys of the histograms are whole numbers, the last bin is open."""

    def __init__(self) -> None:
        self.samples = 0
        self.image_bytes = 0
        self.captions = 0
        self.regions = 0
        self.regions_per_image: Counter[int] = Counter()
        self.phrase_words: Counter[int] = Counter()
        self.caption_words: Counter[int] = Counter()
        self.box_sides: Counter[int] = Counter()  # of the image, in steps of 5 %
        self.phrases: Counter[str] = Counter()
        self.forgot_phrases = False
        self.hashes: Counter[str] = Counter()  # perceptual ones, where the pipeline stored them

    def add(self, record: Record) -> None:
        """Counts one sample."""
        self.samples += 1
        self.image_bytes += len(record.image)
        self.captions += len(record.captions)
        self.regions += len(record.regions)
        self.regions_per_image[len(record.regions)] += 1
        self.caption_words.update(len(c.text.split()) for c in record.captions)
        if isinstance(phash := record.meta.get(PHASH), str):
            self.hashes[phash] += 1
        for region in record.regions:
            self.phrase_words[len(region.text.split())] += 1
            self.box_sides[side_bin(region, record)] += 1
            self.phrases[" ".join(region.text.lower().split())] += 1
        if len(self.phrases) > _MAX_PHRASES:
            self.phrases = Counter(dict(self.phrases.most_common(_MAX_PHRASES // 2)))
            self.forgot_phrases = True


def repeated(hashes: Counter[str]) -> int:
    """How many images have the hash of an earlier one."""
    return hashes.total() - len(hashes)


def side_bin(region: Region, record: Record) -> int:
    """Which 5 % the side of a square of the box's area has, as a share of the image: 0 to 19."""
    x0, y0, x1, y1 = region.box
    side = ((x1 - x0) * (y1 - y0) / (record.width * record.height)) ** 0.5
    return min(int(side * _SIDE_BINS), _SIDE_BINS - 1)


def bars(counts: Counter[int], *, at_most: int) -> list[tuple[str, int]]:
    """(label, count) for 0 to the largest key, at most `at_most` bars, the last one "N+"."""
    if not counts:
        return []
    largest = max(counts)
    last = min(largest, at_most - 1)
    found = [(str(n), counts[n]) for n in range(last)]
    tail = sum(count for n, count in counts.items() if n >= last)
    return [*found, (f"{last}+" if largest > last else str(last), tail)]


def side_bars(counts: Counter[int]) -> list[tuple[str, int]]:
    """(share of the image's side, count) for all twenty bins."""
    step = 100 // _SIDE_BINS
    return [(f"{n * step}-{(n + 1) * step} %", counts[n]) for n in range(_SIDE_BINS)]


def mean(counts: Counter[int]) -> float:
    """0 where nothing was counted."""
    return sum(n * count for n, count in counts.items()) / max(counts.total(), 1)
