"""The check as a whole: our own embedder, adapters that keep not to the protocol, the command."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cloc.errors import UserError
from cloc.eval.conformance import Report, check, main, refuse
from cloc.eval.conformance_causes import UNKNOWN
from cloc.eval.conformance_corpus import CORPUS, NUM_PICTURES
from cloc.frame import Framing
from cloc.models.embedder import ModelEmbedder
from tests.eval.conformance.adapters import Adapter, swapped
from tests.eval.conformance.adapters import right as right_boxes
from tests.helpers.models import CONFIGS, CONVOLUTIONAL, make_model

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/evaluate/conformance.md"
FEW = CORPUS[:6]


@pytest.mark.parametrize("kind", ["native", "siglip", "resnet"])
def test_our_own_embedder_conforms(kind):
    model = make_model({**CONFIGS, **CONVOLUTIONAL}[kind])
    report = refuse(ModelEmbedder(model))
    assert len(report.rows) == NUM_PICTURES
    assert max(map(abs, report.shift)) < 0.02
    assert abs(report.worst[2]) < 0.5


@pytest.mark.parametrize("side", [224, 336])
@pytest.mark.parametrize("geometry", ["crop", "squash", "pad"])
def test_our_own_embedder_conforms_in_the_frames_of_others_at_their_sizes(geometry, side):
    report = refuse(ModelEmbedder(make_model(), framing=Framing(geometry, side)))
    assert abs(report.worst[2]) < 0.5


class Changed(Adapter):
    """`change(pixels, boxes, valid)` is what comes back."""

    def __init__(self, change, **keys):
        super().__init__("open_clip squash", **keys)
        self.change = change

    def prepare(self, images, boxes):
        return self.change(*super().prepare(images, boxes))


@pytest.mark.parametrize(
    "change",
    [
        lambda x, boxes, valid: (x.numpy(), boxes.numpy(), valid.numpy()),
        lambda x, boxes, valid: (x.flip(1), boxes, valid),
        lambda x, boxes, valid: (x.mean(1, keepdim=True).expand(-1, 3, -1, -1), boxes, valid),
        lambda x, boxes, valid: (x.bfloat16(), boxes, valid),
        lambda x, boxes, valid: ([*x], boxes.tolist(), valid.tolist()),
        lambda x, boxes, valid: (x, *padded(boxes, valid)),
    ],
    ids=["numpy", "bgr", "grey", "bfloat16", "lists", "more slots"],
)
def test_the_same_frame_in_another_dress_conforms(change):
    report = check(Changed(change), sheets=FEW)
    assert report.refusal() == ""


def padded(boxes, valid):
    more = torch.full((len(boxes), 2, 4), torch.nan)
    return torch.cat([boxes, more], 1), torch.cat([valid, more[..., 0] > 0], 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, b, v: x, "prepare gives Tensor, not (pixels, boxes, valid)"),
        (
            lambda x, b, v: (x[:, :1], b, v),
            "the pixels of 2 pictures are [2, 1, 128, 128], not [2,",
        ),
        (
            lambda x, b, v: (x.flatten(2), b, v),
            "give the adapter a method pixels(x) -> [b, 3, h, w]",
        ),
        (lambda x, b, v: ("ab", b, v), "the pixels of 2 pictures are str, not [2, 3, h, w]"),
        (lambda x, b, v: (x[:1], b, v), "the pixels of 2 pictures are [1, 3, 128, 128]"),
        (
            lambda x, b, v: (x, b[..., :2], v),
            "boxes of shape [2, 1, 2]; 2 pictures of up to 1 boxes",
        ),
        (lambda x, b, v: (x, b[:, :0], v), "boxes of shape [2, 0, 4]"),
        (lambda x, b, v: (x, b, v[0]), "valid of shape [1] for boxes of [2, 1, 4]; one bool for"),
        (lambda x, b, v: (x * torch.nan, b, v), "pixels that prepare gives are not all finite"),
        (lambda x, b, v: (x * 0, b, v), "must not scale each picture by its own mean"),
    ],
)
def test_what_is_no_answer_is_told_on_one_line(change, words):
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        check(Changed(change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, b, v: (x, b.roll(1, 1), v), "edge"),  # the boxes of a picture in another order
        (lambda x, b, v: (x, b.roll(1, 0), v), "edge"),  # those of another picture
        (lambda x, b, v: (x, b.flip(0), v), "edge"),
        (lambda x, b, v: (x, b, v & False), "is called invalid, though the frame shows all of it"),
        (lambda x, b, v: (x, b * torch.nan, v), "is not finite"),
        (lambda x, b, v: (x.roll(1, 0), b, v), UNKNOWN),
        (lambda x, b, v: (x.flip(3), b, v), "edge"),
    ],
)
def test_answers_that_are_mixed_up_fail(change, words):
    report = check(Changed(change), sheets=FEW)
    assert len(report.failing) > 0.6 * len(report.rows)
    assert re.search(words, report.refusal())


def test_the_line_names_the_picture_the_edge_how_far_and_the_cause():
    with pytest.raises(UserError) as caught:
        refuse(Adapter("open_clip longest", fault=swapped), name="hf:somewhere")
    assert re.fullmatch(
        r"frame conformance: hf:somewhere is not scored: 66 of 67 pictures fail, such as "
        r"\w+, box \d: it has its \w+ edge \d+\.\d px too far \w+ in a 128x128 frame; "
        r"most likely x and y are swapped; a box is \(x0, y0, x1, y1\)",
        str(caught.value),
    )


def test_the_worst_error_is_told_with_its_picture_and_edge():
    right, broken = (
        check(Adapter("open_clip squash", fault=f), sheets=FEW) for f in (right_boxes, swapped)
    )
    row, edge, off = broken.worst
    assert abs(row.errors()[edge]) == abs(off) > 50
    assert abs(right.worst[2]) < 0.5
    hidden = Report([r._replace(valid=False) for r in right.rows])
    assert hidden.worst[1:] == ("", 0.0)


def test_the_table_has_a_line_for_every_picture():
    lines = check(Adapter("open_clip squash"), sheets=FEW).table().splitlines()
    assert len(lines) == 2 + sum(len(sheet.boxes) for sheet in FEW)
    assert re.fullmatch(r"1024x128 +0 +128x128( +[+-]0\.\d\d){4}", lines[1])
    assert lines[-1] == "median shift: +0.00 px right, +0.00 px down"


def page(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    (tmp_path / "my_module.py").write_text(page("python"))
    monkeypatch.syspath_prepend(tmp_path)
    *command, what = page("bash").split()
    assert command == ["python", "-m", "cloc.eval.conformance"]
    monkeypatch.setattr(sys, "argv", ["conformance", what])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(ROOT / "cloc/eval/conformance.py", run_name="__main__")
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    assert len(out.splitlines()) == 2 + NUM_PICTURES
    assert f"{NUM_PICTURES} pictures with one marker each" in PAGE.read_text()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "error: own:Mine: AttributeError: module 'own' has no attribute 'Mine'"),
        ("import nothing_of_that_name", "error: own:Mine: ModuleNotFoundError: No module named"),
        ("def Mine(size): pass", "error: own:Mine: TypeError: Mine() missing 1 required"),
        ("def Mine(): return 3", "error: own:Mine gives int, without prepare(images, boxes)"),
        (
            "class Mine:\n  def prepare(self, images, boxes): 1 / 0",
            "error: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_module_that_does_not_work_is_told_on_one_line(
    body, words, tmp_path, monkeypatch, capsys
):
    (tmp_path / "own.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    assert main(["own:Mine"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(words)


def test_the_command_says_how_it_is_called(capsys):
    assert main([]) == 1
    assert capsys.readouterr().err == "error: python -m cloc.eval.conformance my_module:factory\n"
    assert main(["my_module"]) == 1
    assert "names no factory; write my_module:factory" in capsys.readouterr().err


def test_an_adapter_that_fails_ends_the_command_with_its_line(capsys):
    assert main(["tests.eval.test_conformance:swaps"]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 + NUM_PICTURES
    assert err.startswith("error: tests.eval.test_conformance:swaps: 61 of 67 pictures fail")
    assert err.count("\n") == 1


def swaps():
    return Adapter("open_clip squash", fault=swapped)


def test_boxes_of_a_picture_go_in_as_float32_pixels_of_it_upright():
    seen = []

    class Looks(Adapter):
        def prepare(self, images, boxes):
            seen.extend(zip(images, boxes, strict=True))
            return super().prepare(images, boxes)

    check(Looks("open_clip squash"), sheets=CORPUS[-4:])
    assert any(image.getexif() for image, _ in seen)
    assert all(own.dtype == np.float32 and own.shape[1] == 4 for _, own in seen)
