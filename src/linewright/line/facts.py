"""What the line room says."""

from typing import Any, Literal

import msgspec

from linewright.data.facts import Breach, Finding, RowSql
from linewright.engine.usage import Usage
from linewright.model.facts import Beyond, ListValue, MemberOf, Metric, Redecided, Reliability, Trial, Value
from linewright.serve.facts import ChangesEnd, Prefix
from linewright.store.values import Event, Result


class Declared(Result, frozen=True, kw_only=True, tag="declared"):
    """A line file as it was when a run was accepted."""

    spec: dict[str, Any]


class MovedInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input of a step that is not what it was."""

    name: str
    """As the step calls it, e.g. ``"source:claims"``."""
    options: tuple[str, ...] = ()
    """Of a source whose bytes did not change: the reading options that did."""


class VersionBefore(msgspec.Struct, frozen=True, kw_only=True):
    """The dataset version that a line had before."""

    dataset: str
    at: str
    """When the run that kept it ended; UTC."""


class InputsMoved(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="moved"):
    """Inputs of the step changed."""

    inputs: tuple[MovedInput, ...]
    before: VersionBefore | None = None
    """Set where columns are gone."""
    gone: tuple[str, ...] = ()
    """Columns of the version before that the source has no more."""
    came: tuple[str, ...] = ()
    """Columns that are new."""
    may_lack: tuple[str, ...] = ()
    """Columns that may lack values now: that makes another dataset, though no row of it differs."""
    lack_none: tuple[str, ...] = ()
    """Columns that may lack no values now."""


class AfterStep(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="after"):
    """A step before it may give it something new."""

    step: str


ReleaseDue = Literal["no-number", "passed", "untold", "told-otherwise"]
"""What the release step would do where nothing is computed: give the candidate a number; promote it, as its certificate says; write down
what the gates say of it, where no run did, or where the last run ended with something else."""


class StepDue(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="due"):
    """Something that needs no names or figures."""

    why: Literal["never-done", "was-part", "rows-lost", "older-form", "gates-decide"] | ReleaseDue
    """It was never done for the line; it was part of another step before; rows of it were lost; its last result is of an older Linewright;
    what the gates say decides about promotion; or what is due of a release."""


class Change(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """One step that a run would take, and why."""

    step: str
    reason: InputsMoved | AfterStep | StepDue
    """`line.runs.plan_text` says it in a sentence."""
    from_: str | None
    """The input that stood there: a digest, an instant or an identifier; `None` where nothing did."""
    to: str | None
    """What stands there now; `None` where only the run will tell."""


class Plan(Result, frozen=True, kw_only=True, tag="plan"):
    """The difference between what is declared and what is."""

    line: str
    declared: str
    sources: dict[str, str]
    """Fingerprint of each source."""
    changes: tuple[Change, ...]
    as_of: str | None = None
    """The instant whose knowledge counts; `None` before the first retraining."""


class Accepted(Event, frozen=True, kw_only=True, tag="accepted"):
    """A run was asked for and will reach a final state."""

    run: str
    plan: str
    declared: str
    as_of: str | None = None
    """For a retraining: the instant whose knowledge counts."""
    proposal: str | None = None
    """Digest of the proposal that it answers, where monitoring asked for it."""
    member: str = ""
    """Name of the member who asked for it; empty if none did."""


class AttemptEnded(Event, frozen=True, kw_only=True, tag="attempt-ended"):
    """The process that carried out a run ended, or was ended, before the run was done."""

    run: str
    step: str
    """At which it was."""
    attempt: int
    """How many have ended at this step of the run, this one included; from 1."""
    how: Literal["signal", "exit", "memory", "deadline", "cancelled"]
    signal: str = ""
    """Name of the signal, e.g. ``SIGKILL``."""
    code: int | None = None
    """Exit code, where it ended by none of those."""
    last: str = ""
    """The last line that it wrote to stderr."""
    usage: Usage | None = None
    """What this attempt took; `None` where that was not measured."""


Outcome = Literal["done", "failed", "cancelled"]
"""How a run ended."""


class Finished(Event, frozen=True, kw_only=True, tag="finished"):
    """A run reached its final state."""

    run: str
    outcome: Outcome
    error: dict[str, Any] | None = None
    ingested: str | None = None
    """Digest of what reading the sources gave."""
    certificate: str | None = None
    promoted: bool = False
    breaches: tuple[Breach, ...] = ()
    """What the contract promises beyond the rows and did not hold when the run looked: freshness, and what changed since
    the version before. They depend on the clock and on history, so that no result holds them."""
    findings: tuple[Finding, ...] = ()
    """What the checks of the data found that this run said."""
    usage: Usage | None = None
    """What all of its attempts took: time in which processes were at work on it, not in which it waited for its turn or was
    interrupted. `None` where that was not measured."""


class PredictionsMade(Event, frozen=True, kw_only=True, tag="predictions-made"):
    """Predictions on a schedule were made, logged and written to their destination, all of them."""

    job: str
    """Their name in the line file."""
    run: str
    """Id that each of the answers has."""
    began: str
    """UTC, RFC 3339."""
    model: int
    """Version of the model."""
    digest: str
    """Of its package."""
    rows: int
    """Answers that were written."""
    quarantined: int = 0
    """Rows that broke the contract."""
    to: str
    """Destination of the answers, without secrets; empty if there were none to write."""
    only_new: bool = False
    """Whether rows were left out that the source had the time before."""
    noted: bool = False
    """Whether it was noted which rows the source had."""


class Detached(Event, frozen=True, kw_only=True, tag="detached"):
    """A folder was written from which an endpoint serves a model without the factory."""

    model: int
    package: str
    folder: str
    """Digest of its ``package.json``, which names the digests of all that is in it."""


class HandedOver(Event, frozen=True, kw_only=True, tag="handed-over"):
    """A segment of the prediction log of a detached endpoint became one of the line's."""

    segment: str
    """Its name, which no other segment has."""
    digest: str
    """Of its bytes."""
    answers: int
    first: str | None
    last: str | None
    """Ids of its first and last prediction; `None` if it is empty."""
    package: str
    """The model that predicted."""
    folder: str
    """As `Detached.folder` has it."""


