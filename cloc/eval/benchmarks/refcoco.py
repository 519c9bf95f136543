"""RefCOCO / + / g by three protocols, whose figures are never comparable with each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from cloc.boxes import iou
from cloc.errors import UserError
from cloc.eval.blind_boxes import blind_boxes
from cloc.eval.encode import grounded_boxes, region_vectors, text_vectors
from cloc.eval.measured import Cases, Figures, Measured
from cloc.eval.metrics import rank_of_match, similarity
from cloc.eval.partial import spread
from cloc.eval.pictures import BOXLESS
from cloc.eval.referring import Scene, read_proposals, read_referring
from cloc.interfaces import Embedder, Example, Split

SETS = ("refcoco", "refcoco+", "refcocog")
OVERLAP = 0.5  # an IoU above it is a hit
Candidates = Callable[[Scene], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class RefcocoBoxHead:
    """The share of sentences whose grounded box, `Embedder.ground`, has an IoU > 0.5 with the box
    that is meant: a figure for each SET_SPLIT, such as refcoco+_testA. Empty where the embedder
    cannot ground. The lines are `_centre_box` and `_random_box` (`cloc.eval.blind_boxes`); chance
    is the better of the two.

    `root` holds a folder for each of `sets` (`cloc.eval.referring.read_referring`) and the pictures
    in `pictures`.
    """

    uses_regions: ClassVar[bool] = False  # the boxes are the answer; no region embedding is asked
    own_data: ClassVar[bool] = True
    root: str
    sets: Sequence[str] = SETS
    pictures: str = "train2014"
    batch_size: int = 64
    limit: int | None = None  # pictures of each split
    seed: int = 0
    draws: int = 16

    def run(self, embedder: Embedder, split: Split) -> Measured:
        cases, chance, controls = {}, {}, {}
        for name, scenes in _read(
            self.root, self.sets, self.pictures, "refcoco_box_head", self.limit
        ).items():
            examples = [_asked(scene, i) for i, scene in enumerate(scenes)]
            right, names, targets = [], [], []
            for example, own, found in grounded_boxes(
                embedder,
                examples,
                phrases=_sentences,
                batch_size=self.batch_size,
            ):
                right.append(iou(found, own) > OVERLAP)
                names += scenes[example.meta["scene"]].names
                targets.append(own)
            if not right:
                continue
            cases[name] = Cases(values=torch.cat(right).double(), names=names)
            every = torch.cat(targets)
            blind = blind_boxes(list(every[:, None]), seed=self.seed, draws=self.draws)
            for line, draws in blind.items():
                hits = torch.cat([iou(boxes, every) > OVERLAP for boxes in draws])
                controls[f"{name}{line}"] = float(hits.double().mean())
            chance[name] = max(controls[f"{name}{line}"] for line in blind)
        about = {"protocol": "box head", "hit": f"IoU > {OVERLAP}"}
        return Measured(Figures(cases=cases, chance=chance, controls=controls, about=about))


@dataclass(frozen=True, kw_only=True)
class RefcocoProposals:
    """The share of sentences for which the proposal whose region embedding is nearest has an
    IoU > 0.5 with the box that is meant; a figure for each SET_SPLIT. Ties between a hit and
    another proposal are wrong, and so is a picture without any. `_chance`: the mean share of hits
    among the proposals; `_ceiling`: the share of sentences that any proposal hits.

    `proposals` is a file of each set's folder, in COCO's form of results
    (`cloc.eval.referring.read_proposals`). The folders are those of `RefcocoBoxHead`.
    """

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = True
    root: str
    proposals: str = "proposals.json"
    sets: Sequence[str] = SETS
    pictures: str = "train2014"
    batch_size: int = 64
    limit: int | None = None  # pictures of each split

    def run(self, embedder: Embedder, split: Split) -> Measured:
        splits = _read(self.root, self.sets, self.pictures, "refcoco_proposals", self.limit)
        of_set: dict[str, Candidates] = {}
        key = "benchmarks.refcoco_proposals.proposals"
        for name in self.sets:
            own = [scenes for split, scenes in splits.items() if split.startswith(f"{name}_")]
            known = sorted({scene.image_id for scenes in own for scene in scenes})
            boxes = read_proposals(Path(self.root) / name / self.proposals, known, key=key)
            of_set[name] = partial(_proposed, boxes)
        return _nearest(embedder, splits, of_set, self.batch_size, "proposals")


@dataclass(frozen=True, kw_only=True)
class RefcocoGtBoxes:
    """As `RefcocoProposals`, with all annotated boxes of the picture as the candidates, crowds
    too: no detector is asked, and figures are higher than with one."""

    uses_regions: ClassVar[bool] = True
    own_data: ClassVar[bool] = True
    root: str
    sets: Sequence[str] = SETS
    pictures: str = "train2014"
    batch_size: int = 64
    limit: int | None = None  # pictures of each split

    def run(self, embedder: Embedder, split: Split) -> Measured:
        splits = _read(self.root, self.sets, self.pictures, "refcoco_gt_boxes", self.limit)
        of_set: dict[str, Candidates] = dict.fromkeys(self.sets, _annotated)
        return _nearest(embedder, splits, of_set, self.batch_size, "ground-truth boxes")


def _asked(scene: Scene, place: int) -> Example:
    """A box and a phrase for each sentence."""
    return scene.example(scene.targets, scene=place)._replace(phrases=scene.sentences)


def _sentences(example: Example) -> Sequence[str]:
    return example.phrases


def _proposed(boxes: Mapping[int, np.ndarray], scene: Scene) -> np.ndarray:
    return boxes.get(scene.image_id, BOXLESS)


def _annotated(scene: Scene) -> np.ndarray:
    return scene.boxes


def _read(
    root: str, sets: Sequence[str], pictures: str, benchmark: str, limit: int | None
) -> dict[str, list[Scene]]:
    """SET_SPLIT -> its pictures."""
    found: dict[str, list[Scene]] = {}
    if not sets:
        raise UserError(f"benchmarks.{benchmark}.sets=[]; give one or more, such as {SETS[0]}")
    for name in sets:
        key, folder = f"benchmarks.{benchmark}", Path(root) / name
        if not folder.is_dir():
            raise UserError(
                f"{folder}: no such folder; set {key}.root to the folder of the sets, or "
                f"{key}.sets to those of them that are there"
            )
        own = read_referring(folder, pictures=Path(root) / pictures, key=f"{key}.root")
        found |= {f"{name}_{split}": spread(scenes, limit) for split, scenes in own.items()}
    return found


def _nearest(
    embedder: Embedder,
    splits: Mapping[str, Sequence[Scene]],
    of_set: Mapping[str, Candidates],
    batch_size: int,
    protocol: str,
) -> Measured:
    cases, chance, controls = {}, {}, {}
    about: dict[str, Any] = {"protocol": protocol, "hit": f"IoU > {OVERLAP}"}
    for name, scenes in splits.items():
        boxes = list(map(of_set[name.rpartition("_")[0]], scenes))
        hits = [_hits(scene, own) for scene, own in zip(scenes, boxes, strict=True)]
        right = _right(embedder, scenes, boxes, hits, batch_size)
        names = [name for scene in scenes for name in scene.names]
        cases[name] = Cases(values=torch.cat(right), names=names)
        # of a picture without candidates nothing is a hit
        shares = torch.cat([own.double().sum(1) / max(own.shape[1], 1) for own in hits])
        chance[name] = float(shares.mean())
        controls[f"{name}_ceiling"] = float((shares > 0).double().mean())
        about[name] = {"pictures_without_a_candidate": sum(not len(own) for own in boxes)}
    return Measured(Figures(cases=cases, chance=chance, controls=controls, about=about))


def _hits(scene: Scene, boxes: np.ndarray) -> Bool[Tensor, "q n"]:
    """Which candidates are right for each sentence."""
    shape = len(scene.targets), len(boxes), 4
    targets = torch.from_numpy(scene.targets)[:, None].expand(shape)
    return iou(targets, torch.from_numpy(boxes)[None].expand(shape)) > OVERLAP


def _right(
    embedder: Embedder,
    scenes: Sequence[Scene],
    boxes: Sequence[np.ndarray],
    hits: Sequence[Bool[Tensor, "_ _"]],
    batch_size: int,
) -> list[Tensor]:
    """1.0 or 0.0 of each sentence of each scene."""
    texts = [text for scene in scenes for text in scene.sentences]
    words, rows = text_vectors(embedder, texts, batch_size=batch_size)
    own_rows = rows.split([len(scene.sentences) for scene in scenes])
    right = [torch.zeros(len(scene.sentences), dtype=torch.float64) for scene in scenes]
    examples = [s.example(b, scene=i) for i, (s, b) in enumerate(zip(scenes, boxes, strict=True))]
    for example, regions in region_vectors(embedder, examples, batch_size=batch_size):
        i = example.meta["scene"]
        scores = similarity(words[own_rows[i]], regions)
        right[i] = (rank_of_match(scores, hits[i]) == 0).double()
    return right
