"""T5's vocabulary from either file: the same tokens, lower case, cut before the end."""

import json

import pytest
import torch
from tokenizers import Tokenizer

from cloc.errors import UserError
from cloc.models.build import build_model
from cloc.models.load import load_model
from cloc.models.start_folder import keep_vocabulary, tokenizer_folder
from cloc.models.t5 import EMBEDDED
from cloc.models.tower_build import make_tower
from tests.helpers.checkpoints import save_run
from tests.helpers.hf import unigram
from tests.helpers.models import NATIVE

WORDS = ["a red star left of the ring", "A  Red STAR", "x", "a red kite " * 40]


def sentencepiece(made, path, *, charsmap=b""):
    """The same vocabulary as SentencePiece's own file, written by its own message."""
    from transformers.utils import sentencepiece_model_pb2_new as messages

    model = messages.ModelProto()
    for piece, score in json.loads(made.to_str())["model"]["vocab"]:
        kinds = {"<unk>": 2, "<pad>": 3, "</s>": 3}
        model.pieces.add(piece=piece, score=score, type=kinds.get(piece, 1))
    model.trainer_spec.vocab_size = len(model.pieces)
    model.normalizer_spec.precompiled_charsmap = charsmap
    path.write_bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("t5")
    made = unigram()
    made.save(str(folder / "tokenizer.json"))
    sentencepiece(made, folder / "spiece.model")
    return folder


@pytest.mark.parametrize("name", ["tokenizer.json", "spiece.model", ""])
def test_texts_are_lower_case_t5_tokens_with_an_end_at_every_length(files, name):
    tower = make_tower(NATIVE, vocabulary=files / name, context_length=77)
    tokenize = tower.tokenizer()
    whole = tokenize(WORDS, 77)
    assert whole.shape == (4, 77)
    assert whole[0].ne(0).sum() > 4
    assert ((whole == 1).sum(1) == 1).all()  # one end each
    assert whole[3, 76] == 1  # also where the text is cut
    assert tokenize(WORDS, 16)[3, 15] == 1
    assert tokenize(["a red star"], 77).equal(tokenize(["A Red STAR "], 77))
    assert tower.words(whole[0].tolist()) == WORDS[0]
    raw = Tokenizer.from_file(str(files / "tokenizer.json"))
    expected = raw.encode(WORDS[0]).ids
    assert whole[0, : len(expected)].tolist() == expected


def test_it_is_read_at_its_end_and_short_texts_are_exact(files):
    torch.manual_seed(0)
    file = str(files / "spiece.model")
    tower = make_tower(NATIVE, vocabulary=file, context_length=77).eval()
    text = tower.model_config["text_cfg"]
    assert (text["pool_type"], text["eos_id"], text["vocab_size"]) == ("eos", 1, EMBEDDED)
    assert tower.clip.token_embedding.num_embeddings == EMBEDDED
    tokenize = tower.tokenizer()
    assert tower.short_text_exact
    with torch.no_grad():
        short, whole = (tower.texts(tokenize(["a red star"], n)) for n in (30, 77))
        other = tower.texts(tokenize(["a red ring"], 77))
    torch.testing.assert_close(short, whole, rtol=0, atol=1e-6)
    assert float(whole @ other.T) < 1 - 1e-4


def test_a_run_keeps_its_vocabulary(files, tmp_path):
    torch.manual_seed(0)
    model = build_model({"config": NATIVE, "vocabulary": str(files / "spiece.model")}).eval()
    assert "vocabulary" not in model.description["tower"]  # no place elsewhere
    save_run(tmp_path, model)
    keep_vocabulary(model.tower, tmp_path)
    assert tokenizer_folder(tmp_path) == tmp_path / "tokenizer"
    loaded = load_model(tmp_path)
    mine, kept = model.tower.tokenizer(), loaded.tower.tokenizer()
    assert mine(WORDS, 12).equal(kept(WORDS, 12))
    again = make_tower(NATIVE, vocabulary=tmp_path / "tokenizer").tokenizer()  # of a resumed run
    assert mine(WORDS, 12).equal(again(WORDS, 12))
    keep_vocabulary(make_tower(NATIVE), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_what_is_no_vocabulary_of_t5_is_refused(files, tmp_path):
    from tokenizers import models

    def says(match, path, **options):
        with pytest.raises(UserError, match=match) as error:
            make_tower(**{"config": NATIVE, **options}, vocabulary=path)
        assert "\n" not in str(error.value)

    says(
        r"vocabulary=.*nowhere: there is no such file; give T5's spiece.model", tmp_path / "nowhere"
    )
    (tmp_path / "x.model").write_bytes(b"no message")
    says(r"x.model is no vocabulary of SentencePiece", tmp_path / "x.model")
    whole = (files / "spiece.model").read_bytes()
    (tmp_path / "cut.model").write_bytes(whole[: len(whole) // 2])
    says(r"cut.model is no", tmp_path / "cut.model")
    (tmp_path / "x.json").write_text("{}")
    says(r"x.json is no vocabulary of SentencePiece", tmp_path / "x.json")
    Tokenizer(models.WordLevel({"<unk>": 0, "<pad>": 1, "</s>": 2}, "<unk>")).save(
        str(tmp_path / "words.json")
    )
    says(r"words.json is not T5's vocabulary \(a WordLevel of 3 pieces\)", tmp_path / "words.json")
    save_run(tmp_path, build_model({"config": NATIVE}))
    says(
        r"vocabulary=.* is for random weights: a start's text tower knows its own",
        files / "spiece.model",
        config=None,
        start=f"run:{tmp_path}",
    )
