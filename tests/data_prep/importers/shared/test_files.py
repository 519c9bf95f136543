"""Pictures of a folder: endings of all kinds, none, links, loops and what is no picture."""

import os
from pathlib import Path

import PIL.Image
import pytest

from cloc.errors import UserError
from data_prep.importers.shared.files import is_picture, named, pictures_below, stem_of
from tests.helpers.imported import draw


def below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in pictures_below(folder))


@pytest.mark.parametrize(
    "name", ["a.JPG", "a.jfif", "a.jpe", "a.PJPEG", "a.jpg_large", "a", "IMG.2024", "a.tmp"]
)
def test_a_jpeg_is_found_whatever_its_name_ends_in(tmp_path, name):
    draw(tmp_path / name, format="JPEG")
    assert below(tmp_path) == [name]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_other_pictures_are_found_by_how_they_begin(tmp_path, kind):
    draw(tmp_path / "a", format=kind)
    assert is_picture(tmp_path / "a")


def test_what_is_no_picture_is_left_alone(tmp_path):
    draw(tmp_path / "a.jpg")
    for name in ("a.txt", "b.json", "notes", "archive.bin", ".b.jpg", "c"):
        (tmp_path / name).write_bytes(b"\xff\xd8 no" if name != ".b.jpg" else b"\xff\xd8\xff")
    os.mkfifo(tmp_path / "pipe")
    draw(tmp_path / ".thumbs/a.jpg")
    draw(tmp_path / "__MACOSX/a.jpg")
    assert below(tmp_path) == ["a.jpg"]
    (tmp_path / "gone.jpg").symlink_to("gone")  # says that it is one: to be counted
    assert below(tmp_path) == ["a.jpg", "gone.jpg"]


@pytest.mark.parametrize("target", ["gone", "part2"])
def test_a_link_that_leads_nowhere_may_be_a_folder_of_pictures(tmp_path, target):
    draw(tmp_path / "a.jpg")
    (tmp_path / "part2").symlink_to(target)
    with pytest.raises(UserError, match=f"part2 is a link to {target}, which is not there; mount"):
        below(tmp_path)


@pytest.mark.parametrize("name", ["a.ppm", "a.tga", "a.j2k", "a.dib"])
def test_pictures_that_no_shard_holds_are_found_to_be_counted(tmp_path, name):
    (tmp_path / name).write_bytes(b"P6 1 1 255 abc")
    assert below(tmp_path) == [name]


def test_links_to_folders_are_followed_once(tmp_path):
    """By the folder's own name where it has one below, though a link's comes first."""
    top = tmp_path / "top"
    draw(top / "z/one.jpg")
    draw(tmp_path / "disk/two.jpg")
    draw(tmp_path / "disk/in/three.jpg")
    (top / "a").symlink_to(top / "z")
    (top / "b").symlink_to(tmp_path / "disk")
    (top / "c").symlink_to(tmp_path / "disk/in")
    (tmp_path / "disk/up").symlink_to(top)
    (tmp_path / "disk/self").symlink_to(".")
    assert below(top) == ["b/in/three.jpg", "b/two.jpg", "z/one.jpg"]
    (tmp_path / "link").symlink_to(top)
    assert below(tmp_path / "link") == below(top)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    draw(tmp_path / "shut/a.jpg")
    scan = os.scandir

    def refuse(place):
        if Path(place).name == "shut":
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"shut: the folder cannot be read \(Permission denied\)"):
        below(tmp_path)


def test_a_stem_ends_before_the_ending_of_a_picture():
    names = ["d.x/a.jpg", "a.JFIF", "IMG.2024", "a.b.png", "a"]
    stems = ["d.x/a", "a", "IMG.2024", "a.b", "a"]
    assert [stem_of(Path(name)) for name in names] == stems


def test_a_picture_is_found_by_its_name_alone(tmp_path):
    assert named(tmp_path / "a.b") is None
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.b", "JPEG")
    assert named(tmp_path / "a.b") == tmp_path / "a.b"
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.b.JFIF", "JPEG")
    assert named(tmp_path / "a.b") == tmp_path / "a.b.JFIF"
