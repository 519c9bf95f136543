"""The paper's extractor: NLTK's tokenizer and tagger, one rule of grammar (its Listing 1)."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloc.data.samples.record import Record
from cloc.errors import UserError
from data_prep.stage import Notes
from data_prep.stages.phrases.common import (
    AT_MOST,
    Found,
    check_at_most,
    lists_digest,
    with_phrases,
    word_list,
)

GRAMMAR = "NP: {<DT>?<JJ.*>*<NN.*>+}"
TOKENIZER = "tokenizers/punkt_tab/english/"
TAGGER = "taggers/averaged_perceptron_tagger_eng/"
DOWNLOAD = "python -m nltk.downloader punkt_tab averaged_perceptron_tagger_eng"


class NltkPhrases:
    """`meta["phrases"]` of every record, as the paper finds them.

    A caption is lower-cased, tokenized, rid of generic words and only then tagged; the phrases of
    the grammar that are not stop words throughout stay. Numbers and what stands behind "of" are no
    part of them. Unlike the paper, a phrase that comes twice counts once for `at_most`.
    """

    name = "phrases"

    def __init__(self, *, at_most: int = AT_MOST) -> None:
        check_at_most(at_most)
        self.at_most = at_most
        self._tagger = _tagger()
        self._parser = _nltk().RegexpParser(GRAMMAR)

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        return [
            with_phrases(record, self.phrases, at_most=self.at_most, notes=notes)
            for record in records
        ]

    def phrases(self, caption: str) -> Iterator[Found]:
        words = [
            word
            for word in _nltk().word_tokenize(caption.lower())
            if word not in word_list("generic")
        ]
        if not words:
            return
        tree = self._parser.parse(self._tagger.tag(words))
        for chunk in tree.subtrees(lambda node: node.label() == "NP"):
            found = [word for word, _ in chunk.leaves()]
            said = [word for word in found if any(map(str.isalnum, word))]  # not "|", an emoji
            stopped = word_list("stop").issuperset(said)
            yield Found(" ".join(found), "stop_words" if stopped else "")

    def describe(self) -> dict[str, Any]:
        """`model` is a digest of the files that NLTK has read."""
        return {
            "version": 3,
            "extractor": "nltk",
            "at_most": self.at_most,
            "grammar": GRAMMAR,
            "nltk": _nltk().__version__,
            "model": _files_digest(TOKENIZER, TAGGER),
            "words": lists_digest("generic", "stop"),
        }


def _nltk() -> Any:
    try:
        import nltk
    except ImportError:
        raise UserError(
            "the phrases of the paper need NLTK: pip install 'cloc-pretrain[prep]'"
        ) from None
    return nltk


def _tagger() -> Any:
    """The one that `nltk.pos_tag` would read for every caption anew."""
    nltk = _nltk()
    tagger = nltk.tag.PerceptronTagger
    if not hasattr(tagger, "load_from_json"):
        raise UserError(
            f"nltk {nltk.__version__} unpickles its models, which can run code; "
            "pip install 'nltk>=3.9.1'"
        )
    try:
        loaded = tagger()
        nltk.word_tokenize("a word")
    except LookupError:
        raise UserError(
            f"NLTK finds no {TOKENIZER} or no {TAGGER} in {nltk.data.path[0]} and its other "
            f"folders (pickles of older releases are not read); get them with: {DOWNLOAD}, or "
            "use the extractor without a model (phrases: light)"
        ) from None
    return loaded


def _files_digest(*resources: str) -> str:
    """sha256 over the names and contents of the files, in order of name."""
    digest = hashlib.sha256()
    for resource in resources:
        found = _nltk().data.find(resource)
        packed = getattr(found, "zipfile", None)  # NLTK reads its zip files as they are
        files = [Path(packed.filename)] if packed else sorted(Path(str(found)).iterdir())
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
