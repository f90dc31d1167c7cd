"""What the people room says: who may ask for what, what is proposed and approved, and the value account of a line.

Sums by day add up, so a day that nothing can change any more is taken from the account before. A day is that of the answer, UTC.
"""

from typing import Literal

import msgspec

from linewright.store.values import Event, Result

Against = Literal["never", "always", "champion-before"]
"""What decisions are held against: no alarm, an alarm for each row, or what the champion before would have decided."""
Unit = Literal["days", "row"]


class Sums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answers of one day whose decisions were declared to be worth something in one currency.

    Each answer is counted once: as matured, young, unlabelled or unpriced.
    """

    currency: str
    """ISO 4217 code."""
    matured: int = 0
    """Answers whose label counts, and that are priced; all sums are over these."""
    young: int = 0
    """Answers whose `label.delay` has not passed: positives come first, so none of them is counted yet."""
    unlabelled: int = 0
    """Answers whose label has not come."""
    unpriced: int = 0
    """Answers whose label counts, and whose row was sent without an amount of at least 0 in a column that the matrix names."""
    without_before: int = 0
    """Matured answers held against no alarm, since there was no champion before that could decide on the row."""
    value: float = 0.0
    """What the decisions were worth."""
    value_squared: float = 0.0
    """Sum of the squares of what each was worth."""
    against: float = 0.0
    """What the decisions of `value.against` would have been worth."""
    gain_squared: float = 0.0
    """Sum of the squares of the differences."""

    @property
    def answers(self) -> int:
        """All of them."""
        return self.matured + self.young + self.unlabelled + self.unpriced

    @property
    def gain(self) -> float:
        """What the decisions were worth more than those that they are held against."""
        return self.value - self.against


class DaySums(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that went out on one day: answers of the champion and of the canary, by endpoint and batch."""

    day: str
    """ISO 8601 date, UTC."""
    spans: dict[str, tuple[int, int]]
    """By segment of the prediction log, the bytes within which the records of the day are."""
    undeclared: int = 0
    """Answers of models that were made while the line did not say what decisions are worth."""
    sums: tuple[Sums, ...] = ()
    """By currency, sorted."""

    @property
    def answers(self) -> int:
        """All of them."""
        return self.undeclared + sum(one.answers for one in self.sums)


class MonthSums(Result, frozen=True, kw_only=True, tag="month_sums"):
    """The days of one month in a value account; a month that did not change is kept once for all accounts."""

    line: str
    days: tuple[DaySums, ...]
    """Oldest first."""


class ValueAccount(Result, frozen=True, kw_only=True, tag="value_account"):
    """What the matured answers of a line were worth, by what was known at an instant."""

    line: str
    as_of: str
    """UTC, RFC 3339 with microseconds; labels that were received later are not in it."""
    against: Against
    delay: str | None
    """`label.delay` as it was declared."""
    position: dict[str, int]
    """By segment of the prediction log, up to where it was read."""
    months: tuple[str, ...]
    """Digests of the `MonthSums`, oldest first."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What matured decisions were worth in one currency, over some days."""

    line: str
    currency: str
    rule: Against
    """What they are held against."""
    since: str | None
    until: str | None
    """First and last day with an answer; `None` where there is none."""
    days: int
    """Days with matured answers."""
    answers: int
    matured: int
    """Answers that are priced: those whose label is known and, where `label.delay` is declared, whose delay has passed."""
    young: int
    """Answers whose `label.delay` has not passed."""
    unlabelled: int
    unpriced: int
    """Answers whose row was sent without an amount that the matrix asks for."""
    without_before: int
    """Matured answers held against no alarm, since there was no champion before that could decide."""
    value: float
    against: float
    gain: float
    """`value` less `against`; all three of the matured answers."""
    low: float | None
    high: float | None
    """95 % interval of the gain; `None` where there are fewer than 2 units to tell it from."""
    value_low: float | None
    value_high: float | None
    """95 % interval of the value."""
    unit: Unit
    """What the intervals take as independent of each other: stretches of consecutive days, or rows where there are few days."""
    units: int


