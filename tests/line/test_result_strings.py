"""No result holds an English sentence: digests, seeds and branches must not hang on wording.

Each text field of a result or an event is listed here by what it holds. A new one is added where it belongs; `SENTENCES` only shrinks.
"""

import importlib
import pkgutil
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

import linewright
from linewright.line.runs.execute import execute_inline
from linewright.store.values import Event, Result

DIGESTS = frozenset(
    [
        "data.AnnotatedRows.before",
        "data.AnnotatedRows.dataset",
        "data.AnnotatedRows.given",
        "data.Chunk.content",
        "data.HistoryChunk.blob",
        "data.Ingested.annotated",
        "data.Ingested.dataset",
        "data.Ingested.quarantine",
        "data.Ingested.series",
        "data.Ingested.views",
        "data.Quarantine.blob",
        "data.SeriesValues.blob",
        "data.SourceHistory.before",
        "data.SourceHistory.fingerprint",
        "data.SourceHistory.query",
        "data.SourceHistory.source",
        "data.Split.dataset",
        "data.Split.parts",
        "features.Picture.backbone",
        "features.SentenceEncoder.model",
        "features.SentenceEncoder.tokenizer",
        "line.Accepted.declared",
        "line.Accepted.plan",
        "line.Accepted.proposal",
        "line.Accepted.run",
        "line.PredictionsMade.digest",
        "line.PredictionsMade.run",
        "line.AttemptEnded.run",
        "line.Detached.folder",
        "line.Detached.package",
        "line.Dropped.results",
        "line.Dropped.runs",
        "line.Dropped.segments",
        "line.Environment.code",
        "line.Finished.certificate",
        "line.Finished.ingested",
        "line.Finished.run",
        "line.Forgotten.datasets",
        "people.SignedIn.session",
        "people.TokenChanged.sha256",
        "line.Forgotten.instead",
        "line.Forgotten.key",
        "line.Forgotten.segments",
        "line.Forgotten.subject",
        "line.HandedOver.digest",
        "line.HandedOver.first",
        "line.HandedOver.folder",
        "line.HandedOver.last",
        "line.HandedOver.package",
        "line.HandedOver.segment",
        "line.Plan.declared",
        "line.Plan.sources",
        "line.Rebuilt.package",
        "line.Rebuilt.rebuilt",
        "line.VersionBefore.dataset",
        "model.Certificate.decision",
        "model.Certificate.evaluation",
        "model.Certificate.gates",
        "model.Certificate.package",
        "model.Certificate.rival",
        "model.Certificate.rows",
        "model.Certificate.split",
        "model.Decision.package",
        "model.Estimated.code",
        "model.Evaluation.explanation",
        "model.Evaluation.package",
        "model.Evaluation.split",
        "model.Explanation.package",
        "model.Explanation.split",
        "model.Linear.scored",
        "model.Linear.scores",
        "model.Package.golden",
        "model.Package.graph",
        "model.Package.trained",
        "model.Parity.package",
        "model.PicturesRead.backbone",
        "model.Registered.computed_in",
        "model.Registered.decision",
        "model.Registered.ingested",
        "model.ListsValued.package",
        "model.Registered.package",
        "model.Registered.parity",
        "model.ListsValued.run",
        "model.Registered.run",
        "model.Trained.dataset",
        "model.Trained.native",
        "model.Trained.scored",
        "model.Trained.split",
        "people.Accounted.account",
        "people.Applied.change",
        "people.Applied.proposal",
        "people.BackupRestored.backup",
        "people.BackupRestored.proposal",
        "people.ConsentGiven.text",
        "people.Commented.text",
        "people.LabelSettled.dataset",
        "features.FeaturesAudited.newest",
        "features.RecordsWritten.before",
        "features.RecordsWritten.digest",
        "people.LabelSettled.prediction",
        "people.LabelSettled.question",
        "people.QuestionsQueued.consent",
        "people.QuestionsQueued.dataset",
        "people.QuestionsQueued.package",
        "people.RowsAnnotated.annotated",
        "people.RowsAnnotated.dataset",
        "people.ChangeProposed.change",
        "people.ChangeProposed.id",
        "people.ChangeProposed.under",
        "people.ForgetChange.subject",
        "people.LineChange.after",
        "people.LineChange.before",
        "people.LineMade.file",
        "people.PromotionChange.certificate",
        "people.PromotionChange.package",
        "people.RestoreChange.backup",
        "people.Voted.change",
        "people.Voted.proposal",
        "people.Commented.id",
        "people.Commented.about",
        "people.DaySums.spans",
        "people.ValueAccount.months",
        "people.ValueAccount.position",
        "release.Deployed.certificate",
        "release.Deployed.evidence",
        "release.Deployed.package",
        "release.Deployed.proposal",
        "release.Deployed.run",
        "release.Promoted.certificate",
        "release.Promoted.declared",
        "release.Promoted.evidence",
        "release.Promoted.package",
        "release.Promoted.proposal",
        "release.Promoted.run",
        "release.Refused.certificate",
        "release.Refused.package",
        "release.Refused.run",
        "release.RolledBack.package",
        "release.SeriesRead.base",
        "release.SeriesRead.position",
        "release.SeriesRead.values",
        "release.Trial.package",
        "release.Trial.rival",
        "release.Withdrawn.certificate",
        "release.Withdrawn.evidence",
        "release.Withdrawn.package",
        "serve.ChangesEnd.digest",
        "serve.Checkpointed.segments",
        "serve.Prefix.digest",
        "serve.Sealed.segment",
        "serve.Segment.blob",
        "serve.Segment.content",
        "watch.Alerted.evidence",
        "watch.Alerted.id",
        "watch.Alerted.package",
        "watch.Cleared.alert",
        "watch.Cleared.evidence",
        "watch.Confirmations.package",
        "watch.OpenAlerts.alerts",
        "watch.Performance.package",
        "watch.Proposed.proposal",
        "watch.Reference.package",
        "watch.RetrainProposal.evidence",
        "watch.Waiting.proposal",
        "watch.Watched.confirmations",
        "watch.Watched.package",
        "watch.Watched.performance",
        "watch.Watched.position",
        "watch.Watched.window",
        "watch.Window.package",
        "watch.Window.reference",
    ]
)
"""Digests, and ids that are made of them or of chance: of runs, alerts, segments."""

