"""CLIP_benchmark, an evaluator of other people's, on the same folders of weights and the same tars.

pip install --target DIR --no-deps clip_benchmark==1.6.2 pycocoevalcap \
    scikit-learn scipy joblib threadpoolctl narwhals 'numpy<2.4'
PYTHONPATH=DIR python -m pytest -m rare tests/faults/test_clip_benchmark.py

Its frame is the transform that open_clip makes of the folder's own `preprocess_cfg`, whole pictures
with bars for an export of ours, and ours is `frame=own`. It runs as its command does, in float32.
"""

import io
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec

import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from cloc.cli import evaluate
from cloc.data.samples.record import Caption, Record
from cloc.data.shards.writer import write_shards
from cloc.export.formats.open_clip import OpenCLIP
from tests.helpers.models import NATIVE, make_model
from tests.helpers.photos import MINI, NEEDS_MINI
from tests.helpers.probe import probe_of
from tests.helpers.shards import write_tar

pytestmark = [
    pytest.mark.rare,
    pytest.mark.slow,
    NEEDS_MINI,
    pytest.mark.skipif(
        find_spec("clip_benchmark") is None,
        reason="clip_benchmark is not installed; the docstring of this file says how",
    ),
]
CLOSE = 0.001  # a tenth of a point
CROPS, LEAST = 6, 32  # of each class, pixels of the shorter side
CAPTIONS = 3  # of each photograph
TEMPLATES = ("a photo of a {c}.", "a bad photo of the {c}.")
FORMS = (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP"))
SHARD = 120  # samples


def save_export(folder):
    """Of a model of ours, as `export format=open_clip` does."""
    folder.mkdir()
    model = make_model(NATIVE)
    OpenCLIP().export(model, folder, probe_of(model))


def save_vit(folder):
    """open_clip's own ViT-B-32 with random weights, and its own preprocessing."""
    folder.mkdir()
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32")
    save_file(dict(model.state_dict()), folder / "open_clip_model.safetensors")
    config = {
        "model_cfg": open_clip.get_model_config("ViT-B-32"),
        "preprocess_cfg": open_clip.get_model_preprocess_cfg(model),
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def crops():
    """Class names, and (class, crop) of the photographs; classes are of very different sizes."""
    data = json.loads((MINI / "annotations/instances_train2017.json").read_text())
    files = {image["id"]: MINI / "train2017" / image["file_name"] for image in data["images"]}
    boxes = {}
    for row in data["annotations"]:
        x, y, w, h = row["bbox"]
        own = boxes.setdefault(row["category_id"], [])
        if min(w, h) >= LEAST and len(own) < CROPS:
            own.append((files[row["image_id"]], (int(x), int(y), int(x + w), int(y + h))))
    names = {row["id"]: row["name"] for row in data["categories"]}
    found = []
    for number, rows in enumerate(boxes.values()):
        for path, box in rows:
            with PIL.Image.open(path) as image:
                found.append((number, image.convert("RGB").crop(box)))
    return [names[category] for category in boxes], found


def write_classes(root):
    names, pictures = crops()
    root.mkdir()
    (root / "classnames.txt").write_text("\n".join(names))
    (root / "zeroshot_classification_templates.txt").write_text("\n".join(TEMPLATES))
    samples = []
    for i, (number, picture) in enumerate(pictures):
        suffix, form = FORMS[i % len(FORMS)]
        file = io.BytesIO()
        picture.save(file, form)
        samples.append({f"s{i:07d}.{suffix}": file.getvalue(), f"s{i:07d}.cls": b"%d" % number})
    write_wds(root, samples)
    return names, pictures


def write_wds(root, samples):
    parts = [samples[i : i + SHARD] for i in range(0, len(samples), SHARD)]
    (root / "test").mkdir(parents=True, exist_ok=True)
    (root / "test/nshards.txt").write_text(str(len(parts)))
    for number, part in enumerate(parts):
        members = {name: data for sample in part for name, data in sample.items()}
        write_tar(root / f"test/{number}.tar", members)


def write_captions(root, shards):
    """The photographs with their captions (no two alike) as theirs, and as shards of ours."""
    data = json.loads((MINI / "annotations/captions_train2017.json").read_text())
    captions = {}
    for row in data["annotations"]:
        captions.setdefault(row["image_id"], []).append(" ".join(row["caption"].split()))
    samples, records = [], []
    for image in data["images"]:
        key, texts = f"{image['id']:012d}", captions[image["id"]][:CAPTIONS]
        raw = (MINI / "train2017" / image["file_name"]).read_bytes()
        samples.append({f"{key}.jpg": raw, f"{key}.txt": "\n".join(texts).encode()})
        size = image["width"], image["height"]
        records.append(Record(key, raw, "jpg", *size, captions=tuple(map(Caption, texts))))
    write_wds(root, samples)
    (root / "dataset_type.txt").write_text("retrieval")
    write_shards(records, shards, samples_per_shard=SHARD)


def theirs(model, root, task, *words):
    out = root / "theirs.json"
    given = {
        "--pretrained_model": f"local-dir:{model},",
        "--dataset": "wds/local",
        "--dataset_root": root,
        "--task": task,
        "--output": out,
        "--num_workers": 0,
    }
    flags = [str(word) for pair in given.items() for word in pair]
    command = [sys.executable, "-m", "clip_benchmark.cli", "eval", "--no_amp", "--quiet"]
    done = subprocess.run([*command, *flags, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())["metrics"]


def ours(model, out, *words):
    evaluate.main([f"model=open_clip:{model}", f"out={out}", *words])
    return json.loads((out / "metrics.json").read_text())


def same(figures):
    """(ours, theirs) of each name, all of them close."""
    return all(abs(mine - other) <= CLOSE for mine, other in figures.values())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    names, pictures = write_classes(root / "classes")
    assert len(names) > 50
    assert len(pictures) > 200
    write_captions(root / "captions", root / "shards")
    return root


@pytest.fixture(scope="module", params=[save_export, save_vit], ids=["export", "ViT-B-32"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "folder"
    request.param(folder)
    yield folder
    shutil.rmtree(folder)  # of the second 600 MB


def zero_shot(data, model, out, *words):
    root = f"benchmarks.zero_shot_wds.root={data}/classes"
    return ours(model, out, "benchmarks=[zero_shot_wds]", root, *words)["zero_shot_wds"]


def test_zero_shot_classification(data, model, tmp_path):
    there = theirs(model, data / "classes", "zeroshot_classification")
    names = {"top1": "acc1", "top5": "acc5", "macc": "mean_per_class_recall"}

    def figures(*words):
        here = zero_shot(data, model, tmp_path / "_".join(("out", *words)), *words)
        return {name: (here[name], there[theirs]) for name, theirs in names.items()}

    found = figures()
    print(found)
    assert same(found), found
    squashed = figures("frame=squash")
    assert not same(squashed), "another frame has the same figures: these cannot tell frames apart"


def test_retrieval_among_captions_of_which_no_two_are_alike(data, model, tmp_path):
    there = theirs(model, data / "captions", "zeroshot_retrieval", "--recall_k", "1", "5", "10")
    measured = ours(model, tmp_path / "out", f"splits.val={data}/shards")
    here = measured["image_text_retrieval"]  # of pictures without a region nothing else
    found = {}
    for k in (1, 5, 10):
        found[f"i2t_r@{k}"] = here[f"i2t_r@{k}"], there[f"text_retrieval_recall@{k}"]
        found[f"t2i_r@{k}"] = here[f"t2i_r@{k}"], there[f"image_retrieval_recall@{k}"]
    print(found)
    assert same(found), found
