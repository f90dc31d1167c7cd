"""Computing a registered model again from its manifest, and saying how near it comes.

The manifest is what the record holds of a model: dataset, split, line file, seeds, executed plan, and the environment. The same
steps get the same inputs, in a factory where nothing of the model is there yet (`line.rebuild.isolated_factory`), and each result is compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from linewright.capabilities.evidence.rebuild.difference_text import differences_in_words
from linewright.capabilities.evidence.rebuild.isolated_factory import Afresh
from linewright.data.dataset.blobs import is_whole
from linewright.data.dataset.version import content_digest
from linewright.engine.context import Progress
from linewright.errors import Corrupt, GateRefused, LinewrightError, NotFound, SpecError, of_exit_code
from linewright.features.encode_table import encode_table
from linewright.line.engines import file_and_function
from linewright.line.factory import Factory
from linewright.line.facts import (
    Declared,
    Difference,
    Differs,
    Environment,
    FileToday,
    FormDiffers,
    Level,
    MoreDiffer,
    NotMade,
    Plan,
    ValueDiffers,
)
from linewright.line.holdings.results import verify_model
from linewright.line.record.evidence import Evidence, accepted_of, evidence_of
from linewright.line.retention.dropped import dropped_at, forgotten_at
from linewright.line.run_context import Work, read_backbone, read_code_file
from linewright.line.spec import LineSpec
from linewright.line.steps.environment import computed_in, differences, environment
from linewright.line.steps.table import STEPS, LineStep
from linewright.model.facts import Metric, Package, Trained
from linewright.model.families.reference_outputs import unit_of
from linewright.model.package.model import Model, largest_difference, load, read_golden
from linewright.model.spec import TrainSpec
from linewright.model.tasks import task as rules_of
from linewright.serve.rows.scorer import TOLERANCE, Scorer
from linewright.store.protocols import Version
from linewright.store.values import Result, digest_of_bytes, to_builtins

REPLAYED = ("split", "train", "package", "explain", "decide", "evaluate")
"""Steps whose results are computed again. What reading the sources gave is kept as the dataset; gates compare with a champion."""
_MOST_TOLD = 4
_LONGEST = 60


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One result or blob of a model, as recorded and as computed now."""

    name: str
    recorded: str
    """Its digest."""
    rebuilt: str | None
    """Digest of what was computed now; `None` where it could not be."""
    differs: tuple[str, ...] = ()
    """Where it first differs, field by field; or why it could not be computed."""
    differences: tuple[Differs, ...] = ()
    """The same as values."""

    @property
    def is_same(self) -> bool:
        """Whether it has the same digest."""
        return self.recorded == self.rebuilt


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rebuilt model's answers are from those of the registered one."""

    rows: int
    """Test rows that both were asked about."""
    golden: int
    """Golden rows, whose answers were packaged."""
    largest: float | None
    """Largest difference in a probability; of a prediction, relative to it where it is larger than 1. `None` where they are no
    answers to the same question."""
    decisions: int
    """Test rows that get another class."""
    bound: float = TOLERANCE
    """Largest difference that rounding may make."""

    @property
    def is_same(self) -> bool:
        """Whether they are the same: to the bit, or within the bound and with no other decision."""
        return self.largest is not None and self.largest <= self.bound and not self.decisions


