"""Passes over examples: threads ahead of the encoder, ranks that share the work, bounded memory."""

import threading
import weakref

import numpy as np
import pytest
import torch

from cloc.errors import BadSample, UserError
from cloc.eval import asking
from cloc.eval.answer_cache import Memo
from cloc.eval.asking import AHEAD
from cloc.eval.encode import grounded_boxes, image_vectors, region_vectors
from cloc.eval.extractors import crop, crop_blur
from cloc.eval.features import Features
from tests.helpers.oracle import COLOURS, SIZE, Constant, Oracle, example
from tests.helpers.ranks import run_ranks

BOXES = [(x, y, x + 6, y + 5) for x in (0, 7, 20) for y in (1, 9, 22)]
EXAMPLES = [example((name, box)) for name in COLOURS for box in BOXES]


def answered(embedder, examples, batch_size=4):
    images = [v for _, v in image_vectors(embedder, examples, batch_size=batch_size)]
    regions = [v for _, v in region_vectors(embedder, examples, batch_size=batch_size)]
    return torch.stack(images), torch.cat(regions)


def test_pictures_are_read_by_other_threads_and_a_few_batches_ahead_at_most():
    alive: list[weakref.ref] = []
    most, readers = [0], set()

    class Looks(Oracle):
        def images(self, x):
            most[0] = max(most[0], sum(ref() is not None for ref in alive))
            return super().images(x)

    def reading(of):
        def read():
            readers.add(threading.current_thread())
            picture = of.image.copy()
            alive.append(weakref.ref(picture))
            return picture

        return of._replace(image=read)

    found = image_vectors(Looks(), [reading(e) for e in EXAMPLES], batch_size=2)
    vectors = torch.stack([v for _, v in found])
    plain = torch.stack([v for _, v in image_vectors(Oracle(), EXAMPLES, batch_size=2)])
    assert vectors.equal(plain)
    assert threading.current_thread() not in readers
    assert len(alive) == len(EXAMPLES) == 36
    assert most[0] <= 2 * (AHEAD + 1)


PREPARED = 3 * SIZE * SIZE  # bytes of a picture


class Notes(Oracle):
    """How many examples each pass asked of it."""

    def __init__(self):
        self.calls = []

    def images(self, x):
        self.calls.append(len(x))
        return super().images(x)

    def regions(self, x, boxes, valid):
        self.calls.append(len(x))
        return super().regions(x, boxes, valid)


def test_a_batch_holds_fewer_pictures_where_they_are_large(monkeypatch):
    # each is read as 3 x 20 x 10 bytes, and shown as 3 x SIZE x SIZE
    sized = [e._replace(size=(20, 10)) for e in EXAMPLES[:5]]
    sized[3] = sized[3]._replace(size=(200, 100))
    monkeypatch.setattr(asking, "BATCH_BYTES", 2 * (PREPARED + 600))
    embedder = Notes()
    list(image_vectors(embedder, sized, batch_size=3))
    assert embedder.calls == [2, 1, 1, 1]
    masked = [e._replace(masks=lambda: np.ones((1, 10, 20), bool)) for e in sized[:3]]
    embedder.calls.clear()
    list(region_vectors(embedder, masked, batch_size=3))
    assert embedder.calls == [1, 1, 1]  # 200 bytes more each
    # one that is too large alone is asked all the same, and of what nobody knows the frame counts
    monkeypatch.setattr(asking, "BATCH_BYTES", 2 * PREPARED)
    embedder.calls.clear()
    list(image_vectors(embedder, [sized[3], *EXAMPLES[4:8]], batch_size=3))
    assert embedder.calls == [1, 2, 2]


@pytest.mark.parametrize(("extractor", "each"), [(crop, 1), (crop_blur, 2)])
def test_a_batch_holds_fewer_pictures_where_each_box_is_one(monkeypatch, extractor, each):
    counts = (1, 1, 1, 6, 1, 1)
    examples = [
        example(*[("red", (x, y, x + 4, y + 4)) for x in range(n)]) for y, n in enumerate(counts)
    ]
    monkeypatch.setattr(asking, "BATCH_BYTES", 3 * (1 + each) * PREPARED)
    embedder, shown = extractor.extractor(Oracle()), []
    regions = embedder.regions

    def noting(x, boxes, valid):
        shown.append(x.shape[0] * x.shape[1])
        return regions(x, boxes, valid)

    monkeypatch.setattr(embedder, "regions", noting)
    found = list(region_vectors(Memo(embedder), examples, batch_size=64))
    assert shown == [3 * (1 + each), 1 + 6 * each, 2 * (1 + each)]
    for (_, ours), (_, theirs) in zip(
        found, region_vectors(embedder, examples, batch_size=1), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_picture_that_cannot_be_read_ends_the_pass_with_its_own_words():
    def broken():
        raise BadSample("image", "shard-0.tar: b is no picture")

    examples = [EXAMPLES[0], EXAMPLES[1]._replace(image=broken, digest=b"")]
    with pytest.raises(UserError, match=r"shard-0.tar: b is no picture"):
        list(image_vectors(Oracle(), examples, batch_size=1))


def _ranks_answer_as_one_process(rank, path):
    expected = answered(Oracle(), EXAMPLES)
    features = Features(path if rank == 0 else None)
    shares = []

    class Counts(Oracle):
        def regions(self, x, boxes, valid):
            shares.append(len(x))
            return super().regions(x, boxes, valid)

    memo = Memo(Counts(), features, together=True)
    for found, wanted in zip(answered(memo, EXAMPLES, 3), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    assert 0 < sum(shares) < len(EXAMPLES)
    shares.clear()
    for found, wanted in zip(answered(memo, EXAMPLES[::-1], 5), expected, strict=True):
        torch.testing.assert_close(found, wanted.flip(0), rtol=0, atol=1e-6)
    assert shares == []
    # one that the first rank alone knows is known to all, whatever the others have
    fresh = Memo(Counts(), features if rank == 0 else Features(), together=True)
    torch.testing.assert_close(answered(fresh, EXAMPLES)[1], expected[1], rtol=0, atol=1e-6)
    assert shares == []
    silent = Memo(Constant(grounds=False), together=True)
    grounded = grounded_boxes(silent, EXAMPLES[:1], phrases=lambda e: e.phrases, batch_size=1)
    assert list(grounded) == []
    if rank == 0:  # alone, as in a training loop: nobody is waited for
        answered(Memo(Oracle()), EXAMPLES)


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_the_examples_and_all_have_the_answers_of_one_process(world, tmp_path):
    run_ranks(_ranks_answer_as_one_process, tmp_path / "features.sqlite", world=world)
