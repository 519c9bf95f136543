"""Wrong command lines of every command and key: never a traceback, one line that names the key.

python -m tests.faults.commands [COUNT [SEED]]     # 200 of them by default, 0: all

A line is a right command with one thing wrong: a value of another type or out of range, a file that
is missing or of another kind, a choice that is none, a misspelt key, broken grammar, a flag, a key
left out. Each runs as its script does, in a process of its own that starts with torch loaded.
"""

import json
import os
import random
import runpy
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

from omegaconf import OmegaConf  # noqa: E402

from cloc.cli.config.compose import composed  # noqa: E402
from cloc.cli.config.explain import REMOVABLE  # noqa: E402
from cloc.cli.config.help import _leaves, groups_of  # noqa: E402
from cloc.cli.config.kinds import Form, default_of, kind  # noqa: E402
from cloc.cli.evaluate import named  # noqa: E402
from tests.helpers.coco import coco_overrides  # noqa: E402

LIMIT_S = 100  # of one command
# Texts that may be anything.
FREE = (
    "name",
    "runs",
    "checkpoints",
    "prompt",
    "caption_key",
    "file_key",
    "project",
    "save_dir",
    "version",
)
FREE += (
    "folder",
    "index_folder",
    "key_env",
    "address",
    "cluster",
    "revision",
    "base_url",
    "license",
)
OF_FORM = {
    Form.INT: ("abc", "-1", "1.5", "[1,2]", "{a: 1}", "nan", "true", "'1'", ""),
    Form.NUMBER: ("abc", "-1", "[1]", "{a: 1}", "nan", "inf", "true", ""),
    Form.NUMBER_OR_MAP: ("abc", "-1", "[1]", "{0: abc}", "{0: -1}", "nan", "true", ""),
    Form.NUMBER_OR_LEARNED: ("abc", "-1", "0", "[1]", "{a: 1}", "{learned: -1}", "true", ""),
    Form.BOOL: ("maybe", "2", "[true]", "{a: true}", "0.5", ""),
    Form.LIST: ("abc", "3", "{a: b}", "[nope]", "true"),
    Form.NUMBERS: ("abc", "3", "[a,b]", "{a: 1}", "[-1,2]", "[0.5]", "[]"),
    Form.MAP: ("abc", "3", "[a]", "{nope: 1}", "true"),
    Form.TEXT_OR_MAP: ("nope", "{nope: 1}", ""),
    Form.TEXT: ("nope", "", "nope/nope", "a\nb"),
    Form.TEXTS: ("nope", "", "[nope,nope]", "[]", "nope/*.tar"),
    Form.ANY: ("nope", "-1", "[nope]", "{nope: nope}"),
}
BROKEN = (
    "=5",
    "nope",
    "steps.=1",
    "~nope",
    "+",
    "hydra=3",
    "x=[1",
    "x={",
    "x={a",
    "x=a,b",
    "++",
    "a b=c",
)
FLAGS = ("--info", "--cfg", "--cfg=hydra", "--steps=3", "-x", "--", "--config-name=x", "-cd", "-r")


class Line(NamedTuple):
    """A wrong command, and the words of which one must stand in its message."""

    script: str
    words: tuple[str, ...]
    names: tuple[str, ...]


def commands(place):
    """Right command lines: script, name of its keys, and overrides."""
    run, scenes = place / "runs/smoke", place / "scenes"
    train = (
        *("experiment=smoke", f"data.train={scenes}/train", "steps=1", "batch_size=4"),
        *("data.num_workers=0", "eval.every=1", f"eval.splits.val={scenes}/val", "eval.limit=2"),
    )  # splits but val are for `evaluate run=` to read, on whatever machine that is
    sizes = ("train=2", "val=0", "novel=0", "samples_per_shard=2")
    found = [
        ("train", "train", train),
        ("evaluate", "evaluate", (f"run={run}", f"splits.val={scenes}/val", "limit=2")),
        ("export", "export", (f"run={run}", "out=out")),
        ("prepare", "prepare", ("import=scenes", "out=out", *sizes)),
        ("prepare", "prepare", (*coco_of(place), "out=out")),
        ("prepare", "prepare", ("import=folder", f"images={place}/pictures", "out=out")),
        ("prepare", "prepare", ("pipeline=vesl", f"input={scenes}/val", "out=out", *NO_MODEL)),
        ("show_batch", "show_batch", (*train, "out=out")),
        ("bench", "train", ("what=tax", "repeat=0", *train[:3])),
        ("bench", "bench", ("what=plan",)),
        ("check_shards", "check_shards", (f"{scenes}/val",)),
        ("compare_runs", "compare_runs", (str(run),)),
        ("compare_regions", "compare_regions", (f"{scenes}/val", f"{scenes}/val")),
        ("compare", "compare", (str(run),)),
        (
            "evaluate",
            "evaluate",
            (f"model=run:{run}", f"splits.val={scenes}/val", "limit=2", "out=out"),
        ),
        ("diagnose", "diagnose", (f"run={run}",)),
    ]
    extra = ("stages/images=checks", "stages/negatives=rules", "engine=processes")
    return [*found, ("prepare", "prepare", (*found[6][2], *extra))]


