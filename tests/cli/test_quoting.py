"""Paths, names and texts arrive as typed, in every key that holds one."""

import itertools
import random
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cloc.cli.config.compose import compose_config, frozen, make, plain
from cloc.cli.config.kinds import Form, Kind
from cloc.cli.config.quoting import is_override, literal, quoted
from cloc.cli.launch.job import Job
from cloc.cli.launch.sweep import combinations
from cloc.errors import UserError
from tests.helpers.commands import ROOT

NAMES = (
    *("photos (2024)", "a=b", "it's", "set[v2]", "日本", "2024_11", "1e3", "null", "true", "007"),
    *("a,b", "{x}", "~/x", " both ends ", 'say "hi"', "'quoted'", '"quoted"', "${name}", "a${b}/c"),
    *(
        "${oc.env:HOME}",
        "${",
        "\\${name}",
        "\\\\${x",
        "100%",
        "#1",
        "a: b",
        "a #b",
        "C:\\new\\",
        "\\",
    ),
    *("*", "a?", "[v2]", "[a,b]", "(", ")", "a(b", "}", "-1", "+x", "~", "!!python/name:x", "&a"),
    *("- a", "12:30", "2024-11-29", "nan", ".inf", "0x10", "on", "No", "...", "a\tb", "a\nb", "@"),
    *(
        "choice(a,b)",
        "range(1,3)",
        "glob(*)",
        "|",
        ">",
        "`x`",
        "é",
        "x" * 300,
        "=",
        "==",
        "$",
        "$$",
    ),
)


def readings(cfg):
    """The composed configuration, the frozen one of it, that of a resumed run, and plain YAML."""
    text = OmegaConf.to_yaml(cfg, resolve=True)
    again = Job(text, 0).cfg()
    return cfg, again, frozen(OmegaConf.to_yaml(again, resolve=True)), yaml.safe_load(text)


def test_a_text_arrives_as_typed_and_stays_so_in_the_frozen_config():
    splits = [f"+eval.splits.x{i}={text}" for i, text in enumerate(NAMES)]
    for found in readings(compose_config("train", ["experiment=smoke", *splits])):
        for i, text in enumerate(NAMES):
            split = found["eval"]["splits"][f"x{i}"]
            assert split == {"[a,b]": ["a", "b"], "[v2]": ["v2"]}.get(text, text)


def test_in_a_mapping_of_places_paths_arrive_as_typed():
    texts = [t for t in NAMES if not set(t) & set("[]{},'\"") and t.strip() == t]
    assert len(texts) > 40
    inner = ", ".join(f"x{i}: {text}" for i, text in enumerate([*texts, "a/{00..03}.tar"]))
    found = compose_config("train", ["experiment=smoke", f"eval.splits={{{inner}}}"]).eval.splits
    assert [found[f"x{i}"] for i in range(len(texts) + 1)] == [*texts, "a/{00..03}.tar"]


@pytest.mark.parametrize("name", ["v1.0", "日本", "my val", "1e3", "2024_11", "set[v2]"])
def test_a_split_of_any_name_is_named_so(name):
    given = [f"eval.splits.{name}=a", f"eval.splits={{b: c, {name} 2: d}}"]
    found = compose_config("train", ["experiment=smoke", *given])["eval"]["splits"]
    assert (found[name], found["b"], found[f"{name} 2"]) == ("a", "c", "d")


