"""The export command: what it refuses before the slow part, and what it leaves behind."""

import errno
import json

import pytest

from cloc.cli import export
from cloc.cli.config.compose import compose_config, make
from cloc.errors import UserError
from cloc.export.formats.timm import Timm
from tests.helpers.checkpoints import save_run
from tests.helpers.models import make_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    save_run(run, make_model())
    return run


@pytest.fixture
def command(saved, tmp_path):
    return [f"run={saved}", "format=timm", f"out={tmp_path}/out"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("precision=float8", "precision=float8; choose from float32, float16, bfloat16"),
        ("wise_ft=half", "wise_ft=half; give a number from 0 to 1"),
        ("ema=maybe", "ema=maybe; give true or false"),
        ("license=[a,b]", r"license=\[a,b\]; give one of the hub's words"),
        ("push=model", "push=model; write push=ORG/NAME"),
        (
            "format.precision=half",
            "format.precision=half follows precision; give precision=float32",
        ),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_written(command, tmp_path, override, says):
    with pytest.raises(UserError, match=says):
        export.main([*command, override])
    assert not list(tmp_path.iterdir())


def test_pictures_that_are_none_are_named(command, tmp_path):
    (tmp_path / "a.jpg").write_text("not a picture")
    with pytest.raises(UserError, match=r"images=.* cannot be read \(cannot identify image file"):
        export.main([*command, f"images={tmp_path}"])


def test_a_place_that_cannot_be_written_is_named(saved, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot export to out=.*file/x \(.*Not a directory"):
        export.main([f"run={saved}", "format=timm", f"out={tmp_path}/file/x"])
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"link exists; remove it"):
        export.main([f"run={saved}", "format=timm", f"out={tmp_path}/link"])


def test_a_full_disk_leaves_nothing(command, tmp_path, monkeypatch):
    def write(self, model, folder, probe):
        (folder / "weights").touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Timm, "export", write)
    with pytest.raises(UserError, match=r"cannot export to out=.*No space left on device"):
        export.main(command)
    assert not list(tmp_path.iterdir())


def test_what_rounding_did_to_the_model_is_told(command, tmp_path):
    export.main([*command, "precision=float16"])
    found = json.loads((tmp_path / "out/parity.json").read_text())
    assert found["outputs"]["image"]["max_error"] <= found["tolerance"]
    assert found["rounding"]["precision"] == "float16"
    assert found["rounding"]["outputs"]["image"]["max_error"] > 1e-5


def test_what_a_killed_export_left_is_no_part_of_the_next(command, tmp_path):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial/half").touch()
    export.main(command)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not (tmp_path / "out/half").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", ""),
        ("config.yaml", "name: run\nsteps:"),
        ("config.yaml", "eval: ["),
        ("provenance.json", '{"commit": "0'),
        ("metrics.json", "[1]"),
    ],
)
def test_a_record_that_was_half_written_is_named(tmp_path, name, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(UserError, match=rf"run/{name} is damaged, as by a run cut off"):
        export.main([f"run={tmp_path}/run", f"out={tmp_path}/out"])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["open_clip", "hf", "timm", "onnx", "torch_export"])
def test_every_format_takes_a_precision(name):
    given = ("run=x", "out=y", f"format={name}", "precision=bfloat16")
    assert make(compose_config("export", [*given]).format).precision == "bfloat16"