NO_MODEL = ("stages/detect=none",)


def coco_of(place):
    """The importer's files are there already."""
    return ("import=coco", f"images={place}/pictures", f"instances={place}/instances.json")


def lines(place):
    """All of them, in order."""
    for script, name, given in commands(place):
        yield from _of_keys(script, name, given, place)
        for word in BROKEN:
            if script not in ("compare", "compare_runs", "compare_regions", "check_shards"):
                yield Line(script, (*given, word), (word.strip("+~").partition("=")[0], word))
        for word in FLAGS:
            yield Line(script, (*given, word), (word.partition("=")[0],))
        yield (
            Line(script, (*given, "-m"), ("-m", "several"))
            if script != "train"
            else Line(script, (*given, "-m", "seed=1,,"), ("seed",))
        )
        for i, word in enumerate(given):
            key = word.partition("=")[0]
            yield from _left_out(script, given, i, key)
    yield from _region_demo(place)


def _left_out(script, given, i, key):
    required = ("run", "out", "images", "input", "instances", "what", "import")
    words = (*given[:i], *given[i + 1 :])
    if key in required and (script, key) != ("evaluate", "out"):
        yield Line(script, words, (key, "import", "what", "experiment"))
    if not key.startswith("eval.splits."):  # a name of its own there
        yield Line(script, (*words, f"{key}x=1"), (f"{key}x", "1"))


def _of_keys(script, name, given, place):
    keys = [word for word in given if "=" in word]
    if name == "train":
        keys = [word for word in keys if word not in ("what=tax", "repeat=0")]
    renamed = [f"++{word}" if word.startswith("splits.") else word for word in named(keys)]
    defaults = composed(name, renamed)[1]
    chosen = dict(word.split("=", 1) for word in given if word.startswith("pipeline="))
    for group in groups_of(name, chosen):
        if default_of(defaults, group) is not None and group != "benchmarks":
            for value in ("nope", "[nope]", "3", "", "../x", "null,", "null"):
                yield Line(script, (*given, f"{group}={value}"), (group,))
    for key, _ in _leaves(OmegaConf.to_container(defaults, resolve=False), ""):
        if script == "bench" and name == "train" and not key.startswith(("model", "batch")):
            continue  # what it does not read
        if script == "show_batch" and not key.startswith(("data.", "out", "batch", "model.")):
            continue
        yield from _of_key(script, given, defaults, key, place)


def _of_key(script, given, defaults, key, place):
    parent = key.rpartition(".")[0]
    given = tuple(word for word in given if word.partition("=")[0] != key or "splits" not in key)
    for value in _wrong(defaults, key, place, is_kept=script in ("evaluate", "diagnose")):
        typed = ("model",) if key == "encoder" else ()
        yield Line(script, (*given, f"{key}={value}"), (key, key.rpartition(".")[2], *typed))
    if not parent.endswith("splits"):  # a name of its own there
        yield Line(script, (*given, f"{key}s=1"), (f"{key}s",))
    if not any(fnmatchcase(key, pattern) for pattern in REMOVABLE):
        yield Line(script, (*given, f"~{key}"), (key,))
    if parent and OmegaConf.is_dict(OmegaConf.select(defaults, parent)):
        yield Line(script, (*given, f"{parent}=3"), (parent,))


def _wrong(defaults, key, place, *, is_kept):
    """With `is_kept` an out= may be there already."""
    wanted = kind(defaults, key)
    last = key.rpartition(".")[2]
    if last in ("shards", "sets", "runs") or (wanted.form is Form.TEXT and last in FREE):
        return ("",) if wanted.form is Form.TEXT and last == "name" else ()
    values = list(OF_FORM[wanted.form])
    if not wanted.null and wanted.form not in (Form.TEXT, Form.TEXTS):
        values.append("null")
    if wanted.form in (Form.INT, Form.NUMBER) and (wanted.low > 0 or wanted.above):
        values.append("0")
    if last in ("images", "run", "train", "val", "input", "twin"):
        values += [str(place / "instances.json"), str(place / "empty")]
    if last in ("instances", "captions", "panoptic"):
        values += [str(place / "pictures"), str(place / "noise")]
    if last == "out":
        values = ["", str(place / "noise/x"), *([] if is_kept else [str(place / "pictures")])]
    return values


