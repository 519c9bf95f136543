"""The start that a run keeps: its tower exactly, loadable, mixed in by WiSE-FT."""

import pytest
import torch

from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.load import load_model
from cloc.models.start_folder import keep, tokenizer_folder
from tests.helpers.checkpoints import save_run
from tests.helpers.models import CLOC_PARTS, NATIVE, make_model, random_pixels


@pytest.fixture
def run(tmp_path):
    start = make_model(seed=1)
    keep(start.tower, tmp_path, description=start.description)
    save_run(tmp_path, make_model(seed=2), step=1)
    return tmp_path


def test_the_kept_start_is_the_tower_exactly_and_nothing_half_written_is_left(run):
    start = load_model(run / "start")
    assert start.region_head is None
    for name, value in make_model(seed=1).tower.state_dict().items():
        assert start.tower.state_dict()[name].equal(value), name
    assert {path.name for path in (run / "start").iterdir()} == {
        "cloc_config.json",
        "model.safetensors",
    }
    assert not list(run.glob("*.partial"))
    assert tokenizer_folder(run) is None  # open_clip's own


def test_a_kept_start_is_a_start(run):
    model = build_model({"start": f"run:{run / 'start'}"}, **CLOC_PARTS)
    pixels = random_pixels(0, 2)
    expected = make_model(seed=1).tower.images(pixels).pooled
    assert model.eval().tower.images(pixels).pooled.equal(expected)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_wise_ft_mixes_the_tower_with_the_start_and_keeps_the_heads(run, share):
    mixed = load_model(run, wise_ft=share).state_dict()
    start, tuned = make_model(seed=1).state_dict(), make_model(seed=2).state_dict()
    for name, value in mixed.items():
        expected = tuned[name]
        if name.startswith("tower."):
            expected = share * tuned[name] + (1 - share) * start[name]
        torch.testing.assert_close(value, expected)
    if share == 1:
        assert all(value.equal(tuned[name]) for name, value in mixed.items())


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_outside_0_and_1_is_refused(run, share):
    with pytest.raises(UserError, match=rf"wise_ft={share}; choose 0 .the start. to 1"):
        load_model(run, wise_ft=share)


def test_a_run_without_a_start_cannot_be_mixed(tmp_path):
    save_run(tmp_path, make_model(), step=1)
    with pytest.raises(UserError, match=r"keeps no start to mix with; it is for runs with start="):
        load_model(tmp_path, wise_ft=0.5)


def test_the_files_of_a_tokenizer_are_kept(tmp_path, monkeypatch):
    model = make_model(NATIVE, region_head=None)

    class Wrapped:
        @staticmethod
        def save_pretrained(folder):
            (folder / "tokenizer_config.json").write_text("{}")

    words = model.tower.tokenizer()
    words.tokenizer = Wrapped()
    monkeypatch.setattr(model.tower, "tokenizer", lambda: words)
    keep(model.tower, tmp_path, description=model.description)
    assert tokenizer_folder(tmp_path) == tmp_path / "start"
