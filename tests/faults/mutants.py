"""Annotations bent at every joint: wrong types, boxes at their limits, broken bytes."""

import json
import math
import random
import re

WIDTH, HEIGHT = 640, 480
WORDS = ["a dog", "ein Stück", "красный", "犬", "👩‍🚀", "left of", " two\nlines ", "x" * 300]
BAD_TEXTS = [
    "",
    " \n",
    "\x00",
    "a\x1bb",
    "\x85",
    "\ud800",
    "a\udfffb",
    "\ufeff",
    "\ufffe",
    "x" * 20_000,
]
BAD_NUMBERS = [
    math.nan,
    math.inf,
    -math.inf,
    10**400,
    -(10**4000),
    1e308,
    5e-324,
    -0.0,
    True,
    -1,
    0,
]
BAD_OTHER = [None, [], {}, [[]], {"a": {"b": []}}, [None] * 4, "12", [1] * 200, False]
DEEP = [opens * n + "1" + ends * n for opens, ends in ("[]", ('{"a":', "}")) for n in (900, 5000)]
LITERALS = [
    *DEEP,
    "NaN",
    "-Infinity",
    "1e400",
    "-1e400",
    "9" * 5000,
    "0x10",
    "1_000",
    "+1",
    "nul",
    "'a'",
    '"\\ud800"',
]


def annotation(rng):
    """A good one, as an importer would have written it."""
    return {
        "schema": "cloc-regions/1",
        "width": WIDTH,
        "height": HEIGHT,
        "captions": [_caption(rng) for _ in range(rng.randrange(3))],
        "regions": [_region(rng) for _ in range(rng.randrange(1, 6))],
        "meta": {"id": rng.randrange(10**6), "tags": ["a", 1.5, {"deep": None}]},
    }


def _caption(rng):
    return {"text": rng.choice(WORDS), "source": rng.choice(["alt", "", None])}


def _region(rng):
    x0, y0 = rng.uniform(0, WIDTH - 2), rng.uniform(0, HEIGHT - 2)
    x1, y1 = rng.uniform(x0 + 1.1, WIDTH), rng.uniform(y0 + 1.1, HEIGHT)
    return {
        "box": [round(v, rng.choice([0, 2, 9])) for v in (x0, y0, x1, y1)],
        "text": rng.choice(WORDS),
        "score": rng.random(),
        "source": rng.choice(["owl", "coco", ""]),
        "negatives": rng.sample(WORDS, rng.randrange(3)),
        "label": rng.choice(["dog", "", None]),
    }


def _places(tree):
    """Every (container, key) of a tree, at any depth."""
    found, left = [], [tree]
    while left:
        node = left.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        found += [(node, key) for key in keys]
        left += [node[key] for key in keys if isinstance(node[key], dict | list)]
    return found


def _copied(value):
    return json.loads(json.dumps(value)) if isinstance(value, dict | list) else value


def _hostile(rng):
    return _copied(rng.choice(rng.choice((BAD_TEXTS, BAD_NUMBERS, BAD_OTHER))))


def _replace(tree, rng):
    node, key = rng.choice(_places(tree))
    node[key] = _hostile(rng)


def _delete(tree, rng):
    node, key = rng.choice(_places(tree))
    del node[key]


def _copy_elsewhere(tree, rng):
    """Any value in the place of any other: types swap, things nest where they should not."""
    places = _places(tree)
    (node, key), (other, name) = rng.choice(places), rng.choice(places)
    node[key] = _copied(other[name])


def _grow(tree, rng):
    lists = [n[k] for n, k in _places(tree) if isinstance(n[k], list)]
    if lists and (chosen := rng.choice(lists)):
        wanted = rng.choice([2, 2, 4, 8, 150 if rng.random() < 0.5 else 1500])
        chosen.extend(chosen * (wanted // len(chosen)))


def _nest(tree, rng):
    node, key = rng.choice(_places(tree))
    for _ in range(rng.choice([1, 5, 11, 12, 13, 14, 15, 16, 40])):
        node[key] = [node[key]] if rng.random() < 0.5 else {"a": node[key]}


def _bend_box(tree, rng):
    """Near every limit a box has: order, the image's edges, the minimum, the ends of float."""
    boxes = [n[k] for n, k in _places(tree) if k == "box"]
    boxes = [box for box in boxes if isinstance(box, list) and len(box) == 4]
    if not boxes:
        return
    box, i = rng.choice(boxes), rng.randrange(4)
    edge = (WIDTH, HEIGHT)[i % 2]
    step = rng.choice([0, 1e-12, 0.004, 0.005, 0.01, 0.99, 0.995, 1, 1.005, 2])
    if rng.random() < 0.2:
        rng.shuffle(box)
    elif rng.random() < 0.2 and all(map(_number, box)):
        box[i % 2 :: 2] = [v + rng.choice([edge, -edge, -box[i % 2]]) for v in box[i % 2 :: 2]]
    elif _number(box[i - 2]):
        base = rng.choice([box[i - 2], 0, edge])  # the opposite side, or an edge of the image
        ends = [base + step, base - step, math.nextafter(base, 1e9), base * 1e9, _hostile(rng)]
        box[i] = rng.choice(ends)


def _number(value):
    return type(value) in (int, float) and abs(value) < 1e300


TREE = (_replace, _replace, _delete, _copy_elsewhere, _grow, _nest, *[_bend_box] * 6)


def _repeat_key(text, rng):
    keys = list(re.finditer(r'"(\w+)": ', text))
    if not keys:
        return text
    key = rng.choice(keys)
    return (
        text[: key.start()]
        + key.group()
        + rng.choice(["1, ", "null, ", '"a", '])
        + text[key.start() :]
    )


def _plant_literal(text, rng):
    tokens = list(re.finditer(r'-?[\d.]+|"[^"]*"|null', text))
    if not tokens:
        return text
    token = rng.choice(tokens)
    return text[: token.start()] + rng.choice(LITERALS) + text[token.end() :]


def _cut(content, rng):
    return content[: rng.randrange(len(content) + 1)]


def _flip(content, rng):
    content = bytearray(content or b"0")
    for _ in range(rng.choice([1, 1, 3, 30])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def _splice(content, rng):
    at = rng.randrange(len(content) + 1)
    junk = rng.choice(
        [rng.randbytes(5), b"\xed\xa0\x80", b"\xff\xfe", b"\x00", b"[" * 2000, b'{"a":' * 9]
    )
    return content[:at] + junk + content[at + rng.choice([0, len(junk)]) :]


def _recode(content, rng):
    name = rng.choice(["utf-8-sig", "utf-16", "utf-32", "latin-1"])
    return content.decode("utf-8", "replace").encode(name, "replace")


def mutant(seed, number):
    """The bytes of one case: 1 to 4 mutations of a good annotation, the same for equal numbers."""
    rng = random.Random(f"{seed}:{number}")
    tree = annotation(rng)
    for _ in range(rng.randrange(1, 4)):
        if tree:
            rng.choice(TREE)(tree, rng)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.15:
        text = rng.choice((_repeat_key, _plant_literal, _plant_literal))(text, rng)
    content = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        content = rng.choice((_cut, _flip, _flip, _splice, _recode))(content, rng)
    return content
