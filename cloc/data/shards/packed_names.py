"""Many strings at the price of their letters.

No torch here: data preparation and the loader both stand on this file.
"""

from array import array
from collections.abc import Iterable
from itertools import accumulate


class Names:
    """Strings as one buffer: a million of them cost their letters, here and in every worker."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.text, self.ends = bytearray(), array("q")
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Some more at the end."""
        names = list(names)
        text = "".join(names)
        if text.isascii():  # a byte a letter: a million need not be encoded one by one
            lengths, encoded = map(len, names), text.encode()
        else:
            each = [name.encode("utf-8", "surrogateescape") for name in names]
            lengths, encoded = map(len, each), b"".join(each)
        self.ends.extend(accumulate(lengths, initial=len(self.text)))
        self.ends.pop(-len(names) - 1)  # what `accumulate` begins with
        self.text += encoded

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, i: int) -> str:
        """Of 0 <= i < len."""
        start = self.ends[i - 1] if i else 0
        return self.text[start : self.ends[i]].decode("utf-8", "surrogateescape")
