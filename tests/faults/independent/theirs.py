"""Every figure, recomputed: {benchmark[@extractor]: {metric: Figure}}."""

import open_clip

from tests.faults.independent.figures import (
    boxes,
    captioned_boxes,
    choices,
    heat,
    panoptic,
    pictures,
    retrieval,
    statements,
)
from tests.faults.independent.made.everything import FOLDERS
from tests.faults.independent.photographs import class_names, upright

CLIP_80 = [make("{}") for make in open_clip.OPENAI_IMAGENET_TEMPLATES]
CLIP_7 = [make("{}") for make in open_clip.SIMPLE_IMAGENET_TEMPLATES]
KS = (1, 5, 10)


def of_regions(regions, root, photographs, *, fgclip=CLIP_80):
    """Those of one extractor of boxes."""
    clip, names = regions.clip, class_names()
    bare, ensemble = (boxes.class_texts(clip, names, t) for t in (["{}"], fgclip))
    seen = [upright(photo) for photo in photographs]  # what reads shards
    given = (regions, seen, bare, names)
    found = {
        "region_classification": boxes.region_classification(*given),
        "region_retrieval": retrieval.region(*given, KS),
        "cloc_macc": boxes.classification(*given),
        "fgclip_top1": boxes.classification(regions, seen, ensemble, names),
        "grounding_none_best_box": heat.none_there(*given),
        "fg_ovd": captioned_boxes.fg_ovd(regions, root / FOLDERS["fg_ovd"], photographs),
        "clipself_macc": panoptic.figures(
            clip, root / FOLDERS["clipself_macc"], photographs, panoptic.by_box(regions), CLIP_80
        ),
    }
    for name, proposals in (("refcoco_gt_boxes", False), ("refcoco_proposals", True)):
        found[name] = captioned_boxes.referring(
            regions, root / FOLDERS[name], photographs, proposals=proposals
        )
    return {f"{name}@{regions.extractor}": figures for name, figures in found.items()}


def of_classes(regions, photographs):
    """CLOC's protocol alone."""
    names, seen = class_names(), [upright(photo) for photo in photographs]
    bare = boxes.class_texts(regions.clip, names, ["{}"])
    return boxes.classification(regions, seen, bare, names)


def pointed(regions, photographs):
    names = class_names()
    bare = boxes.class_texts(regions.clip, names, ["{}"])
    return {
        f"pointing@{regions.extractor}": heat.pointing(
            regions, [upright(photo) for photo in photographs], bare, names
        )
    }


def of_masks(clip, root, photographs):
    vectors = panoptic.by_mask(clip)
    given = (clip, root / FOLDERS["clipself_macc"], photographs, vectors, CLIP_80)
    return {"clipself_macc@mask_pool": panoptic.figures(*given)}


def of_pictures(clip, root, photographs):
    """Those that show whole pictures."""
    found = {
        "image_text_retrieval": retrieval.image_text(
            clip, [upright(photo) for photo in photographs], KS
        ),
        "sugarcrepe": choices.sugarcrepe(clip, root / "sugarcrepe"),
        "zero_shot": pictures.folders(clip, root / "folders", CLIP_80),
        "zero_shot_wds": pictures.tars(clip, root / "tars"),
    }
    for subset in "AB":
        found[f"whatsup_{subset.lower()}"] = choices.whatsup(clip, root / "whatsup", subset)
    for source in ("coco", "gqa"):
        for objects in ("one", "two"):
            given = (clip, root / "spatial", source, objects)
            found[f"{source}_spatial_{objects}"] = choices.spatial(*given)
    for kind in ("relation", "attribution"):
        found[f"aro_{kind}"] = choices.aro(clip, root / "aro", kind)
    for name, file in (("coco", "coco_order"), ("flickr", "flickr30k_order")):
        found[f"aro_{name}_order"] = choices.order(clip, root / file, file)
    for split in ("random", "zeroshot"):
        found[f"vsr_{split}"] = statements.figures(clip, root / "vsr", split)
    return found
