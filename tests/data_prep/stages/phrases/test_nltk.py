"""The paper's extractor over NLTK's own code; the models are those of conftest.py."""

import builtins
import json
import pickle
from pathlib import Path

import nltk
import pytest

from cloc.errors import UserError
from data_prep.stages.phrases.nltk import NltkPhrases

from .conftest import table


def test_it_tags_as_pos_tag_does(nltk_data: Path):
    stage = NltkPhrases()
    for entry in table()[:5]:
        words = nltk.word_tokenize(entry["caption"].lower())
        assert stage._tagger.tag(words) == nltk.pos_tag(words)


def test_generic_words_are_dropped_before_tagging(nltk_data: Path):
    found = NltkPhrases().phrases("Free stock photo of red apples in a wicker basket")
    assert [tuple(f) for f in found] == [("red apples", ""), ("a wicker basket", "")]
    assert list(NltkPhrases().phrases("Free HD wallpaper")) == []


def test_phrases_that_are_all_stop_words_are_dropped(
    nltk_data: Path, monkeypatch: pytest.MonkeyPatch
):
    stage = NltkPhrases()
    monkeypatch.setattr(stage._tagger, "tag", lambda words: [(word, "NN") for word in words])
    assert [tuple(f) for f in stage.phrases("it")] == [("it", "stop_words")]
    assert [tuple(f) for f in stage.phrases("|")] == [("|", "stop_words")]  # as it tags them


def test_without_models_the_download_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    command = "python -m nltk.downloader punkt_tab averaged_perceptron_tagger_eng"
    with pytest.raises(UserError, match=command):
        NltkPhrases()


def test_pickles_of_older_releases_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "taggers" / "averaged_perceptron_tagger"
    folder.mkdir(parents=True)
    (folder / "averaged_perceptron_tagger.pickle").write_bytes(pickle.dumps(({}, {}, set())))
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(UserError, match="pickles of older releases are not read"):
        NltkPhrases()


def test_an_nltk_that_unpickles_is_refused(nltk_data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(nltk.tag.PerceptronTagger, "load_from_json")
    with pytest.raises(UserError, match=r"pip install 'nltk>=3.9.1'"):
        NltkPhrases()


def test_without_nltk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "nltk":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"cloc-pretrain\[prep\]"):
        NltkPhrases()


def test_it_depends_on_its_models(nltk_data: Path):
    before = NltkPhrases().describe()
    assert json.loads(json.dumps(before)) == before
    file = nltk_data / "tokenizers/punkt_tab/english/abbrev_types.txt"
    file.write_text("dr\n")
    try:
        assert NltkPhrases().describe()["model"] != before["model"]
    finally:
        file.write_text("")