def _region_demo(place):
    picture, run = str(place / "pictures/1.png"), str(place / "runs/smoke")
    for words, names in (
        ((), "IMAGE"),
        ((picture,), "PHRASE"),
        ((picture, "x"), "--model"),
        ((picture, "x", "--model", "nope"), "nope"),
        ((str(place / "noise"), "x", "--model", run), "noise"),
        ((str(place), "x", "--model", run), str(place)),
        ((picture, "x", "--model", run, "--box", "1,2"), "--box"),
        ((picture, "x", "--model", run, "--box", "0,0,99,99"), "--box"),
        ((picture, "x", "--model", run, "--out", str(place)), "--out"),
        ((picture, "x", "--model", run, "--out", "nope/x.png"), "--out"),
        ((picture, "", "--model", run), "PHRASE"),
        ((picture, "x", "--model", str(place / "pictures")), "pictures"),
        ((picture, "x", "--modl", run), "--model"),
    ):
        yield Line("region_demo", words, (names,))


def make_place(place):
    """Shards, a measured run of a step, pictures and files of no kind; in a process of its own."""
    (place / "empty").mkdir()
    (place / "noise").write_bytes(b"\x00\xff{not json")
    coco_overrides(place)
    os.chdir(place)
    sizes = ("train=8", "val=4", "novel=0", "samples_per_shard=4")
    ended = [attempt(Line("prepare", ("import=scenes", "out=scenes", *sizes), ()))]
    for script, _, given in commands(place)[:2]:  # trained, then measured
        ended.append(attempt(Line(script, given, ())))
    wrong = [said for code, said, _ in ended if code]
    if wrong:
        raise RuntimeError(wrong[0])


def attempt(line):
    """(exit code, stderr, stdout) of the command, run as a script in a fork of this process."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        child = os.fork()
        if not child:
            _run(line, out, err)
        began, code = time.monotonic(), None
        while code is None:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() - began > LIMIT_S:
                os.kill(child, signal.SIGKILL)
            time.sleep(0.005)
        said = err.read_text(errors="replace") if err.exists() else ""
        return code, said, out.read_text(errors="replace") if out.exists() else ""


def _run(line, out, err):
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), number)
    code = 1
    try:
        path = ROOT / "scripts" / f"{line.script}.py"
        if not path.is_file():
            sys.argv = ["cloc-pretrain", line.script.replace("_", "-"), *line.words]
            runpy.run_module("cloc", run_name="__main__")
        else:
            sys.argv = [str(path), *line.words]
            runpy.run_path(str(path), run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def verdict(line, code, said, printed):
    """What is wrong with the answer, or ""."""
    if "Traceback" in said or "Error:" in said.split("\n")[-1]:
        return f"traceback: {said.strip().splitlines()[-1]}"
    if code == 0:
        return "was accepted"
    if code < 0:
        return f"ended by signal {-code}"
    told = [row for row in said.splitlines() if row.strip()]
    if line.script == "check_shards" and code == 1:
        told = [f"error: {row}" for row in printed.splitlines() if "problem" not in row]
    if len(told) != 1 or not told[0].startswith("error: "):
        return f"{len(told)} lines: {said.strip()[-300:]}"
    if not any(name in told[0] for name in line.names):
        return f"does not name {line.names[0]}: {told[0]}"
    return ""


def chosen(everything, count, seed):
    """As many of each command as there are; the same ones for the same seed."""
    by_script = {}
    for line in everything:
        by_script.setdefault(line.script, []).append(line)
    for some in by_script.values():
        random.Random(seed).shuffle(some)
    found = []
    while len(found) < count and any(by_script.values()):
        found += [some.pop() for some in by_script.values() if some][: count - len(found)]
    return found


@contextmanager
def a_place():
    """A folder with all that the commands need, and torch loaded for the forks."""
    for name in (
        *("check_shards", "diagnose", "evaluate", "export", "prepare", "show_batch", "train"),
    ):
        import_module(f"cloc.cli.tasks.{name}")
    import_module("cloc.cli.bench.measurements")
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        try:
            make_place(Path(folder))
            yield Path(folder)
        finally:
            os.chdir(before)


def run(count=200, seed=0):
    """Figures over `count` of the lines; `wrong` lists every answer that is not one line."""
    began = time.perf_counter()
    with a_place() as place:
        everything = list(dict.fromkeys(lines(place)))
        some = chosen(everything, count, seed) if count else everything
        answers = map(partial(_judge, place), some)
        wrong = [answer for answer in answers if answer]
    return {
        "what": "commands",
        "lines": len(some),
        "of": len(everything),
        "tracebacks": sum("traceback" in answer for answer in wrong),
        "seconds": round(time.perf_counter() - began),
        "wrong": wrong,
    }


def _judge(place, line):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = verdict(line, *attempt(line))
        os.chdir(place)
    shown = " ".join(line.words).replace(str(place), "PLACE")
    return f"{line.script} {shown}: {found}" if found else ""


def main(words):
    found = run(*map(int, words))
    print(json.dumps(found, ensure_ascii=False))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
