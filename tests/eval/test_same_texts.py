"""Texts that an embedder reads alike, in every benchmark: one text, and no tie that is wrong."""

import warnings

import pytest
import torch

from cloc.eval.answer_cache import Memo
from cloc.eval.benchmarks.grounding import Grounding
from cloc.eval.benchmarks.image_text_retrieval import ImageTextRetrieval
from cloc.eval.benchmarks.region_classification import RegionClassification
from cloc.eval.benchmarks.region_retrieval import RegionRetrieval
from cloc.eval.benchmarks.relational_regions import RelationalRegions
from cloc.eval.benchmarks.spatial_relations import SpatialRelations
from cloc.eval.encode import same_texts, text_vectors
from cloc.eval.extractors import crop
from cloc.eval.extractors.roi import RoIEmbedder
from cloc.interfaces import KnowsTokens, Split, tokens_of
from cloc.models.embedder import ModelEmbedder
from tests.helpers.models import make_model
from tests.helpers.oracle import LowerCase, Oracle, example

LEFT, RIGHT = (0, 0, 8, 8), (24, 0, 32, 8)
TWO = (("red", LEFT), ("blue", RIGHT))
EMBEDDERS = (LowerCase(), Memo(LowerCase()), crop.extractor(LowerCase()))


@pytest.mark.parametrize("embedder", EMBEDDERS)
def test_whoever_stands_around_an_embedder_knows_what_it_knows(embedder):
    assert isinstance(embedder, KnowsTokens)
    texts = ["A red", "a  RED", "blue", "a red"]
    assert same_texts(embedder, texts) == ([0, 0, 1, 0], [0, 2])
    vectors, rows = text_vectors(embedder, texts, batch_size=1)
    assert vectors.shape[0] == 2
    torch.testing.assert_close(vectors[rows], LowerCase().texts(texts))


def test_an_embedder_without_tokens_tells_every_text_apart():
    assert not isinstance(Oracle(), KnowsTokens)
    for embedder in (Oracle(), Memo(Oracle()), crop.extractor(Oracle())):
        assert same_texts(embedder, ["red", "Red", "red"]) == ([0, 1, 0], [0, 1])
        assert len(set(tokens_of(embedder, ["red", "red ", "\ud800"]))) == 3


def test_a_model_reads_what_its_tokenizer_gives():
    model = make_model()
    for embedder in (ModelEmbedder(model, text_batch=2), RoIEmbedder(ModelEmbedder(model))):
        long = "a photo of a red star and a blue ring and a cross and a "
        texts = ["A  Red Star", "a red star", "a red ring", long + "dog", long + "cat"]
        assert same_texts(embedder, texts)[0] == [0, 0, 1, 2, 2]
        vectors, rows = text_vectors(embedder, texts, batch_size=64)
        torch.testing.assert_close(vectors[rows], embedder.texts(texts))
        assert embedder.tokens([]) == []


def test_classes_that_are_read_alike_are_measured_as_one_and_named():
    classes = {"red": ["red", "a red"], "Red": ["a RED", "Red"], "blue": ["blue"]}
    items = [example(*TWO)]
    items[0] = items[0]._replace(labels=("Red", "blue"), phrases=("RED", "red"))
    split = Split("val", items, classes)
    with pytest.warns(UserWarning, match="reads the classes red, Red alike, so they are measured"):
        found = RegionClassification().run(LowerCase(), split)
    assert (found["top1"], found["class_mean"], found["top1_chance"]) == (1.0, 1.0, 0.5)
    assert "within_image" not in found  # one phrase, twice: nothing to choose between
    other = {"red": ["red"], "Red": ["red", "pink"], "blue": ["blue"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = RegionClassification().run(LowerCase(), split._replace(classes=other))
        assert found["top1_chance"] == pytest.approx(1 / 3)
        apart = split._replace(classes={"Red": ["red"], "blue": ["blue"]})
        assert RegionClassification().run(Oracle(), apart)["top1_chance"] == 0.5


def test_phrases_of_one_image_that_are_read_alike_are_one_option():
    items = [example(*TWO, phrases=("Red", "blue")), example(*TWO, phrases=("red", "BLUE "))]
    found = RegionRetrieval(ks=(1,)).run(LowerCase(), Split("val", items, {}))
    assert found["r2t_r@1"] == found["t2r_r@1"] == 1.0
    assert found["r2t_r@1_chance"] == 0.5
    three = example(("red", LEFT), ("red", RIGHT), ("blue", (12, 0, 20, 8)))
    items = [three._replace(phrases=("Red", "red", "blue"))]
    found = RegionClassification().run(LowerCase(), Split("val", items, {}))
    assert (found["within_image"], found["within_image_chance"]) == (1.0, 0.5)


def test_a_phrase_is_grounded_once_and_in_any_of_its_boxes():
    items = [example(("red", LEFT), ("red", RIGHT), phrases=("Red", "red"))]
    found = Grounding().run(LowerCase(), Split("val", [example(*TWO), *items], {}))
    assert found["acc@0.5_unique"] == 1.0
    alone = Grounding(draws=1).run(LowerCase(), Split("val", items, {}))
    assert "acc@0.5_unique" not in alone  # one phrase of two boxes


def test_captions_that_are_read_alike_are_one():
    items = [
        example(("red", LEFT), captions=["A red", "a RED"]),
        example(("blue", LEFT), captions=["blue"]),
        example(("red", RIGHT), captions=["a  red"]),
    ]
    found = ImageTextRetrieval(ks=(1,)).run(LowerCase(), Split("val", items, {}))
    assert found["i2t_r@1"] == found["t2i_r@1"] == 1.0
    assert found["i2t_r@1_chance"] == 0.5


def test_relations_that_are_not_read_are_left_out_and_counted():
    relation = {"caption": "red left of blue", "flipped": "red right of blue"}
    case = {"caption": "red left of blue", "flipped": "Red Left of blue"}
    items = [example(*TWO, meta={"relations": [relation, case]})]
    split = Split("val", items, {})
    with pytest.warns(UserWarning, match="1 relations are left out, since the text tower reads"):
        assert SpatialRelations().run(LowerCase(), split)["accuracy"] == 1.0
    with pytest.warns(UserWarning, match="2 relations are left out"):
        assert SpatialRelations().run(LowerCase(at_most=1), split) == {}


def test_twins_whose_phrases_are_read_alike_are_left_out():
    twins = [
        {"region": 0, "other": 1, "phrase": "red left of blue"},
        {"region": 1, "other": 0, "phrase": "red right of blue"},
    ]
    items = [example(("red", LEFT), ("red", RIGHT), ("blue", (12, 0, 20, 8)))]
    items = [items[0]._replace(meta={"twins": twins})]
    split = Split("val", items, {})
    assert RelationalRegions().run(LowerCase(), split)["grounding_pick"] == 1.0
    assert RelationalRegions().run(LowerCase(at_most=1), split) == {}
