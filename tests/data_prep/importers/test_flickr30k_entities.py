"""The Flickr30k Entities importer: marks, several boxes an entity, own splits."""

import pytest

from cloc.data.samples.record import Region
from cloc.errors import UserError
from data_prep.importers.flickr30k_entities import read_sentences, write_flickr30k_entities
from tests.data_prep.importers.written import jpeg, written

SENTENCES = """\
[/EN#1/people A man] and [/EN#2/people two dogs] in [/EN#3/scene a park] .
[/EN#1/people A man] holds [/EN#4/bodyparts/people his arm] , [/EN#0/notvisual each other] .
[/EN#1/people The man] sees [/EN#5/other a bird] and [/EN#6/other a hat] .
Nobody .
A second [/EN#2/people two dogs] .
"""


def thing(names, box=None, scene=0):
    tags = "".join(f"<name>{name}</name>" for name in names)
    if box is None:
        return f"<object>{tags}<scene>{scene}</scene><nobndbox>{1 - scene}</nobndbox></object>"
    corners = "".join(
        f"<{n}>{v}</{n}>" for n, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object>{tags}<bndbox>{corners}</bndbox></object>"


OBJECTS = [
    *(thing(["1"], (1, 1, 20, 30)), thing(["2"], (5, 6, 10, 12)), thing(["2"], (21, 6, 40, 12))),
    *(thing(["4", "1"], (3, 3, 9, 9)), thing(["3"], scene=1), thing(["5"])),
]


def annotation(objects=OBJECTS, size=(40, 30)):
    width, height = size
    sides = f"<width>{width}</width><height>{height}</height><depth>3</depth>"
    inner = f"<filename>7.jpg</filename><size>{sides}</size>{''.join(objects)}"
    return f"<annotation>{inner}</annotation>"


@pytest.fixture
def given(tmp_path):
    """Image 7 in train, 8 in val; no test list."""
    entities, images = tmp_path / "entities", tmp_path / "images"
    for folder in (entities / "Sentences", entities / "Annotations", images):
        folder.mkdir(parents=True)
    for number, split in ((7, "train"), (8, "val")):
        (entities / f"Sentences/{number}.txt").write_text(SENTENCES)
        (entities / f"Annotations/{number}.xml").write_text(annotation())
        (entities / f"{split}.txt").write_text(f"{number}\n")
        (images / f"{number}.jpg").write_bytes(jpeg())
    return {"entities": entities, "images": images}


def test_captions_lose_their_marks_and_nothing_else(given, tmp_path):
    write_flickr30k_entities(tmp_path / "out", **given)
    [record] = written(tmp_path / "out/train")
    assert record.key == "7"
    assert [(c.text, c.source) for c in record.captions] == [
        ("A man and two dogs in a park .", "flickr30k"),
        ("A man holds his arm , each other .", "flickr30k"),
        ("The man sees a bird and a hat .", "flickr30k"),
        ("Nobody .", "flickr30k"),
        ("A second two dogs .", "flickr30k"),
    ]


def test_captions_and_their_phrases_are_cleaned_alike_and_lines_end_at_line_ends(given, tmp_path):
    line = "A <b>[/EN#1/people tall\u2028man</b> &amp; son] sees [/EN#2/other cafÃ©\x85s] .\r\n"
    (given["entities"] / "Sentences/7.txt").write_bytes(line.encode())
    write_flickr30k_entities(tmp_path / "out", **given)
    [record] = written(tmp_path / "out/train")
    [caption] = record.captions
    assert caption.text == "A tall man & son sees café…s ."
    phrases = {region.text for region in record.regions}
    assert phrases == {"tall man & son", "café…s"}
    assert all(phrase in caption.text for phrase in phrases)


def test_a_phrase_has_a_region_for_each_box_of_its_entity_and_equal_ones_are_one(given, tmp_path):
    write_flickr30k_entities(tmp_path / "out", **given)
    [record] = written(tmp_path / "out/train")
    man, arm = (0.0, 0.0, 20.0, 30.0), (2.0, 2.0, 9.0, 9.0)  # from 0, the second corner outside
    dogs = [(4.0, 5.0, 10.0, 12.0), (20.0, 5.0, 40.0, 12.0)]
    source = "flickr30k_entities"
    assert record.regions == (
        *(Region(box, "A man", source=source) for box in (man, arm)),
        *(Region(box, "two dogs", source=source) for box in dogs),
        Region(arm, "his arm", source=source),
        *(Region(box, "The man", source=source) for box in (man, arm)),
    )
    assert record.meta["entities"] == ["1", "1", "2", "2", "4", "1", "1"]


def test_entities_without_a_box_are_counted_once_an_image(given, tmp_path):
    manifests = write_flickr30k_entities(tmp_path / "out", **given)
    assert {*manifests} == {"train", "val"}  # the lists that are there
    for manifest in manifests.values():
        assert manifest["samples"] == 1
        assert manifest["drops"] == {"notvisual": 1, "scene": 1, "nobox": 1, "unboxed": 1}


def test_boxes_that_cannot_be_used_are_counted_once_a_box(given, tmp_path):
    objects = [thing(["1"], (9, 9, 5, 5)), thing(["1"], (50, 1, 60, 9)), thing(["2"], (1, 1, 9, 9))]
    (given["entities"] / "Annotations/7.xml").write_text(annotation(objects))
    drops = write_flickr30k_entities(tmp_path / "out", **given)["train"]["drops"]
    assert (drops["box_reversed"], drops["box_outside"], drops["unboxed"]) == (1, 1, 4)
    assert {r.text for r in written(tmp_path / "out/train")[0].regions} == {"two dogs"}


def test_a_missing_picture_ends_the_import_unless_the_budget_allows_it(given, tmp_path):
    (given["entities"] / "train.txt").write_text("7\n8\n")
    (given["images"] / "8.jpg").unlink()
    with pytest.raises(UserError, match=r"8\.jpg: .* cannot be read .*images=DIR"):
        write_flickr30k_entities(tmp_path / "out", **given)
    assert not (tmp_path / "out/train").exists()
    (given["entities"] / "val.txt").unlink()
    manifest = write_flickr30k_entities(tmp_path / "out", **given, budget=0.5)["train"]
    assert manifest["drops"]["missing"] == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("Annotations/7.xml", "<annotation>", r"7\.xml: the boxes cannot be read"),
        ("Annotations/7.xml", None, r"7\.xml: the boxes cannot be read .*annotations\.zip"),
        ("Annotations/7.xml", "<annotation></annotation>", r"7\.xml: the annotation has no size"),
        ("Annotations/7.xml", annotation(size=("x", 3)), "width is 'x', expected a number"),
        ("Annotations/7.xml", annotation(size=(30, 40)), "is 40x30 pixels, .* as 30x40; use"),
        ("Sentences/7.txt", "[/EN#1/people A man", r"7\.txt: line 1 has a phrase that does not"),
        ("Sentences/7.txt", None, r"7\.txt: the captions cannot be read"),
        ("train.txt", "\udce9", r"train\.txt: the list cannot be read"),
        ("train.txt", "../7", r"the lists name image '\.\./7', expected a number"),
    ],
)
def test_a_wrong_file_is_one_line(given, tmp_path, name, content, says):
    path = given["entities"] / name
    path.unlink() if content is None else path.write_text(content, errors="surrogateescape")
    with pytest.raises(UserError, match=says) as error:
        write_flickr30k_entities(tmp_path / "out", **given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/train").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_its_entities_grow(given, tmp_path, encoding):
    laughs = '<!DOCTYPE a [<!ENTITY x "xxxx"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    (given["entities"] / "Annotations/7.xml").write_text(head + laughs, encoding=encoding)
    with pytest.raises(UserError, match=r"7\.xml: .*it declares a document type 'a'"):
        write_flickr30k_entities(tmp_path / "out", **given)


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has none of train\.txt, val\.txt, test\.txt; give flic"):
        write_flickr30k_entities(tmp_path / "out", entities=tmp_path, images=tmp_path)


def test_an_entity_may_have_several_kinds(tmp_path):
    (tmp_path / "1.txt").write_text("[/EN#255545/bodyparts/people a man 's arm] .\n\n")
    [sentence] = read_sentences(tmp_path / "1.txt")
    assert sentence == ("a man 's arm .", (("255545", "a man 's arm"),))


@pytest.mark.parametrize(("scene", "reason"), [("True", "scene"), ("0", "nobox"), ("", "nobox")])
def test_a_scene_is_one_however_it_is_written(given, tmp_path, scene, reason):
    text = annotation().replace("<scene>1</scene>", f"<scene>{scene}</scene>")
    text = text.replace("<width>40<", "<width>40.0<").replace("<xmin>1<", "<xmin> 1.0 <")
    (given["entities"] / "Annotations/7.xml").write_text(text)
    plain = {"scene": 1, "nobox": 1, "notvisual": 1, "unboxed": 1}
    drops = write_flickr30k_entities(tmp_path / "out", **given)["train"]["drops"]
    moved = {"scene": 0, "nobox": 2} if reason == "nobox" else {}
    assert drops == {k: v for k, v in {**plain, **moved}.items() if v}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<width>40<", "<width>nan<", "width is 'nan', expected a number"),
        ("<scene>1<", "<scene>so<", "scene is 'so', expected a number"),
        ("<xmin>1<", "<xmin>1_0<", "xmin is '1_0', expected a number"),
    ],
)
def test_a_value_that_says_nothing_is_named(given, tmp_path, old, new, says):
    (given["entities"] / "Annotations/7.xml").write_text(annotation().replace(old, new))
    with pytest.raises(UserError, match=rf"7\.xml: {says}"):
        write_flickr30k_entities(tmp_path / "out", **given)
