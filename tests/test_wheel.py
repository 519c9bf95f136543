"""The wheel alone, installed in an empty folder, does what a checkout does."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import open_clip
import pytest

ROOT = Path(__file__).parents[1]
PACKED = ("cloc", "data_prep", "configs", "scripts", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with what the wheel brings, and nothing else of ours."""
    place = tmp_path_factory.mktemp("wheel")
    for name in PACKED:
        source, copy = ROOT / name, place / "source" / name
        if source.is_file():
            shutil.copy(source, copy)
        else:
            shutil.copytree(source, copy, symlinks=True, ignore=lambda *_: ["__pycache__"])
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, *build, str(place / "source")], check=True, capture_output=True)
    [wheel] = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "site")
    return place / "site"


def run(site, *words, cwd):
    """`cloc-pretrain WORDS` of the wheel."""
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "cloc", *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_every_configuration_and_template(site):
    for folder, packed in (("configs", "cloc/configs"), ("scripts/slurm", "cloc/cli/launch/slurm")):
        names = {p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob("*.[ys]*[la][mt]*")}
        assert {p.relative_to(site / packed) for p in (site / packed).rglob("*.*")} == names
    assert (
        "cloc-pretrain = cloc.cli.main:main"
        in (next(site.glob("*.dist-info")) / "entry_points.txt").read_text()
    )


def test_its_command_composes_its_own_files(site, tmp_path):
    out = run(site, "train", "experiment=smoke", "--cfg", "job", cwd=tmp_path)
    assert "name: smoke" in out


def test_it_writes_a_project(site, tmp_path):
    assert "README.md has the commands" in run(site, "init", "mine", cwd=tmp_path)
    assert (tmp_path / "mine/mine/centre.py").is_file()


@pytest.mark.rare
def test_it_trains_measures_and_exports_what_open_clip_loads(site, tmp_path):
    sizes = ("train=64", "val=24", "novel=24", "samples_per_shard=16")
    run(site, "prepare", "import=scenes", "out=data/smoke", *sizes, cwd=tmp_path)
    run(site, "train", "experiment=smoke", cwd=tmp_path)
    run(site, "evaluate", "run=runs/smoke", cwd=tmp_path)
    run(site, "export", "run=runs/smoke", "format=open_clip", "out=exported", cwd=tmp_path)
    model = open_clip.create_model(f"local-dir:{tmp_path / 'exported'}")
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