INSTANTS = frozenset(
    [
        "data.SourceHistory.at",
        "data.Unreturned.highest",
        "data.Unreturned.since",
        "data.SourceHistory.first",
        "data.SourceHistory.highest",
        "features.ViewRead.newest",
        "features.ViewRead.newest_known",
        "line.PredictionsMade.began",
        "watch.TimeCame.at",
        "people.MemberInvited.expires",
        "people.AccessRefused.since",
        "people.TokenChanged.expires",
        "people.ChangeProposed.expires",
        "data.Split.cutoff",
        "data.Split.since",
        "features.Elapsed.since",
        "model.ListsValued.since",
        "line.Accepted.as_of",
        "line.Plan.as_of",
        "line.VersionBefore.at",
        "people.Account.since",
        "people.Account.until",
        "people.DaySums.day",
        "people.ValueAccount.as_of",
        "release.Halted.stopped",
        "release.SeriesRead.labels",
        "release.Trial.since",
        "release.Trial.until",
        "serve.Outage.since",
        "serve.Outage.until",
        "serve.Segment.first",
        "serve.Segment.last",
        "store.Event.at",
        "watch.Alerted.made",
        "watch.Alerted.since",
        "watch.BeyondBar.end",
        "watch.BeyondBar.start",
        "watch.Confirmed.end",
        "watch.Confirmed.start",
        "watch.Finding.made",
        "watch.Finding.since",
        "data.SensorFault.since",
        "data.SensorFault.until",
        "watch.Performance.end",
        "watch.Performance.made",
        "watch.Performance.start",
        "watch.RetrainProposal.since",
        "watch.RetrainProposal.trained",
        "watch.Waiting.until",
        "watch.Watched.end",
        "watch.Watched.start",
        "watch.Window.end",
        "watch.Window.start",
    ]
)

