"""Guesses without looking."""

import torch

from cloc.eval.blind_boxes import blind_boxes

TARGETS = [torch.tensor([[0.0, 0.0, 0.2, 0.4]]), torch.tensor([[0.5, 0.5, 0.9, 0.7]] * 2)]


def test_one_box_per_query_and_draw_inside_the_frame():
    found = blind_boxes(TARGETS, seed=0, draws=5)
    assert [len(draws) for draws in found.values()] == [1, 5]
    for boxes in (box for draws in found.values() for box in draws):
        assert boxes.shape == (2, 4)
        assert (boxes >= 0).all()
        assert (boxes <= 1 + 1e-6).all()


def test_the_centre_box_has_the_mean_size_and_a_random_one_that_of_a_target():
    found = blind_boxes(TARGETS, seed=0, draws=50)
    [centre] = found["_centre_box"]
    size = torch.tensor([(0.2 + 0.4 + 0.4) / 3, (0.4 + 0.2 + 0.2) / 3])
    torch.testing.assert_close(centre[0], torch.cat([0.5 - size / 2, 0.5 + size / 2]))
    random = torch.cat(found["_random_box"])
    widths = {round(float(x), 3) for x in random[:, 2] - random[:, 0]}
    assert widths == {0.2, 0.4}


def test_the_seed_says_which():
    runs = [torch.cat(blind_boxes(TARGETS, seed=s, draws=2)["_random_box"]) for s in (0, 0, 1)]
    assert runs[0].equal(runs[1])
    assert not runs[0].equal(runs[2])
