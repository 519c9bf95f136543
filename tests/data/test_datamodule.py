"""The data module under Lightning: length, resume, transfer of a batch, wrong settings."""

from functools import partial

import lightning as L
import pytest
import torch

from cloc import dist
from cloc.data.collate import ModelInput
from cloc.data.datamodule import RegionData, per_rank
from cloc.data.samples.training_view import View
from cloc.data.samples.transforms import RandomCrop
from cloc.data.shards.skip_lists import Skips
from cloc.data.sources import cloc_regions
from cloc.data.stream.mixture import Source
from cloc.errors import UserError
from cloc.interfaces import RegionBatch
from tests.helpers.batches import validate
from tests.helpers.shards import make_shards, spell

WANTS = ModelInput(image_size=16, tokenize=spell, context_length=24, region_context=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_shards(tmp_path_factory.mktemp("module") / "set", shards=3, each=6))


def data(train, view=None, weight=1.0, **changes):
    source = Source(train, cloc_regions.parse, view or View(), weight)
    return RegionData({"train": source}, **{"wants": WANTS, "batch_size": 4, "steps": 6, **changes})


class Watch(L.LightningModule):
    """Keeps what Lightning hands to a training step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.batches = []

    def training_step(self, batch, batch_idx):
        self.batches.append(batch)
        return self.weight

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(module, data, folder, *, ckpt_path=None, **settings):
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **settings,
    )
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
    return trainer


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.14
def test_lightning_sees_exactly_the_steps_of_the_run(folder, tmp_path):
    module = Watch()
    trainer = fit(module, data(folder), tmp_path, max_epochs=1)
    assert trainer.global_step == trainer.num_training_batches == len(module.batches) == 6
    for batch in module.batches:
        assert isinstance(batch, RegionBatch)
        validate(batch)


def test_a_resumed_run_gets_the_rest_and_the_same_length(folder):
    whole = list(data(folder).train_dataloader())
    rest = data(folder, skip_batches=4).train_dataloader()
    assert len(rest) == 6
    assert [batch.keys for batch in rest] == [batch.keys for batch in whole[4:]]


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.14
@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable")  # skip_batches does it
def test_lightning_resumes_in_the_middle_of_the_pass(folder, tmp_path):
    whole, first, second = Watch(), Watch(), Watch()
    fit(whole, data(folder), tmp_path, max_steps=6)
    stopped = fit(first, data(folder), tmp_path, max_steps=4)
    stopped.save_checkpoint(tmp_path / "at4.ckpt")
    resumed = data(folder, skip_batches=4)
    trainer = fit(second, resumed, tmp_path, max_steps=6, ckpt_path=tmp_path / "at4.ckpt")
    seen = [batch.keys for batch in first.batches + second.batches]
    assert seen == [batch.keys for batch in whole.batches]
    assert trainer.global_step == 6


def test_ranks_are_counted_when_the_loader_is_asked_for(folder, monkeypatch):
    ours = data(folder, batch_size=18, steps=1)
    monkeypatch.setattr(dist, "world_size", lambda: 3)
    seen = []
    for rank in range(3):
        monkeypatch.setattr(dist, "rank", lambda rank=rank: rank)
        seen += [key for batch in ours.train_dataloader() for key in batch.keys]
    assert sorted(seen) == [f"{i:05d}" for i in range(18)]


def test_a_missing_folder_names_the_key_to_change(tmp_path):
    with pytest.raises(UserError, match=r"data\.train") as error:
        data(str(tmp_path / "nowhere")).train_dataloader()
    assert "nowhere" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"steps": 0}, "steps 0"),
        ({"skip_batches": 7}, "skip_batches is 7, the run has 6 steps"),
        ({"drop_budget": 1.5}, r"data\.drop_budget is 1\.5"),
        ({"weight": 0.5}, r"the weights of data\.sources are .* sum to 0\.5"),
        ({"view": View(frame=partial(RandomCrop, scale=[0.0, 1.0]))}, r"RandomCrop\.scale"),
    ],
)
def test_a_wrong_setting_raises_before_anything_is_read(changes, words):
    with pytest.raises(UserError, match=words):
        data("nowhere", **changes)


def test_a_batch_must_divide_over_the_ranks():
    says = "batch_size=15 does not divide over 2 ranks; set batch_size to a multiple of 2, such as"
    with pytest.raises(UserError, match=f"{says} 14"):
        per_rank(15, 2)
    assert per_rank(16, 2) == 8


def test_the_digest_is_that_of_all_sources(folder):
    one = data(folder).digest()
    assert one == data(folder).digest()
    assert (
        one
        != RegionData(
            {"other": data(folder).sources["train"]}, wants=WANTS, batch_size=1, steps=1
        ).digest()
    )


def test_a_mixture_skips_in_each_of_its_sources_and_keeps_its_record(folder, tmp_path):
    other = make_shards(tmp_path / "other", shards=2, each=4)
    sources = {
        "train": Source(folder, cloc_regions.parse, View(), 0.5),
        "more": Source(f"{other}/*.tar", cloc_regions.parse, View(), 0.5),
    }
    (tmp_path / "skip.txt").write_text("other/shard-000001.tar\nset/shard-000000.tar\n")

    def opened(skips=None, before=None):
        settings = {"wants": WANTS, "batch_size": 4, "steps": 6, "skips": skips}
        found = RegionData(sources, drop_budget=0.0, **settings)
        found.before = before or {}
        return found

    whole = opened()
    record = whole.recorded()
    assert list(record) == ["more"]
    clean = list(whole.train_dataloader())
    (other / "shard-000001.tar").unlink()
    ours = opened(Skips(str(tmp_path / "skip.txt")), record)
    assert ours.digest() == whole.digest()
    assert ours.unmet() == []
    assert ours.recorded() == record
    loader = ours.train_dataloader()
    blanks = [
        key
        for batch, before in zip(loader, clean, strict=True)
        for mine, key in zip(batch.keys, before.keys, strict=True)
        if mine != key
    ]
    assert len(blanks) == loader.tally.skipped > 6
    (tmp_path / "skip.txt").write_text("shard-000001.tar\n")
    either = opened(Skips(str(tmp_path / "skip.txt")), record)
    with pytest.raises(UserError, match=r"shard-000001\.tar names .* and .*; write more of the pa"):
        either.unmet()
