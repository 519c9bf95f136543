"""The estimate of memory counts what a real forward keeps, and the table in the docs is its."""

import re

import pytest

from cloc.cli.bench.memory import _batch, kept_bytes, memory
from cloc.cli.config.compose import compose_config, plain
from cloc.cli.launch import layout
from cloc.cli.launch.peers import Peers
from cloc.errors import UserError
from cloc.models.build import build_model
from tests.helpers.commands import ROOT

ROWS = re.findall(
    r"^\| `(\w+)` \| (\d+) x 8 \| (\d+) \| (\d+) \| ([\d.]+) M \| ([\d.]+) \| ([\d.]+) \|"
    r" ([\d.]+) \| \*\*([\d.]+)\*\* \|$",
    (ROOT / "docs/launching.md").read_text(),
    re.MULTILINE,
)


def of(name, *overrides):
    return compose_config("train", [f"experiment={name}", "data.train=none", *overrides])


@pytest.mark.rare
def test_counted_without_tensors_is_what_a_real_forward_keeps():
    cfg = of("smoke", "trainer.devices=1", "batch_size=4")
    found = memory(cfg, repeat=1)
    model = build_model(**plain(cfg.model))
    kept = [kept_bytes(model, _batch(cfg, model.tower, images)) for images in (2, 4)]
    assert found["mib_per_image"] == round((kept[1] - kept[0]) / 2 / 2**20, 1)
    assert found["mib_per_image"] > 0
    weights = sum(p.numel() for p in model.parameters())
    assert found["million_weights"] == round(weights / 1e6, 1)


@pytest.mark.rare
def test_a_piece_of_the_batch_is_what_is_kept():
    sizes = ("trainer.devices=2", "batch_size=8192")
    whole, pieces = (memory(of("smoke", *sizes, *k), repeat=1) for k in ((), ("accumulate=4",)))
    assert (whole["images_of_a_rank"], pieces["accumulate"]) == (4096, 4)
    kept = [found["gib"]["kept_for_backward"] for found in (whole, pieces)]
    assert kept[0] / kept[1] == pytest.approx(4, rel=0.1)
    assert whole["gib"]["weights"] == pieces["gib"]["weights"]


def test_it_needs_numbers():
    with pytest.raises(UserError, match=r"give trainer\.devices= and trainer\.num_nodes="):
        memory(of("smoke"), repeat=1)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_recipe_of_the_paper_fits_the_machines_it_is_sized_for(monkeypatch, row):
    name, nodes, images, piece = row[0], *map(int, row[1:4])
    monkeypatch.setattr(layout, "num_gpus", lambda: 8)
    cfg = of(name)
    layout.settle_layout(cfg, Peers("srun", 0, 8 * nodes, nodes))
    assert (cfg.trainer.num_nodes, cfg.trainer.devices) == (nodes, 8)
    assert cfg.batch_size == 32768
    assert cfg.batch_size // (8 * nodes) == images == cfg.accumulate * piece
    with pytest.raises(UserError, match="batch_size=32768 does not divide over 24 ranks"):
        layout.settle_layout(of(name), Peers("srun", 0, 24, 3))
    lines = (ROOT / f"configs/experiment/{name}.yaml").read_text()
    assert f"sbatch --nodes={nodes} scripts/slurm/train.sbatch experiment={name} " in lines


def test_all_six_recipes_are_in_the_table():
    files = {path.stem for path in (ROOT / "configs/experiment").glob("*_paper_*.yaml")}
    assert {row[0] for row in ROWS} == files


@pytest.mark.rare
def test_the_table_is_what_the_command_says():
    row = next(row for row in ROWS if row[0] == "cloc_paper_vit_b16")
    sizes = (f"trainer.num_nodes={row[1]}", "trainer.devices=8")
    found = memory(of(row[0], *sizes), repeat=1)
    gib = found["gib"]
    states = gib["weights"] + gib["gradients"] + gib["optimizer"]
    assert found["million_weights"] == float(row[4])
    assert states == pytest.approx(float(row[5]), abs=0.11)
    kept, total = gib["kept_for_backward"], found["gib_in_all"]
    # torch versions keep a little more or less
    assert (kept, total) == pytest.approx((float(row[6]), float(row[8])), rel=0.1)
    assert gib["gathered"] == float(row[7])
