"""Sets that come as one COCO-style file for train and one for val: either or both are written."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cloc.data.samples.record import Record
from cloc.errors import UserError
from data_prep.importers.shared.annotated import split_of
from data_prep.importers.shared.coco_json import Annotations
from data_prep.importing import Split, write_splits


class MakeRecord(Protocol):
    """The record of one image of a split."""

    def __call__(
        self, image_id: int, drops: Counter[str], *, split: str, annotations: Annotations
    ) -> Record: ...


def write_train_val(
    out: Path,
    files: dict[str, str | Path | None],
    *,
    read: Callable[[Path, str], Annotations],
    make: MakeRecord,
    name: str,
    budget: float,
    samples_per_shard: int,
) -> dict[str, dict[str, Any]]:
    """`files` are the settings `train` and `val`. All are read before anything is written, so that
    a wrong second file costs no hours."""
    given = {split: read(Path(file), split) for split, file in files.items() if file}
    if not given:
        raise UserError("train is not set; give train=FILE, val=FILE or both")
    classes = {k: v for annotations in given.values() for k, v in annotations.classes().items()}
    categories = [c for annotations in given.values() for c in annotations.categories.values()]
    united: dict[str, dict[str, None]] = {}  # of classes that two numbers, or both files, have
    for category in categories:
        united.setdefault(category.label, {}).update(dict.fromkeys(category.names))
    synonyms = {label: tuple(names) for label, names in united.items() if len(names) > 1}
    splits = {split: _split(split, a, make, budget) for split, a in given.items()}
    return write_splits(
        out,
        splits,
        name=name,
        samples_per_shard=samples_per_shard,
        classes=classes,
        synonyms=synonyms,
    )


def _split(split: str, annotations: Annotations, make: MakeRecord, budget: float) -> Split:
    def record(image_id: int, drops: Counter[str]) -> Record:
        return make(image_id, drops, split=split, annotations=annotations)

    return split_of(list(annotations.images), record, budget=budget)
