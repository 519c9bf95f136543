"""What a run's decoder answers about the pictures of a split, as `evaluate` measures it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from cloc.decoder.answerer import Answerer
from cloc.decoder.load import load_answering
from cloc.decoder.question_set import figures, put
from cloc.errors import UserError
from cloc.interfaces import Embedder, Split
from cloc.models.patch_order import random_order


@dataclass(kw_only=True)
class Answers:
    """The figures of `cloc.decoder.question_set`, of at most `questions` of each kind about the
    first `pictures` of a split, and `_permuted` beside them: the same with patches in random order
    before the encoder sees them. `run` is the folder of the run, whose own encoder is asked."""

    uses_regions: ClassVar[bool] = False
    run_folder: str | None
    questions: int = 300
    pictures: int = 1000

    def run(self, embedder: Embedder, split: Split) -> dict[str, float]:
        answerer, examples = self._answerer, split.examples[: self.pictures]
        shown = answerer.embedder.prepare([e.image for e in examples], [e.boxes for e in examples])
        boxes = [own[there] for own, there in zip(shown.boxes, shown.valid, strict=True)]
        asked = put(examples, boxes, most=self.questions)
        rows = [one.picture for one in asked]
        questions = [one.question.asked for one in asked]
        seen = answerer.look(shown.images)
        found = figures(asked, answerer.ask(seen, rows, questions))
        shuffled = answerer.look(shown.images, order=random_order(seen.grid, 0))
        other = figures(asked, answerer.ask(shuffled, rows, questions))
        lines = {f"{k}_permuted": x for k, x in other.items() if not k.endswith(("chance", "box"))}
        return found | lines

    @cached_property
    def _answerer(self) -> Answerer:
        if self.run_folder is None:
            raise UserError("benchmarks=answers asks the decoder of a run; give run=runs/NAME")
        return Answerer(load_answering(Path(self.run_folder)))
