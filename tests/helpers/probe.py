"""What an export of a model is compared on: two pictures of noise, three boxes each, hard texts."""

from cloc.export.parity import TEXTS, Probe
from tests.helpers.models import random_pixels
from tests.helpers.rows import random_boxes


def probe_of(model):
    boxes = random_boxes(0, 2, 3).float()
    return Probe(random_pixels(0, 2, size=model.tower.image_size), boxes, TEXTS, "noise")
