"""Hard negatives of region texts, asked of a chat model behind an OpenAI-compatible endpoint."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cloc.data.samples import validate
from cloc.data.samples.record import Record, Region
from cloc.errors import UserError
from data_prep.chat import Message, Reply, user_turn
from data_prep.endpoint import Endpoint
from data_prep.importing import words
from data_prep.stage import PHRASES, Notes
from data_prep.transport import Failure

VERSION = 3
WORD = re.compile(r"\w+(?:['-]\w+)*")
REQUEST = (
    "A region of a picture shows: {text}\n"
    "Write {count} short phrases that look alike but are wrong for that region: change one "
    "attribute, colour, count, object or relation in each. Answer with a JSON list of {count} "
    "strings and nothing else."
)


class NegativesEndpoint:
    """Adds up to `count` phrases to the `negatives` of every region, behind those that are there.

    Each different text is asked for once in a shard. The reply has to be a JSON list of strings,
    in a fence of Markdown or not; a phrase that is unclean, is a text of any region or a phrase of
    the same record or stands in a caption of it (case, marks and articles aside), or is there
    already is not taken. A region that gets none stays as it is and is counted.
    """

    name = "negatives"

    def __init__(self, *, endpoint: Endpoint, count: int = 4, max_tokens: int = 256) -> None:
        if not 1 <= count <= validate.MAX_NEGATIVES or max_tokens < 1:
            raise UserError(
                f"count={count}, max_tokens={max_tokens}; give 1 to {validate.MAX_NEGATIVES} "
                "negatives and at least 1 token"
            )
        self.endpoint, self.count, self.max_tokens = endpoint, count, max_tokens

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        texts = list(dict.fromkeys(r.text for record in records for r in record.regions))
        answers = self.endpoint.ask(texts, self._turn, max_tokens=self.max_tokens)
        found = dict(zip(texts, map(_phrases, answers), strict=True))
        return [
            replace(record, regions=tuple(self._regions(record, found, notes)))
            for record in records
        ]

    def describe(self) -> Mapping[str, Any]:
        return {
            "version": VERSION,
            **self.endpoint.describe(),
            "count": self.count,
            "request": REQUEST,
            "max_tokens": self.max_tokens,
        }

    def _turn(self, text: str) -> list[Message]:
        return user_turn(REQUEST.format(text=text, count=self.count))

    def _regions(
        self, record: Record, found: Mapping[str, list[str] | str], notes: Notes
    ) -> list[Region]:
        phrases = [text for text in record.meta.get(PHRASES, ()) if isinstance(text, str)]
        true = {_plain(text) for text in (*(r.text for r in record.regions), *phrases)}
        captions = [f" {_plain(caption.text)} " for caption in record.captions]
        regions = []
        for region in record.regions:
            offered = found[region.text]
            if isinstance(offered, str):
                notes.counts["negatives", offered] += 1
                regions.append(region)
                continue
            taken = {"", *true, *map(_plain, region.negatives)}
            new = []
            for text in offered:
                plain = _plain(text)
                if plain not in taken and not any(f" {plain} " in told for told in captions):
                    taken.add(plain)
                    new.append(text)
            if not new:
                notes.counts["negatives", "none_usable"] += 1
            room = min(self.count, validate.MAX_NEGATIVES - len(region.negatives))
            regions.append(replace(region, negatives=(*region.negatives, *new[: max(0, room)])))
        return regions


def _plain(text: str) -> str:
    return " ".join(word for word in WORD.findall(text.lower()) if word not in ("a", "an", "the"))


def _phrases(answer: Reply | Failure) -> list[str] | str:
    """The clean phrases of a reply; why there are none, in a word."""
    if isinstance(answer, Failure):
        return answer.reason
    text = answer.text.strip()
    if text.startswith("```"):
        text = text.strip("`").removeprefix("json")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return "no_list"
    if not isinstance(given, list):
        return "no_list"
    return [phrase for phrase in map(words, given) if validate.is_phrase(phrase)]