class Environment(Result, frozen=True, kw_only=True, tag="environment"):
    """Where something was computed. Equal ones have equal digests: nothing in it names a host, a folder or a time."""

    python: str
    """Implementation and version, e.g. ``"CPython 3.11.7"``."""
    platform: str
    """System, kind of machine and C library, e.g. ``"Linux x86_64 glibc 2.41"``."""
    processor: tuple[str, ...] = ()
    """What numpy and the linear algebra found it able to do, sorted."""
    libraries: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Version of each library that a model passes through, by the name of its distribution."""
    code: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """16 hex digits of the SHA-256 of each of our files that a model passes through, by path."""
    numerics: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """What arithmetic gave there, as `line.rebuild.numerics.numerics` has it."""


Level = Literal["R0", "R1", "R2", "differs"]
"""How near a rebuilt model is: the same bytes; the same answers; the same metric within its interval; none of these."""


class ValueDiffers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="value"):
    """A field of a result holds something else."""

    path: str
    """Such as ``"plan[1].rounds"``."""
    was: str
    """As JSON, cut where it is long."""
    now: str


class MoreDiffer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="more"):
    """Further fields differ."""

    fields: tuple[str, ...]


class FormDiffers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="form"):
    """It says the same, and is written in another form than the version before wrote."""


class NotMade(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="not-made"):
    """It could not be computed."""

    error: dict[str, Any]


class EnvironmentDiffers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="environment"):
    """Python, a library, the platform or the processor is another."""

    name: str
    was: str | None
    now: str | None


class CodeDiffers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="code"):
    """Files of ours that a model passes through are others."""

    files: tuple[str, ...]


class ArithmeticDiffers(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="arithmetic"):
    """Arithmetic gives other bits here."""

    of: tuple[str, ...]


class FileToday(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """A file beside the sources, whose recorded copy was used, is another today, cannot be read, or is gone."""

    path: str
    how: Literal["other", "unreadable", "gone"]


Differs = (
    ValueDiffers
    | MoreDiffer
    | FormDiffers
    | NotMade
    | EnvironmentDiffers
    | CodeDiffers
    | ArithmeticDiffers
    | FileToday
)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """In what a rebuilt model or the place where it was rebuilt differs; `line.rebuild.difference_text` says it."""

    part: str = ""
    """Name of the result; empty where it is about the environment."""
    differs: Differs


class Rebuilt(Event, frozen=True, kw_only=True, tag="rebuilt"):
    """A registered model was computed again from its manifest, and compared."""

    model: int
    package: str
    """Digest of the registered package."""
    level: Level
    rebuilt: str
    """Digest of the package that was computed now; it was not kept."""
    workers: int
    """Fits that went on at a time."""
    differences: tuple[Difference, ...] = ()
    """What came out otherwise, and in what the environments differ."""


class Shortened(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a chain of changes as it was, and without those that went."""

    before: ChangesEnd
    after: ChangesEnd


