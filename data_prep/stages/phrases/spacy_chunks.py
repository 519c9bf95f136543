"""Noun chunks of a spaCy pipeline."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloc.data.samples.record import Record
from cloc.errors import UserError, one_line
from data_prep.stage import Notes
from data_prep.stages.phrases.common import (
    AT_MOST,
    LISTS,
    Chunk,
    Found,
    check_at_most,
    lists_digest,
    phrases_of,
    with_phrases,
)

NEEDED = ("parser",)  # what noun chunks stand on; others only cost time
UNUSED = ("ner", "lemmatizer", "textcat")


class SpacyPhrases:
    """`meta["phrases"]` of every record, from the noun chunks of all its captions.

    `model` is an installed pipeline or a folder with one; `articles` keeps a leading a, an or the.
    """

    name = "phrases"

    def __init__(
        self, *, model: str = "en_core_web_sm", at_most: int = AT_MOST, articles: bool = True
    ) -> None:
        check_at_most(at_most)
        self.model = model
        self.at_most = at_most
        self.articles = articles
        self._pipeline = _load(model)

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        return [
            with_phrases(record, self.phrases, at_most=self.at_most, notes=notes)
            for record in records
        ]

    def phrases(self, caption: str) -> Iterator[Found]:
        doc = self._pipeline(caption)
        spans = [(chunk.start, chunk.end) for chunk in doc.noun_chunks]
        words, places = _whole_words(doc, {end for _, end in spans})
        chunks = [Chunk(places[start], places[end - 1] + 1) for start, end in spans]
        return phrases_of(words, chunks, articles=self.articles)

    def describe(self) -> dict[str, Any]:
        """`digest` is over the files of the pipeline."""
        meta = self._pipeline.meta
        return {
            "version": 4,
            "extractor": "spacy",
            "at_most": self.at_most,
            "articles": self.articles,
            "model": f"{meta['lang']}_{meta['name']}-{meta['version']}",
            "digest": _folder_digest(Path(self._pipeline.path)),
            "words": lists_digest(*LISTS),
        }


def _load(model: str) -> Any:
    try:
        import spacy
    except ImportError:
        raise UserError(
            "noun chunks need spaCy: pip install 'cloc-pretrain[prep]', or use the extractor "
            "without a model (phrases: light)"
        ) from None
    try:
        pipeline = spacy.load(model, exclude=list(UNUSED))
    except OSError as error:
        raise UserError(
            f"spaCy cannot read model={model} ({one_line(error)}); get it with: python -m spacy "
            f"download {model}, or use the extractor without a model (phrases: light)"
        ) from None
    missing = [name for name in NEEDED if name not in pipeline.pipe_names]
    if missing:
        raise UserError(
            f"model={model} has no {missing[0]}, on which noun chunks stand; "
            "give one with it, such as en_core_web_sm"
        )
    return pipeline


def _whole_words(doc: Any, ends: set[int]) -> tuple[list[str], list[int]]:
    """Lower-case words, those together again that spaCy takes apart ("t-shirt", "child's"), and
    the place among them of every token.

    None goes on past one of `ends`, where a noun chunk ends: "it" of "it's red".
    """
    words: list[str] = []
    places = []
    glued = False
    for token in doc:
        text = token.lower_.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        part = text[0].isalnum() or text in ("-", "'") or text.startswith("'")
        if glued and part and token.i not in ends:
            words[-1] += text
        else:
            words.append(text)
        places.append(len(words) - 1)
        glued = part and not token.whitespace_
    return words, places


def _folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of the files, in order of path."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if "__pycache__" not in name:
            digest.update(name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
