"""From a phrase to its box in the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from cloc.boxes import iou
from cloc.eval.blind_boxes import blind_boxes
from cloc.eval.encode import grounded_boxes, same_texts
from cloc.eval.measured import Cases, Figures, Measured, cases_of, nothing
from cloc.eval.metrics import Count, count, means
from cloc.interfaces import Embedder, Example, Split


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """One query per unique phrase of an image, scored by its best IoU over the phrase's boxes;
    phrases that the embedder reads alike are one.

    acc@0.5: share of queries with IoU >= 0.5; miou: their mean IoU, both in [0, 1]. `_unique`: over
    the phrases that name exactly one box. Beside each stand two blind guesses: `_centre_box`, of
    the split's mean width and height in the middle of the frame, and `_random_box`, of the width
    and height of a random box of the split at a random place, averaged over `draws`; `_chance` is
    the better of the two. Empty where the embedder cannot ground.
    """

    uses_regions: ClassVar[bool] = False  # the boxes are the answer; no region embedding is asked
    batch_size: int = 64
    seed: int = 0
    draws: int = 16

    def run(self, embedder: Embedder, split: Split) -> Measured:
        found, targets = [], []
        names: list[str] = []

        def queries(example: Example) -> list[str]:
            return [example.phrases[i] for i in same_texts(embedder, example.phrases)[1]]

        for example, boxes, predicted in grounded_boxes(
            embedder, split.examples, phrases=queries, batch_size=self.batch_size
        ):
            found.append(predicted)
            rows = torch.tensor(same_texts(embedder, example.phrases)[0])
            names += [f"{example.key}: {phrase}" for phrase in queries(example)]
            targets += [boxes[rows == row] for row in range(len(predicted))]
        if not targets:
            return nothing()
        blind = blind_boxes(targets, seed=self.seed, draws=self.draws)
        return _scores({"": [torch.cat(found)]} | blind, targets, names)


def _scores(
    guesses: dict[str, list[Tensor]],
    targets: Sequence[Float[Tensor, "_ 4"]],
    names: Sequence[str],
) -> Measured:
    padded = torch.nn.utils.rnn.pad_sequence(list(targets), batch_first=True)
    single = torch.tensor([len(boxes) == 1 for boxes in targets])
    cases: dict[str, Cases] = {}
    lines: dict[str, Count] = {}
    for guess, draws in guesses.items():
        overlap = [_best_iou(boxes, padded) for boxes in draws]
        for subset, chosen in (("", torch.ones_like(single)), ("_unique", single)):
            values = torch.cat([x[chosen] for x in overlap])
            measured = {f"acc@0.5{subset}": values >= 0.5, f"miou{subset}": values}
            if guess:
                lines |= {f"{name}{guess}": count(x) for name, x in measured.items()}
            else:
                own = [name for name, there in zip(names, chosen.tolist(), strict=True) if there]
                cases |= {name: cases_of(x, own) for name, x in measured.items()}
    blind = means(lines)
    chance = {
        name: max(blind[f"{name}_centre_box"], blind[f"{name}_random_box"])
        for name, of_metric in cases.items()
        if len(of_metric.values)
    }
    return Measured(Figures(cases=cases, chance=chance, controls=blind))


def _best_iou(
    predicted: Float[Tensor, "n 4"], targets: Float[Tensor, "n t 4"]
) -> Float[Tensor, " n"]:
    """A padded target is an empty box: its IoU is 0, so it is never better than a real one."""
    return iou(predicted[:, None].expand_as(targets), targets).amax(1)
