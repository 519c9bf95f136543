"""Pictures in folders of their class, as torchvision's ImageFolder has them, with their names."""

from pathlib import Path

from cloc.data.samples.decode import IMAGES
from cloc.data.samples.text import lines
from cloc.errors import UserError
from cloc.eval.annotations import read_text
from cloc.eval.partial import spread
from cloc.eval.pictures import picture_example
from cloc.interfaces import Example


def read_names(path: Path, *, cure: str) -> list[str]:
    """What the classes are called, one a line, in the order of their numbers; `cure` says what to
    set where there is no such file."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; {cure}")
    found = [line.strip() for line in lines(read_text(path))]
    while found and not found[-1]:
        found.pop()
    if not found or not all(found):
        what = f"line {found.index('') + 1} is empty" if found else "the file is empty"
        raise UserError(f"{path}: {what}; give every class a name, one a line")
    return found


def read_class_folders(
    root: Path, *, names: int | None, limit: int | None = None, key: str
) -> tuple[list[Example], list[str]]:
    """The pictures of every folder of `root` in the order of their paths, each with the number of
    its class as `meta["class"]`, and the folders' names; folders count in the order of their names.
    Where `names` are given, there must be as many folders; of more pictures than `limit` so many,
    spread over all classes. Other files are passed over, and hidden ones; a folder without a
    picture, or none at all, is a `UserError`.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; set {key} to a folder with one for each class")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise UserError(f"{root}: no folder of a class in it; set {key} to one that has them")
    names_key = f"{key.rpartition('.')[0]}.classnames"
    if names is not None and names != len(folders):
        raise UserError(
            f"{root}: {len(folders)} folders, but {names} class names; they must be as many, in "
            f"the same order; set {key} to the folders of these names, or {names_key} to others"
        )
    found: list[tuple[int, Path]] = []
    for number, folder in enumerate(folders):
        files = sorted(path for path in folder.rglob("*") if _is_picture(path))
        if not files:
            raise UserError(f"{folder}: no picture in it ({', '.join(IMAGES)}); remove the folder")
        found += [(number, path) for path in files]
    return [
        picture_example(path, key=path.relative_to(root).as_posix(), meta={"class": number})
        for number, path in spread(found, limit)
    ], [folder.name for folder in folders]


def _is_picture(path: Path) -> bool:
    known = path.suffix.lower().removeprefix(".") in IMAGES
    return known and path.is_file() and not path.name.startswith(".")
