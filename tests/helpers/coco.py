"""Four tiny annotated pictures, as the arguments of the prepare command."""

import json
from pathlib import Path

import PIL.Image


def coco_overrides(folder: Path) -> list[str]:
    """Writes the files and returns the overrides that import them: two boxes and one crowd."""
    (folder / "pictures").mkdir()
    images = [{"id": i, "file_name": f"{i}.png", "width": 8, "height": 6} for i in (1, 2, 3, 4)]
    for row in images:
        PIL.Image.new("RGB", (8, 6), (row["id"], 0, 0)).save(
            folder / "pictures" / f"{row['id']}.png"
        )
    boxes = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [1, 1, 4, 4], "iscrowd": i == 3}
        for i in (1, 2, 3)
    ]
    data = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}
    (folder / "instances.json").write_text(json.dumps(data))
    return [
        "import=coco",
        f"images={folder}/pictures",
        f"instances={folder}/instances.json",
        f"out={folder}/out",
    ]
