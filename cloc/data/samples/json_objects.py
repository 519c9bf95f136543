"""JSON read strictly. Of a key that stands twice in an object Python keeps the last, other readers
the first, and nobody is told."""

import json
from collections import Counter
from typing import Any

from cloc.data.samples.validate import bad, check_size, shown


def parse_strictly(text: bytes | str, where: str) -> Any:
    """UTF-8, capped in size, no key twice in one object; `BadSample("annotation")` else."""
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    check_size(content, where)
    try:
        # json itself would guess UTF-16 from the bytes and let surrogates pass.
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return json.loads(text, object_pairs_hook=without_repeats)
    except (ValueError, RecursionError) as error:
        raise bad(where, f"the annotation is not JSON in UTF-8 ({error})") from None


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The `object_pairs_hook` of `json.loads`; a `ValueError` with both values where a key is there
    twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
    both = " and ".join([shown(value) for key, value in pairs if key == name][:2])
    raise ValueError(f"the key {shown(name)} occurs twice in one object, as {both}: keep one")
