"""Readers of a part of WhereBench, trained: what do captions, patches in no order or boxes tell?

python -m tests.eval.wherebench.leaks 2000
"""

import sys
from functools import cache
from itertools import pairwise

import numpy as np

from cloc.scenes.kinds import COLOURS
from cloc.scenes.wherebench.items import RELATIONS, item, look_alike_item
from tests.eval.wherebench.reader import fact

SIZE, PATCH, FEATURES = 64, 8, 100
PENALTY = 2e-3  # of the squared length of the features' weights, for one row


@cache
def items(relation, pairs):
    if relation == "look_alikes":
        return [look_alike_item(number, size=SIZE) for number in range(pairs)]
    return [item(relation, number, size=SIZE) for number in range(pairs)]


def chosen_right(leads):
    """Share of rows that a logistic regression, trained on the other half of them, puts above 0:
    row i holds the features of the right choice less those of the wrong one. Ties are a half."""
    leads = np.asarray(leads, np.float64)
    leads /= np.maximum(np.sqrt((leads**2).mean(0)), 1e-6)
    halves = np.arange(len(leads)) % 2 == 0
    right = []
    for seen in (halves, ~halves):
        scores = leads[~seen] @ leads[seen].T @ _fitted(leads[seen] @ leads[seen].T)
        right.append((scores > 1e-6) + (abs(scores) <= 1e-6) / 2)
    return float(np.concatenate(right).mean())


def _fitted(products):
    """Newton's method for the weights of the rows, of which the features' are a sum."""
    weights = np.zeros(len(products))
    for _ in range(12):
        scores = products @ weights
        chance = 1 / (1 + np.exp(-scores))
        curve = np.maximum(chance * (1 - chance), 1e-6)
        target = scores + (1 - chance) / curve
        weights = np.linalg.solve(products + np.diag(PENALTY * len(scores) / curve), target)
    return weights


def from_captions(relation, pairs):
    """Tells the first caption of an item from the second by its words, their pairs and places."""
    found = items(relation, pairs)
    words = [[_pieces(caption) for caption in one.captions] for one in found]
    known = {word: i for i, word in enumerate(dict.fromkeys(w for a, b in words for w in a + b))}
    leads = np.zeros((len(words), len(known)), np.float32)
    for row, (first, second) in enumerate(words):
        for word in first:
            leads[row, known[word]] += 1
        for word in second:
            leads[row, known[word]] -= 1
    return chosen_right(leads)


def _pieces(caption):
    words = caption.split()
    pairs = [f"{a} {b}" for a, b in pairwise(words)]
    return words + pairs + [f"{i} {word}" for i, word in enumerate(words)]


def from_patches(relation, pairs):
    """Tells which of the two pictures the first caption is true of, from their patches in no order.

    It is told which pixels are of the first, second and third colour of what the caption says, and
    for counts and places the word too: what is left to learn is what the relation looks like.
    """
    leads = []
    for one in items(relation, pairs):
        word, *about = fact(one.captions[0])
        colours = [x for x in about if x in COLOURS]
        bags = [bag(_roles(np.asarray(example.image), colours)) for example in one.examples]
        lead = bags[0] - bags[1]
        leads.append(-lead if word == "outside" else lead)
    words = [_context(*fact(one.captions[0])) for one in items(relation, pairs)]
    known = list(dict.fromkeys(words))
    told = np.eye(len(known))[[known.index(word) for word in words]]
    return chosen_right((told[:, :, None] * np.stack(leads)[:, None]).reshape(len(leads), -1))


def _context(word, *about):
    if word in ("left", "right"):
        return word, about[0]
    return word if word.startswith("in the") else ""


def bag(kinds):
    """Sums over the patches of what each shows, of pixels that are ground (0) or of the first,
    second or third kind: numbers of pixels of each kind and their products, which kind lies right
    of or below which, and random features."""
    count = SIZE // PATCH
    patches = kinds.reshape(count, PATCH, count, PATCH).swapaxes(1, 2).reshape(-1, PATCH, PATCH)
    patches = patches[(patches > 0).any((1, 2))]
    onehot = (patches[..., None] == np.arange(1, 4)).astype(np.float32)
    numbers = onehot.mean((1, 2))
    products = (numbers[:, :, None] * numbers[:, None]).reshape(len(patches), -1)
    both = (numbers[:, :, None] > 0) & (numbers[:, None] > 0)
    weights, bias = _random()
    hidden = np.maximum(onehot.reshape(len(patches), -1) @ weights + bias, 0)
    parts = [numbers, products, both.reshape(len(patches), -1), _beside(patches), hidden]
    return np.concatenate([part.sum(0) for part in parts])


def _beside(patches):
    across = 4 * patches[:, :, :-1] + patches[:, :, 1:]
    down = 4 * patches[:, :-1] + patches[:, 1:]
    return np.concatenate(
        [(codes.reshape(len(patches), -1, 1) == np.arange(16)).sum(1) for codes in (across, down)],
        axis=1,
    )


def _roles(pixels, colours):
    """0 ground, 1 and 2 the colours of the caption, 3 a third; of each pixel the nearest."""
    rest = [colour for colour in COLOURS if colour not in colours]
    palette = np.array([COLOURS[colour] for colour in colours + rest])
    role = np.array([i + 1 if i < min(len(colours), 2) else 3 for i in range(len(palette))])
    coloured = np.ptp(pixels, -1) > 60
    distance = ((pixels[coloured].astype(int)[:, None] - palette) ** 2).sum(-1)
    kinds = np.zeros(coloured.shape, int)
    kinds[coloured] = role[distance.argmin(-1)]
    return kinds


@cache
def _random():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3 * PATCH * PATCH, FEATURES)).astype(np.float32) / PATCH
    return weights, rng.normal(size=FEATURES).astype(np.float32)


def from_boxes(pairs):
    """Tells the look-alike that is meant from the two candidate boxes and the phrase's words."""
    leads = []
    for one in items("look_alikes", pairs):
        example = one.examples[0]
        a, b = (box / SIZE for box in example.boxes)
        size = [(box[2:] - box[:2]).tolist() for box in (a, b)]
        lead = np.concatenate([a - b, a**2 - b**2, np.subtract(*size)])
        words = ("left of", "right of", "above", "below")
        told = np.array([word in one.captions[0] for word in words])
        leads.append((told[:, None] * lead).ravel())
    return chosen_right(leads)


def main(pairs):
    """One line for each relation."""
    for relation in RELATIONS:
        patches, captions = from_patches(relation, pairs), from_captions(relation, pairs)
        print(f"{relation:14} patches {patches:.3f} captions {captions:.3f}", flush=True)
    boxes, captions = from_boxes(pairs), from_captions("look_alikes", pairs)
    print(f"{'look_alikes':14} boxes   {boxes:.3f} captions {captions:.3f}")
    print(f"three standard errors of chance: {3 * 0.5 / pairs**0.5:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
