"""The extractor over spaCy's own code; the pipeline is that of conftest.py."""

import builtins
import json
from pathlib import Path

import pytest
import spacy

from cloc.errors import UserError
from data_prep.stages.phrases.spacy_chunks import SpacyPhrases, _whole_words


def test_reasons(spacy_folder: Path):
    stage = SpacyPhrases(model=str(spacy_folder))
    caption = (
        "The image shows a young woman with long brown hair standing in front of a brick wall."
    )
    found = [tuple(f) for f in stage.phrases(f"{caption} She is wearing a blue denim jacket.")]
    assert ("the image", "generic") in found
    assert ("front", "place") in found
    assert ("she", "stop_words") in found


def test_words_that_spacy_takes_apart_are_one_again():
    doc = spacy.blank("en")("A child\u2019s T-shirt (red), wide-brimmed hat.")
    words, places = _whole_words(doc, set())
    expected = ["a", "child's", "t-shirt", "(", "red", ")", ",", "wide-brimmed", "hat", "."]
    assert words == expected
    assert len(places) == len(doc)


def test_a_verb_that_is_written_to_its_subject_is_no_part_of_it():
    doc = spacy.blank("en")("the dog's wet")
    assert _whole_words(doc, {2}) == (["the", "dog", "'s", "wet"], [0, 1, 2, 3])


def test_without_the_model_the_download_is_named():
    with pytest.raises(UserError, match="python -m spacy download en_core_web_none"):
        SpacyPhrases(model="en_core_web_none")


def test_a_pipeline_without_a_parser_is_refused(tmp_path: Path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UserError, match="has no parser"):
        SpacyPhrases(model=str(tmp_path / "blank"))


def test_without_spacy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "spacy":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"cloc-pretrain\[prep\]"):
        SpacyPhrases()


def test_it_depends_on_its_model(spacy_folder: Path, tmp_path: Path):
    stage = SpacyPhrases(model=str(spacy_folder))
    described = stage.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["model"] == "en_captions-0.0.1"
    other = spacy.load(spacy_folder)
    other.meta["description"] = "another"
    other.to_disk(tmp_path / "other")
    changed = SpacyPhrases(model=str(tmp_path / "other")).describe()
    assert changed["digest"] != described["digest"]
