"""Boxes drawn on a picture that EXIF turns: every importer puts them where they were drawn."""

import io
import json
from collections import Counter

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
from pyarrow import parquet

from cloc.data.samples.decode import decode_image, decode_record
from cloc.data.samples.orientation import CODES, code_of, to_stored, turned, upright_size
from cloc.data.samples.training_view import View, look
from cloc.errors import BadSample, UserError
from data_prep.importers import (
    coco,
    finehard,
    flickr30k_entities,
    grit,
    lvis,
    objects365,
    open_images,
    refcoco,
    visual_genome,
    voc,
    yolo,
)
from data_prep.importers.shared.annotated import Found, regions_of
from data_prep.importers.shared.captioned import box_of_fractions
from data_prep.importers.shared.frames import Frame, check_frame, frame_of
from data_prep.importing import parse_picture
from data_prep.masks import masks_of
from tests.helpers.imported import imported

WIDE, SQUARE = (40, 30), (30, 30)
BOX = (3, 4, 15, 12)  # of the picture as shown


def turned_picture(code, size=WIDE, box=BOX, quality=95):
    """A JPEG with a red box where people see it in `box`; its stored size is `size`."""
    x0, y0, x1, y1 = (round(x) for x in to_stored(np.array(box), *size, code))
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[y0:y1, x0:x1] = (255, 0, 0)
    exif, file = PIL.Image.Exif(), io.BytesIO()
    exif[0x0112] = code
    PIL.Image.fromarray(pixels).save(file, "JPEG", exif=exif, quality=quality, subsampling=0)
    return file.getvalue()


def picture(code, size=WIDE):
    return parse_picture(turned_picture(code, size), where="a", cure="")


def redness(pixels, box):
    """Of the box's inside, and of all that is outside."""
    red = np.asarray(pixels, np.float64)[..., 0] / 255
    x0, y0, x1, y1 = np.round(box).astype(int)
    inside = red[y0:y1, x0:x1]
    return inside.mean(), (red.sum() - inside.sum()) / (red.size - inside.size)


@pytest.mark.parametrize("size", [WIDE, SQUARE])
@pytest.mark.parametrize("code", CODES)
def test_a_box_of_the_picture_as_shown_lies_where_it_was_drawn(code, size):
    frame = frame_of(picture(code, size), "upright", "a")
    drops = Counter()
    [region] = regions_of([Found(BOX, "red")], frame, source="", where="", drops=drops)
    fractions = [x / side for x, side in zip(BOX, 2 * frame.size, strict=True)]
    assert box_of_fractions(fractions, frame, "", drops) == pytest.approx(region.box)
    pixels = PIL.Image.open(io.BytesIO(frame.picture.content))
    inside, outside = redness(pixels, region.box)
    assert (inside > 0.9, outside < 0.02) == (True, True)
    assert (frame.code, drops) == (code, {})


def test_a_box_of_the_stored_pixels_is_left_where_it_is():
    for code in CODES:
        frame = frame_of(picture(code), "stored", "a", size=WIDE)
        assert (frame.code, frame.size, frame.stored(BOX)) == (1, WIDE, list(BOX))


@pytest.mark.parametrize("code", [1, 5, 6, 7, 8])
def test_the_annotated_size_decides_where_the_sides_are_swapped(code):
    shown = WIDE[::-1] if code >= 5 else WIDE
    assert frame_of(picture(code), "unknown", "a", size=shown).code == code
    assert frame_of(picture(code), "unknown", "a", size=WIDE).code == 1


@pytest.mark.parametrize(
    ("code", "size", "annotated"),
    [(2, WIDE, WIDE), (3, WIDE, WIDE), (4, SQUARE, SQUARE), (6, SQUARE, SQUARE), (8, WIDE, None)],
)
def test_what_cannot_be_decided_is_left_out_with_the_key_that_decides(code, size, annotated):
    says = rf"^a: its EXIF orientation is {code}, .*; set boxes_in=stored or boxes_in=upright, or"
    with pytest.raises(BadSample, match=says) as error:
        frame_of(picture(code, size), "unknown", "a", size=annotated)
    assert error.value.reason == "turned"
    # without a box there is nothing to misplace
    found = frame_of(picture(code, size), "unknown", "a", size=annotated, has_boxes=False)
    assert found.code == code


@pytest.mark.parametrize("boxes_in", ["stored", "upright", "unknown"])
def test_a_picture_of_another_size_is_left_out(boxes_in):
    says = r"the picture is 40x30 pixels, it is annotated as 41x30; mend"
    with pytest.raises(BadSample, match=says) as error:
        frame_of(picture(1), boxes_in, "a", size=(41, 30), cure="mend")
    assert error.value.reason == "size"


