"""What an export of a model is compared on: two pictures of noise, three boxes each, four texts."""

from cloc.parity import Probe
from tests.helpers.models import random_pixels
from tests.helpers.rows import random_boxes


def probe_of(model):
    boxes = random_boxes(0, 2, 3).float()
    texts = ("a photo of a dog", "two red stars left of a blue ring", "x", "a cat")
    return Probe(random_pixels(0, 2, size=model.tower.image_size), boxes, texts, "noise")
