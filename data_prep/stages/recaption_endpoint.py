"""The stage `recaption` by a chat model behind an OpenAI-compatible endpoint, such as vLLM."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloc.data.samples.decode import decode_record
from cloc.data.samples.record import Record
from cloc.errors import BadSample, UserError
from data_prep.captions import check_place, with_caption
from data_prep.chat import user_turn
from data_prep.endpoint import Endpoint
from data_prep.stage import Notes
from data_prep.transport import Failure

VERSION = 2


class RecaptionEndpoint:
    """Adds one caption, `source` the last part of the model's name, before ("first") or after
    ("last") those that are there. One that is empty, cut off at `max_tokens` or repeats itself is
    left out and counted, and so is one that the server did not give after all retries; the record
    stays."""

    name = "recaption"

    def __init__(
        self, *, endpoint: Endpoint, prompt: str, max_tokens: int = 256, place: str = "first"
    ) -> None:
        check_place(place)
        if max_tokens < 1 or not prompt:
            raise UserError(f"max_tokens={max_tokens}, prompt={prompt!r}; give both")
        self.endpoint, self.prompt = endpoint, prompt
        self.max_tokens, self.place = max_tokens, place

    def __call__(self, records: Sequence[Record], notes: Notes) -> list[Record]:
        """A record whose picture cannot be decoded is left out, and not sent: the server would
        refuse it, and with it the run."""
        whole = [record for record in records if _is_whole(record, notes)]
        answers = self.endpoint.ask(
            whole, lambda record: user_turn(self.prompt, record), max_tokens=self.max_tokens
        )
        source, kept = self.endpoint.model.rpartition("/")[2], []
        for record, answer in zip(whole, answers, strict=True):
            if isinstance(answer, Failure):
                notes.caption(record, answer.reason, answer.message)
                kept.append(record)
            else:
                kept.append(
                    with_caption(
                        record,
                        answer.text,
                        is_whole=answer.is_whole,
                        source=source,
                        place=self.place,
                        notes=notes,
                    )
                )
        return kept

    def describe(self) -> Mapping[str, Any]:
        return {
            "version": VERSION,
            **self.endpoint.describe(),
            "prompt": self.prompt,
            "place": self.place,
            "max_tokens": self.max_tokens,
        }


def _is_whole(record: Record, notes: Notes) -> bool:
    try:
        decode_record(record, f"record {record.key}")
    except BadSample as error:
        notes.sample(record, error.reason)
        return False
    return True