def test_a_size_that_belongs_to_the_other_frame_is_told():
    says = r"EXIF orientation is 6, it is annotated as 30x40; this is not what boxes_in=stored says"
    with pytest.raises(BadSample, match=says):
        frame_of(picture(6), "stored", "a", size=(30, 40))
    with pytest.raises(
        BadSample, match=r"as 40x30; this is not what boxes_in=upright says; change"
    ):
        frame_of(picture(6), "upright", "a", size=WIDE)


def test_what_are_no_four_numbers_is_left_to_be_counted():
    frame = Frame(picture(6), 6)
    for box in ([1, 2], [1, 2, None, 4], [], ["a"] * 4):
        assert frame.stored(box) == box
    drops = Counter()
    boxes = [Found((9, 9, 3, 12), "a"), Found((float("nan"), 0, 1, 1), "a")]
    assert regions_of(boxes, frame, source="", where="", drops=drops) == ()
    assert drops == {"box_reversed": 1, "box_not_finite": 1}


def test_a_frame_that_is_not_known_is_named():
    with pytest.raises(
        UserError, match=r"boxes_in=raw is not known; give boxes_in=stored, upright"
    ):
        check_frame("raw")


X, Y, W, H = BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]
PLACE = [X / 30, Y / 40, BOX[2] / 30, BOX[3] / 40]  # as fractions of what code 6 shows


def instances(folder, **image):
    row = {"id": 7, "file_name": "7.jpg", "width": 30, "height": 40, **image}
    box = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [X, Y, W, H]}
    data = {"images": [row], "annotations": [box], "categories": [{"id": 1, "name": "red"}]}
    (folder / "i.json").write_text(json.dumps(data))
    return folder / "i.json"


def of_coco(folder):
    return coco.write_coco, {"images": folder, "instances": instances(folder)}


def of_lvis(folder):
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    return lvis.write_lvis, {
        "images": folder,
        "train": instances(folder, coco_url="u/7.jpg", **lists),
    }


def of_objects365(folder):
    return objects365.write_objects365, {"images": folder, "train": instances(folder)}


def of_refcoco(folder):
    ref = {
        "ref_id": 1,
        "ann_id": 1,
        "image_id": 7,
        "split": "train",
        "sentences": [{"sent": "red"}],
    }
    (folder / "r.json").write_text(json.dumps([ref]))
    given = {"images": folder, "refs": folder / "r.json", "instances": instances(folder)}
    return refcoco.write_refcoco, given


def of_visual_genome(folder):
    region = {"region_id": 1, "phrase": "red", "x": X, "y": Y, "width": W, "height": H}
    (folder / "r.json").write_text(json.dumps([{"id": 7, "regions": [region]}]))
    row = {"image_id": 7, "width": 30, "height": 40, "url": "u/7.jpg"}
    (folder / "d.json").write_text(json.dumps([row]))
    given = {"images": folder, "regions": folder / "r.json", "image_data": folder / "d.json"}
    return visual_genome.write_visual_genome, given


def xml(x0, y0):
    size = "<size><width>30</width><height>40</height></size>"
    box = f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{BOX[2]}</xmax><ymax>{BOX[3]}</ymax>"
    return f"<annotation>{size}<object><name>{{}}</name>{box}</bndbox></object></annotation>"


def of_voc(folder):
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    (folder / "7.jpg").rename(folder / "JPEGImages/7.jpg")
    (folder / "Annotations/7.xml").write_text(xml(X + 1, Y + 1).format("red"))
    (folder / "ImageSets/Main/train.txt").write_text("7\n")
    return voc.write_voc, {"folder": folder, "splits": ["train"]}


def of_flickr30k_entities(folder):
    for name in ("Annotations", "Sentences"):
        (folder / name).mkdir()
    (folder / "Annotations/7.xml").write_text(xml(X + 1, Y + 1).format("1"))
    (folder / "Sentences/7.txt").write_text("[/EN#1/other red] .\n")
    (folder / "train.txt").write_text("7\n")
    return flickr30k_entities.write_flickr30k_entities, {"entities": folder, "images": folder}


def of_yolo(folder):
    centre = [(PLACE[0] + PLACE[2]) / 2, (PLACE[1] + PLACE[3]) / 2, W / 30, H / 40]
    (folder / "7.txt").write_text(" ".join(map(str, [0, *centre])))
    (folder / "data.yaml").write_text("train: .\nnames: [red]")
    return yolo.write_yolo, {"dataset": folder / "data.yaml"}


