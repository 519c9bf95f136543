"""Hard negatives by a chat endpoint: only clean phrases that are wrong for every region."""

import dataclasses
import json

import pytest

from cloc.data.samples.record import Caption, Record, Region
from cloc.errors import UserError
from data_prep.endpoint import Endpoint
from data_prep.stage import Notes
from data_prep.stages.negatives_endpoint import NegativesEndpoint
from tests.helpers.chat import completion, local_chat


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def record(key, *texts, **fields):
    regions = tuple(Region((0.0, 0.0, 9.0, 9.0), text, **fields) for text in texts)
    return Record(key, b"", "jpg", 9, 9, regions=regions)


def saying(replies):
    """The reply that belongs to the region's text."""

    def answers(body):
        asked = body["messages"][0]["content"][0]["text"]
        text = asked.partition("shows: ")[2].partition("\n")[0]
        return 200, completion(replies[text]), {}

    return answers


def stage(chat, **settings):
    endpoint = Endpoint(base_url=chat.url, model="org/tiny", backoff_s=0.0, retries=0)
    return NegativesEndpoint(endpoint=endpoint, **settings)


def test_negatives_are_never_a_true_text_of_the_record():
    replies = {
        "a red cat": json.dumps(["A  blue dog.", "a red cat", "a green cat", "a green cat"]),
        "a blue dog": json.dumps(["a red dog", "a red cat", 7, "", "two\x00dogs"]),
    }
    given = [record("a", "a red cat", "a blue dog"), record("b", "a red cat")]
    with local_chat(saying(replies)) as chat:
        found = stage(chat)(given, Notes())
    assert [r.negatives for r in found[0].regions] == [("a green cat",), ("a red dog", "two dogs")]
    assert found[1].regions[0].negatives == ("A blue dog.", "a green cat")
    assert len(chat.asked) == 2  # a text is asked for once


def test_negatives_are_never_what_a_caption_or_a_phrase_says():
    replies = {"a cat": json.dumps(["The Dog!", "a red hen", "a hen", "a redhead", "a cow", "..."])}
    given = dataclasses.replace(
        record("a", "a cat"),
        captions=(Caption("A cat, the red hen and more."),),
        meta={"phrases": ["dog"]},
    )
    with local_chat(saying(replies)) as chat:
        (found,) = stage(chat)([given], Notes())
    assert found.regions[0].negatives == ("a redhead", "a cow")


def test_at_most_so_many_are_added_behind_those_that_are_there():
    replies = {"a cat": json.dumps(["a dog", "a cow", "a hen", "a pig"])}
    with local_chat(saying(replies)) as chat:
        (found,) = stage(chat, count=2)([record("a", "a cat", negatives=("a dog",))], Notes())
    assert found.regions[0].negatives == ("a dog", "a cow", "a hen")
    assert "Write 2 short phrases" in chat.asked[0][1]["messages"][0]["content"][0]["text"]


def test_a_list_in_a_fence_is_a_list():
    with local_chat(saying({"a cat": '```json\n["a dog"]\n```'})) as chat:
        (found,) = stage(chat)([record("a", "a cat")], Notes())
    assert found.regions[0].negatives == ("a dog",)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [("Sure! a dog", "no_list"), ('{"a": 1}', "no_list"), ('["a cat"]', "none_usable")],
)
def test_a_reply_without_a_usable_phrase_is_counted(reply, reason):
    given, notes = [record("a", "a cat")], Notes()
    with local_chat(saying({"a cat": reply})) as chat:
        assert stage(chat)(given, notes) == given
    assert notes.counts == {("negatives", reason): 1}


def test_a_server_that_fails_is_counted():
    def answers(body):
        good = "a dog" in json.dumps(body)
        return (200, completion('["a cow"]'), {}) if good else (500, {}, {})

    given, notes = [record("a", "a cat"), record("b", "a dog")], Notes()
    with local_chat(answers) as chat:
        found = stage(chat)(given, notes)
    assert (found[0], found[1].regions[0].negatives) == (given[0], ("a cow",))
    assert notes.counts == {("negatives", "server"): 1}


def test_what_the_answers_depend_on():
    with local_chat(saying({})) as chat:
        said = dict(stage(chat, count=3).describe())
    assert json.loads(json.dumps(said)) == said
    assert (said["model"], said["count"]) == ("org/tiny", 3)


@pytest.mark.parametrize("settings", [{"count": 0}, {"max_tokens": 0}])
def test_settings_that_cannot_work_are_refused(settings):
    with local_chat(saying({})) as chat:
        with pytest.raises(UserError):
            stage(chat, **settings)
