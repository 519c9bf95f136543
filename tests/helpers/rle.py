"""Masks as COCO's run lengths, written by rules of its own."""


def runs(mask):
    """Lengths of the runs of a bool [h, w], column by column, the first one of False."""
    found, value, count = [], False, 0
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            found.append(count)
            value, count = pixel, 0
        count += 1
    return [*found, count]


def plain(mask):
    return {"size": list(mask.shape), "counts": runs(mask)}


def compressed(mask):
    """As `rleToString` of COCO's API writes them."""
    given, text = runs(mask), ""
    for i, run in enumerate(given):
        left = run - given[i - 2] if i > 2 else run
        more = True
        while more:
            bits = left & 31
            left >>= 5
            more = left != -1 if bits & 16 else left != 0
            text += chr((bits | 32 if more else bits) + 48)
    return {"size": list(mask.shape), "counts": text}
