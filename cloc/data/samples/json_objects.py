"""JSON objects in which a key stands twice: of equal keys Python keeps the last, other readers the
first, and nobody is told."""

from collections import Counter
from typing import Any

from cloc.data.samples.validate import shown


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The `object_pairs_hook` of `json.loads`; a `ValueError` with both values where a key is there
    twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
    both = " and ".join([shown(value) for key, value in pairs if key == name][:2])
    raise ValueError(f"the key {shown(name)} occurs twice in one object, as {both}: keep one")