class Accounted(Event, frozen=True, kw_only=True, tag="accounted"):
    """The value account of a line was brought up to date."""

    account: str
    """Digest of the `ValueAccount`."""
    undeclared: int = 0
    """Answers of models that were made while the line did not say what decisions are worth."""
    totals: tuple[Account, ...] = ()
    """One a currency, the present one first; amounts of two currencies are never added."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A role of a member."""

    role: str
    lines: tuple[str, ...] = ()
    """The lines that it is for; with no tags either it is the whole factory."""
    tags: tuple[str, ...] = ()
    """It is for the lines with one of these tags too."""


class MemberChanged(Event, frozen=True, kw_only=True, tag="member-changed"):
    """A member was added, may do something else, or was removed. `line` is empty: members are the factory's."""

    member: str
    roles: tuple[Granted, ...] = ()
    """None once removed."""
    is_removed: bool = False
    provider: str = ""
    """Issuer whose groups say so; empty where somebody asked for it here."""


class TokenChanged(Event, frozen=True, kw_only=True, tag="token-changed"):
    """A token was made or revoked. The event cannot let anybody in. `line` is empty: tokens are the factory's."""

    token: str
    """Its public part."""
    name: str
    role: str
    lines: tuple[str, ...] = ()
    """The lines that it is for; with no tags either it is all."""
    tags: tuple[str, ...] = ()
    """It is for the lines with one of these tags too."""
    member: str = ""
    """Whose it is."""
    expires: str
    is_revoked: bool = False
    sha256: str = ""
    """SHA-256 of the SHA-256 of the whole token, which the file of members and tokens has. Empty in events of before it was noted."""


class MemberInvited(Event, frozen=True, kw_only=True, tag="member-invited"):
    """A member may choose a password, once. `line` is empty, as in all that is about members."""

    member: str
    expires: str
    """When the invitation ends."""


class PasswordChosen(Event, frozen=True, kw_only=True, tag="password-chosen"):
    """A member used an invitation to choose a password, which ended their sessions."""

    member: str
    address: str = ""
    """The client of the request; empty if unknown."""


class SignedIn(Event, frozen=True, kw_only=True, tag="signed-in"):
    """A member was let in."""

    member: str
    address: str = ""
    """The client of the request; empty if unknown."""
    provider: str = ""
    """Issuer that vouched for them; empty for a password."""
    session: str = ""
    """SHA-256 of the SHA-256 of the secret of their session. Empty in events of before it was noted."""


class SignInRefused(Event, frozen=True, kw_only=True, tag="sign-in-refused"):
    """Somebody gave a wrong password or name, or comes from a provider and may not enter. At most one a minute and member is recorded."""

    member: str = ""
    """Empty for names of nobody, which may be passwords typed into the wrong field."""
    address: str = ""
    """The client of the request; empty if unknown."""
    provider: str = ""
    """Issuer of the provider; empty for a password."""


class LineMade(Event, frozen=True, kw_only=True, tag="line-made"):
    """A member wrote the first file of a line, by `new`."""

    member: str
    file: str
    """Digest of its bytes."""


ChangeKind = Literal["promotion", "line-change", "autonomy-change", "forget", "restore"]
"""What a proposal is about: what serves; a line file; what a line may do by itself; what is stored about a person; a backup."""


class PromotionChange(Result, frozen=True, kw_only=True, tag="promotion_change"):
    """A model is to be champion of its line, or to be tried first if the line file says so."""

    line: str
    model: int
    package: str
    certificate: str | None
    """Digest of its newest certificate; `None` if it has none."""
    forced: bool = False
    """Whether gates are overruled."""


class LineChange(Result, frozen=True, kw_only=True, tag="line_change"):
    """A line file is to have another text."""

    line: str
    before: str
    """Digest of the bytes of the file in whose place it comes."""
    after: str
    """Digest of its bytes."""
    text: str
    """All of it."""


class ForgetChange(Result, frozen=True, kw_only=True, tag="forget_change"):
    """What a line has stored about one person is to go. Who it is is not in it."""

    line: str
    column: str
    """`table.subject` of the line."""
    subject: str
    """The keyed hash of the value, as `Forgotten` has it."""
    predictions: int
    rows: int
    quarantined: int
    """What there was of it when it was proposed; what came since goes too."""


class RestoreChange(Result, frozen=True, kw_only=True, tag="restore_change"):
    """A backup of the whole factory is to be restored."""

    backup: str
    """Digest of its file."""

    @property
    def line(self) -> str:
        """Empty: it is about the whole factory."""
        return ""


