"""Captions by a chat endpoint: the picture as it is stored goes out, a caption comes back."""

import base64
import io
import json

import PIL.Image
import pytest

from cloc.data.samples.record import Caption, Record
from cloc.errors import UserError
from data_prep.endpoint import Endpoint
from data_prep.stage import Notes
from data_prep.stages.recaption_endpoint import RecaptionEndpoint
from tests.helpers.chat import completion, local_chat


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def record(key, *, width=20, kind="PNG"):
    content = io.BytesIO()
    PIL.Image.new("RGB", (width, 10)).save(content, kind)
    extension = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}[kind]
    return Record(key, content.getvalue(), extension, width, 10, captions=(Caption("old"),))


def picture_of(body):
    head, _, data = body["messages"][0]["content"][0]["image_url"]["url"].partition(",")
    return head, base64.b64decode(data)


def stage(chat, **settings):
    endpoint = Endpoint(base_url=chat.url, model="org/tiny", backoff_s=0.0, retries=1)
    return RecaptionEndpoint(endpoint=endpoint, prompt="What is it?", **settings)


def by_width(body):
    """What the answer is depends on the picture alone."""
    width = PIL.Image.open(io.BytesIO(picture_of(body)[1])).width
    return {
        21: (200, completion(""), {}),
        22: (200, completion("a cat on", finish="length"), {}),
        23: (500, {"error": "out of order"}, {}),
        24: (200, completion("no no no no"), {}),
        25: (200, completion("half \ud800"), {}),
    }.get(width, (200, completion(f"{width} wide"), {}))


def test_every_record_keeps_its_captions_and_gets_its_own():
    given = [record(f"{w}", width=w) for w in range(20, 28)]
    notes = Notes()
    with local_chat(by_width) as chat:
        found = stage(chat)(given, notes)
        last = stage(chat, place="last")(given[:1], Notes())
    for before, after, width in zip(given, found, range(20, 28), strict=True):
        new = () if 21 <= width <= 25 else (Caption(f"{width} wide", "tiny"),)
        assert after.captions == (*new, Caption("old"))
        assert after.key == before.key
    assert last[0].captions == (Caption("old"), Caption("20 wide", "tiny"))
    reasons = ("empty", "long", "server", "repeats", "unclean")
    assert notes.counts == {("captions", reason): 1 for reason in reasons}
    (told,) = [e.text for e in notes.examples if e.reason == "server"]
    assert "out of order" in told


@pytest.mark.parametrize(("kind", "mime"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp")])
def test_the_picture_goes_out_as_it_is_stored(kind, mime):
    given = record("a", kind=kind)
    with local_chat(by_width) as chat:
        stage(chat)([given], Notes())
    ((_, body),) = chat.asked
    assert picture_of(body) == (f"data:image/{mime};base64", given.image)
    assert body["messages"][0]["content"][1] == {"type": "text", "text": "What is it?"}


def test_a_picture_that_cannot_be_read_is_left_out_and_not_sent():
    notes, broken = Notes(), Record("broken", b"no picture", "jpg", 20, 10)
    with local_chat(by_width) as chat:
        found = stage(chat)([broken, record("a")], notes)
    assert [r.key for r in found] == ["a"]
    assert notes.counts == {("samples", "image"): 1}
    assert len(chat.asked) == 1


def test_what_the_answers_depend_on():
    with local_chat(by_width) as chat:
        said = dict(stage(chat).describe())
    assert json.loads(json.dumps(said)) == said
    assert (said["model"], said["prompt"], said["max_tokens"]) == ("org/tiny", "What is it?", 256)
    assert "127.0.0.1" not in json.dumps(said)


@pytest.mark.parametrize("settings", [{"place": "middle"}, {"max_tokens": 0}, {"prompt": ""}])
def test_settings_that_cannot_work_are_refused(settings):
    with local_chat(by_width) as chat:
        endpoint = Endpoint(base_url=chat.url, model="org/tiny")
        with pytest.raises(UserError):
            RecaptionEndpoint(**{"endpoint": endpoint, "prompt": "What?", **settings})
