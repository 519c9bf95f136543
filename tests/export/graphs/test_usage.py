"""The tokenizer beside graphs, and the code that is shown for them."""

import ftfy
import pytest
import torch

from cloc.export.graphs.usage import usage, write_graph_tokenizer
from cloc.export.parity import TEXTS
from tests.helpers.hf import TINY_SIGLIP
from tests.helpers.models import NATIVE, make_model


def with_kwargs(config, **kwargs):
    return {**config, "text_cfg": {**config["text_cfg"], "tokenizer_kwargs": kwargs}}


@pytest.mark.parametrize(
    "config",
    [NATIVE, TINY_SIGLIP, with_kwargs(NATIVE, clean="canonicalize")],
    ids=["clip", "reads its padding", "canonicalize"],
)
def test_rows_are_the_towers_own_padding_included(tmp_path, config):
    from tokenizers import Tokenizer

    model = make_model(config, region_head=None)
    assert write_graph_tokenizer(model, tmp_path) == "tokenizer.json"
    made = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    found = torch.tensor([row.ids for row in made.encode_batch(list(map(ftfy.fix_text, TEXTS)))])
    assert found.equal(model.tower.tokenizer()(list(TEXTS), model.tower.context_length))


def test_a_tokenizer_that_no_file_can_hold_is_none_with_the_reason(tmp_path):
    model = make_model(with_kwargs(NATIVE, reduction_mask="simple"), region_head=None)
    assert write_graph_tokenizer(model, tmp_path).startswith("none: tokenizer_kwargs.reduction")
    assert not list(tmp_path.iterdir())


def test_the_code_shows_what_there_is():
    lines = {"images": "IMAGES\n", "texts": "TEXTS\n", "regions": "REGIONS\n"}
    for parts in (set(), {"text"}, {"region"}, {"text", "region"}):
        code = usage("import torch", "c.json", **lines, parts=parts)
        compile(code, "usage", "exec")
        assert ("TEXTS" in code) == ("import ftfy" in code) == ("text" in parts)
        assert ("REGIONS" in code) == ("boxes = " in code) == ("region" in parts)
