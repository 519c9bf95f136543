"""`cloc.load` on run folders and exports: the same model comes back, or one line says why not."""

import json
import subprocess
import sys
import uuid

import pytest
import torch
from safetensors.torch import load_file, save_file

import cloc
from cloc.checkpoints.locations import place_of
from cloc.errors import UserError
from cloc.export.formats.open_clip import OpenCLIP
from cloc.models.build import build_model
from cloc.models.load import load_model
from cloc.training.checkpoint_io import CheckpointFolders
from tests.helpers.checkpoints import replace_file, save, save_run
from tests.helpers.models import CONFIGS, NATIVE, PROMPTER, make_model, model_batch
from tests.helpers.probe import probe_of


@pytest.fixture
def run(tmp_path):
    """A run folder as training leaves it."""
    save_run(tmp_path / "run", make_model())
    return tmp_path / "run"


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    model = make_model()
    OpenCLIP().export(model, folder, probe_of(model))
    return folder


@torch.no_grad()
def assert_same(a, b):
    batch = model_batch(a)
    ours, theirs = a(batch)._asdict(), b(batch)._asdict()
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert value.equal(theirs[name]), name
        else:
            assert value == theirs[name], name


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_comes_back_exactly(tmp_path, kind):
    torch.manual_seed(0)
    model = build_model(
        {"config": CONFIGS[kind], "mean": (0.5,) * 3, "std": (0.4,) * 3},
        region_head=PROMPTER,
        box_head={},
    ).eval()
    save_run(tmp_path, model)
    embedder = cloc.load(tmp_path)
    assert_same(model, embedder.model)
    assert not embedder.model.training


def test_an_export_comes_back_exactly(export):
    assert_same(make_model(), cloc.load(str(export)).model)


@pytest.mark.parametrize("parts", [{"region_head": None}, {"region_head": {"kind": "roi_align"}}])
def test_a_plain_clip_and_an_ablation_come_back_from_both(tmp_path, parts):
    model = make_model(**parts)
    save_run(tmp_path, model)
    assert_same(model, load_model(tmp_path).eval())
    (tmp_path / "export").mkdir()
    OpenCLIP().export(model, tmp_path / "export", probe_of(model))
    assert (tmp_path / "export" / "region_head").exists() is (parts["region_head"] is not None)
    assert_same(model, load_model(tmp_path / "export").eval())


def refuse(path, reason):
    with pytest.raises(UserError, match=reason) as error:
        cloc.load(path)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_checkpoint_is_named(tmp_path):
    refuse(tmp_path, r"holds no checkpoint: train it first")
    refuse(tmp_path / "none", r"none holds no checkpoint: there is no such folder")


@pytest.mark.parametrize("name", ["onnx_config.json", "torch_export_config.json"])
def test_an_export_of_graphs_is_no_model(tmp_path, name):
    (tmp_path / name).write_text("{}")
    refuse(tmp_path, r"holds graphs for other runtimes, not the model; give runs/NAME, or")


def test_a_run_whose_files_do_not_fit_is_named(run):
    config = run / "checkpoints/step-00000001/cloc_config.json"
    whole = json.loads(config.read_text())
    cases = {
        r"model\.safetensors does not fit its cloc_config\.json: .*size mismatch": {
            **whole,
            "region_head": {**PROMPTER, "mlp_ratio": 2.0},
        },
        r"does not fit its cloc_config\.json: .*box_head": {**whole, "box_head": None},
        r"not the description of a model \(it holds \['run'\], expected .*'tower'\]": {
            **whole,
            "run": "rm -r",
        },
        r"not the description of a model \(it holds no tower": {"box_head": None},
        r"not the description of a model \(it holds \['list'\]": [],
    }
    for reason, description in cases.items():
        replace_file(run, 1, "cloc_config.json", json.dumps(description).encode())
        refuse(run, reason)
    for head in ([1], {"kind": "prompter", "num_heads": "two"}):
        strange = json.dumps({**whole, "region_head": head}).encode()
        replace_file(run, 1, "cloc_config.json", strange)
        refuse(run, r"cloc_config\.json describes no model that can be built: ")
    replace_file(run, 1, "cloc_config.json", b"{")
    refuse(run, r"cloc_config\.json is not the description of a model")


