"""What data a figure is of, in 32 characters: a path does not say it, since shards are made anew in
a place, and one place has several paths."""

import hashlib
import json
from collections.abc import Iterable

from cloc.interfaces import Split


def of_split(split: Split) -> str:
    """All that a benchmark can read of it: pictures, boxes, words, classes and what the source
    recorded, in order."""
    found = hashlib.blake2b(digest_size=16)
    for example in split.examples:
        words = (example.captions, example.phrases, example.labels, dict(example.meta))
        for part in (example.key.encode(errors="surrogatepass"), example.digest, _told(words)):
            found.update(len(part).to_bytes(8, "big") + part)
    found.update(_told((split.classes, split.synonyms)))
    return found.hexdigest()


def of_asked(asked: Iterable[bytes]) -> str:
    """Of a benchmark with data of its own: `Memo.asked`, the digests of the pictures with their
    boxes and of the texts that it asked about, in any order."""
    return hashlib.blake2b(b"".join(sorted(asked)), digest_size=16).hexdigest()


def _told(value: object) -> bytes:
    return json.dumps(value, default=str).encode(errors="surrogatepass")
