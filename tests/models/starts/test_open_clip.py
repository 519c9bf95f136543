"""Weights through open_clip: a name and tag or file, a folder, a repository, OpenAI's layout."""

import copy
import json
import logging
import pickle

import huggingface_hub
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from cloc.errors import UserError
from cloc.models.starts.open_clip import framing_of
from cloc.models.tower_build import make_tower
from tests.helpers.models import CONTEXT, NATIVE, random_pixels


@pytest.fixture
def tiny(monkeypatch):
    """open_clip knows a small architecture by name."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", copy.deepcopy(NATIVE))
    return "tiny"


@torch.no_grad()
def same_embeddings(a, b):
    pixels, tokens = random_pixels(0, 2), a.tokenizer()(["a red star"], CONTEXT)
    return a.images(pixels).pooled.equal(b.images(pixels).pooled) and a.texts(tokens).equal(
        b.texts(tokens)
    )


def test_pretrained_weights_come_from_a_file_or_a_folder(tiny, tmp_path):
    source = make_tower(NATIVE)
    save_file(source.clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    path = str(tmp_path / "open_clip_model.safetensors")
    assert same_embeddings(make_tower(start=f"open_clip:{tiny},{path}"), source)
    assert not same_embeddings(make_tower(tiny), source)

    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}
    config = tmp_path / "open_clip_config.json"
    config.write_text(json.dumps({"model_cfg": NATIVE, "preprocess_cfg": preprocess}))
    loaded = make_tower(start=f"open_clip:{tmp_path}")
    assert loaded.mean.flatten().tolist() == pytest.approx(preprocess["mean"])
    assert loaded.std.flatten().tolist() == pytest.approx(preprocess["std"])
    assert loaded.folder == tmp_path
    at_ours = make_tower(
        start=f"open_clip:{tmp_path}", mean=source.mean.flatten().tolist(), std=(0.2,) * 3
    )
    assert at_ours.mean.flatten().tolist() == source.mean.flatten().tolist()
    assert torch.equal(loaded.clip.visual.proj, source.clip.visual.proj)


def test_a_tag_trained_with_quick_gelu_gets_it(tiny, tmp_path, monkeypatch):
    save_file(make_tower(NATIVE).clip.state_dict(), tmp_path / "w.safetensors")
    weights = str(tmp_path / "w.safetensors")
    plain = make_tower(start=f"open_clip:{tiny},{weights}")
    assert not any(isinstance(m, QuickGELU) for m in plain.clip.modules())
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {"quick_gelu": True})
    quick = make_tower(start=f"open_clip:{tiny},{weights}")
    assert sum(isinstance(m, QuickGELU) for m in quick.clip.modules()) == 4
    assert quick.model_config["quick_gelu"] is True  # so a run folder and an export know it


def test_a_hub_repository_brings_its_weights(monkeypatch, tmp_path):
    asked = {}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": NATIVE}))

    def create_model(name, **options):
        asked.update(options, name=name)
        return open_clip.CLIP(**copy.deepcopy(NATIVE))

    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda name, **_: {"somebody/model": str(tmp_path)}[name],
    )
    monkeypatch.setattr(open_clip, "create_model", create_model)
    make_tower(start="open_clip:hf-hub:somebody/model")
    assert asked["name"] == "hf-hub:somebody/model"
    assert asked["require_pretrained"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ({"resize_mode": "bigger"}, "resize_mode is 'bigger'; give one of shortest, squash, longe"),
        ({"resize_mode": ["squash"]}, r"resize_mode is \['squash'\]; give one of shortest"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'; give one of bicubic, bilinear"),
        ({"mean": "x"}, "mean=x are not three numbers"),
        ({"mean": 0.5}, "mean=0.5 are not three numbers"),
        ({"std": [0.2, 0, 0.2]}, r"std=\[0.2, 0, 0.2\] are not three positive numbers"),
        ({"fill_color": [0, 0, 0]}, r"fill_color is \[0, 0, 0\]; give one of 0 to 255"),
    ],
)
def test_a_folder_whose_pictures_nobody_can_make_is_named(tmp_path, spoil, says):
    save_file(make_tower(NATIVE).clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    config = {"model_cfg": NATIVE, "preprocess_cfg": spoil}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"{tmp_path}: preprocess_cfg\.{says}"):
        make_tower(start=f"open_clip:{tmp_path}")
    assert framing_of({"interpolation": "random"}).interpolation == "bicubic"  # as open_clip has it


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_cfg": None}, "is not an open_clip configuration .model_cfg is None"),
        ([], "is not an open_clip configuration"),
        (
            {"model_cfg": {key: NATIVE[key] for key in ("embed_dim", "vision_cfg")}},
            "model_cfg has no text_cfg, so it is a vision tower alone; give the whole model",
        ),
    ],
)
def test_a_folder_of_no_whole_model_is_told(tmp_path, config, says):
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"open_clip_config\.json:? {says}"):
        make_tower(start=f"open_clip:{tmp_path}")


def test_what_open_clip_logs_is_in_the_one_line(tmp_path, caplog):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": NATIVE}))
    with pytest.raises(UserError, match=r"cannot load .*could not be loaded"):
        make_tower(start=f"open_clip:{tmp_path}")  # without weights
    assert caplog.records == []
    logging.getLogger().warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]


def test_weights_that_are_not_there_or_do_not_fit_are_named(tiny, tmp_path):
    says = r"cannot load tiny/none-such: 'none-such' is neither a file nor one of its tags \(none"
    with pytest.raises(UserError, match=says):
        make_tower(start="open_clip:tiny/none-such")
    says = r"of its tags \(openai, .*write open_clip:ViT-B-32/TAG or ViT-B-32,FILE"
    with pytest.raises(UserError, match=says):
        make_tower(start="open_clip:ViT-B-32/opnai")
    with pytest.raises(
        UserError, match=r"open_clip:tiny names no weights; write open_clip:tiny/TAG"
    ):
        make_tower(start="open_clip:tiny")
    with pytest.raises(UserError, match=r"open_clip has no model 'nowhere'"):
        make_tower(start="open_clip:nowhere/open_clip")

    config = tmp_path / "open_clip_config.json"
    config.write_text("{}")
    with pytest.raises(
        UserError, match=r"open_clip_config\.json is not an open_clip configuration"
    ):
        make_tower(start=f"open_clip:{tmp_path}")
    strange = {**NATIVE, "vision_cfg": 3}
    config.write_text(json.dumps({"model_cfg": strange}))
    with pytest.raises(UserError, match="vision_cfg of the model's configuration is 3, not a"):
        make_tower(start=f"open_clip:{tmp_path}")
    config.write_text(json.dumps({"model_cfg": NATIVE}))
    with pytest.raises(UserError, match=r"cannot load .*could not be loaded"):
        make_tower(start=f"open_clip:{tmp_path}")  # open_clip would go on with random weights
    weights = tmp_path / "open_clip_model.safetensors"
    save_file(
        make_tower(
            {**NATIVE, "vision_cfg": {**NATIVE["vision_cfg"], "width": 16}}
        ).clip.state_dict(),
        weights,
    )
    with pytest.raises(UserError, match=r"cannot load .*size mismatch") as error:
        make_tower(start=f"open_clip:{tmp_path}")
    assert "\n" not in str(error.value)
    weights.write_bytes(b"not a weight file")
    with pytest.raises(UserError, match=r"cannot load "):
        make_tower(start=f"open_clip:{tmp_path}")


def openai_file(path, *, marks=True):
    """An open_clip QuickGELU model of heads of 64, saved as OpenAI's state dicts are: half floats,
    three numbers beside the weights."""
    config = {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 128, "layers": 2},
        "text_cfg": {
            "context_length": 12,
            "vocab_size": 49408,
            "width": 64,
            "heads": 1,
            "layers": 2,
        },
    }
    torch.manual_seed(0)
    clip = open_clip.CLIP(**copy.deepcopy(config)).eval()
    state = {key: value.half() for key, value in clip.state_dict().items()}
    clip.load_state_dict({key: value.float() for key, value in state.items()})
    numbers = {"input_resolution": 32, "context_length": 12, "vocab_size": 49408}
    torch.save(state | {k: torch.tensor(v) for k, v in numbers.items() if marks}, path)
    return clip


@torch.no_grad()
def test_a_file_in_openais_layout_tells_its_architecture(tmp_path):
    path = tmp_path / "ViT.pt"
    clip = openai_file(path)
    tower = make_tower(start=f"open_clip:{path}")
    assert sum(isinstance(m, QuickGELU) for m in tower.clip.modules()) == 4
    pixels, tokens = random_pixels(0, 2), tower.tokenizer()(["a red star"], CONTEXT)
    normal = (pixels / 255 - tower.mean) / tower.std
    torch.testing.assert_close(
        tower.images(pixels).pooled, clip.encode_image(normal, normalize=True)
    )
    torch.testing.assert_close(tower.texts(tokens), clip.encode_text(tokens, normalize=True))


def test_without_openais_marks_the_activation_is_asked_for(tmp_path):
    path = tmp_path / "ViT.pt"
    openai_file(path, marks=False)
    with pytest.raises(UserError, match=r"QuickGELU .OpenAI. or GELU; write open_clip:ViT-B-32-q"):
        make_tower(start=f"open_clip:{path}")


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_pickle_with_code_in_it_is_refused_and_does_not_run(tiny, tmp_path, capsys):
    path = tmp_path / "evil.pt"
    torch.save({"state_dict": Evil()}, path)
    for where in (path, f"{tiny},{path}"):
        with pytest.raises(UserError, match=r"(no file of weights alone|cannot load)"):
            make_tower(start=f"open_clip:{where}")
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(UserError, match="no file of weights alone"):
        make_tower(start=f"open_clip:{path}")
    assert "code ran" not in capsys.readouterr().out


def test_another_layout_needs_the_name_of_its_architecture(tmp_path):
    save_file({"encoder.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"not the layout of OpenAI.*write open_clip:NAME,.*other"):
        make_tower(start=f"open_clip:{tmp_path / 'other.safetensors'}")


@torch.no_grad()
def test_at_another_size_positions_are_resampled_as_open_clip_does(tiny, tmp_path):
    source = make_tower(NATIVE)
    save_file(source.clip.state_dict(), tmp_path / "w.safetensors")
    ours = make_tower(start=f"open_clip:{tiny},{tmp_path / 'w.safetensors'}", image_size=[48, 64])
    theirs = open_clip.create_model(
        tiny, pretrained=str(tmp_path / "w.safetensors"), force_image_size=(48, 64)
    )
    assert ours.image_size == (48, 64)
    assert ours.grid == (6, 8)
    for name, value in theirs.state_dict().items():
        assert ours.clip.state_dict()[name].equal(value), name


@torch.no_grad()
def test_a_shorter_context_keeps_short_texts_as_they_were(tiny, tmp_path):
    source = make_tower(NATIVE)
    save_file(source.clip.state_dict(), tmp_path / "w.safetensors")
    start = f"open_clip:{tiny},{tmp_path / 'w.safetensors'}"
    short, long = (make_tower(start=start, context_length=n) for n in (8, 20))
    words = ["a red star"]
    expected = source.texts(source.tokenizer()(words, CONTEXT))
    torch.testing.assert_close(short.texts(short.tokenizer()(words, 8)), expected)
    table = long.clip.positional_embedding
    assert table.shape == (20, 16)
    assert float((table[0] - source.clip.positional_embedding[0]).abs().max()) < 0.02


def test_places_that_are_not_there_are_said_with_the_forms_that_are_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for where in ("/x/nofile.safetensors", "~/none", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"):
        says = rf"{where}: there is no such file or folder, .*ORG/NAME"
        with pytest.raises(UserError, match=says):
            make_tower(start=f"open_clip:{where}")
    save_file(make_tower(NATIVE).clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": NATIVE}))
    assert make_tower(start="open_clip:~").folder == tmp_path


def test_a_page_of_the_hub_is_its_repository(monkeypatch):
    asked = []

    def described(name):
        asked.append(name)
        raise OSError("no network")

    monkeypatch.setattr("cloc.models.starts.open_clip.described", described)
    for where in ("https://huggingface.co/org/name/", "hf-hub:https://hf.co/org/name"):
        with pytest.raises(UserError, match=r"cannot load hf-hub:org/name: no network"):
            make_tower(start=f"open_clip:{where}")
    assert asked == ["org/name"] * 2