class Dropped(Event, frozen=True, kw_only=True, tag="dropped"):
    """What a line had stored is kept no longer, as its retention says. What it was is not in the event."""

    results: tuple[str, ...] = ()
    """Digests of the results whose bytes go: of datasets, of rows in quarantine, of segments of the prediction log."""
    segments: tuple[str, ...] = ()
    """Names of these segments."""
    predictions: int = 0
    labels: int = 0
    """Changes of labels: each that came about these predictions, and each correction."""
    labels_before: ChangesEnd | None = None
    labels_after: ChangesEnd | None = None
    """The chain of changes as it was, and without those that go; `None` where none go."""
    runs: tuple[str, ...] = ()
    """Runs of which the engine's notes go."""
    keep: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """What was to be kept, by the field of `keep`."""


class Forgotten(Event, frozen=True, kw_only=True, tag="forgotten"):
    """What a line had stored about a person was removed. Neither who it is nor what it was is in the event."""

    subject: str
    """A keyed hash of the value of `table.subject`; the key is with the list of those that are forgotten."""
    instead: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    """Digest of a blob, or of the content of a chunk of rows → digest of the blob that is in its place now."""
    segments: dict[str, Prefix] = msgspec.field(default_factory=dict[str, Prefix])
    """The segments of the prediction log that had something of it, by name, as they are now."""
    datasets: tuple[str, ...] = ()
    """Dataset versions that had rows of it; these are empty now."""
    models: tuple[str, ...] = ()
    """Models, as LINE@VERSION, that have learned from such rows."""
    tried: tuple[str, ...] = ()
    """Models, as LINE@VERSION, whose packages keep features of such rows, to try when they are loaded."""
    predictions: int = 0
    labels: int = 0
    """Changes of labels."""
    rows: int = 0
    """Of the chunks of datasets: each is counted once, however many versions have it."""
    quarantined: int = 0
    labels_before: ChangesEnd | None = None
    labels_after: ChangesEnd | None = None
    """As `Dropped` has them."""
    shortened: dict[str, Shortened] = msgspec.field(default_factory=dict[str, Shortened])
    """The other files of the state that had something of it and whose changes are chained, by name, see `Checkpointed.ends`."""
    sent: int = 0
    """Rows that had been sent to sources."""
    key: str = ""
    """Digest of the key of the list of those that are forgotten; empty in events of before it was noted."""


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a retraining had to learn from that the run before it had not."""

    since: str
    """The run before it."""
    at: str
    """When that ended, UTC."""
    new: int
    """Rows, with their labels, that it did not have; of a row that has no key, that no row said what it says."""
    relabelled: int
    """Rows that it had with another label."""
    trained: bool
    """Whether a model was computed all the same; else the one of an earlier run was found again."""
    outweighed: int = 0
    """Labels by feedback that the run before it did not know, and that were not learned: the sources have their rows, and the
    sources' label counts. At most one a row."""
    contradicting: int = 0
    """Those of them that say otherwise than the sources, which may also have no label there."""
    differs: Literal["rows", "parts", "training", "unknown"] = "unknown"
    """What is different from the run before it: the rows that were kept; of the same rows, which train and which test; or
    neither, so that only the training can be. Not known where the run before it came to no verdict."""


class BarredReads(msgspec.Struct, frozen=True, kw_only=True):
    """Columns that a registered model reads and that its line gives to no model any more."""

    model: str
    """As LINE@VERSION."""
    columns: tuple[str, ...]
    """At least one."""
    are_excluded: bool
    """Whether the line file excludes all of them; else it bars some in another way."""


