"""Visual Genome's region descriptions -> records of schema `cloc-regions/1`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cloc.data.samples.record import Record
from cloc.data.samples.validate import is_finite, shown
from cloc.errors import UserError
from data_prep.importers.shared.annotated import Found, by_url, load_json, split_of
from data_prep.importers.shared.coco_json import Row, by_id, rows_of, to_record
from data_prep.importers.shared.coco_objects import corners
from data_prep.importers.shared.frames import STORED, check_frame
from data_prep.importers.shared.values import numbers_of, set_whole
from data_prep.importing import check_share, is_held_out, write_splits

SIDES = ("x", "y", "width", "height")


class GenomeSet(NamedTuple):
    """Checked descriptions; the pictures are not read yet."""

    images: Path
    rows: Mapping[int, Row]  # by image id, in its order
    regions: Mapping[int, Sequence[Row]]  # image id -> its regions, in order of region id
    boxes_in: str

    def record(self, image_id: int, drops: Counter[str]) -> Record:
        """`meta["coco_id"]` names the same picture in COCO, for whoever evaluates there."""
        row = self.rows[image_id]
        regions = self.regions.get(image_id, ())
        return to_record(
            {**row, "id": image_id},
            # The pictures lie in VG_100K and VG_100K_2; the URL says in which.
            by_url(self.images, row["url"], f"image {image_id}"),
            [Found(corners([r[side] for side in SIDES]), r["phrase"]) for r in regions],
            source="visual_genome",
            drops=drops,
            boxes_in=self.boxes_in,
            meta={name: row.get(name) for name in ("coco_id", "flickr_id")},
        )


def read_visual_genome(
    images: str | Path, *, regions: str | Path, image_data: str | Path, boxes_in: str = STORED
) -> GenomeSet:
    """The first wrong thing is a `UserError` naming it."""
    data = Path(image_data)
    rows = _list(data, "image_data", ("image_id", "width", "height", "url"))
    for row in rows:
        set_whole(row, ("width", "height"), f"{data}: image {row['image_id']}")
    places = by_id(rows, "image_id", data, name="url")
    found: dict[int, Sequence[Row]] = {}
    for entry in _list(Path(regions), "regions", ("id", "regions")):
        if entry["id"] not in places or not isinstance(entry["regions"], list):
            raise UserError(
                f"{regions}: entry {entry['id']} is of an image that {data} does not list, or has "
                "no list of regions; give both files of one release"
            )
        if entry["id"] in found:
            what = f"the regions of image {entry['id']} are listed twice"
            raise UserError(f"{regions}: {what}; remove one of the two")
        where = f"regions of image {entry['id']}, number"
        fields = ("region_id", "phrase", *SIDES)
        group = rows_of({where: entry["regions"]}, where, fields, Path(regions))
        for row in group:
            _read_sides(row, Path(regions))
        found[entry["id"]] = sorted(group, key=lambda row: row["region_id"])
    return GenomeSet(Path(images), places, found, check_frame(boxes_in))


def write_visual_genome(
    out: Path,
    *,
    images: str | Path,
    regions: str | Path,
    image_data: str | Path,
    boxes_in: str = STORED,
    val: float = 0.0,
    budget: float = 0.01,
    samples_per_shard: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Writes `out/train`, and `out/val` with about the share `val` of the images, chosen by image
    id; returns their manifests."""
    check_share(val)
    dataset = read_visual_genome(images, regions=regions, image_data=image_data, boxes_in=boxes_in)
    sides: dict[str, list[int]] = {"train": [], **({"val": []} if val > 0 else {})}
    for image_id in dataset.rows:
        sides["val" if is_held_out(image_id, share=val) else "train"].append(image_id)
    splits = {name: split_of(ids, dataset.record, budget=budget) for name, ids in sides.items()}
    return write_splits(out, splits, name="visual_genome", samples_per_shard=samples_per_shard)


def _list(path: Path, key: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    data = load_json(path, key=key)
    if not isinstance(data, list):
        raise UserError(f"{path}: no list of objects; give Visual Genome's file with {key}=FILE")
    return rows_of({"entry": data}, "entry", fields, path)


def _read_sides(row: dict[str, Any], path: Path) -> None:
    box = [row[side] for side in SIDES]
    found = numbers_of(box)
    if found is None or not all(map(is_finite, found)):
        where = f"{path}: region {row['region_id']}"
        raise UserError(f"{where}: {shown(box)} are not x, y, width and height; correct that entry")
    row.update(zip(SIDES, found, strict=True))
