"""Readers of a part of scenes with depth, trained: what do texts, boxes, patches in no order tell?

python -m tests.scenes.depth.leaks 2000
"""

import sys
from functools import cache
from itertools import count as every

import numpy as np

from cloc.scenes.depth.generate import FACING, composed, versions
from tests.eval.wherebench.leaks import PATCH, SIZE, _pieces, bag, chosen_right
from tests.helpers.depth import visible_masks, words_of

SETTINGS = {"seed": 7, "size": SIZE}
FEATURES = 60  # random ones of the greys of a patch
GROUPS = (
    *("left, right", "in front, behind", "own, side by side", "own, behind each other"),
    *("in, beside", "on, beside", "on, under"),
)
RANK = "nearer, farther of two"


@cache
def drawn(twins, amount):
    """`amount` records of each group, each with its other version (a crowd of two has none)."""
    names = (*GROUPS, RANK) if twins else GROUPS
    found = {name: [] for name in names}
    for index in every():
        shown = versions("train", index, twins=float(twins), **SETTINGS)
        name = group_of(shown)
        if name in found and len(found[name]) < amount:
            found[name].append(shown)
        if all(len(rows) == amount for rows in found.values()):
            return found


def group_of(shown):
    """Of two versions, or of the one of a crowd."""
    meta = shown[0][1].meta
    if meta["kind"] == "crowd":
        return RANK
    pair = meta["pairs"][0]
    if meta["kind"] == "own":
        one, other = (meta["things"][pair[key]]["distance"] for key in ("region", "other"))
        return GROUPS[2] if 10 * abs(one - other) < one else GROUPS[3]
    words = [record.meta["pairs"][0]["word"].removesuffix(" of") for _, record in shown]
    [name] = {", ".join(words), ", ".join(words[::-1])} & set(GROUPS)
    return name


def from_texts(name, amount):
    """Tells the name of a region from its flipped form by the words, their pairs and places."""
    rows = []
    for shown in drawn(True, amount)[name]:
        twin = shown[0][1].meta["twins"][0]
        rows.append((_pieces(twin["phrase"]), _pieces(twin["flipped"])))
    return _of_pieces(rows)


def from_captions(amount):
    """The same of the captions in `meta["relations"]`, of any kind."""
    rows = []
    for index in every():
        _, record = composed("train", index, twins=0.4, relational=0.0, **SETTINGS)
        for told in record.meta["relations"]:
            rows.append((_pieces(told["caption"]), _pieces(told["flipped"])))
        if len(rows) >= amount:
            return _of_pieces(rows)


def from_names(amount):
    """The same of the names of regions that are no look-alikes."""
    rows = []
    for index in every():
        _, record = composed("train", index, twins=0.0, relational=1.0, **SETTINGS)
        region = record.regions[index % len(record.regions)]
        if region.negatives:
            rows.append((_pieces(region.text), _pieces(region.negatives[0])))
        if len(rows) >= amount:
            return _of_pieces(rows)


def _of_pieces(rows):
    known = {word: i for i, word in enumerate(dict.fromkeys(w for a, b in rows for w in a + b))}
    leads = np.zeros((len(rows), len(known)), np.float32)
    for row, (first, second) in enumerate(rows):
        for word in first:
            leads[row, known[word]] += 1
        for word in second:
            leads[row, known[word]] -= 1
    return chosen_right(leads)


def from_boxes(name, amount):
    """Tells the look-alike that is meant from the two boxes and the phrase's words."""
    leads, words = [], []
    for shown in drawn(True, amount)[name]:
        record = shown[0][1]
        twin = record.meta["twins"][0]
        a, b = (np.array(record.regions[twin[key]].box) / SIZE for key in ("region", "other"))
        size = [np.outer(box[2:] - box[:2], np.append(box, 1)).ravel() for box in (a, b)]
        leads.append(np.concatenate([a - b, a**2 - b**2, np.subtract(*size)]))
        words.append(words_of(twin["phrase"]))
    known = sorted({word for told in words for word in told})
    told = np.array([[word in row for word in known] for row in words])
    return chosen_right((told[:, :, None] * np.stack(leads)[:, None]).reshape(len(leads), -1))


def from_patches(name, amount):
    """Tells which of two versions a phrase is true of, from their patches in no order.

    It is told the word, which pixels are of the two things of the phrase and which of others, and
    where the front of the second thing points.
    """
    leads, words = [], []
    for shown in drawn(False, amount)[name]:
        bags = [_bag(np.asarray(image), record) for image, record in shown]
        leads.append(bags[0] - bags[1])
        words.append(shown[0][1].meta["pairs"][0]["word"])
    told = np.array([[word == row for word in sorted(set(words))] for row in words])
    return chosen_right((told[:, :, None] * np.stack(leads)[:, None]).reshape(len(leads), -1))


def _bag(pixels, record):
    [pair] = record.meta["pairs"]
    kinds = np.zeros((SIZE, SIZE), int)
    for i, mask in enumerate(visible_masks(record)):
        kinds[mask] = {pair["region"]: 1, pair["other"]: 2}.get(i, 3)
    grey = pixels.astype(np.float32).mean(-1) / 255
    parts = [bag(kinds)]
    for kind in (1, 2):
        shown = np.where(kinds == kind, grey, 0)
        count = SIZE // PATCH
        patches = shown.reshape(count, PATCH, count, PATCH).swapaxes(1, 2).reshape(count**2, -1)
        parts.append(np.maximum(patches @ _random(kind), 0).sum(0))
    facing = np.array([record.meta["things"][pair["other"]]["facing"] == way for way in FACING])
    shown = np.concatenate(parts)
    return np.concatenate([shown, np.outer(facing, shown).ravel()])


@cache
def _random(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(PATCH * PATCH, FEATURES)).astype(np.float32) / PATCH


def main(amount):
    """One line for each relation."""
    for name in (*GROUPS, RANK):
        texts, boxes = from_texts(name, amount), from_boxes(name, amount)
        patches = "" if name == RANK else f" patches {from_patches(name, amount):.3f}"
        print(f"{name:24} texts {texts:.3f} boxes {boxes:.3f}{patches}", flush=True)
    print(f"captions {from_captions(amount):.3f} names {from_names(amount):.3f}")
    print(f"three standard errors of chance: {3 * 0.5 / amount**0.5:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