NAMES = frozenset(
    [
        "people.AccessRefused.about",
        "people.AccessRefused.address",
        "people.Granted.lines",
        "people.Granted.tags",
        "people.MemberChanged.member",
        "people.MemberChanged.provider",
        "people.MemberInvited.member",
        "people.PasswordChosen.address",
        "people.PasswordChosen.member",
        "people.SignInRefused.address",
        "people.SignInRefused.member",
        "people.SignInRefused.provider",
        "people.SignedIn.address",
        "people.SignedIn.member",
        "people.SignedIn.provider",
        "people.ChangeProposed.approvers",
        "people.ChangeProposed.authors",
        "people.ForgetChange.column",
        "people.ForgetChange.line",
        "people.LineChange.line",
        "people.LineChange.text",
        "people.BackupRestored.approved",
        "people.ConsentGiven.member",
        "people.LabelSettled.annotators",
        "people.LabelSettled.decided",
        "people.LineMade.member",
        "people.PromotionChange.line",
        "people.Voted.member",
        "people.Commented.mentions",
        "people.TokenChanged.lines",
        "people.TokenChanged.tags",
        "people.TokenChanged.member",
        "people.TokenChanged.name",
        "data.Breach.column",
        "data.Breach.file",
        "data.ByGroup.column",
        "data.ByHash.key",
        "data.ByTime.column",
        "data.ByTime.group",
        "data.ClassShares.name",
        "data.Column.format",
        "data.Column.name",
        "data.Dataset.order",
        "data.Finding.columns",
        "data.Ingested.allowed",
        "data.Ingested.labels",
        "data.MustBeSent.name",
        "data.RawColumn.name",
        "data.RowExpression.name",
        "data.RowExpression.reads",
        "data.RowSql.missing",
        "data.RowSql.source",
        "features.Arithmetic.column",
        "features.Arithmetic.other",
        "features.Boolean.column",
        "features.Category.column",
        "features.Category.levels",
        "features.DatePart.column",
        "features.Elapsed.column",
        "features.Frequency.column",
        "features.Frequency.levels",
        "features.Level.keys",
        "model.SumQuality.keys",
        "features.Number.column",
        "features.HistoryItem.column",
        "features.HistoryItem.items",
        "features.SeriesPart.column",
        "features.Raw.column",
        "features.RecordsWritten.file",
        "features.Raw.missing",
        "features.SentenceEncoder.column",
        "features.Text.column",
        "features.Picture.column",
        "features.PicturePart.column",
        "features.TextPart.column",
        "features.Window.known",
        "features.Window.recent",
        "features.Window.steps",
        "features.Window.time",
        "features.ViewColumn.name",
        "features.ViewColumn.text",
        "features.ViewFacts.deleted",
        "features.ViewFacts.entity",
        "features.ViewFacts.key",
        "features.ViewFacts.known",
        "features.ViewFacts.time",
        "features.ViewFacts.view",
        "features.ViewFacts.where",
        "features.ViewInput.name",
        "data.HistoryColumn.name",
        "watch.TimeCame.schedule",
        "line.Difference.part",
        "line.FileToday.path",
        "line.Forgotten.shortened",
        "line.Forgotten.models",
        "line.Forgotten.tried",
        "line.InputsMoved.came",
        "line.InputsMoved.gone",
        "line.InputsMoved.lack_none",
        "line.InputsMoved.may_lack",
        "line.MovedInput.name",
        "line.Plan.line",
        "line.Accepted.member",
        "line.PredictionsMade.job",
        "line.PredictionsMade.to",
        "model.Adopted.classes",
        "model.Adopted.output",
        "model.Alternative.name",
        "model.FoundMost.next",
        "model.ChosenByAutoGluon.model",
        "model.Contribution.column",
        "model.Contribution.down",
        "model.Contribution.up",
        "model.Dependence.column",
        "model.Dependence.curves",
        "model.Dependence.rarer",
        "model.Estimated.function",
        "model.FairnessFound.column",
        "model.GroupRates.group",
        "model.IsLevel.column",
        "model.IsLevel.level",
        "model.IsMissing.column",
        "model.IsValue.column",
        "model.IsWithin.column",
        "model.Limit.allowed",
        "model.Limit.column",
        "model.Limit.seen",
        "model.LostColumns.columns",
        "model.Metric.name",
        "model.NamedInFile.file",
        "model.NamedInFile.function",
        "model.Package.classes",
        "model.Package.key",
        "model.Package.label",
        "model.Package.missing",
        "model.PairsGain.name",
        "model.PairsUnsure.name",
        "model.Point.at",
        "model.RequestColumn.format",
        "model.RequestColumn.name",
        "model.Shuffled.columns",
        "model.Small.group",
        "model.Thin.group",
        "model.TooFew.rarest",
        "model.Trained.classes",
        "model.Trial.name",
        "model.Value.false_negative",
        "model.Value.false_positive",
        "model.Value.true_negative",
        "model.Value.true_positive",
        "model.Widest.highest",
        "model.Widest.lowest",
        "people.Account.line",
        "people.MonthSums.line",
        "people.ValueAccount.line",
        "release.Trial.line",
        "serve.Checkpointed.ends",
        "serve.Checkpointed.labels",
        "serve.Outage.line",
        "serve.Sealed.name",
        "serve.Segment.line",
        "serve.Segment.name",
        "store.Event.by",
        "store.Event.line",
        "watch.Alerted.column",
        "watch.Confirmations.line",
        "watch.Counts.name",
        "watch.Finding.column",
        "watch.Finding.group",
        "data.SensorFault.column",
        "data.SensorFault.group",
        "watch.Alerted.group",
        "watch.Performance.line",
        "watch.Reference.breaches",
        "watch.RetrainProposal.line",
        "watch.Summary.name",
        "watch.Summary.values",
        "watch.Window.breaches",
        "watch.Window.line",
    ]
)
"""What users named, or what their data say: lines, columns, classes, groups, values, files."""

