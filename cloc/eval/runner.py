"""Every benchmark on every split and extractor, under the keys of `metrics.json`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from cloc import terminal
from cloc.errors import UserError
from cloc.eval.answer_cache import Memo
from cloc.eval.data_digest import of_asked, of_split
from cloc.eval.encoders.permuted import AFTER
from cloc.eval.features import Features
from cloc.eval.measured import Figures, Measured
from cloc.eval.permutation import with_lines
from cloc.eval.watch import Watch, watched
from cloc.interfaces import Benchmark, Embedder, Split

DEFAULT_SPLIT = "val"
WHOLE = {"image"}  # kinds of questions whose answers are read by no order of tokens


@runtime_checkable
class ExtractorAware(Benchmark, Protocol):
    """A benchmark that says whether its numbers depend on how regions are embedded; one with
    `own_data` true reads its own pictures, and belongs to no split."""

    @property
    def uses_regions(self) -> bool: ...


def has_own_data(benchmark: object) -> bool:
    return bool(getattr(benchmark, "own_data", False))


def evaluate(
    embedders: Mapping[str, Embedder],
    *,
    splits: Sequence[Split],
    benchmarks: Mapping[str, ExtractorAware],
    own_regions: bool = True,
    progress: bool = True,
    features: Callable[[str], Features | None] = lambda extractor: None,
    together: bool = False,
    permuted: Mapping[str, Mapping[str, Embedder]] = MappingProxyType({}),
) -> dict[str, dict[str, float]]:
    """`benchmark[@extractor][/split]` -> metric -> value; what could not be measured has no key.

    `embedders` maps extractor -> embedder; the run's own is "" and has no suffix, nor has the split
    `val`. Benchmarks without region embeddings run for the own embedder alone; those with them
    leave it out where `own_regions` is false (a plain CLIP has no region head). At a terminal or in
    a notebook progress is shown (`cloc.eval.watch`), if `progress` is true. What two benchmarks ask
    of an embedder is computed once; `features` says where the answers of an extractor are kept.
    With `together` all ranks measure the same and share the work. `permuted` are kinds of controls
    with all embedders (`cloc.eval.encoders.permuted`), whose lines stand beside every figure.
    """
    _check(embedders, splits)
    jobs = list(_jobs(embedders, splits, benchmarks, own_regions))
    data_of = {split.name: of_split(split) for split in splits}
    results = {}
    with watched(len(jobs), hidden=not (progress and terminal.shows_bars())) as (start, watch):
        kinds: set[str] = set()  # of questions of the benchmark that runs
        make = partial(_memos, features, together, _noting(kinds, watch))
        remembering = make(embedders)
        others = {kind: make(of, kind, remembering) for kind, of in permuted.items()}
        for key, benchmark, extractor, split in jobs:
            start(key)
            kinds.clear()
            values = _measured(benchmark, remembering[extractor], split, data_of.get(split.name))
            whole = kinds == WHOLE and not benchmark.uses_regions
            if values:
                of = {kind: memos[extractor] for kind, memos in others.items()}
                results[key] = _with_controls(values, benchmark, split, of, whole=whole)
    return results


def _with_controls(
    values: dict[str, float],
    benchmark: ExtractorAware,
    split: Split,
    embedders: Mapping[str, Embedder],
    *,
    whole: bool,
) -> dict[str, float]:
    """`values` with the lines of every kind; where the benchmark asked of `whole` pictures alone,
    those after positions are `values`, by construction."""
    alike = {AFTER: values} if whole else {}
    lines = {kind: alike.get(kind) or benchmark.run(e, split) for kind, e in embedders.items()}
    return with_lines(values, lines) if lines else values


def _measured(
    benchmark: ExtractorAware, memo: Memo, split: Split, digest: str | None
) -> dict[str, float]:
    """The figures, and where they say anything beside them which data they are of: of `digest`, or
    what the benchmark reads itself."""
    memo.asked.clear()
    values = benchmark.run(memo, split)
    if not isinstance(values, Measured):
        return values
    own = has_own_data(benchmark) or digest is None
    about = {"data_digest": of_asked(memo.asked) if own else digest}
    return values | Measured(Figures(about=about)) if values else values


def _noting(kinds: set[str], watch: Watch) -> Watch:
    """`watch`, of which the kinds of questions are kept."""

    def noted(kind: str, done: int, total: int) -> None:
        kinds.add(kind)
        watch(kind, done, total)

    return noted


def _memos(
    features: Callable[[str], Features | None],
    together: bool,
    watch: Watch,
    embedders: Mapping[str, Embedder],
    kind: str = "",
    plain: Mapping[str, Memo] = MappingProxyType({}),
) -> dict[str, Memo]:
    """Of a `kind` of control with features of their own, but for texts, whose answers are those of
    the `plain` encoder."""
    found = {}
    for name, embedder in embedders.items():
        kept = features(f"{name or 'own'}~{kind}" if kind else name)
        found[name] = Memo(embedder, kept, together=together, watch=watch)
        found[name].features.texts = plain[name].features if plain else None
    return found


def refuse_empty(
    results: Mapping[str, object], splits: Sequence[Split], asked: Iterable[str]
) -> None:
    """`UserError` that says what a split lacks on which no benchmark gave a number: written, it
    would stand in the place of earlier numbers. `asked` are the benchmarks, one of which at least
    must have given one."""
    for split in splits:
        of = [key.partition("/")[2] or DEFAULT_SPLIT for key in results]
        if split.name in of:
            continue
        has = {
            "captions": sum(len(example.captions) for example in split.examples),
            "regions": sum(len(example.phrases) for example in split.examples),
            "regions of a class": sum(any(example.labels) for example in split.examples),
            "classes": len(split.classes),
        }
        told = ", ".join(f"{count} {what}" for what, count in has.items())
        raise UserError(
            f"split {split.name}: no benchmark had anything to measure ({len(split.examples)} "
            f"samples, {told}); nothing was written. Give splits.{split.name}= what they need, or "
            "other benchmarks="
        )
    if not results:
        raise UserError(
            f"benchmarks=[{','.join(asked)}]: none has anything to measure of this encoder, as one "
            "that cannot ground has no boxes; nothing was written. Give others"
        )


def _jobs(
    extractors: Iterable[str],
    splits: Sequence[Split],
    benchmarks: Mapping[str, ExtractorAware],
    own_regions: bool,
) -> Iterator[tuple[str, ExtractorAware, str, Split]]:
    of_splits = {name: b for name, b in benchmarks.items() if not has_own_data(b)}
    alone = {name: b for name, b in benchmarks.items() if has_own_data(b)}
    nothing = Split(DEFAULT_SPLIT, (), {})
    for split, chosen in (*((split, of_splits) for split in splits), (nothing, alone)):
        suffix = "" if split.name == DEFAULT_SPLIT else f"/{split.name}"
        for name, benchmark in chosen.items():
            if own_regions or not benchmark.uses_regions:
                yield f"{name}{suffix}", benchmark, "", split
            for extractor in extractors:
                if extractor and benchmark.uses_regions:
                    yield f"{name}@{extractor}{suffix}", benchmark, extractor, split


def _check(embedders: Mapping[str, Embedder], splits: Sequence[Split]) -> None:
    if "" not in embedders:
        raise UserError(
            f"extractors {sorted(embedders)} without the run's own, named ''; image-level "
            "benchmarks would not run: give the embedder under '' too"
        )
    names = [split.name for split in splits]
    if len(set(names)) < len(names):
        raise UserError(f"splits {names} share a name, so one would hide the other; rename one")
