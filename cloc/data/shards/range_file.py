"""A file behind a URL as a stream: what is read one after the other comes in large pieces.

No torch here: data preparation and the loader both stand on this file.
"""

import os

from cloc.data.shards.remote import fetch, file_size

FIRST_BYTES = 1 << 16  # of a piece, after a jump; each that follows without one is twice as long
LAST_BYTES = 8 << 20


class RangeFile:
    """Reads by ranges, with the retries of `shards.remote`; a jump over content that nobody
    wants is not read, and small members are not asked for one by one."""

    def __init__(self, url: str) -> None:
        self.url, self.size = url, file_size(url)
        self.at, self.begin, self.piece = 0, 0, b""
        self.length = FIRST_BYTES

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """From the beginning, or from the end."""
        self.at = offset + (self.size if whence == os.SEEK_END else 0)
        return self.at

    def read(self, length: int, /) -> bytes:
        """Fewer bytes where the file ends before."""
        end = min(self.at + length, self.size)
        if self.at >= end:
            return b""
        read_until = self.begin + len(self.piece)
        if not self.begin <= self.at <= end <= read_until:
            is_near = abs(self.at - read_until) <= self.length
            self.length = min(2 * self.length, LAST_BYTES) if is_near else FIRST_BYTES
            self.begin = self.at
            self.piece = fetch(self.url, self.at, max(end, min(self.at + self.length, self.size)))
        found = self.piece[self.at - self.begin : end - self.begin]
        self.at = end
        return found

    def __enter__(self) -> "RangeFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.piece = b""