class Rebuilding(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model beside the one that was computed again."""

    model: str
    level: Level
    says: str
    """What that level means here, in one sentence."""
    digest: str
    """Of the registered package."""
    rebuilt: str | None
    """Of the one that was computed; it was not kept."""
    parts: tuple[Part, ...]
    answers: Answers | None
    metric: Metric | None
    """The line's metric as recorded, with its interval."""
    metric_rebuilt: float | None
    environment: tuple[str, ...]
    """In what this environment differs from that of the training."""
    environment_differences: tuple[Differs, ...] = ()
    """The same as values."""
    is_noted: bool
    """Whether the whole environment of the training is on the record."""
    workers: int

    @property
    def exit_code(self) -> int:
        """0 where R0, R1 or R2 was reached, else that of a missed target."""
        return GateRefused.exit_code if self.level == "differs" else 0

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What came out otherwise, and in what the environments differ."""
        parts = [
            Difference(part=one.name, differs=each)
            for one in self.parts
            if not one.is_same
            for each in one.differences
        ]
        return (*parts, *(Difference(differs=each) for each in self.environment_differences))


def rebuild(
    factory: Factory, version: Version, *, workers: int, scratch: Path, report: Callable[[Progress], None]
) -> Rebuilding:
    """Compute a registered model again, in this process, and compare."""
    report(Progress(step="verify", says="checking the bytes that the model rests on"))
    require_whole(factory, version)
    evidence = evidence_of(factory, version)
    afresh = Afresh(factory, hidden=_outcomes(evidence), workers=workers, scratch=scratch, report=report)
    work = _manifest(afresh, evidence)
    rows = work.rows
    start = 0
    for chunk in evidence.dataset.chunks:
        found = content_digest(rows.frame.slice(start, chunk.rows))
        start += chunk.rows
        if found != chunk.content:
            raise Corrupt(
                "the rows are not those of the dataset",
                where=f"rows from {start - chunk.rows + 1:,}",
                found=found,
                allowed=chunk.content,
                hint="restore them from a backup, or run the line again: linewright run",
            )
    parts, made = _replay(work, evidence)
    return _compared(factory, evidence, made, parts, workers=workers)


def require_whole(factory: Factory, version: Version) -> None:
    """Require that everything that a model rests on is there and is what it was."""
    name = f"{version.line}@{version.version}"
    _require_kept(factory, version, name)
    problems = verify_model(factory, version).problems
    if problems and (lost := _lost_rows(factory, version)):
        raise NotFound(
            f"{name} cannot be rebuilt: rows of its dataset are gone from the store",
            where=lost,
            hint=f"restore them from a backup; where the sources still hold them: linewright run {version.line}",
            details={"problems": to_builtins(problems)},
        )
    if problems:
        worst = max(problems, key=lambda one: one.exit_code)
        raise (Corrupt if worst.exit_code == Corrupt.exit_code else of_exit_code(worst.exit_code))(
            f"{name} cannot be rebuilt: {worst.what}",
            where=worst.where,
            hint=worst.next,
            details={"problems": to_builtins(problems)},
        )


def _require_kept(factory: Factory, version: Version, name: str) -> None:
    dataset = at = forgotten = None
    with suppress(LinewrightError):  # then more than rows is gone, and the problems say what
        dataset = evidence_of(factory, version).trained.dataset
        at, forgotten = dropped_at(factory, dataset), forgotten_at(factory, dataset)
    if dataset is not None and forgotten is not None:
        raise NotFound(
            f"{name} cannot be rebuilt: rows of its dataset are gone, since somebody was forgotten on {forgotten[:10]}",
            where=dataset,
            hint=f"train a model without them: linewright run {version.line}",
            details={"forgotten": forgotten},
        )
    if dataset is not None and at is not None:
        raise NotFound(
            f"{name} cannot be rebuilt: dataset dropped by retention on {at[:10]}",
            where=dataset,
            hint=f"where the sources still hold its rows, `linewright run {version.line}` reads them again; `keep.datasets` says how "
            "many dataset versions are kept",
            details={"dropped": at},
        )


def _lost_rows(factory: Factory, version: Version) -> str | None:
    """Return the digest of a model's dataset if some of its rows are nowhere."""
    with suppress(LinewrightError):  # then more than rows is gone, and the problems say what
        evidence = evidence_of(factory, version)
        if not is_whole(evidence.dataset, factory.artifacts, factory.metadata):
            return evidence.trained.dataset
    return None


# What is computed again


def _outcomes(evidence: Evidence) -> frozenset[str]:
    """Return the digests of everything that the training and what followed it gave."""
    package, trained = evidence.package, evidence.trained
    undecided = evidence.parity.package
    results = {package.trained, evidence.version.digest, evidence.registered.parity, undecided}
    results.add(evidence.registered.decision)
    blobs = {package.graph, package.golden} | ({trained.native} if trained.adopted is None else set())
    blobs.add(trained.scored or "")
    judged = {evidence.certificate.evaluation} if evidence.certificate else set[str]()
    if evidence.evaluation is not None:
        judged.add(evidence.evaluation.explanation or "")
    return frozenset(results | blobs | judged) - {""}


def _manifest(afresh: Afresh, evidence: Evidence) -> Work:
    """Return what the registering run worked on, with the recorded dataset and split and nothing after them."""
    accepted = accepted_of(afresh, evidence.version.line, evidence.registered.run)
    spec = LineSpec.model_validate(afresh.metadata.get(accepted.declared, Declared).spec)
    if evidence.ingested.dataset != evidence.trained.dataset:
        raise Corrupt(
            "the registration names other rows than the training",
            where=f"{evidence.version.line}@{evidence.version.version}",
            found=evidence.ingested.dataset,
            allowed=evidence.trained.dataset,
            hint="restore a backup",
        )
    return Work(
        factory=afresh,
        spec=spec,
        sources=afresh.metadata.get(accepted.plan, Plan).sources,
        known={"ingest": evidence.registered.ingested, "split": evidence.trained.split},
        as_of=accepted.as_of,
    )


def _replay(work: Work, evidence: Evidence) -> tuple[tuple[Part, ...], Work]:
    """Carry out the steps in order; return what each gave beside what is recorded, and the work that knows them."""
    parts = [Part(name="dataset", recorded=evidence.trained.dataset, rebuilt=work.ingested.dataset)]
    for step in STEPS:
        if step.name not in REPLAYED:
            continue
        work.factory.report(Progress(step=step.name, says=step.doing))
        if step.name == "split":
            # The model is rebuilt on the split that is recorded, whatever becomes of this one.
            parts.append(_split(step, work, evidence))
            continue
        if step.name == "evaluate":
            work = _as_judged(work, evidence)
        work = work.knowing(step.name, work.metadata.keep(step.do(work)))
        parts += _COMPARED.get(step.name, _nothing)(work, evidence)
    return tuple(parts), work


def _as_judged(work: Work, evidence: Evidence) -> Work:
    """Return the work with the metric of the newest evaluation: a line whose metric was changed judged its model anew."""
    if evidence.evaluation is None:
        return work
    metric = evidence.evaluation.metrics[0].name
    spec = work.spec
    train = spec.train.model_copy(update={"metric": metric})
    return replace(work, spec=spec.model_copy(update={"train": train}))


def _split(step: LineStep, work: Work, evidence: Evidence) -> Part:
    digest = evidence.trained.split
    try:
        now = step.do(work)
    except LinewrightError as error:
        return _other("split", digest, None, [NotMade(error=error.to_json())])
    return _part("split", digest, work.metadata.keep(now), evidence.split, now)


def _nothing(_work: Work, _evidence: Evidence) -> Iterator[Part]:
    """Compare nothing: what is explained is part of what is judged."""
    yield from ()


def _of_training(work: Work, evidence: Evidence) -> Iterator[Part]:
    then, now = evidence.trained, work.trained
    digest, made, but = evidence.package.trained, work.known["train"], ("native", "scored")
    yield _part("training", digest, made, then, now, but=but)
    yield Part(name="model", recorded=then.native, rebuilt=now.native)


def _of_packaging(work: Work, evidence: Evidence) -> Iterator[Part]:
    undecided = work.metadata.get(work.parity.package, Package)
    yield Part(name="graph", recorded=evidence.package.graph, rebuilt=undecided.graph)
    digest, made = evidence.registered.parity, work.known["package"]
    yield _part("parity", digest, made, evidence.parity, work.parity, but=("package",))


def _of_deciding(work: Work, evidence: Evidence) -> Iterator[Part]:
    then, now = evidence.package, work.package
    digest, made, but = evidence.version.digest, work.decision.package, ("graph", "golden", "trained")
    yield Part(name="golden rows", recorded=then.golden, rebuilt=now.golden)
    yield _part("package", digest, made, then, now, but=but)
    digest, made = evidence.registered.decision, work.known["decide"]
    yield _part("decision", digest, made, evidence.decision, work.decision, but=("package",))


def _of_judging(work: Work, evidence: Evidence) -> Iterator[Part]:
    if evidence.certificate is not None and evidence.evaluation is not None:
        digest, made = evidence.certificate.evaluation, work.known["evaluate"]
        yield _part("evaluation", digest, made, evidence.evaluation, work.evaluation, but=("package",))


_COMPARED: Mapping[str, Callable[[Work, Evidence], Iterator[Part]]] = {
    "train": _of_training,
    "package": _of_packaging,
    "decide": _of_deciding,
    "evaluate": _of_judging,
}
"""What a step's result is compared by, in parts."""


def _part(name: str, digest: str, made: str, then: Result, now: Result, *, but: Sequence[str] = ()) -> Part:
    was, has = to_builtins(then), to_builtins(now)
    if digest == made:
        return Part(name=name, recorded=digest, rebuilt=made)
    return _other(name, digest, made, [FormDiffers()] if was == has else [*_fields(was, has, but=but)])


def _other(name: str, recorded: str, rebuilt: str | None, found: Sequence[Differs]) -> Part:
    return Part(
        name=name,
        recorded=recorded,
        rebuilt=rebuilt,
        differs=differences_in_words(found),
        differences=tuple(found),
    )


def _fields(then: dict[str, Any], now: dict[str, Any], *, but: Sequence[str]) -> Iterator[Differs]:
    """Give where each field of two results first differs, at most so many of them."""
    fields = [name for name in {**then, **now} if name not in but and then.get(name) != now.get(name)]
    for name in fields[:_MOST_TOLD]:
        path, was, has = first_difference(then.get(name), now.get(name), at=name)
        yield ValueDiffers(path=path, was=_brief(was), now=_brief(has))
    if len(fields) > _MOST_TOLD:
        yield MoreDiffer(fields=tuple(fields[_MOST_TOLD:]))


def first_difference(then: Any, now: Any, *, at: str = "") -> tuple[str, Any, Any]:
    """Return the path of the first place where two JSON values differ, and what stands there in each.

    Examples
    --------
    >>> first_difference({"plan": [1, {"rounds": 60}]}, {"plan": [1, {"rounds": 61}]})
    ('plan[1].rounds', 60, 61)
    >>> first_difference([1, 2], [1, 2, 3], at="trials")
    ('trials[2]', None, 3)
    """
    if isinstance(then, dict) and isinstance(now, dict):
        for name in {**then, **now}:
            if then.get(name) != now.get(name):
                return first_difference(then.get(name), now.get(name), at=f"{at}.{name}".lstrip("."))
    if isinstance(then, (list, tuple)) and isinstance(now, (list, tuple)):
        for place in range(max(len(then), len(now))):
            was, has = (side[place] if place < len(side) else None for side in (then, now))
            if was != has:
                return first_difference(was, has, at=f"{at}[{place}]")
    return at, then, now


def _brief(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


# How near it comes


def _compared(
    factory: Factory, evidence: Evidence, made: Work, parts: tuple[Part, ...], *, workers: int
) -> Rebuilding:
    rebuilt = made.decision.package
    before = load(evidence.version.digest, factory.artifacts.get)
    after = load(rebuilt, made.factory.artifacts.get)
    answers = _answers(made, before, after, partial(read_golden, before.package, factory.artifacts.get))
    metric = evidence.evaluation.metrics[0] if evidence.evaluation else None
    now = next((one.value for one in made.evaluation.metrics if metric and one.name == metric.name), None)
    level = _level(rebuilt == evidence.version.digest, answers, metric, now)
    noted, told = _environments(factory, evidence)
    told = (*_files_today(factory.root, made.spec.train, evidence.trained), *told)
    return Rebuilding(
        model=f"{evidence.version.line}@{evidence.version.version}",
        level=level,
        says=_says(level, answers, evidence) + _besides(level, parts),
        digest=evidence.version.digest,
        rebuilt=rebuilt,
        parts=parts,
        answers=answers,
        metric=metric,
        metric_rebuilt=now,
        environment=differences_in_words(told),
        environment_differences=told,
        is_noted=noted,
        workers=workers,
    )


def _answers(work: Work, before: Model, after: Model, golden: Callable[[], Any]) -> Answers:
    """Ask both models about the test rows, and the rebuilt one about the golden rows."""
    frame = work.rows.frame[work.rows.test]
    packaged = golden()
    largest, decisions = inf, len(frame)
    if _question(before) == _question(after):
        rules = rules_of(before.package.task)
        first, second = (
            one.scores(encode_table(one.package.encoder, frame, readers=one.readers))
            for one in (before, after)
        )
        unit = 1.0 if before.package.classes else np.maximum(unit_of(first), np.abs(first))
        largest = float((np.abs(first - second) / unit).max(initial=0.0))
        decisions = 0
        if rules.is_class:
            decided = (
                rules.decide(scores, one.package.threshold)
                for scores, one in ((first, before), (second, after))
            )
            decisions = int(np.sum(next(decided) != next(decided)))
        largest = max(largest, _golden_difference(after, packaged))
    return Answers(
        rows=len(frame),
        golden=len(packaged.rows),
        largest=largest if np.isfinite(largest) else None,
        decisions=decisions,
    )


def _golden_difference(model: Model, packaged: Any) -> float:
    try:
        answers = Scorer(model).score(list(packaged.rows)) if packaged.rows else []
    except LinewrightError:  # a row that the rebuilt model cannot read gets another answer
        return inf
    # As the artifact has them, which is JSON.
    plain = msgspec.json.decode(msgspec.json.encode(answers))
    return largest_difference(plain, packaged.predictions)


def _question(model: Model) -> tuple[object, ...]:
    package = model.package
    return package.task, package.label, package.classes or package.encoder.listed


def _level(is_same: bool, answers: Answers, metric: Metric | None, now: float | None) -> Level:
    if is_same:
        return "R0"
    if answers.is_same:
        return "R1"
    if metric is None or now is None:
        return "differs"
    low = metric.value if metric.low is None else metric.low
    high = metric.value if metric.high is None else metric.high
    return "R2" if low <= now <= high else "differs"


def _says(level: Level, answers: Answers, evidence: Evidence) -> str:
    adopted = "adopted again from its file" if evidence.trained.adopted else "trained again"
    match level:
        case "R0":
            return f"{adopted}, it is the same package, byte by byte"
        case "R1":
            how = "equal to the bit" if answers.largest == 0 else f"within {answers.bound:g}"
            return f"{adopted}, its bytes differ and its predictions are the same, {how}"
        case "R2":
            return f"{adopted}, its predictions differ and its metric lies within the recorded interval"
        case _:
            return f"{adopted}, it is another model: not even its metric lies within the recorded interval"


def _besides(level: Level, parts: Sequence[Part]) -> str:
    """Say of an equal package that what stands around it is not equal: nobody looks further than the verdict.

    Examples
    --------
    >>> same, other = (Part(name=name, recorded="a", rebuilt=to) for name, to in (("model", "a"), ("split", "b")))
    >>> _besides("R0", [same, other])
    '; but the split came out otherwise'
    >>> _besides("R0", [same])
    ''
    """
    others = [one.name for one in parts if not one.is_same]
    return f"; but the {' and the '.join(others)} came out otherwise" if level == "R0" and others else ""


def _files_today(root: Path, train: TrainSpec, trained: Trained) -> Iterator[FileToday]:
    """Give what became of the files beside the sources, of which the model was rebuilt from the copies on the record."""
    if trained.estimated and trained.estimated.code:
        python = str(train.python)
        path = file_and_function(python)[0]
        try:
            if digest_of_bytes(read_code_file(root, python)) != trained.estimated.code:
                yield FileToday(path=path, how="other")
        except SpecError:
            yield FileToday(path=path, how="unreadable" if (root / path).exists() else "gone")
    backbone = train.pictures and train.pictures.backbone
    if backbone and trained.pictures:
        try:
            if digest_of_bytes(read_backbone(root, backbone)) != trained.pictures.backbone:
                yield FileToday(path=backbone, how="other")
        except SpecError:
            yield FileToday(path=backbone, how="gone")


def _environments(factory: Factory, evidence: Evidence) -> tuple[bool, tuple[Differs, ...]]:
    """Return whether the environment of the training is on the record, and in what this one differs from it."""
    digests = {
        evidence.registered.computed_in.get(name) or computed_in(factory.metadata, digest)
        for name, digest in (("train", evidence.package.trained), ("package", evidence.registered.parity))
    }
    noted = [factory.metadata.get(one, Environment) for one in sorted(digests - {None}, key=str) if one]
    now = environment()
    if not noted:
        mine = {name: now.libraries.get(name, "") for name in evidence.trained.libraries}
        if evidence.trained.adopted:
            return False, ()
        then = Environment(python=now.python, platform=now.platform, libraries=evidence.trained.libraries)
        return False, differences(then, Environment(python=now.python, platform=now.platform, libraries=mine))
    found: list[Differs] = []
    for then in noted:
        found += [one for one in differences(then, now) if one not in found]
    return None not in digests, tuple(found)
