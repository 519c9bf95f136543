"""Every benchmark's own files under one folder, and which lies where."""

from tests.faults.independent.made import boxes, captions, classes, compositions, panoptic

SPATIAL = [(source, objects) for source in ("coco", "gqa") for objects in ("one", "two")]


def write_everything(root, photographs):
    """benchmark -> its folder."""
    panoptic.write_panoptic(root / "panoptic", photographs)
    boxes.write_fg_ovd(root / "fg_ovd", photographs)
    boxes.write_referring(root / "referring", photographs)
    compositions.write_aro(root / "aro", photographs)
    compositions.write_sugarcrepe(root / "sugarcrepe", photographs)
    classes.write_folders(root / "folders", photographs)
    classes.write_tars(root / "tars", photographs)
    for name in ("coco_order", "flickr30k_order"):
        compositions.write_order(root / name, photographs, name)
    for subset in "AB":
        captions.write_whatsup(root / "whatsup", photographs, subset)
    for source, objects in SPATIAL:
        captions.write_spatial(root / "spatial", photographs, source, objects)
    for split in ("random", "zeroshot"):
        captions.write_vsr(root / "vsr", photographs, split)
    return FOLDERS


FOLDERS = {
    "clipself_macc": "panoptic",
    "fg_ovd": "fg_ovd",
    "refcoco_gt_boxes": "referring",
    "refcoco_proposals": "referring",
    "aro_relation": "aro",
    "aro_attribution": "aro",
    "aro_coco_order": "coco_order",
    "aro_flickr_order": "flickr30k_order",
    "sugarcrepe": "sugarcrepe",
    "whatsup_a": "whatsup",
    "whatsup_b": "whatsup",
    "vsr_random": "vsr",
    "vsr_zeroshot": "vsr",
    "zero_shot": "folders",
    "zero_shot_wds": "tars",
    **{f"{source}_spatial_{objects}": "spatial" for source, objects in SPATIAL},
}
