"""Named lists of prompt templates: how a class name becomes the prompts that stand for it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from cloc.data.samples.text import lines
from cloc.errors import UserError
from cloc.eval.annotations import read_text

PLAIN = {"bare": ("{}",), "photo": ("a photo of a {}.",)}
NAMES = (*PLAIN, "clip_7", "clip_80")


def read_templates(name: str, *, key: str) -> tuple[str, ...]:
    """The templates of a named list, or of a text file that holds one a line; `{}` or, as
    CLIP_benchmark writes it, `{c}` stands for the class name.

    `bare` is the name alone and `photo` is "a photo of a {}."; `clip_7` are the seven that CLIP's
    authors found best on ImageNet and `clip_80` their ensemble of eighty, both as open_clip has
    them. `key` is the config key that gave `name`.
    """
    if name in PLAIN:
        return PLAIN[name]
    if name in NAMES:
        import open_clip  # slow to import, and only its lists are wanted

        of_80 = open_clip.OPENAI_IMAGENET_TEMPLATES
        made = open_clip.SIMPLE_IMAGENET_TEMPLATES if name == "clip_7" else of_80
        return tuple(make("{}") for make in made)
    path = Path(name)
    if not path.is_file():
        raise UserError(
            f"{key}={name}: no list of templates and no file; give one of {', '.join(NAMES)}, or a "
            'text file with a template a line, such as "a photo of a {}."'
        )
    return parse_templates(read_text(path), where=str(path))


def parse_templates(text: str, *, where: str) -> tuple[str, ...]:
    """One a line, empty lines apart; each must say where the class name goes."""
    found = [line.strip().replace("{c}", "{}") for line in lines(text) if line.strip()]
    for line in found:
        if line.count("{}") != 1:
            raise UserError(
                f"{where}: the template {line!r} has {line.count('{}')} places for the class name; "
                "write {} where it goes, once"
            )
    if not found:
        raise UserError(f"{where}: the file holds no template; write one a line")
    return tuple(found)


def class_prompts(names: Mapping[str, str], templates: Iterable[str]) -> dict[str, list[str]]:
    """Class -> its name, of `names`, in every template."""
    every = list(templates)
    return {
        label: [template.replace("{}", name) for template in every] for label, name in names.items()
    }
