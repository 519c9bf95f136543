"""Code that a configuration may not name, however it is written, and how one's own is named."""

import functools
import importlib
import json
import sys
import types

import pytest
import torch
from omegaconf import OmegaConf

from cloc.cli.config.compose import compose_config, make
from cloc.cli.config.instantiate import built
from cloc.cli.config.trust import CLASSES, check_targets, trust_of
from cloc.cli.launch.job import Job
from cloc.errors import UserError
from tests.configs.test_experiments import CONFIGS
from tests.faults.targets import leads_out

ORDER = "cloc.data.stream.order.Shuffle"
RUN = ("experiment=smoke",)


def check(*targets, trust=()):
    parts = [{"_target_": target} for target in targets]
    check_targets(OmegaConf.create({"parts": parts}), trust)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.load",
        "webdataset.autodecode.unpickle_loads",
        "lightning.fabric.utilities.cloud_io._load",
        "lightning.pytorch.utilities.os.system",
        "lightning.pytorch.cli.LightningCLI",
        "cloc_other.Loss",
        "subprocess.Popen",
        "cloc.models.towers.torch.load",
        "cloc.models.load.load",
        "data_prep.job.write_json",
        "data_prep.engine_loop.drive",
        "data_prep.engines.slurm_array._submit",
    ],
)
def test_code_from_elsewhere_is_refused_by_name(target):
    with pytest.raises(UserError, match=r"^losses\.x\._target_=[\w.]+ is (code|a command)") as said:
        compose_config("train", [*RUN, f"+losses.x._target_={target}"])
    package = target.partition(".")[0]
    assert f"if you trust it, add +trust=[{package}]" in str(said.value) or "cli" in target


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("cloc.data.shards.index.np.load", "cannot be imported"),
        ("cloc.losses.region_text.torch.load", "cannot be imported"),
        ("cloc.losses.region_text.torch.hub.load", "cannot be imported"),
        ("lightning.pytorch.loggers.wandb.os.system", "cannot be imported"),
        ("torch.optim.adamw.torch.load", "cannot be imported"),
        ("lightning.pytorch.plugins.TorchCheckpointIO.load_checkpoint", "cannot be imported"),
        ("lightning.pytorch.plugins.TorchCheckpointIO", "code from elsewhere"),
        ("lightning.pytorch.strategies.DDPStrategy.load_checkpoint", "cannot be imported"),
        ("cloc.losses.region_text.RegionText.__call__", "is code that no"),
        ("cloc.losses.region_text.torch", "is no class, but a module"),
        ("cloc.data.shards.writer.Path", r"is pathlib\.Path, which is code from elsewhere"),
        ("cloc.eval.runner.evaluate", "is no class, but a function"),
        ("cloc.training.callbacks.preempt.requeue_slurm_job", "is no class, but a function"),
        ("data_prep.engines.ray.start_ray", "is no class, but a function"),
        ("cloc.losses.none_such.Loss", "cannot be imported: No module named"),
        ("cloc.losses.region_text.NoneSuch", "cannot be imported: .*has no attribute"),
        ("cloc.losses..region_text.RegionText", "is no dotted name"),
    ],
)
def test_a_name_that_only_passes_through_ours_is_refused(target, words):
    with pytest.raises(UserError, match=rf"^parts\[0\]\._target_=.*{words}"):
        check(target)


@pytest.mark.parametrize(
    "target",
    [
        "cloc.data.shards.writer.write_shard",
        "cloc.data.shards.writer.write_shards",
        "cloc.data.shards.index.write_index",
        "cloc.data.shards.remote.fetch",
        "data_prep.importers.shared.tars.tar_samples",
        "cloc.training.optim.clippable",
    ],
)
def test_a_function_that_writes_or_fetches_is_no_part(target):
    with pytest.raises(UserError, match="is no class, but a function"):
        check(target)


@pytest.mark.parametrize(
    "target",
    [
        "data_prep.importers.folder.write_folder",
        "cloc.scenes.generate.write_scenes",
        "cloc.scenes.depth.generate.write_scenes",
    ],
)
def test_an_importer_stands_at_the_top_of_an_import_alone(target):
    with pytest.raises(UserError, match="writes files: only import= of cloc-pretrain prepare"):
        check(target)
    check_targets(OmegaConf.create({"_target_": target}))


def test_nothing_is_imported_before_every_name_has_been_looked_at(monkeypatch):
    monkeypatch.delitem(sys.modules, "cloc.losses.clipself", raising=False)  # and put back
    with pytest.raises(UserError, match=r"os\.system is code"):
        check("cloc.losses.clipself.CLIPSelf", "os.system")
    assert "cloc.losses.clipself" not in sys.modules