class AmountsInForce(msgspec.Struct, frozen=True, kw_only=True):
    """By which amounts a champion goes on deciding, where the line declares others by now."""

    model: str
    """As LINE@VERSION."""
    amounts: Value | None
    """`None` where it decides without amounts."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run gave."""

    line: str
    run: str
    dataset: str
    split: str
    candidate: str
    """The candidate as LINE@VERSION."""
    digest: str
    metrics: tuple[Metric, ...]
    verdict: str
    because: str
    certificate: str
    promoted: bool
    """Whether the candidate is the champion now."""
    did: tuple[str, ...]
    """Steps that were computed; the others were found."""
    resumed: bool = False
    """Whether the run had been interrupted, and was only finished now."""
    did_before: tuple[str, ...] = ()
    """Of a resumed run: the steps of `did` that were computed before the interruption."""
    adopted: bool = False
    """Whether the candidate was imported, so that what it has seen is not known."""
    next: tuple[str, ...] = ()
    """Commands of which one is fitting now."""
    breaches: tuple[Breach, ...] = ()
    """What did not hold of the contract, as `Finished` has it."""
    findings: tuple[Finding, ...] = ()
    """What the checks of the data found, as `Finished` has it."""
    moved: bool = True
    """Of a candidate that is the champion now: whether this run made it so; else it had served before."""
    only_answer: str | None = None
    """The class that the candidate answers for every test row; `None` where there are more, or numbers."""
    few_tested: tuple[tuple[str, int], ...] = ()
    """Classes with fewer than 5 test rows, each with how many it has; the rarest first."""
    undecided: tuple[str, ...] = ()
    """What the gates said about which the rows could not decide; they do not block a promotion."""
    share: float | None = None
    """Share of the rows that the candidate answers while it is tried; `None` where it is not."""
    part: str | None = None
    """The same in words, such as "gets copies of the rows as a shadow"."""
    model: str = ""
    """What the candidate is made of, and why."""
    shared: str = ""
    """Of a site whose line file says `train.share`: whether its model learned from rows of other sites, and why; else empty."""
    sentence_encoder: str = ""
    """If its line file says `train.sentences`: whether an encoder of sentences reads its texts, and why; else empty."""
    pictures: str = ""
    """At which size pictures are read, and what decided it, if the line file has `train.pictures`."""
    sample: str = ""
    """Where it learned from a part of very many rows: from which."""
    trials: tuple[Trial, ...] = ()
    """What was tried, best first."""
    members: tuple[MemberOf, ...] = ()
    """Which of them became the model."""
    coverage: Metric | None = None
    """Share of the test rows whose truth lies in the 90 % interval of the answer; `None` where answers are classes."""
    beyond: Beyond | None = None
    """Shares of the test rows whose truth lies below that interval, and above it; `None` where answers are classes."""
    bias: Metric | None = None
    """Mean of truth less answer on the test rows, in the unit of the label; `None` where answers are classes."""
    lists: ListValue | None = None
    """What its lists are worth, from lists that were shown; `None` if the line does not explore, or no such list has a label."""
    reliability: Reliability | None = None
    """How far probabilities are from the shares of the test rows that came true; `None` where answers are numbers."""
    currency: str = ""
    """Of the metric `value`, which is told for 1,000 rows; empty where the line does not say what decisions are worth."""
    threshold: float | None = None
    """Probability from which on the positive one of two classes is answered; `None` where there are more, or numbers."""
    unfound: dict[str, int] = {}
    """Classes of which the candidate finds no test row, with how many there are."""
    hardly: str = ""
    """Of several classes: those of which the candidate finds less than half at the upper end of the interval, yet some."""
    redecided: Redecided | None = None
    """What is decided otherwise than by the champion that it was compared with; `None` where answers are numbers, and where there was
    no champion."""
    positive: str | None = None
    """Of two classes the one whose probability is predicted; `None` where there are more, or numbers."""
    learned: Learned | None = None
    """Of a retraining: what it had to learn from that the run before it had not."""
    barred: BarredReads | None = None
    """Of a candidate that did not pass: which columns the champion reads that the line bars by now; `None` where it reads none."""
    amounts_in_force: AmountsInForce | None = None
    """Of a candidate that does not serve: by which amounts the champion goes on deciding; `None` where those of the line are the same."""
    row_sql: RowSql | None = None
    """Which columns `table.sql` makes of a request's row, and which must be sent; `None` where there is no SQL."""

    @property
    def exit_code(self) -> int:
        """0 where the candidate serves or is tried with a passing certificate, else 4."""
        serves = self.promoted or self.share is not None
        return 0 if serves and self.verdict == "promote" else 4
