"""Every key of configs/ has a kind, and a value of another kind is one line that names the key."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cloc.cli.config.check_values import check_values
from cloc.cli.config.compose import compose_config, composed, resolved
from cloc.cli.config.explain import _missing
from cloc.cli.config.folders import CONFIGS, options
from cloc.cli.config.help import _leaves
from cloc.cli.config.kinds import FORMS, Form, _fits, kind
from cloc.cli.config.trust import check_targets
from cloc.errors import UserError

SMOKE = ["experiment=smoke"]
GROUPS = ("losses", "logger", "benchmarks", "trainer", "optimizer", "model", "data", "experiment")
KEPT = ("trainer", "optimizer", "steps", "eval.every", "data.sources", "optimizer.lr", "logger")
CHOICES = [
    # those of experiment= are in tests/configs/test_experiments.py, which composes them anyway
    *(("train", [f"{group}={name}"]) for group in ("data", "optimizer") for name in options(group)),
    *(("train", [f"{group}={name}"]) for group in ("model", "trainer") for name in options(group)),
    *(("train", [f"{group}=[{n}]"]) for group in ("losses", "logger") for n in options(group)),
    *(("export", [f"format={name}"]) for name in options("format")),
    *(("prepare", [f"import={name}"]) for name in options("import")),
    *(("prepare", ["pipeline=vesl", f"engine={name}"]) for name in options("engine")),
    *(
        ("prepare", ["pipeline=vesl", f"{group}={name}"])
        for group in sorted(f"stages/{path.name}" for path in (CONFIGS / "stages").iterdir())
        for name in options(group)
    ),
    *((path.stem, []) for path in sorted(Path(CONFIGS).glob("*.yaml"))),
]


def targets(value):
    """What names code, without its other arguments, of which some are not set."""
    if isinstance(value, dict) and "$" not in str(value.get("_target_", "$")):
        yield {key: value[key] for key in ("_target_", "path") if key in value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        yield from targets(part)


@pytest.mark.parametrize(("name", "given"), CHOICES, ids=lambda x: str(x))
def test_a_key_without_a_default_has_a_kind_and_a_default_is_of_its_kind(name, given):
    check_kinds(name, given)


def check_kinds(name, given):
    """Of all that the command composes."""
    defaults = composed(name, given)[1]
    values = OmegaConf.to_container(defaults, resolve=False)
    parts = list(targets(values))
    if "_target_" in values:  # of an import, which stands at the top alone
        check_targets(OmegaConf.create(parts.pop(0)))
    check_targets(OmegaConf.create({"parts": parts}))
    for key, value in _leaves(values, ""):
        if value in (None, "???"):
            known = kind(defaults, key).form is not Form.ANY or _fits(key, FORMS[Form.ANY])
            assert known, f"{key}: say in cloc/cli/config/kinds.py what it holds"
    if not list(_missing(values, "")):
        check_values(defaults, resolved(defaults))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("steps=abc", "steps=abc; give a whole number of 1 or more"),
        ("steps=1e3", "steps=1000.0; give a whole number of 1 or more"),
        ("steps=0", "steps=0; give a whole number of 1 or more"),
        ("steps=[1,2]", r"steps=\[1,2\]; give a whole number"),
        ("steps=null", "steps=null; give a whole number"),
        ("optimizer.lr=-1", "optimizer.lr=-1; give a number above 0"),
        ("optimizer.lr=nan", "optimizer.lr=nan; give a number above 0"),
        ("optimizer.betas=[0.9]", r"optimizer.betas=\[0.9\]; give 2 numbers, as \[a,b\]"),
        ("optimizer.betas=[0.9,2]", r"optimizer.betas=\[0.9,2\]; give 2 numbers"),
        (
            "model.tower.norm_balance=0",
            r"norm_balance=0; give a number, or \{learned: number\}, abo",
        ),
        (
            "model.tower.norm_balance={learned:-1}",
            r"norm_balance=\{learned:-1\}; give a number, or",
        ),
        ("model.region_head.norm_balance={a:1}", r"norm_balance=\{a:1\}; give a number, or"),
        ("model.region_head.layers=[]", r"layers=\[\]; give a list of numbers"),
        ("model.region_head.layers=[0]", r"layers=\[0\]; give a list of numbers"),
        (
            "data.sources.train.weight=nope",
            "weight=nope; give a number, or .step: number., each fr",
        ),
        ("data.sources.train.weight={0: 2}", "weight={0:2}; give a number, or .*from 0 to 1"),
        ("data.sources.train.parse=nope", "parse=nope; data.sources.train.parse holds other keys"),
        ("data.sources.train.parse={}", r"parse=\{\} is no part; give .*parse\._target_="),
        ("data.sources.train.parse={a: b}", r"train.parse=\{a:b\} is no part; .* leave data"),
        ("compile=1", "compile=1; give true or false"),
        ("ema.decay=2", "ema.decay=2; give a number from 0 to 1, or null"),
        (
            "rates=3",
            "rates=3; rates holds other keys: rates.factors, rates.layer_decay, rates.wait",
        ),
        ("eval=null", "eval=null; eval holds other keys: eval.splits, "),
        ("freeze=true", "freeze=true; give a list of texts"),
        ("lora=yes", "lora=yes; give a mapping, such as {key: value}, or null"),
        ("model.tower.config=[a]", None),
        ("seed=${nope}", r"seed points at what is not there \("),
        ("seed=${seed}", r"seed points at what is not there \("),
        ("steps=(1", r"steps=\(1 is no KEY=VALUE that can be read"),
        ("=5", "=5 "),
        ("nope", "nope is no KEY=VALUE"),
        ("optimizer=3", "optimizer=3 names no file of configs/optimizer; give adamw, "),
        *((f"{g}=null", f"{g}=null names no file of configs/{g}; give ") for g in GROUPS),
        ("losses=[]", r"losses=\[\] names no file of configs/losses; give "),
        *((f"~{k}", f"~{k}: this key cannot be taken away; give {k}=") for k in KEPT),
        ("~sed", "sed is not a key of this command; did you mean seed"),
        ("hydra=3", "hydra=3: settings of Hydra itself"),
        ("hydra.verbose=true", "settings of Hydra itself"),
        ("+losses.x=1", r"losses\.x=1 is no part; give losses\.x\._target_="),
        ("+losses.x={}", r"losses\.x=\{\} is no part"),
        ("+losses.x=null", r"losses\.x=null is no part"),
        ("+benchmarks.x=1", r"benchmarks\.x=1 is no part"),
        ("+data.sources.b.shards=x", r"data\.sources\.b has no .*weight.*; a second source is"),
        ("eval.splits={a: x, a: y}", "a is there twice; keep one"),
        ("eval.splits={a}", r"write eval\.splits=\{NAME: PATH\}"),
    ],
)
def test_a_value_of_another_kind_is_one_line(override, says):
    if says is None:
        assert compose_config("train", [*SMOKE, override]).model.tower.config == "[a]"
        return
    with pytest.raises(UserError, match=says) as error:
        compose_config("train", [*SMOKE, override])
    assert "\n" not in str(error.value)


def test_an_option_whose_value_is_null_can_be_taken_away():
    cfg = composed("train", [*SMOKE, "~optimizer.fused", "~losses.grounding"])[1]
    assert "fused" not in cfg.optimizer
    assert "grounding" not in cfg.losses


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ([[0.0, 0.5], [0.5, 1.0]], Form.ANY),
        ([True, False], Form.ANY),
        ([None, 1.0], Form.ANY),
        ([{"a": 1}], Form.ANY),
        ([1, 0.5], Form.NUMBERS),
        (["a"], Form.LIST),
        ([], Form.LIST),
    ],
)
def test_a_list_of_ones_own_part_may_hold_anything(value, form):
    assert kind(OmegaConf.create({"mine": {"bins": value}}), "mine.bins").form is form


@pytest.mark.parametrize(
    "override",
    [
        *("model.region_head=null", "eval.limit=null", "trainer.devices=[0,1]", "optimizer.lr=1"),
        *("region_context=full", "lora={rank: 8, alpha: 16, targets: [a]}", "rates.wait={}"),
        *("data.sources.train.weight={0: 1.0}", "model.tower.config=ViT-B-16", "ema.decay=0.9"),
    ],
)
def test_all_of_a_keys_values_pass(override):
    defaults, cfg = composed("train", [*SMOKE, override])
    check_values(defaults, resolved(cfg))


@pytest.mark.parametrize("value", ["3", "abc"])
def test_names_beside_a_value_that_holds_none_are_one_line(value):
    given = [*SMOKE, f"eval.splits={value}", "eval.splits.val=x"]
    with pytest.raises(UserError, match=f"eval.splits={value} beside eval.splits.val=; write"):
        compose_config("train", given)
