"""A tagger and a pipeline in the formats that NLTK and spaCy read, trained on the hand tags of
`captions.json`.

What this shows: the stages read, run and finish what the libraries give, over their real code. What
it does not: how good the public models are, none of which can be had where the tests run. Both know
every word of the table, so the expected phrases test our rules and the paper's grammar, no tagger.
"""

import json
import random
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from data_prep.articles import ARTICLES
from data_prep.stages.phrases.common import word_list

TABLE = Path(__file__).parents[1] / "captions.json"
UNIVERSAL = {
    "DT": "DET",
    "PRP$": "PRON",
    "PRP": "PRON",
    "CD": "NUM",
    "CC": "CCONJ",
    "POS": "PART",
    "TO": "ADP",
    "IN": "ADP",
    "RP": "ADP",
}


class Word(NamedTuple):
    text: str
    tag: str
    chunk: int  # its number, -1 outside


def table() -> list[dict[str, Any]]:
    return json.loads(TABLE.read_text(encoding="utf-8"))["captions"]


def tagged(entry: dict[str, Any]) -> list[Word]:
    """ "[a/DT cat/NN] sits/VBZ" with its brackets read."""
    words, chunk, inside = [], -1, False
    for token in entry["tagged"].split():
        if token.startswith("["):
            chunk, inside = chunk + 1, True
        text, tag = token.strip("[]").rsplit("/", 1)
        words.append(Word(text, tag, chunk if inside else -1))
        inside = inside and not token.endswith("]")
    return words


def normalised(phrases: list[str]) -> list[str]:
    """How the table is compared: lower-case, without articles and determiners before the phrase,
    every phrase once."""
    found = []
    for phrase in phrases:
        words = phrase.lower().split()
        while len(words) > 1 and (words[0] in ARTICLES or words[0] in word_list("determiners")):
            words.pop(0)
        found.append(" ".join(words))
    return list(dict.fromkeys(found))


@pytest.fixture(scope="session")
def nltk_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`punkt_tab` without any abbreviation and `averaged_perceptron_tagger_eng`, both as the
    downloader of NLTK unpacks them."""
    import nltk

    root = tmp_path_factory.mktemp("nltk_data")
    punkt = root / "tokenizers/punkt_tab/english"
    punkt.mkdir(parents=True)
    for name in ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt"):
        (punkt / name).touch()
    generic = word_list("generic")
    sentences = [
        [(w.text.lower(), w.tag) for w in tagged(e) if w.text.lower() not in generic]
        for e in table()
    ]
    state = random.getstate()
    random.seed(0)  # the trainer shuffles
    tagger = nltk.tag.PerceptronTagger(load=False)
    tagger.train(sentences, nr_iter=12)
    random.setstate(state)
    folder = root / "taggers/averaged_perceptron_tagger_eng"
    folder.mkdir(parents=True)
    names = ("weights", "tagdict", "classes")
    for name, part in zip(names, tagger.encode_json_obj(), strict=True):
        file = folder / f"averaged_perceptron_tagger_eng.{name}.json"
        file.write_text(json.dumps(part))
    return root


@pytest.fixture
def nltk_data(nltk_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(nltk_folder)])
    nltk.tokenize._get_punkt_tokenizer.cache_clear()
    return nltk_folder


@pytest.fixture(scope="session")
def spacy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline with a part-of-speech tagger and a parser, saved as spaCy saves them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries under spaCy
        pipeline = _train()
    folder = tmp_path_factory.mktemp("spacy") / "pipeline"
    pipeline.to_disk(folder)
    return folder


def _train() -> Any:
    import spacy
    from spacy.training import Example
    from spacy.util import fix_random_seed

    fix_random_seed(0)
    pipeline = spacy.blank("en", meta={"name": "captions", "version": "0.0.1"})
    pipeline.add_pipe("tok2vec", config={"model": _small()})
    listener = {
        "@architectures": "spacy.Tok2VecListener.v1",
        "width": 48,
        "upstream": "tok2vec",
    }
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    pipeline.add_pipe("morphologizer", config={"model": tagger})
    parser = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "parser",
        "extra_state_tokens": False,
        "hidden_width": 48,
        "maxout_pieces": 2,
        "use_upper": True,
        "tok2vec": listener,
    }
    pipeline.add_pipe("parser", config={"model": parser})
    examples = [Example(pipeline.make_doc(e["caption"]), _gold(pipeline, e)) for e in table()]
    optimizer = pipeline.initialize(lambda: examples)
    for epoch in range(EPOCHS):
        optimizer.learn_rate = 0.01 if epoch < EPOCHS - 6 else 0.001
        for at in range(0, len(examples), 8):
            pipeline.update(examples[at : at + 8], sgd=optimizer, drop=0.0)
    return pipeline


EPOCHS = 20


def _small() -> dict[str, Any]:
    return {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": 48,
        "depth": 2,
        "embed_size": 500,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": True,
    }


def _gold(pipeline: Any, entry: dict[str, Any]) -> Any:
    """The document with hand tags, and a tree by rule: the last word of a chunk is its head, the
    rest hangs on what stands before it. Noun chunks of spaCy need no more of a tree."""
    from spacy.tokens import Doc

    doc = pipeline.make_doc(entry["caption"])
    words = _aligned(doc, tagged(entry))
    last = {word.chunk: i for i, word in enumerate(words) if word.chunk >= 0}
    inner = [word.chunk >= 0 and last[word.chunk] != i for i, word in enumerate(words)]
    heads, deps = [], []
    before = inner.index(False)
    for i, word in enumerate(words):
        heads.append(last[word.chunk] if inner[i] else before)
        deps.append("dep" if inner[i] or word.chunk < 0 else "dobj")
        if not inner[i] and word.tag[0].isalpha():
            before = i
    deps[inner.index(False)] = "ROOT"
    return Doc(
        pipeline.vocab,
        words=[token.text for token in doc],
        spaces=[bool(token.whitespace_) for token in doc],
        pos=[_universal(word.tag) for word in words],
        heads=heads,
        deps=deps,
    )


def _aligned(doc: Any, words: list[Word]) -> list[Word]:
    """The hand-tagged word of every token; spaCy's may be parts of ours."""
    found, left = [], list(words)
    done = ""
    for token in doc:
        found.append(left[0])
        done += token.text
        if done == left[0].text:
            left.pop(0)
            done = ""
    assert not left, (doc, left)
    return found


def _universal(tag: str) -> str:
    for start, pos in (("NN", "NOUN"), ("JJ", "ADJ"), ("VB", "VERB"), ("RB", "ADV")):
        if tag.startswith(start):
            return pos
    return UNIVERSAL.get(tag, "X" if tag[0].isalpha() else "PUNCT")