@pytest.mark.parametrize(
    "target",
    [
        "cloc.cli.train.main",
        "cloc.cli.config.compose.cli",
        "cloc.cli.launch.sweep.sweep",
        "cloc.cli.region_demo.main",
    ],
)
@pytest.mark.parametrize(
    "trust", [(), ("cloc.cli.train", "cloc.cli.config.compose", "cloc.cli.launch.sweep", "cloc")]
)
def test_a_command_is_never_part_of_a_configuration(target, trust):
    with pytest.raises(UserError, match="is a command, which no configuration may name"):
        check(target, trust=trust)
    for hydras in ("hydra.utils.instantiate", "hydra.utils.call", "hydra.utils.get_object"):
        with pytest.raises(UserError, match="is a command"):
            check(hydras, trust=trust)
    with pytest.raises(UserError, match="is a command"):
        check("tests.faults.__main__.main", trust=("tests",))


@pytest.mark.parametrize("lookup", ["get_method", "get_class"])
def test_what_is_looked_up_by_path_is_code_too(lookup):
    def part(**settings):
        return OmegaConf.create({"x": {"_target_": f"hydra.utils.{lookup}", **settings}})

    with pytest.raises(UserError, match=r"x\.path=os\.system is code"):
        check_targets(part(path="os.system"))
    for more in ({"_args_": ["os.system"]}, {"_partial_": True}, {"obj": 1}):
        with pytest.raises(UserError, match="takes a path and nothing else"):
            check_targets(part(path="cloc.data.sources.cloc_regions.parse", **more))
    with pytest.raises(UserError, match=r"x\.path=.* is no dotted name"):
        check_targets(part(path={"_target_": ORDER}))
    with pytest.raises(UserError, match=r"data\.parse\.path=os\.system is code"):
        compose_config("train", [*RUN, "data.parse.path=os.system"])


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"a": [{"b": {"_target_": "builtins.exec"}}]}, r"a\[0\]\.b"),
        (
            {"a": {"_target_": ORDER, "_args_": [{"_target_": "os.x"}]}},
            "a",
        ),
        (
            {
                "a": {
                    "_target_": ORDER,
                    "_recursive_": False,
                    "b": [[{}]],
                }
            },
            None,
        ),
        ({"a": {"_target_": "${b}"}, "b": "os.system"}, r"a\._target_=os\.system"),
        ({"a": "${oc.create:{_target_:os.system}}"}, r"a\._target_=os\.system"),
        ({"a": "${oc.decode:'{_target_: os.system}'}"}, r"a\._target_=os\.system"),
        ({"a": {"_target_": 5}}, r"a\._target_=5 is no dotted name"),
        ({"a": {"_target_": None}}, r"a\._target_=None is no dotted name"),
        ({"a": {"_target_": ["os.system"]}}, "is no dotted name"),
        ({"a": {"_target_": "system"}}, r"a\._target_=system is code"),
        ({"_target_": "os.system"}, r"^_target_=os\.system is code"),
    ],
)
def test_a_target_is_found_wherever_it_hides(config, key):
    if key is None:
        check_targets(OmegaConf.create(config))
        return
    with pytest.raises(UserError, match=key):
        check_targets(OmegaConf.create(config))


def test_text_that_was_settled_is_never_read_again(tmp_path):
    """Hydra's own `instantiate` reads `${...}` anew, whatever was looked at before."""
    mark = tmp_path / "ran"
    evil = f"oc.create:{{_target_:os.system,command:'touch {mark}'}}"
    for depth in range(4):
        escaped = "\\" * (2**depth - 1) + "${" + evil + "}"
        cfg = OmegaConf.create({"x": {"y": escaped}})
        try:
            check_targets(cfg)
        except UserError:
            continue
        make(cfg)
        make(OmegaConf.to_container(cfg, resolve=True))
        try:
            make(Job(OmegaConf.to_yaml(cfg, resolve=True), 0).cfg())
        except UserError:
            continue
    assert not mark.exists()
    assert make({"a": "x${y}", "b": ["\\${z}"]}) == {"a": "x${y}", "b": ["\\${z}"]}


def mine(monkeypatch, **things):
    """A package of one's own, with what it takes from elsewhere."""
    module = types.ModuleType("mine")
    exec("class Loss:\n    pass\n\ndef make(a=1):\n    return a\n", module.__dict__)
    for name, thing in things.items():
        setattr(module, name, thing)
    monkeypatch.setitem(sys.modules, "mine", module)


