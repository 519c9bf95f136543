"""img2dataset's and other WebDataset tars of pictures with captions -> records."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cloc.data.samples.orientation import orientation
from cloc.data.samples.record import Record
from cloc.data.samples.tar_cures import UNREAD
from cloc.errors import BadSample, UserError
from data_prep.importers.shared.captioned import Fields, IsOurs, attempts, captions_of, held_out
from data_prep.importers.shared.tars import ours, read_details, read_member, read_text, tar_paths
from data_prep.importing import write_splits

NONE = "none"  # caption_key of sets that have no captions
ALIKE = ("text", "caption", "captions", "cap")  # endings of members that may be captions


def write_webdataset(
    out: Path,
    *,
    shards: str,
    caption_key: str | None = None,
    keep: Sequence[str] = (),
    val: float = 0.0,
    budget: float = 0.01,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` if `val` > 0; returns their manifests.

    A caption is the `txt` member, without one the field `caption` of the `json` member; or the
    field `caption_key` of that (a sentence or a list of them); where no sample has one, but other
    fields or members, `UserError`, but for `caption_key="none"`: pictures alone. The fields `keep`
    of the json go to `meta`, all others are left out. Samples whose `status` is a failure
    ("status") and pictures that no loader takes are counted under the `budget`. Members outside the
    allowlist of `samples.decode` are never read, a tar is never whole in memory, and with `val`
    the tars are read twice. A `caption_key` or a name of `keep` that no sample has is a
    `UserError`.
    """
    paths = tar_paths(shards, key="shards")
    kept = Fields(keep, key="keep")
    names = [caption_key] if caption_key and caption_key != NONE else []
    captions = Fields(names, key="caption_key")
    beside: set[str] = set()
    read = partial(_records, paths, captions, kept, beside)
    splits = held_out(read, val=val, budget=budget)
    manifests = write_splits(out, splits, name="webdataset", samples_per_shard=samples_per_shard)
    captions.check()
    kept.check()
    if not (caption_key == NONE or any(m["captions"] for m in manifests.values())):
        _refuse_other_places(shards, kept.known, beside)
    return manifests


def _refuse_other_places(shards: str, fields: Sequence[str], members: set[str]) -> None:
    """Pictures alone are a set too; captions that stand where nobody looked are lost."""
    held = [f"the json has {', '.join(fields)}"] if fields else []
    held += [f"there are members {', '.join(sorted(members))}"] if members else []
    if held:
        raise UserError(
            f"shards={shards}: no sample has a caption, as txt or as caption of its json; "
            f"{' and '.join(held)}. Set caption_key= to a field of the json, rename the members "
            f"that hold captions to .txt, or give caption_key={NONE} for pictures alone"
        )


def _records(
    paths: list[Path],
    captions: Fields,
    kept: Fields,
    beside: set[str],
    is_ours: IsOurs,
    drops: Counter[str],
) -> Iterator[Record | BadSample]:
    """`beside` is told of members that nobody reads and that may be captions."""

    def record(sample: Mapping[str, Any]) -> Record:
        unread = sample.get(UNREAD, b"").decode().split("\n")
        endings = (name.rpartition(".")[2].lower() for name in unread)
        beside.update(f".{ending}" for ending in endings if ending in ALIKE)
        details = read_details(sample)
        picture = read_member(sample)
        given: Any = read_text(sample, drops)
        if "txt" not in sample or (given is not None and not given.strip()):
            given = details.get("caption") or given  # where img2dataset keeps it too
        if captions.names:
            given = captions.of(details, drops).get(captions.names[0])
        sentences = captions_of(given, "webdataset", drops)
        meta = kept.of(details, drops)
        code = orientation(picture.content)  # captions are of what people see
        key = sample["__key__"]
        return Record(key, *picture, captions=sentences, meta=meta, orientation=code)

    return attempts(ours(paths, is_ours), record)
