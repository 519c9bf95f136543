"""Leaves out whole images: by bytes, pixels, shape, likeness to an earlier one, and by hooks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cloc.data.samples.decode import decode_record
from cloc.data.samples.record import Record
from cloc.errors import BadSample, UserError
from data_prep.stage import Notes
from data_prep.stages.filter.reject import PHASH, Reject, described

BITS = 64  # of a perceptual hash


class ImageFilter:
    """Records whose picture passes every test, in their order; drops are whole samples.

    Reasons, in the order of the tests: "bytes" (too few of the encoded image), "side" (the shortest
    is too short), "aspect" (long over short side), "image" and the others of `samples.decode`
    (it cannot be decoded), what a hook of `reject` says, "near_duplicate" (its perceptual hash
    differs in at most `phash_distance` of 64 bits from that of an earlier record of the same call
    that stays).

    The hash is kept in `meta["phash"]` as 16 hexadecimal digits, so that a report can find
    duplicates across shards. `phash_distance=null` decodes nothing.
    """

    name = "filter_images"

    def __init__(
        self,
        *,
        bytes_at_least: int = 0,
        side_px_at_least: int = 1,
        aspect_at_most: float | None = None,
        phash_distance: int | None = 0,
        reject: Sequence[Reject] = (),
    ) -> None:
        if phash_distance is not None and not 0 <= phash_distance < BITS:
            raise UserError(
                f"phash_distance={phash_distance}; give 0 (equal hashes) to {BITS - 1} bits, or "
                "null to look for no near-duplicates"
            )
        if aspect_at_most is not None and aspect_at_most < 1:
            raise UserError(f"aspect_at_most={aspect_at_most}: long over short side is 1 or more")
        if isinstance(reject, str) or not all(map(callable, reject)):
            raise UserError(
                f"stages.images.reject={reject}; give a list of hooks, such as "
                "[{_target_: data_prep.stages.filter.reject.BlockList, file: FILE}]"
            )
        self.bytes_at_least = bytes_at_least
        self.side_px_at_least = side_px_at_least
        self.aspect_at_most = aspect_at_most
        self.phash_distance = phash_distance
        self.reject = tuple(reject)
        self._imagehash = None if phash_distance is None else _imagehash()

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        kept: list[Record] = []
        seen = np.empty(len(records), np.uint64)  # hashes of those kept
        for record in records:
            try:
                told = self._checked(record)
                self._refuse_known(told, seen[: len(kept)])
            except BadSample as error:
                notes.sample(record, error.reason)
                continue
            if self.phash_distance is not None:
                seen[len(kept)] = int(told.meta[PHASH], 16)
            kept.append(told)
        return kept

    def describe(self) -> dict[str, Any]:
        settings = {
            "version": 1,
            "bytes_at_least": self.bytes_at_least,
            "side_px_at_least": self.side_px_at_least,
            "aspect_at_most": self.aspect_at_most,
            "phash_distance": self.phash_distance,
            "reject": [described(hook) for hook in self.reject],
        }
        if self._imagehash is not None:
            settings["imagehash"] = self._imagehash.__version__
        return settings

    def _checked(self, record: Record) -> Record:
        """With its hash, where one is wanted; `BadSample` where a test refuses it."""
        short, long = sorted((record.width, record.height))
        if len(record.image) < self.bytes_at_least:
            raise _refused("bytes")
        if short < self.side_px_at_least:
            raise _refused("side")
        if self.aspect_at_most is not None and long > self.aspect_at_most * short:
            raise _refused("aspect")
        if self._imagehash is not None:
            image = decode_record(record, record.key)
            digits = str(self._imagehash.phash(image))
            record = replace(record, meta={**record.meta, PHASH: digits})
        for hook in self.reject:
            if reason := hook(record):
                raise _refused(reason)
        return record

    def _refuse_known(self, record: Record, seen: np.ndarray) -> None:
        if self.phash_distance is None:
            return
        own = np.uint64(int(record.meta[PHASH], 16))
        if (np.bitwise_count(seen ^ own) <= self.phash_distance).any():
            raise _refused("near_duplicate")


def _refused(reason: str) -> BadSample:
    return BadSample(reason, f"the image filter refuses it: {reason}")


def _imagehash() -> Any:
    try:
        import imagehash
    except ImportError:
        raise UserError(
            "near-duplicates need imagehash: pip install 'cloc-pretrain[prep]', or set "
            "phash_distance=null"
        ) from None
    return imagehash