def of_open_images(folder):
    (folder / "c.csv").write_text("/m/1,red\n")
    head = "ImageID,LabelName,Confidence,XMin,YMin,XMax,YMax,IsGroupOf"
    row = f"7,/m/1,1,{PLACE[0]},{PLACE[1]},{PLACE[2]},{PLACE[3]},0"
    (folder / "b.csv").write_text(f"{head}\n{row}\n")
    given = {"images": folder, "classes": folder / "c.csv", "boxes": folder / "b.csv"}
    return open_images.write_open_images, given


def of_finehard(folder):
    info = {"bbox": [*PLACE, 0.9], "short_expr": "red"}
    row = {"f_path": "7.jpg", "caption": "red", "bbox_info": [info]}
    (folder / "f.json").write_text(json.dumps([row]))
    return finehard.write_finehard, {"images": folder, "annotations": folder / "f.json"}


def of_grit(folder):
    row = {"key": "7", "status": "success", "caption": "red", "ref_exps": [[0, 3, *PLACE, 0.9]]}
    row |= {"noun_chunks": [], "original_width": 30, "original_height": 40}
    parquet.write_table(pa.Table.from_pylist([row]), folder / "0.parquet")
    return grit.write_grit, {"parquet": str(folder / "0.parquet"), "images": folder}


SETS = [
    *(of_coco, of_lvis, of_objects365, of_refcoco, of_visual_genome, of_voc, of_yolo),
    *(of_flickr30k_entities, of_open_images, of_finehard, of_grit),
]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("boxes_in", ["stored", "upright"])
@pytest.mark.parametrize("make", [of_coco, of_lvis], ids=lambda make: make.__name__)
def test_masks_are_turned_as_their_boxes_are(make, boxes_in, code, tmp_path):
    """What the mask is of is red, stored and as people see it, whatever it was drawn on."""
    (tmp_path / "7.jpg").write_bytes(turned_picture(code))
    box, size = np.array(BOX, float), upright_size(*WIDE, code)
    if boxes_in == "stored":
        box, size = to_stored(box, *WIDE, code), WIDE
    write, given = make(tmp_path)
    file = given["instances" if make is of_coco else "train"]
    data = json.loads(file.read_text())
    x0, y0, x1, y1 = box.tolist()
    outline = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    data["annotations"][0] |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": outline}
    data["images"][0] |= {"width": size[0], "height": size[1]}
    file.write_text(json.dumps(data))
    write(tmp_path / "out", **given, boxes_in=boxes_in, masks=True)
    [record] = imported(tmp_path / "out/train").values()
    [mask] = masks_of(record)  # as it is shown: where it was drawn, if boxes are of that
    stored = np.asarray(decode_record(record, ""))
    red = turned(stored, record.orientation)[..., 0] > 128
    np.testing.assert_array_equal(mask, red)
    assert mask.sum() == (BOX[2] - BOX[0]) * (BOX[3] - BOX[1])
    assert redness(stored, record.regions[0].box)[0] > 0.9


@pytest.mark.parametrize("make", SETS, ids=lambda make: make.__name__)
def test_boxes_of_every_set_are_shown_where_they_were_drawn(make, tmp_path):
    """Stored, as a benchmark and as training has them; 4 is a side that the size does not tell."""
    (tmp_path / "set").mkdir()
    (tmp_path / "set/7.jpg").write_bytes(turned_picture(6))
    write, given = make(tmp_path / "set")
    write(tmp_path / "out", **given, boxes_in="upright")
    [record] = imported(tmp_path / "out/train").values()
    assert record.orientation == 6
    box = record.regions[0].box
    stored = np.asarray(decode_record(record, ""))
    assert redness(stored, box)[0] > 0.9
    sample = look(record, np.random.default_rng(0), view=View(), image_size=40, where="")
    inside, outside = redness(sample.image.pixels(40, 40), sample.boxes[0])
    assert (inside > 0.8, outside < 0.05) == (True, True)
    np.testing.assert_allclose(sample.boxes[0], np.array([BOX[0] + 5, BOX[1], BOX[2] + 5, BOX[3]]))
    shown = turned(stored, 6)
    assert redness(shown, BOX)[0] > 0.9
    with pytest.raises(UserError, match="boxes_in=sideways is not known"):
        write(tmp_path / "no", **given, boxes_in="sideways")


def test_pixels_carry_no_code_by_which_somebody_turns_them_again():
    content = turned_picture(6)
    assert code_of(PIL.Image.open(io.BytesIO(content))) == 6
    assert code_of(decode_image(content, "")) == 1