IDENTIFIERS = frozenset(
    [
        "people.AccessRefused.operation",
        "people.AccessRefused.permission",
        "people.AccessRefused.server",
        "people.Granted.role",
        "people.TokenChanged.role",
        "people.TokenChanged.token",
        "data.Column.type",
        "data.Edit.path",
        "data.Finding.check",
        "data.RawColumn.type",
        "data.HistoryColumn.kind",
        "data.SourceHistory.open",
        "data.RowExpression.type",
        "data.Split.fold_salt",
        "features.DatePart.part",
        "features.ViewColumn.type",
        "features.ViewFacts.zone",
        "features.ViewInput.type",
        "line.AfterStep.step",
        "line.ArithmeticDiffers.of",
        "line.AttemptEnded.signal",
        "line.AttemptEnded.step",
        "line.Change.from_",
        "line.Change.step",
        "line.Change.to",
        "line.CodeDiffers.files",
        "line.Dropped.keep",
        "line.Environment.libraries",
        "line.Environment.numerics",
        "line.EnvironmentDiffers.name",
        "line.MoreDiffer.fields",
        "line.MovedInput.options",
        "line.ValueDiffers.path",
        "model.BeatsFound.currency",
        "model.BeatsFound.metric",
        "model.Beside.metric",
        "model.BestMetric.instead",
        "model.BestMetric.metric",
        "model.ChosenByFlaml.estimator",
        "model.Estimated.engine",
        "model.Explanation.loss",
        "model.Explanation.unit",
        "model.MemberOf.trial",
        "model.Maintenance.currency",
        "model.MetricFound.currency",
        "model.MetricFound.metric",
        "model.Package.task",
        "model.PairsGain.without",
        "model.RequestColumn.type",
        "model.Trained.chosen",
        "model.Trained.libraries",
        "model.Trained.task",
        "model.Trial.family",
        "model.Value.currency",
        "people.Account.currency",
        "people.Sums.currency",
        "people.ValueAccount.delay",
        "release.Deployed.salt",
        "release.Deployed.unit",
        "release.Refused.verdict",
        "release.Trial.loss",
        "watch.BeyondBar.metric",
        "watch.Performance.metric",
        "watch.TimePassed.every",
        "watch.Volume.every",
    ]
)
"""Words of ours, of libraries and of formats that mean one thing: metrics, steps, trials, types, durations, currencies, versions."""