class ChangeProposed(Event, frozen=True, kw_only=True, tag="change-proposed"):
    """A change waits for people to approve it; `because` has the reason."""

    id: str
    change_kind: ChangeKind
    change: str
    """Digest of the exact change."""
    under: dict[str, str]
    """What it stands on, by name: it is void once one of these is another."""
    authors: tuple[str, ...] = ()
    """Members whose change it is: none of them may approve it."""
    expires: str
    approvers: tuple[str, ...]
    """Roles on the line, and names of members."""
    needed: int
    """How many of them have to approve."""


Vote = Literal["approve", "decline", "withdraw"]


class Voted(Event, frozen=True, kw_only=True, tag="voted"):
    """A member approved or declined a proposal, or an author withdrew it; `because` is their comment."""

    proposal: str
    change: str
    """Digest of the change that they decided about."""
    vote: Vote
    member: str


class Applied(Event, frozen=True, kw_only=True, tag="applied"):
    """An approved change was applied, or the approval of a restore was used; a promotion says so itself."""

    proposal: str
    change: str


class BackupRestored(Event, frozen=True, kw_only=True, tag="backup-restored"):
    """The factory was made from a backup, by an approval or without one; `because` has the reason. The first event after the restore."""

    backup: str
    """Digest of its file."""
    proposal: str = ""
    """The proposal whose approval was used, in the factory that approved; empty without approval."""
    approved: tuple[str, ...] = ()
    """Members who approved."""


class AccessRefused(Event, frozen=True, kw_only=True, tag="access-refused"):
    """Somebody was refused, for want of a right or of a token. `line` is empty: what a client without rights names is not a line's history."""

    permission: str
    """The right that was lacking; empty if no token let anybody in."""
    operation: str
    """The first attempt's: an operation, or a method and a route."""
    server: str
    """``control-plane``, ``endpoint`` or ``command``."""
    about: str = ""
    """The line that the first attempt named."""
    address: str = ""
    """Of the client of the first attempt."""
    since: str
    """The minute in which it was tried."""
    count: int
    """How often in that minute."""


class Commented(Event, frozen=True, kw_only=True, tag="commented"):
    """Somebody said something about a line, or about a model, an alert, a dataset or a run of it."""

    id: str
    about: str = ""
    """Version of a model, or the id of an alert, a dataset, a run or a proposal; empty for the line itself."""
    mentions: tuple[str, ...] = ()
    """Members whom it names."""
    text: str = ""
    """Digest of the stored bytes that have what they said; empty in events of before, in which `because` is it."""


class QuestionsQueued(Event, frozen=True, kw_only=True, tag="questions-queued"):
    """Predictions of a line, or rows of a dataset version, wait for people to label them."""

    batch: int
    """Number of the batch in its line, from 1."""
    package: str
    """Digest of the champion of that time; empty if there was none."""
    questions: int
    gold: int
    """How many more have a label that is known, by which annotators are checked."""
    annotators: int
    """How many people label each."""
    consent: str = ""
    """Digest of the text that annotators consent to, or empty."""
    dataset: str = ""
    """Digest of the dataset version whose rows they are; empty for predictions."""


class ConsentGiven(Event, frozen=True, kw_only=True, tag="consent-given"):
    """An annotator consented to the text of a queue."""

    member: str
    text: str
    """Digest of the text."""


class LabelSettled(Event, frozen=True, kw_only=True, tag="label-settled"):
    """The label that people gave to a prediction became feedback, or that of a row counts.

    The label itself stands elsewhere, so that it can be removed.
    """

    batch: int
    question: str
    prediction: str
    """Empty for a row of a dataset version."""
    answer: int
    """Number of the answer that settled it."""
    annotators: tuple[str, ...]
    """Who gave it, by name."""
    decided: str = ""
    """Who decided between annotators; empty if they agreed."""
    dataset: str = ""
    """Digest of the dataset version whose row it is; empty for a prediction."""
    row: int | None = None
    """Place of the row in it, from 0."""


class RowsAnnotated(Event, frozen=True, kw_only=True, tag="rows-annotated"):
    """Labels that people gave to rows became a dataset version; the next run trains with them."""

    annotated: str
    """Digest of the `AnnotatedRows`."""
    dataset: str
    """Digest of the dataset version that they are."""
    labels: int
    """Its rows."""
