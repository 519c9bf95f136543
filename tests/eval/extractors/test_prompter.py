"""The run's own head under a name."""

import pytest

from cloc.errors import UserError
from cloc.eval.extractors.prompter import extractor
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import make_model
from tests.helpers.patches import Cells


def test_it_is_the_embedder_itself():
    own = ModelEmbedder(make_model())
    assert extractor(own) is own


@pytest.mark.parametrize("make", [Cells, lambda: ModelEmbedder(make_model(region_head=None))])
def test_an_encoder_without_a_region_head_is_refused(make):
    with pytest.raises(UserError, match="prompter: this model has no region head"):
        extractor(make())