FOREIGN = frozenset(
    [
        "data.Breach.figures",
        "data.Breach.first",
        "data.Edit.value",
        "data.Finding.evidence",
        "data.RowExpression.sql",
        "line.AttemptEnded.last",
        "line.Declared.spec",
        "line.Environment.platform",
        "line.Environment.processor",
        "line.Environment.python",
        "line.EnvironmentDiffers.now",
        "line.EnvironmentDiffers.was",
        "line.Finished.error",
        "line.NotMade.error",
        "line.ValueDiffers.now",
        "line.ValueDiffers.was",
        "model.Estimated.estimator",
        "model.NamedInFile.estimator",
        "model.Trial.settings",
        "serve.Outage.because",
    ]
)
"""What others wrote, kept as it is: a line file, an operating system, a library, a process, figures and words of the data, SQL."""

SENTENCES = {
    "store.Event.because": "why, by who did it; what the factory says of itself is rendered when it happens. Nothing reads it",
}
"""Text of ours, with the reason why it is no value yet."""

MOST_SENTENCES = 1
"""How many there were when this was written down last: never more."""


def below(kind):
    return {kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))}


def parts(of):
    """Yield the types that a type is made of; those of a Literal are none."""
    if get_origin(of) is Literal:
        return
    inner = get_args(of)
    for one in inner:
        yield from parts(one)
    if not inner:
        yield of


def name_of(kind, field):
    """Return room, class and field, by the class that declares it."""
    owners = [one for one in kind.__mro__ if issubclass(one, msgspec.Struct) and one is not msgspec.Struct]
    owner = next(one for one in reversed(owners) if field in one.__struct_fields__)
    return f"{owner.__module__.split('.')[1]}.{owner.__name__}.{field}"


def walk(kind, seen):
    """Yield the fields of a struct, and of those that it is made of, that may hold text."""
    if kind in seen:
        return
    seen.add(kind)
    for field, of in get_type_hints(kind).items():
        for part in parts(of) if field in kind.__struct_fields__ else ():
            if part is str or part is Any:
                yield name_of(kind, field)
            elif isinstance(part, type) and issubclass(part, msgspec.Struct):
                yield from walk(part, seen)


@pytest.fixture(scope="module")
def kinds():
    """Give all kinds of results and events."""
    for module in pkgutil.walk_packages(linewright.__path__, "linewright."):
        if module.name.endswith(".facts"):
            importlib.import_module(module.name)
    return [
        kind
        for base in (Result, Event)
        for kind in below(base)
        if kind.__module__.startswith("linewright.") and ".testing." not in kind.__module__
    ]


def test_every_text_of_a_result_is_a_name_a_digest_or_an_identifier(kinds):
    """A sentence in a result changes its digest, and with it seeds and models, when somebody corrects a comma."""
    seen = set()
    found = {field for kind in kinds for field in walk(kind, seen)}
    listed = [DIGESTS, INSTANTS, NAMES, IDENTIFIERS, FOREIGN, frozenset(SENTENCES)]

    assert sum(map(len, listed)) == len(frozenset().union(*listed))
    assert frozenset().union(*listed) == found
    assert len(SENTENCES) <= MOST_SENTENCES


def texts(value, kind_of):
    """Yield each text in the value of a field with the name of its field."""
    if isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from texts(getattr(value, field), name_of(type(value), field))
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts(one, kind_of)
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from texts(one, kind_of)
    elif isinstance(value, str):
        yield kind_of, value


def test_no_result_of_a_run_has_a_sentence(tumours_once, kinds):
    """What is listed as an identifier could still be filled with words."""
    ran = execute_inline(tumours_once, "tumours")
    by_tag = {kind.__struct_config__.tag: kind for kind in kinds if kind not in (Result, Event)}
    metadata = tumours_once.metadata
    found = [metadata.get(digest, by_tag[kind]) for digest, kind in metadata.find("sha256:")]
    strict = DIGESTS | INSTANTS | IDENTIFIERS
    wordy = [
        (field, text)
        for one in found
        for field, text in texts(one, "")
        if field in strict and len(text.split()) > 3
    ]

    assert ran.promoted
    assert len(found) > 8
    assert [] == wordy
