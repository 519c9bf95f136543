"""Small runs whose curves are kept: `python -m tests.golden.runs` writes them anew, to be committed
with the reason why numbers have changed.

In float64 and on one thread: the same numbers come out to the last digit on one machine; the
weights that a run begins with are drawn in float32, whose last bit may be another elsewhere.
"""

import json
import tempfile
from contextlib import chdir
from pathlib import Path

import torch

from cloc.cli import prepare, train

HERE = Path(__file__).parent
SCENES = ("import=scenes", "out=data/smoke", "train=64", "val=16", "novel=0")
EXACT = ("trainer.precision=64-true", "data.num_workers=0", "eval.every=0", "runs=runs")
RUNS = {
    "smoke": ("experiment=smoke",),
    # the paper's own forms, its filter by cosine too, in pieces, with parts at their own rates
    "paper_forms": (
        *("experiment=smoke", "losses=[image_text,region_text,grounding]", "accumulate=2"),
        *("model.region_head.pool=tokens", "model.region_head.num_heads=1"),
        *("model.region_head.patch_positions=false", "model.box_head.form=corners"),
        *("rates.layer_decay.image_tower=0.5", "rates.wait={text_tower: 3}", "steps=6"),
    ),
}
KEPT = ("train/loss", "train/image_text", "train/region_text", "train/grounding", "optim/lr")


def curves(name: str, place: Path) -> list[dict[str, float]]:
    """A row of every step of the run, trained in `place` on new scenes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with chdir(place):
            prepare.main([*SCENES, "samples_per_shard=16"])
            train.main([*RUNS[name], *EXACT, f"name={name}"])
    finally:
        torch.set_num_threads(threads)
    rows = map(json.loads, (place / f"runs/{name}/metrics.jsonl").read_text().splitlines())
    return [{key: row[key] for key in ("step", *KEPT)} for row in rows if "train/loss" in row]


if __name__ == "__main__":
    for name in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            rows = [json.dumps(row) for row in curves(name, Path(folder))]
        (HERE / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
