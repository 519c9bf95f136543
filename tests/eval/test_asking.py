"""Passes over examples: threads ahead of the encoder, ranks that share the work, bounded memory."""

import threading
import weakref

import pytest
import torch

from cloc.errors import BadSample, UserError
from cloc.eval.answer_cache import Memo
from cloc.eval.asking import AHEAD
from cloc.eval.encode import grounded_boxes, image_vectors, region_vectors
from cloc.eval.features import Features
from tests.helpers.oracle import COLOURS, Constant, Oracle, example
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
