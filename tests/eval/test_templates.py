"""Named lists of templates, and files of them."""

import open_clip
import pytest

from cloc.errors import UserError
from cloc.eval.templates import NAMES, class_prompts, parse_templates, read_templates


def test_the_named_lists():
    lists = {name: read_templates(name, key="k") for name in NAMES}
    assert lists["bare"] == ("{}",)
    assert lists["photo"] == ("a photo of a {}.",)
    assert lists["clip_7"] == (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    )
    assert len(lists["clip_80"]) == 80
    made = [template("cat") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert class_prompts({"c": "cat"}, lists["clip_80"]) == {"c": made}


def test_a_file_with_either_mark(tmp_path):
    file = tmp_path / "templates.txt"
    file.write_text("a photo of a {c}.\n\n  the {} thing\r\n")
    assert read_templates(str(file), key="k") == ("a photo of a {}.", "the {} thing")


def test_a_name_with_braces_is_taken_as_it_is():
    assert class_prompts({"a": "{} and {c}"}, ["the {}"]) == {"a": ["the {} and {c}"]}


def test_a_file_of_another_encoding_is_told(tmp_path):
    file = tmp_path / "templates.txt"
    file.write_bytes("ein schönes {}\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"templates.txt: not UTF-8 .*; save it as UTF-8$"):
        read_templates(str(file), key="k")


def test_what_is_told():
    with pytest.raises(UserError, match=r"^k=clip_9: no list .*bare, photo, clip_7, clip_80"):
        read_templates("clip_9", key="k")
    with pytest.raises(UserError, match=r"^f: the template 'a photo' has 0 places"):
        parse_templates("a photo\n", where="f")
    with pytest.raises(UserError, match=r"has 2 places for the class name"):
        parse_templates("{} {c}\n", where="f")
    with pytest.raises(UserError, match=r"^f: the file holds no template"):
        parse_templates("\n", where="f")
