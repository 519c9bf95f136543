"""Requests to a chat endpoint: in order, paced, tried again, and the key nowhere."""

import base64
import io
import itertools
import pickle
import time

import numpy as np
import PIL.Image
import pytest

from cloc.data.samples.record import Record
from cloc.errors import UserError
from data_prep.chat import Reply, user_turn
from data_prep.endpoint import IN_A_ROW, Endpoint
from data_prep.transport import Failure
from tests.helpers.chat import completion, local_chat
from tests.helpers.shards import encode, flat


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def text_of(body):
    return body["messages"][0]["content"][-1]["text"]


def echo(body):
    return 200, completion(text_of(body).upper()), {}


def one_by_one(*answers):
    """The given answers, the last of them forever."""
    rest = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda body: next(rest)


GOOD = (200, completion("fine"), {})


def make(chat, **settings):
    given = {"model": "org/tiny", "backoff_s": 0.01, **settings}
    return Endpoint(base_url=chat.url, **given)


def ask(endpoint, *texts):
    return endpoint.ask(texts or ("hello",), user_turn, max_tokens=7)


def test_a_picture_is_sent_as_it_is_stored_and_a_transparent_one_over_white():
    def sent(pixels):
        record = Record("k", encode(pixels), "png", 8, 8)
        url = user_turn("what?", record)[0]["content"][0]["image_url"]["url"]
        head, _, data = url.partition(",")
        assert head == "data:image/png;base64"
        return record.image, base64.b64decode(data)

    stored, found = sent(flat(8, 8))
    assert found == stored
    stored, found = sent(np.zeros((8, 8, 4), np.uint8))
    assert np.asarray(PIL.Image.open(io.BytesIO(found))).tolist() == flat(8, 8, [255] * 3).tolist()


def test_answers_come_in_the_order_of_the_items():
    texts = [f"t{i}" for i in range(20)]
    with local_chat(echo) as chat:
        found = ask(make(chat, concurrency=6), *texts)
    assert found == [Reply(text.upper(), True) for text in texts]
    path, body = chat.asked[0]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("org/tiny", 7, 0)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_429_and_5xx_are_tried_again(status):
    with local_chat(one_by_one((status, {}, {}), (status, {}, {}), GOOD)) as chat:
        assert ask(make(chat)) == [Reply("fine", True)]
    assert len(chat.asked) == 3


def test_the_pause_doubles_and_retry_after_replaces_it():
    with local_chat(one_by_one((500, {}, {}), (500, {}, {}), GOOD)) as chat:
        ask(make(chat, backoff_s=0.1))
        gaps = [b - a for a, b in itertools.pairwise(chat.began)]
        assert gaps[0] >= 0.1
        assert gaps[1] >= 0.2
    with local_chat(one_by_one((429, {}, {"Retry-After": "0.3"}), GOOD)) as chat:
        ask(make(chat, backoff_s=0.0))
        assert chat.began[1] - chat.began[0] >= 0.3
    with local_chat(one_by_one((429, {}, {"Retry-After": "0"}), GOOD)) as chat:
        begin = time.monotonic()
        ask(make(chat, backoff_s=30.0))
        assert time.monotonic() - begin < 20


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, {"error": "out of order"}, {}), "server"),
        ((429, {}, {}), "busy"),
        ((200, b"<html>", {}), "malformed"),
        ((200, {"choices": []}, {}), "malformed"),
        ((200, {"choices": [{"message": {"content": ["?"]}}]}, {}), "malformed"),
        ((200, b'{"choices": [', {"Content-Length": "99"}), "connection"),
        ((400, {"error": "too many tokens"}, {}), "refused"),  # never tried again
        ((413, {}, {}), "refused"),
    ],
)
def test_what_fails_after_all_retries_is_told_and_the_others_are_answered(answer, reason):
    def answers(body):
        return answer if text_of(body) == "bad" else echo(body)

    with local_chat(answers) as chat:
        found = ask(make(chat, retries=2, timeout_s=1.0), "a", "bad", "b")
    assert (found[0], found[2]) == (Reply("A", True), Reply("B", True))
    assert isinstance(found[1], Failure)
    assert found[1].reason == reason
    tries = 1 if reason == "refused" else 3
    assert sum(text_of(body) == "bad" for _, body in chat.asked) == tries


def test_a_slow_server_is_a_broken_connection():
    with local_chat(echo) as chat:
        endpoint = make(chat, retries=1, timeout_s=0.2)
        chat.delay_s = 0.6
        with pytest.raises(UserError, match=r"none of 1 requests had an answer.*timed out"):
            ask(endpoint)
    assert len(chat.asked) == 2


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_server_that_dies_ends_the_work_with_one_error(concurrency):
    """And not with retries for each of the samples that are left, none of which is to blame."""
    alive = [GOOD] * 6
    dead = (503, {"error": "no worker is left"}, {})
    with local_chat(lambda body: alive.pop() if alive else dead) as chat:
        endpoint = make(chat, retries=2, concurrency=concurrency)
        for tried in (6, 0):  # a shard, and the next one
            chat.asked.clear()
            said = r"[5-9] requests in a row.*no worker is left"
            with pytest.raises(UserError, match=said) as error:
                ask(endpoint, *map(str, range(1000)))
            assert tried + 5 * 3 <= len(chat.asked) <= tried + (5 + concurrency) * 3
    assert "\n" not in str(error.value)