def test_a_pattern_with_an_equals_sign_is_a_path_where_it_finds_something(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_override("dt=2024/*.tar")
    (tmp_path / "dt=2024").mkdir()
    (tmp_path / "dt=2024/a-000.tar").touch()
    for word in ("dt=2024/*.tar", "dt=2024/a-{000..000}.tar", "dt=2024/a-000.tar"):
        assert not is_override(word)
    assert is_override("write_index=true")
    assert is_override("~index_folder")
    assert is_override("out={a")


@pytest.mark.parametrize("text", ["2024_11", "photos (2024)", "null", "${name}", "it's \\"])
def test_a_run_of_any_name_is_named_so_where_other_keys_point_at_it(text):
    given = [f"name={text}", f"runs={text}", f"data.train={text}", f"start=./{text}"]
    for found in readings(compose_config("train", ["experiment=smoke", *given])):
        assert (found["name"], found["start"]) == (text, f"./{text}")
        assert found["logger"]["jsonl"]["folder"] == f"{text}/{text}"
        assert make(found["data"]["sources"]["train"]).shards == text


KEYS = [
    ("evaluate", [], "run"),
    ("evaluate", [], "encoder"),
    ("evaluate", [], "twin"),
    ("evaluate", ["run=x"], "out"),
    ("evaluate", [], "++splits.val"),
    ("export", ["out=x"], "run"),
    ("export", ["run=x"], "out"),
    ("export", ["run=x", "out=y"], "images"),
    ("show_batch", ["experiment=smoke"], "out"),
    ("train", ["experiment=smoke"], "data.train"),
    ("train", ["experiment=coco_mini"], "data.root"),
    ("train", ["experiment=smoke"], "checkpoints"),
    ("train", ["experiment=smoke", "data=mixed", "data.train=x"], "data.captions"),
    ("train", ["experiment=smoke"], "data.sources.train.shards"),
    ("prepare", ["import=coco", "images=x"], "out"),
    ("prepare", ["import=coco", "out=x"], "images"),
    ("prepare", ["import=coco", "out=x", "images=y"], "instances"),
    ("prepare", ["import=folder", "out=x", "images=y"], "captions"),
    ("prepare", ["import=folder", "out=x", "images=y"], "caption_key"),
    ("prepare", ["import=lvis", "out=x", "images=y"], "train"),
    ("prepare", ["import=lvis", "out=x", "images=y"], "val"),
    ("prepare", ["import=refcoco", "out=x", "images=y", "instances=z"], "refs"),
    ("prepare", ["import=webdataset", "out=x"], "shards"),
    ("prepare", ["pipeline=vesl", "out=x"], "input"),
    ("prepare", ["pipeline=vesl", "out=x", "input=x", "stages/detect=cloc"], "stages.detect.model"),
    (
        "prepare",
        ["pipeline=vesl", "out=x", "input=x", "stages/recaption=transformers"],
        "stages.recaption.prompt",
    ),
]


@pytest.mark.parametrize(("name", "others", "key"), KEYS, ids=lambda x: str(x)[:40])
def test_every_key_of_the_kind_takes_every_text(name, others, key):
    text = next(TEXTS)
    cfg = compose_config(name, [*others, f"{key}={text}"])
    assert OmegaConf.select(cfg, key.lstrip("+")) == text


TEXTS = itertools.cycle(("photos (2024)", "2024_11", "it's", "a,b", "${out}", "1e3", " ~/x "))


def test_null_is_the_value_null_where_the_key_may_have_none_and_else_a_name():
    cfg = compose_config("train", ["experiment=finetune_joint", "start=null", "name=null"])
    assert (cfg.start, cfg.name) == (None, "null")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[a,b]", ["a", "b"]),
        ("[photos (2024)/a.tar, it's,1e3 ,null]", ["photos (2024)/a.tar", "it's", "1e3", "null"]),
        ("['a,b',\"c]\"]", ["a,b", "c]"]),
        ("[s3://x/{a,b}.tar,[v2],x[0,1].tar]", ["s3://x/{a,b}.tar", "[v2]", "x[0,1].tar"]),
        ("[${name}]", ["${name}"]),
    ],
)
def test_a_list_of_paths_holds_them_as_typed(text, parts):
    cfg = compose_config("train", ["experiment=smoke", f"data.train={text}"])
    assert list(cfg.data.train) == list(cfg.data.sources.train.shards) == parts


def test_a_folder_whose_name_is_a_list_is_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("[a,b]").mkdir()
    assert compose_config("train", ["experiment=smoke", "data.train=[a,b]"]).data.train == "[a,b]"
    assert compose_config("train", ["experiment=smoke", "freeze=[a,b]"]).freeze == ["a", "b"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("freeze=image_tower", r"freeze=image_tower; give a list of texts, such as \[a,b\]"),
        ("data.train=[]", r"data.train=\[\]; give a text, or several as \[a,b\]"),
        ("name=", "name=; give a text"),
    ],
)
def test_what_cannot_arrive_as_typed_is_refused(override, says):
    with pytest.raises(UserError, match=says):
        compose_config("train", ["experiment=smoke", override])


def test_values_of_a_sweep_are_the_parts_between_commas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["experiment=smoke", "name=photos (2024),'a,b',1e3", "seed=1,2"]
    names = [job[1] for job in combinations(given)]
    assert names == [f"name={x}" for x in ("photos (2024)", "a,b", "1e3") for _ in range(2)]
    Path("a,b").mkdir()
    assert combinations(["experiment=smoke", "data.train=a,b"])[0][1] == "data.train=a,b"
    assert len(combinations(["experiment=smoke", "data.train=[a,b],c"])) == 2


def test_words_of_any_letters_pass_hydra_and_omegaconf():
    """Fails where a backslash before a quote or before `${` is not doubled."""
    letters = ["\\", "$", "{", "}", "'", '"', "a", ",", "${", "${a}", " ", "(", "=", "\n", "[", ":"]
    draw = random.Random(0)
    texts = ["".join(draw.choices(letters, k=draw.randint(1, 7))) for _ in range(60)]
    words = [quoted(f"+x{i}={text}", lambda key: Kind(Form.TEXT)) for i, text in enumerate(texts)]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("check_shards", words)
    assert [cfg[f"x{i}"] for i in range(len(texts))] == texts
    data = {"x": [{"y": text} for text in texts]}
    assert plain(OmegaConf.create(literal(data))) == data
    assert make(data) == data


def test_several_entries_of_a_mapping_that_has_none_are_added():
    cfg = compose_config("evaluate", ["run=x", "splits={val: a/b, novel: [c, d]}"])
    assert cfg.splits == {"val": "a/b", "novel": ["c", "d"]}
