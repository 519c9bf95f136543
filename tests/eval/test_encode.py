"""Vectors come back once per thing, in order, whatever the batch size."""

from functools import partial

import pytest
import torch

from cloc.errors import UserError
from cloc.eval.asking import batches
from cloc.eval.encode import grounded_boxes, image_vectors, region_vectors, text_vectors
from tests.helpers.oracle import Constant, Oracle, example

A = example(("red", (0, 0, 8, 8)), ("blue", (16, 16, 24, 32)))
EMPTY = example()
B = example(("green", (4, 4, 12, 12)))
EXAMPLES = [A, EMPTY, B, A, B]


def test_the_last_batch_is_shorter_and_each_example_is_read_once():
    stream = iter(EXAMPLES)
    assert [len(b) for b in batches(stream, size=2)] == [2, 2, 1]
    assert next(stream, None) is None


def test_a_batch_size_below_one_names_the_key():
    with pytest.raises(UserError, match="batch_size is 0; set batch_size to 1 or more"):
        next(batches(EXAMPLES, size=0))


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_region_vectors_in_the_order_of_the_boxes(batch_size):
    found = list(region_vectors(Oracle(), EXAMPLES, batch_size=batch_size))
    assert [e.phrases for e, _ in found] == [A.phrases, B.phrases, A.phrases, B.phrases]
    for e, vectors in found:
        colours = Oracle().texts(e.phrases)[:, :4].argmax(1)
        torch.testing.assert_close(vectors[:, :4].argmax(1), colours)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_image_vectors_include_images_without_boxes(batch_size):
    found = list(image_vectors(Oracle(), EXAMPLES, batch_size=batch_size))
    prepared = Oracle().prepare([e.image for e in EXAMPLES], [e.boxes for e in EXAMPLES])
    torch.testing.assert_close(torch.stack([v for _, v in found]), Oracle().images(prepared.images))


@pytest.mark.parametrize("batch_size", [1, 64])
def test_text_vectors_of_the_unique_texts_in_order_of_first_use(batch_size):
    texts = ["blue", "red", "blue", "green", "red"]
    words, rows = text_vectors(Oracle(), texts, batch_size=batch_size)
    torch.testing.assert_close(words, Oracle().texts(["blue", "red", "green"]))
    assert rows.tolist() == [0, 1, 0, 2, 1]


@pytest.mark.parametrize("batch_size", [1, 64])
def test_grounded_boxes_beside_the_boxes_of_the_example(batch_size):
    found = grounded_boxes(
        Oracle(), EXAMPLES, phrases=lambda e: e.phrases[:1], batch_size=batch_size
    )
    for expected, (e, boxes, predicted) in zip([A, B, A, B], found, strict=True):
        assert e is expected
        torch.testing.assert_close(boxes, torch.from_numpy(expected.boxes) / 32)
        torch.testing.assert_close(predicted, boxes[:1])


def test_yields_nothing_where_the_embedder_cannot_ground():
    found = grounded_boxes(
        Constant(grounds=False), EXAMPLES, phrases=lambda e: e.phrases, batch_size=2
    )
    assert list(found) == []


class Broken(Oracle):
    """Its answer of one kind has a number that is none."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def images(self, x):
        return self._broken("image", super().images(x))

    def texts(self, texts):
        return self._broken("text", super().texts(texts))

    def regions(self, x, boxes, valid):
        return self._broken("region", super().regions(x, boxes, valid))

    def ground(self, x, phrases):
        return [self._broken("box", found) for found in super().ground(x, phrases)]

    def _broken(self, kind, found):
        found = found.clone()
        if kind == self.kind:
            found[-1].view(-1)[0] = torch.nan if kind == "text" else torch.inf
        return found


def names(example):
    return example.phrases


@pytest.mark.parametrize(
    ("kind", "encode", "says"),
    [
        ("image", image_vectors, f"embedding of image '{EMPTY.key}' is not finite, .* lower opt"),
        ("region", region_vectors, f"an embedding in image '{B.key}' is not finite"),
        (
            "box",
            partial(grounded_boxes, phrases=names),
            f"a box grounded in image '{A.key}' is not",
        ),
    ],
)
def test_an_answer_that_is_no_number_is_refused(kind, encode, says):
    assert list(encode(Broken("other"), EXAMPLES, batch_size=2))
    with pytest.raises(UserError, match=says):
        list(encode(Broken(kind), EXAMPLES, batch_size=2))


def test_a_text_without_a_finite_embedding_is_named():
    with pytest.raises(UserError, match="the embedding of text 'blue' is not finite"):
        text_vectors(Broken("text"), ["red", "blue"], batch_size=2)