def test_a_package_of_ones_own_is_named_on_the_command_line(monkeypatch):
    mine(monkeypatch)
    own = "+losses.x._target_=mine.Loss"
    assert compose_config("train", [*RUN, own, "+trust=[mine]"]).losses.x._target_ == "mine.Loss"
    for said in ("+trust=mine", "trust=[mine]", "++trust=[other,mine]"):
        compose_config("train", [*RUN, own, said])
    with pytest.raises(UserError, match=r"mine2\.Loss is code"):
        compose_config("train", [*RUN, "+losses.x._target_=mine2.Loss", "+trust=[mine]"])
    assert "trust" not in compose_config("train", [*RUN, own, "+trust=[mine]"])
    for wrong in ("+trust=[1]", "+trust={a: b}", "+trust=", "~trust", "+trust.0=mine", "trust=a-b"):
        with pytest.raises(UserError, match=r"write \+trust=\[package\]"):
            compose_config("train", [*RUN, wrong])


def test_what_a_trusted_package_takes_from_elsewhere_is_not_trusted(monkeypatch):
    class Runs:
        def run(self):
            pass

    mine(
        monkeypatch,
        load=torch.load,
        torch=torch,
        half=functools.partial(torch.load, weights_only=False),
        bound=Runs().run,
        thing=Runs(),
        size=len,
        instantiate=importlib.import_module("hydra.utils").instantiate,
    )
    check("mine.Loss", "mine.make", trust=["mine"])
    for name, words in {
        "load": r"is torch\.serialization\.load, which is code from elsewhere",
        "torch.load": "cannot be imported",
        "half": "is no class or function, but a partial",
        "bound": "is no class or function, but a method",
        "thing": "is no class or function, but a Runs",
        "size": "is no class or function, but a builtin",
        "instantiate": "code from elsewhere",
        "Loss.__init__": "cannot be imported",
    }.items():
        with pytest.raises(UserError, match=words):
            check(f"mine.{name}", trust=["mine"])


def test_a_file_cannot_grant_itself_trust(tmp_path, monkeypatch):
    from cloc.cli.config import compose

    (tmp_path / "evil.yaml").write_text("trust: [mine]\nx: {_target_: mine.Loss}\n")
    monkeypatch.setattr(compose, "CONFIGS", tmp_path)
    mine(monkeypatch)
    for said in ([], ["+trust=[other]"], ["+trust=[mine]"]):
        with pytest.raises(UserError, match=r"a file of this configuration sets trust.*\+trust="):
            compose_config("evil", said)
    # nor the text of a run, in its other processes: what they trust is said beside it
    text = "x: {_target_: mine.Loss}\n"
    with pytest.raises(UserError, match=r"mine\.Loss is code"):
        Job(text, 0).cfg()
    with pytest.raises(UserError, match="sets trust"):
        Job(f"trust: [mine]\n{text}", 0).cfg()
    job = Job(text, 0, tuple(trust_of(["+trust=[mine]", "a=b"])[0]))
    assert Job.load(job.dump()).cfg().x._target_ == "mine.Loss"


def test_every_part_that_our_files_name_is_allowed():
    found = 0
    for path in sorted(CONFIGS.rglob("*.yaml")):
        cfg = OmegaConf.load(path)
        for part in _targets(OmegaConf.to_container(cfg, resolve=False)):
            whole = part if path.parent.name == "import" else {"part": part}
            check_targets(OmegaConf.create(whole))
            found += 1
    assert found > 50


def _targets(value):
    """Alone, without the settings beside it, which may point at other files."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield {key: value[key] for key in ("_target_", "path") if key in value}
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _targets(inner)


def test_no_dotted_path_through_a_trusted_module_leads_out_of_it():
    """All that these modules hold, and every fifth of what that holds in turn; the rest, and
    modules that nothing here has imported, are tried by `make faults` (tests/faults/targets.py)."""
    loaded = [m for n, m in sorted(sys.modules.items()) if n.startswith(CLASSES) and m]
    tried, allowed, wrong = leads_out(loaded, every=5)
    assert wrong == []
    assert tried > 5_000
    assert 200 < allowed < 3_000


def test_parts_are_called_with_what_is_written_and_misspelt_options_are_named(monkeypatch):
    mine(monkeypatch)
    assert built({"a": {"_target_": "mine.make", "_args_": [{"b": [1]}]}}) == {"a": {"b": [1]}}
    half = built({"_target_": "mine.make", "_partial_": True, "a": {"_target_": "mine.make"}})
    assert isinstance(half, functools.partial)
    assert half() == 1
    inner = {"_target_": "mine.make"}
    assert built({"_target_": "mine.make", "_recursive_": False, "a": inner}) == inner
    for more in ({}, {"_partial_": True}):
        with pytest.raises(UserError, match=r"^x: .*unexpected keyword argument 'b'; make has a$"):
            built({"x": {"_target_": "mine.make", "b": 2, **more}})
    with pytest.raises(UserError, match="missing a required argument"):
        make({"_target_": "cloc.data.stream.mixture.Source"})


def test_a_job_of_an_earlier_version_has_no_trust():
    assert Job.load(json.dumps(["a: 1\n", 5])) == Job("a: 1\n", 5)
