"""A key that a message names can be given: with `+` where it is not there yet, and not without."""

import ast
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
HOLE = "\u241f"  # stands for what an f-string fills in
GROUPS = ("model", "data", "optimizer", "trainer", "engine", "stages/*")
COMMANDS = ("train", "evaluate", "prepare")
# Mappings in which any name may be a key (`NAMED` of config/compose.py), or that users add to.
OPEN = ("eval.splits", "rates.wait", "weights", "splits", "engine.actors", "losses")
GIVEN = {  # said only where the user has given the key
    "model.tower.config.vision_cfg.patch_dropout",
    "trainer.accumulate_grad_batches",
    "lora.rank",
    "lora.targets",
    "model.tower.vocabulary",  # said where it is given
    "optimizer.eps",  # `bench.py what=race` gives it with optimizer=adamw
    "stages.detect.model",  # said by the stage that has it
}
ONE_OF = ("engine", "stages")  # whose files have other keys each, and say their own alone
KINDS = {
    f"model.region_head.{key}": "prompter"
    for key in ("pool", "num_heads", "layers", "norm_balance")
}
KINDS_OF_VALUES = "kinds.py"  # patterns of keys, and it says none
FILE = (".yaml", ".py", ".json", ".txt", ".tar", ".ckpt", ".safetensors", ".html", ".jsonl")


def texts(node):
    """Every text of a module but docstrings, holes marked."""
    skipped = set()
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            skipped.add(id(body[0].value))
        if isinstance(inner, ast.JoinedStr):
            skipped |= {id(value) for value in inner.values}
    for inner in ast.walk(node):
        if id(inner) in skipped:
            continue
        if isinstance(inner, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else HOLE for v in inner.values]
            yield inner.lineno, "".join(parts)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.lineno, inner.value


def read(path):
    """A config file, with the members of its own group that it builds on."""
    data = yaml.safe_load(path.read_text()) or {}
    found = {}
    for entry in data.pop("defaults", ()) if isinstance(data, dict) else ():
        if isinstance(entry, str) and (path.parent / f"{entry}.yaml").is_file():
            found = merged(found, read(path.parent / f"{entry}.yaml"))
    return merged(found, data)


def merged(old, new):
    found = dict(old)
    for key, value in new.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def configurations():
    """(name, keys) of every file of every group, and of the commands without their groups."""
    for group in GROUPS:
        for path in sorted(CONFIGS.glob(f"{group}/*.yaml")):
            found = read(path)
            for part in reversed(path.parent.relative_to(CONFIGS).parts):
                found = {part: found}
            yield path.relative_to(CONFIGS).as_posix(), found
    for name in COMMANDS:
        yield name, yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def named(tops):
    """(where, key) of every dotted key below one of `tops` that a text names."""
    paths = [p for f in ("cloc", "scripts", "data_prep") for p in sorted((ROOT / f).rglob("*.py"))]
    for path in (path for path in paths if path.name != KINDS_OF_VALUES):
        for line, text in texts(ast.parse(path.read_text())):
            if "\n" not in text.strip():  # else a page, or code that is shown
                for key in re.findall(
                    rf"(?<![\w./:@$'{HOLE}-])(\+*[a-z]\w*(?:\.[\w{HOLE}]+)+)", text
                ):
                    if key.lstrip("+").partition(".")[0] in tops and "<" not in text:
                        yield f"{path.relative_to(ROOT)}:{line}", key


def lookup(found, parts, kind):
    """Whether the key is there; None where nothing is that it could stand in."""
    if parts[0] not in found:
        return None
    for part in parts[:-1]:
        found = found.get(part)
        if not isinstance(found, dict) or kind not in (None, found.get("kind", kind)):
            return None
    return parts[-1] in found


def wrong_files(key, where, files):
    """Of a message at `where`: the configurations in which its key cannot be given as it stands."""
    plain = key.lstrip("+")
    if plain in GIVEN or plain.endswith(FILE):
        return []
    of = next((mapping for mapping in OPEN if plain.startswith(f"{mapping}.")), plain)
    parts = of.partition(f".{HOLE}")[0].split(".")
    answers = {
        name: answer
        for name, found in files.items()
        if (answer := lookup(found, parts, KINDS.get(plain))) is not None
    }
    if not answers:
        return ["none that has a parent of it"]
    wrong = [name for name, answer in answers.items() if answer == key.startswith("+")]
    return [] if parts[0] in ONE_OF and len(wrong) < len(answers) else wrong


def test_a_key_of_a_message_is_one_of_every_configuration_that_has_its_parent():
    files = dict(configurations())
    tops = {top for found in files.values() for top in found if isinstance(found[top], dict)}
    keys = sorted({(key, where) for where, key in named(tops | {"lora"})})
    names = {key for key, _ in keys}
    assert {"model.tower.image_size", "data.skip_shards", "optimizer.lr"} <= names
    assert len(names) > 60
    wrong = [
        f"{where}: {key} with {', '.join(found)}"
        for key, where in keys
        if (found := wrong_files(key, where, files))
    ]
    assert not wrong