def test_after_failures_at_the_end_the_server_must_still_answer():
    """Else a shard would be done whose last samples have no answer."""
    dead = []

    def answers(body):
        if text_of(body) == "last breath":
            dead.append(True)
        return (500, {}, {}) if dead or text_of(body) == "bad" else echo(body)

    with local_chat(answers) as chat:
        endpoint = make(chat, retries=0, concurrency=1)
        for texts in (["bad", "a"], ["a", "bad"], ["bad", "a", "bad", "bad", "bad", "bad"]):
            asked = [isinstance(answer, Failure) for answer in ask(endpoint, *texts)]
            assert asked == [text == "bad" for text in texts]
        with pytest.raises(UserError, match="a request that had an answer has none any more"):
            ask(endpoint, "a", "last breath", "b")


def test_a_text_that_was_cut_off_is_not_whole_and_a_refusal_is_empty():
    with local_chat(one_by_one((200, completion("a c", finish="length"), {}))) as chat:
        assert ask(make(chat)) == [Reply("a c", False)]
    with local_chat(one_by_one((200, completion(None), {}))) as chat:
        assert ask(make(chat)) == [Reply("", True)]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_another_4xx_is_told_at_once_in_the_servers_words(status):
    def answers(body):
        return (status, {"error": "no such thing"}, {}) if text_of(body) == "bad" else echo(body)

    with local_chat(answers) as chat:
        endpoint = make(chat, concurrency=1)
        with pytest.raises(UserError, match=f"answers {status}.*no such thing") as error:
            ask(endpoint, "a", "bad", *["b"] * 50)
    assert "\n" not in str(error.value)
    assert sum(text_of(body) == "bad" for _, body in chat.asked) == 1
    assert len(chat.asked) < 10


def test_at_most_so_many_requests_begin_in_a_second():
    with local_chat(one_by_one((500, {}, {}), GOOD)) as chat:
        endpoint = make(chat, requests_per_s=20, backoff_s=0.0)
        begin = time.monotonic()
        ask(endpoint, *"abcdef")
        ask(endpoint, *"abcd")  # the next shard goes on at the same pace
        assert time.monotonic() - begin >= 10 / 20
    assert len(chat.began) == 11


@pytest.mark.parametrize("concurrency", [1, 3])
def test_at_most_so_many_requests_are_under_way(concurrency):
    with local_chat(echo) as chat:
        chat.delay_s = 0.1
        ask(make(chat, concurrency=concurrency), *"abcdefghi")
    assert chat.most_busy <= concurrency
    assert (chat.most_busy > 1) is (concurrency > 1)


def test_the_key_is_sent_and_stands_nowhere_else(monkeypatch):
    monkeypatch.setenv("TINY_KEY", "sk-secret")
    wrong = (401, {"error": "sk-secret is not known"}, {})
    with local_chat(one_by_one(GOOD, wrong)) as chat:
        endpoint = make(chat, key_env="TINY_KEY")
        ask(endpoint)
        assert set(chat.keys) == {"Bearer sk-secret"}
        with pytest.raises(UserError, match=r"\*\*\* is not known") as error:
            ask(endpoint)
    shown = f"{error.value} {vars(endpoint)} {endpoint.describe()}"
    assert "secret" not in shown
    assert b"secret" not in pickle.dumps(endpoint)


@pytest.mark.parametrize("key", [None, "", "sk-\nsecret"])
def test_a_key_that_cannot_be_sent_is_told_without_showing_it(monkeypatch, key):
    monkeypatch.delenv("TINY_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("TINY_KEY", key)
    with local_chat(echo) as chat:
        with pytest.raises(UserError, match="TINY_KEY") as error:
            make(chat, key_env="TINY_KEY")
    assert "secret" not in str(error.value)


def test_the_key_does_not_follow_a_redirection(monkeypatch):
    monkeypatch.setenv("TINY_KEY", "sk-secret")
    with local_chat(echo) as other:
        moved = (302, {}, {"Location": f"{other.url}/models"})
        with local_chat(one_by_one(moved)) as chat:
            with pytest.raises(UserError, match="no chat completion"):
                ask(make(chat, key_env="TINY_KEY", retries=0))
        assert set(other.keys) == {None}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "file:///etc/passwd"}, "is no address"),
        ({"base_url": "127.0.0.1:8000"}, "is no address"),
        ({"base_url": "http://me:secret@127.0.0.1/v1"}, "key_env"),
        ({"base_url": "http://127.0.0.1/v1?key=secret"}, "key_env"),
        ({"retries": -1}, "retries=-1"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"requests_per_s": 0}, "requests_per_s=0"),
        ({"timeout_s": 0}, "timeout_s=0"),
        ({"backoff_s": -1}, "backoff_s=-1"),
        ({"model": "org/other"}, "has no model 'org/other'; it serves org/tiny"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with local_chat(echo) as chat:
        with pytest.raises(UserError, match=message) as error:
            Endpoint(**{"base_url": chat.url, "model": "org/tiny", **settings})
    assert "secret" not in str(error.value)


def test_a_server_that_is_not_there_is_told_before_any_work():
    with local_chat(echo) as chat:
        url = chat.url
    with pytest.raises(UserError, match="start the server or correct base_url"):
        Endpoint(base_url=url, model="org/tiny")


def test_many_refusals_in_a_row_are_no_server_that_is_gone():
    """Large pictures may lie side by side."""
    many = 3 * IN_A_ROW
    with local_chat(one_by_one(GOOD, *[(413, {}, {})] * many, GOOD)) as chat:
        found = ask(make(chat, concurrency=1), *map(str, range(many + 2)))
    assert [isinstance(x, Reply) for x in found] == [True, *[False] * many, True]
