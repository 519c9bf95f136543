"""What a run's decoder answers about the pictures of a split, as `evaluate` measures it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from cloc.decoder.answerer import Answerer
from cloc.decoder.controls import controls
from cloc.decoder.load import load_answering
from cloc.decoder.question_set import figures, put
from cloc.decoder.tune import answers
from cloc.errors import UserError
from cloc.interfaces import Embedder, Split


@dataclass(kw_only=True)
class Answers:
    """The figures of `cloc.decoder.question_set`, of at most `questions` of each kind about the
    first `pictures` of a split, with the `controls` beside them. `run_folder` is that of the run,
    whose own encoder is asked."""

    uses_regions: ClassVar[bool] = False
    run_folder: str | None
    questions: int = 300
    pictures: int = 1000

    def run(self, embedder: Embedder, split: Split) -> dict[str, float]:
        answerer, examples = self._answerer, split.examples[: self.pictures]
        shown = answerer.embedder.prepare([e.image for e in examples], [e.boxes for e in examples])
        boxes = [own[there] for own, there in zip(shown.boxes, shown.valid, strict=True)]
        asked = put(examples, boxes, most=self.questions)
        said = answers(answerer, answerer.look(shown.images), asked, {})
        return figures(asked, said) | controls(answerer, shown.images, asked, {})

    @cached_property
    def _answerer(self) -> Answerer:
        if self.run_folder is None:
            raise UserError("benchmarks=answers asks the decoder of a run; give run=runs/NAME")
        return Answerer(load_answering(Path(self.run_folder)))