def test_a_damaged_checkpoint_is_named(run, export):
    folder = run / "checkpoints/step-00000001"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    refuse(
        run, r"^no checkpoint is whole \(.*model\.safetensors has 1000 bytes, .* were saved\); re"
    )
    (folder / "cloc_config.json").unlink()
    (export / "open_clip_model.safetensors").write_bytes(b"")
    refuse(export, r"open_clip cannot load ")


def test_instead_of_a_damaged_checkpoint_the_one_before_is_loaded_with_a_warning(run):
    model = make_model(seed=1)
    weights = save_run(run, model, step=2) / "model.safetensors"
    assert_same(load_model(run).eval(), model)
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    with pytest.warns(UserWarning, match="step-00000002 is damaged: .*; step 1 is loaded instead"):
        found = load_model(run)
    assert_same(found.eval(), make_model())


def test_a_run_is_loaded_from_where_its_checkpoints_are(tmp_path):
    model = make_model()
    folders = CheckpointFolders(place_of(tmp_path, f"memory://{uuid.uuid4()}/run"))
    folders.place.clean()
    save(folders, model, 3)
    assert_same(load_model(tmp_path).eval(), model)


def test_an_export_that_is_not_whole_is_named(export):
    weights = export / "region_head" / "region_head.safetensors"
    state = load_file(weights)
    state.pop("box_head.mlp.0.weight")
    save_file(state, weights)
    refuse(export, r"region_head\.safetensors does not fit .*box_head\.mlp\.0\.weight")
    for name in ("region_head.safetensors", "cloc_config.json"):
        path = export / "region_head" / name
        kept = path.read_bytes()
        path.unlink()
        refuse(export, rf"{name} is missing: the export is not whole; export")
        path.write_bytes(kept)
    config = export / "region_head" / "cloc_config.json"
    config.write_text('{"tower": {}, "region_head": [1]}')
    refuse(export, r"cloc_config\.json describes no model that can be built: ")
    config.unlink()
    (export / "open_clip_model.safetensors").unlink()
    config.write_text('{"tower": {}}')
    refuse(export, r"open_clip cannot load ")


def test_the_tower_of_an_export_must_be_the_one_beside_it(export):
    config = json.loads((export / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["layers"] = NATIVE["vision_cfg"]["layers"] + 1
    (export / "open_clip_config.json").write_text(json.dumps(config))
    refuse(export, r"open_clip cannot load .*resblocks\.2")


def test_importing_cloc_alone_loads_no_torch():
    check = "import sys, cloc; assert 'torch' not in sys.modules; assert not hasattr(cloc, 'x')"
    subprocess.run([sys.executable, "-c", check], check=True)
    with pytest.raises(AttributeError, match="'cloc' has no attribute 'save'"):
        _ = cloc.save


def test_the_moving_average_of_a_run_is_loaded_where_it_is_asked_for(run):
    says = r"no whole moving average .*not list ema\.safetensors.*; train with ema\.decay"
    with pytest.raises(UserError, match=says):
        load_model(run, ema=True)
    average = make_model(seed=3)
    save_run(run, make_model(), step=2, average=average.state_dict())
    assert_same(average, cloc.load(run, ema=True).model)
    assert_same(make_model(), cloc.load(run).model)


@pytest.mark.parametrize("choice", [{"ema": True}, {"wise_ft": 0.5}])
def test_an_export_has_one_set_of_weights_and_no_choice(export, choice):
    with pytest.raises(UserError, match=r"(ema=true|wise_ft=0\.5) is for a run: give runs/NAME"):
        cloc.load(export, **choice)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused_and_named(tmp_path, number):
    model = make_model()
    model.box_head.mlp[0].weight.data[0, 1] = number
    save_run(tmp_path / "run", model)
    with pytest.raises(UserError, match=r"run: the weights of box_head\.mlp\.0\.weight are"):
        cloc.load(tmp_path / "run")
    with pytest.raises(UserError, match=r"box_head\.mlp\.0\.weight are not finite"):
        build_model({"start": f"run:{tmp_path / 'run'}"})


def test_a_moving_average_that_is_not_finite_is_refused_and_the_weights_are_not(tmp_path):
    average = make_model()
    average.tower.clip.visual.proj.data[0, 0] = torch.nan
    save_run(tmp_path, make_model(), average=average.state_dict())
    cloc.load(tmp_path)
    with pytest.raises(UserError, match=r"tower\.clip\.visual\.proj are not finite"):
        cloc.load(tmp_path, ema=True)
