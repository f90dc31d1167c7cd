"""The value account: what answers were worth, counted from the log and from labels while a line serves."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.value import update as value_accounting
from linewright.capabilities.value.account import value_account
from linewright.capabilities.value.operations import value
from linewright.capabilities.value.pricing import Pricing
from linewright.capabilities.value.update import keep_account, keep_accounts, kept_ledger, up_to_date
from linewright.errors import RequestError, SpecError
from linewright.features.facts import Encoder, Number
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.record.monitoring.factory_metrics import FactoryMetrics
from linewright.model.facts import Calibration, Package, RequestColumn, Value
from linewright.people.facts import Accounted
from linewright.release.facts import Promoted, RolledBack
from linewright.serve.facts import Prediction
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7
from linewright.worlds.living import Clock

START = datetime(2026, 3, 1, tzinfo=UTC)
LINE = "claims"
FILE = """\
line: claims
sources: {claims: {file: claims.csv}}
table: {time: at}
label: {column: fraud, positive: "yes", delay: 2d}
contract: {columns: {at: {type: datetime}, a: {type: number}, amount: {type: number}, fraud: {type: category}}}
value: {currency: EUR, true_positive: 90, false_positive: -40, false_negative: -90}
"""
UNDELAYED = FILE.replace(", delay: 2d", "")
NUMBERS = Value(
    currency="EUR", true_positive=90.0, false_positive=-40.0, false_negative=-90.0, true_negative=0.0
)
BY_AMOUNT = replace(NUMBERS, true_positive="amount", false_negative="-amount")
DOLLARS = replace(NUMBERS, currency="USD", true_positive=100.0)


def package(value: Value | None, number: int = 1) -> Package:
    """Return a package as a run would have kept it; nothing here asks for its model."""
    made = Package(
        task="binary",
        label="fraud",
        classes=("no", "yes"),
        key=None,
        columns=(
            RequestColumn(name="a", type="number"),
            RequestColumn(name="fraud", type="category", role="carried"),
        ),
        encoder=Encoder(encodings=(Number(column="a"),)),
        graph=f"graph {number}",
        graph_bytes=1,
        calibration=Calibration(),
        threshold=0.5,
        half_width=None,
        golden="g",
        trained="t",
    )
    return made if value is None else replace(made, value=value)


@dataclass
class Book:
    """A line that answers in simulated time, and what a person with a pencil would make of it."""

    factory: Factory
    clock: Clock
    log: PredictionLog
    packages: list[str]
    answered: list[Prediction] = field(default_factory=list)

    def answer(self, *, amount: object = 50, alarm: bool = True, model: int = 0, **given) -> str:
        """Log one answer of a model, given at this moment."""
        row = {"a": 1.0} | ({} if amount is None else {"amount": amount})
        said = {"prediction": "yes" if alarm else "no", "probabilities": {"no": 0.4, "yes": 0.6}}
        fields = {"generation": model + 1, "model": model + 1} | given
        record = Prediction(
            id=uuid7(),
            line=LINE,
            digest=self.packages[model],
            at=self.clock(),
            key=None,
            row=row,
            answer=said,
            threshold=0.5,
            **fields,
        )
        self.log.append([record])
        self.answered.append(record)
        return record.id

    def know(self, identity: str, label: str, **given: str) -> None:
        known = [{"id": identity, "label": label, **given}]
        self.factory.labels_of(LINE).accept(known, package=package(None))

    def at(self, days: float) -> None:
        self.clock.at = START + timedelta(days=days)

    @property
    def spec(self):
        return self.factory.line(LINE)

    def whole(self):
        return up_to_date(self.factory, self.spec)


@contextmanager
def open_book(root: Path, text: str, values=(NUMBERS, BY_AMOUNT, DOLLARS, None)) -> Iterator[Book]:
    """Give the book of a line whose models decide by these matrices."""
    clock = Clock(START)
    (root / "lines").mkdir(parents=True)
    (root / "lines" / f"{LINE}.yaml").write_text(text)
    with Factory.create(root, now=clock) as factory, closing(PredictionLog(factory.log_of(LINE))) as log:
        kept = [factory.metadata.keep(package(one, number)) for number, one in enumerate(values)]
        for digest in kept:
            factory.metadata.register(LINE, digest, at=clock())
        yield Book(factory, clock, log, kept)


@pytest.fixture
def book(tmp_path):
    """Give a book whose line says nothing of `label.delay`."""
    with open_book(tmp_path / "factory", UNDELAYED) as opened:
        yield opened


# Sums


HAPPENS = st.one_of(
    st.tuples(
        st.just("answer"), st.sampled_from([50, 7, "12", None, -3, "x"]), st.booleans(), st.integers(0, 3)
    ),
    st.tuples(st.just("know"), st.integers(0, 30), st.sampled_from(["yes", "no"])),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.4, 1.0, 2.5])),
    st.tuples(st.just("account")),
)


def by_hand(book: Book, labels: dict[str, str], delay: timedelta | None) -> dict[tuple[str, str], float]:
    """Add up by day and currency as the matrix is read aloud."""
    found: dict[tuple[str, str], float] = {}
    matrices = (NUMBERS, BY_AMOUNT, DOLLARS, None)
    for one in book.answered:
        matrix, label = matrices[one.model - 1], labels.get(one.id)
        at = datetime.fromisoformat(one.at)
        if matrix is None or label is None or (delay is not None and at + delay > book.clock.at):
            continue
        stake = {"true_positive": matrix.true_positive, "false_negative": matrix.false_negative}
        if matrix is BY_AMOUNT:
            amount = {"12": 12, 50: 50, 7: 7}.get(one.row.get("amount"))
            if amount is None:
                continue
            stake = {"true_positive": amount, "false_negative": -amount}
        alarm = one.answer["prediction"] == "yes"
        if label == "yes":
            worth = stake["true_positive"] if alarm else stake["false_negative"]
        else:
            worth = -40 if alarm else 0
        day = (one.at[:10], matrix.currency)
        found[day] = found.get(day, 0) + worth
    return found


@settings(max_examples=60)
@given(happens=st.lists(HAPPENS, min_size=8, max_size=40), text=st.sampled_from([FILE, UNDELAYED]))
def test_an_account_kept_day_by_day_is_the_one_that_is_read_anew(tmp_path_factory, happens, text):
    """An account that depends on when somebody looked is none; and its days are its sum, by the matrix that held."""
    labels: dict[str, str] = {}
    with open_book(tmp_path_factory.mktemp("book") / "factory", text) as book:
        ledger = None
        for what, *parts in happens:
            if what == "answer":
                amount, alarm, model = parts
                book.answer(amount=amount, alarm=alarm, model=model)
            elif what == "know" and book.answered:
                identity, label = book.answered[-1 - parts[0] % len(book.answered)].id, parts[1]
                before = labels.get(identity)
                if before != label:
                    book.know(identity, label, **({"corrects": before} if before else {}))
                    labels[identity] = label
            elif what == "wait":
                book.clock.at += timedelta(days=parts[0])
            elif what == "account":
                book.clock.at += timedelta(seconds=1)
                ledger = up_to_date(book.factory, book.spec, ledger)
        last, whole = up_to_date(book.factory, book.spec, ledger), book.whole()
        delay = timedelta(days=2) if text is FILE else None
        expected = by_hand(book, labels, delay)

        assert whole == last
        assert expected == {
            (day.day, one.currency): one.value
            for day in whole.days.values()
            for one in day.sums
            if one.matured
        }
        assert len(book.answered) == sum(day.answers for day in whole.days.values())
        for total in whole.totals():
            own = [amount for (_, currency), amount in expected.items() if currency == total.currency]
            assert sum(own) == total.value
            assert total.answers == total.matured + total.young + total.unlabelled + total.unpriced


def test_answers_count_once_their_delay_has_passed(tmp_path):
    """Frauds are known before the genuine: counted as they come, every line would look ruinous."""
    with open_book(tmp_path / "factory", FILE) as book:
        first = book.answer(alarm=False)
        book.at(1)
        book.know(first, "yes")
        (young,) = book.whole().totals()
        book.at(2)
        (ripe,) = book.whole().totals()

    assert (0, 1) == (young.matured, young.young)
    assert (1, 0, -90.0) == (ripe.matured, ripe.young, ripe.value)


def test_a_label_that_is_corrected_later_is_followed(book):
    """An investigator who finds out months later that a claim was genuine changes what the day was worth."""
    one, other = book.answer(), book.answer(alarm=False)
    book.know(one, "yes")
    before = book.whole()
    book.at(100)
    book.know(one, "no", corrects="yes")
    book.know(other, "yes")
    after = up_to_date(book.factory, book.spec, before)

    assert [90.0] == [total.value for total in before.totals()]
    assert [-130.0] == [total.value for total in after.totals()]


def test_only_days_that_something_may_have_changed_are_read_again(book, monkeypatch):
    """A year of answers is read once, not each night."""
    for day in range(30):
        book.at(day)
        book.know(book.answer(), "yes")
    late = book.answer(alarm=False)
    before = book.whole()
    book.at(40)
    book.know(late, "yes")
    book.answer()
    read = []
    add = Pricing.add
    monkeypatch.setattr(
        Pricing,
        "add",
        lambda self, some, of: add(
            self, [read.append(one.record.at[:10]) or (one, truth) for one, truth in some], of
        ),
    )
    after = up_to_date(book.factory, book.spec, before)

    assert {"2026-03-30", "2026-04-10"} == set(read)
    assert after == book.whole()


def test_two_currencies_are_two_accounts(book):
    """Euro and dollars that are added are neither."""
    for model, days in ((0, 1), (2, 2)):
        book.at(days)
        book.know(book.answer(model=model), "yes")
    euro, dollar = sorted(book.whole().totals(), key=lambda one: one.currency)

    assert ("EUR", 90.0, 1) == (euro.currency, euro.value, euro.matured)
    assert ("USD", 100.0, 1) == (dollar.currency, dollar.value, dollar.matured)
    assert ["EUR", "USD"] == [one.total.currency for one in value(book.factory, LINE).accounts]


def test_rows_without_an_amount_are_not_priced_and_said(book):
    """A row of unknown amount is worth something, nobody knows what: it is counted, not guessed."""
    for amount in (30, None, -5, "n/a"):
        book.know(book.answer(amount=amount, model=1), "yes")
    book.answer(model=3)
    told = value(book.factory, LINE)
    (one,) = told.accounts

    assert (1, 3, 30.0) == (one.total.matured, one.total.unpriced, one.total.value)
    assert "3 whose row lacks an amount of at least 0" in result_text(told)
    assert "1 answer of models that were made before `value` was declared" in result_text(told)


def test_shadows_and_replays_earn_nothing(book):
    """Their answers never went out."""
    for given_ in ({"arm": "shadow"}, {"via": "replay"}, {"arm": "canary"}, {"via": "batch"}):
        book.know(book.answer(**given_), "yes")
    (total,) = book.whole().totals()

    assert (2, 180.0) == (total.answers, total.value)


# Baselines


def declare(book: Book, old: str, new: str) -> None:
    path = book.factory.root / "lines" / f"{LINE}.yaml"
    text = path.read_text()

    assert old in text
    path.write_text(text.replace(old, new))


def test_what_decisions_are_held_against_is_declared(book):
    """EUR 50 is little where doing nothing would have brought EUR 100."""
    for label, alarm in (("yes", True), ("yes", False), ("no", True), ("no", False)):
        book.know(book.answer(alarm=alarm), label)
    never = book.whole()
    declare(book, "value: {", "value: {against: always, ")
    always = up_to_date(book.factory, book.spec, never)

    assert [(-40.0, -180.0, 140.0)] == [(one.value, one.against, one.gain) for one in never.totals()]
    assert [(-40.0, 100.0, -140.0)] == [(one.value, one.against, one.gain) for one in always.totals()]
    assert "against an alarm for each row" in result_text(value(book.factory, LINE))


def move(book: Book, kind, model: int, generation: int, **given) -> None:
    book.factory.metadata.record(
        kind(
            at=book.clock(),
            by="test",
            because="",
            line=LINE,
            model=model,
            package=book.packages[model - 1],
            generation=generation,
            **given,
        )
    )


def test_where_there_was_no_champion_before_no_alarm_is_taken_and_said(tmp_path):
    """The first model has nobody to be compared with; its answers are not left out for that."""
    text = UNDELAYED.replace("value: {", "value: {against: champion-before, ")
    with open_book(tmp_path / "factory", text) as book:
        move(book, Promoted, 1, 1, before=None, certificate=None)
        book.know(book.answer(), "yes")
        told = value(book.factory, LINE)

    assert [(1, -90.0)] == [(one.total.without_before, one.total.against) for one in told.accounts]
    assert "1 answer held against no alarm, since no champion before could decide on the row" in result_text(
        told
    )


def test_the_champion_before_is_that_of_the_answer(tmp_path):
    """After a rollback the model that was left is no champion any more, and a canary is held against the champion beside it."""
    text = UNDELAYED.replace("value: {", "value: {against: champion-before, ")
    same = [replace(package(NUMBERS), threshold=at) for at in (0.7, 0.5, 0.55)]
    with open_book(tmp_path / "factory", text, values=()) as book:
        book.packages = [book.factory.metadata.keep(one) for one in same]
        for digest in book.packages:
            book.factory.metadata.register(LINE, digest, at=book.clock())
        move(book, Promoted, 1, 1, before=None, certificate=None)
        move(book, Promoted, 2, 2, before=1, certificate=None)
        move(book, RolledBack, 1, 4, before=2)
        answers = {
            "by the first": book.answer(model=0, generation=1),
            "by the second, and the first would leave 0.6 alone": book.answer(model=1, generation=2),
            "by the second, a halt later": book.answer(model=1, generation=3),
            "by the first again": book.answer(model=0, generation=4),
            "by a canary beside the first": book.answer(model=2, generation=5, arm="canary"),
        }
        for identity in answers.values():
            book.know(identity, "yes")
        (total,) = book.whole().totals()

    # The first would have left all five alone: 0.6 is below 0.7.
    assert (5, 2) == (total.matured, total.without_before)
    assert (450.0, -450.0) == (total.value, total.against)


# What is declared


@pytest.mark.parametrize("against", ["sometimes", "champion", "3"])
def test_an_unknown_baseline_is_refused_with_those_there_are(against):
    """A typing mistake that means `never` would be found in the annual report."""
    with pytest.raises(SpecError, match=r"value\.against.*never.*always.*champion-before"):
        parse_line(FILE.replace("value: {", f"value: {{against: {against}, "), name="claims.yaml")


def test_a_line_without_amounts_is_told_what_to_add(tmp_path):
    """Who asks what a line earns shall know next what to write."""
    text = UNDELAYED[: UNDELAYED.index("value:")]
    with open_book(tmp_path / "factory", text, values=(None,)) as book:
        book.answer()
        with pytest.raises(RequestError, match=r"does not say what decisions are worth.*value: \{currency"):
            value(book.factory, LINE)


@pytest.mark.parametrize(
    ("given_", "says"),
    [({"since": "yesterday"}, "not a day"), ({"since": "2026-03-01", "days": 3}, "both since and days")],
)
def test_days_that_are_none_are_refused(book, given_, says):
    """Else the whole account is read as that of a week."""
    with pytest.raises(RequestError, match=says):
        value(book.factory, LINE, **given_)


def test_an_account_of_some_days_is_that_of_these_days(book):
    """The question in a review is what was earned last week."""
    for day in range(12):
        book.at(day)
        book.know(book.answer(alarm=day % 2 == 0), "yes")
    whole, some = value(book.factory, LINE), value(book.factory, LINE, days=3)
    (one,) = some.accounts

    assert ["2026-03-10", "2026-03-11", "2026-03-12"] == [day.since for day in one.days]
    assert sum(day.gain for day in whole.accounts[0].days[-3:]) == one.total.gain
    assert some.accounts == value(book.factory, LINE, since="2026-03-10").accounts
    assert whole.accounts[0].total.low <= whole.accounts[0].total.gain <= whole.accounts[0].total.high


# Keeping


def test_an_account_is_kept_once_a_day_and_only_where_something_is_new(book):
    """A line that rests fills no record."""
    book.know(book.answer(), "yes")
    assert {} == keep_accounts(book.factory, [LINE])
    book.know(book.answer(), "yes")
    keep_accounts(book.factory, [LINE])
    book.at(1)
    keep_accounts(book.factory, [LINE])
    book.at(2)
    keep_accounts(book.factory, [LINE])
    kept = book.factory.metadata.events(Accounted, line=LINE)

    assert [90.0, 180.0] == [one.totals[0].value for one in kept]
    assert kept_ledger(book.factory, LINE).days == book.whole().days


def test_what_is_kept_is_what_status_metrics_and_goals_read(book):
    """A figure that differs from page to page is believed on none."""
    for day in range(3):
        book.at(day)
        book.know(book.answer(alarm=day > 0), "yes")
    assert value_account(book.factory, LINE) is None
    keep_account(book.factory, book.spec)
    account = value_account(book.factory, LINE)
    (line,) = status(book.factory).lines
    metrics = {
        (one.name, *one.labels): one.value
        for one in FactoryMetrics().samples(book.factory)
        if one.name.startswith("linewright_value")
    }

    assert (90.0, -270.0, 360.0, 3) == (account.value, account.against, account.gain, account.matured)
    assert account == line.value.account
    assert "value EUR 90.00 of 3 matured answers, gain EUR 360.00" in result_text(line.value)
    assert 90.0 == metrics["linewright_value", ("line", LINE), ("currency", "EUR")]
    assert 360.0 == metrics["linewright_value_gain", ("line", LINE), ("currency", "EUR")]
    assert 180.0 == value_account(book.factory, LINE, since="2026-03-02").value
    assert -90.0 == value_account(book.factory, LINE, until="2026-03-01").value


def test_days_whose_records_are_gone_stay_in_the_account(book):
    """Where the log is kept for some months, what was earned before is not forgotten."""
    one = book.answer()
    book.know(one, "yes")
    before = book.whole()
    (segment,) = book.factory.log_of(LINE).glob("*.log")
    segment.unlink()
    book.at(1)
    book.know(one, "no", corrects="yes")
    after = up_to_date(book.factory, book.spec, before)

    assert before.days == after.days


def test_costs_in_another_currency_make_no_ratio(book):
    """Euro gained for each dollar spent is a number without a meaning."""
    book.know(book.answer(), "yes")
    path = book.factory.root / "factory.yaml"
    path.write_text("format: 1\ncosts: {cpu_hour: 0, label: 0.5, currency: EUR}\n")
    same = value(book.factory, LINE)
    path.write_text("format: 1\ncosts: {cpu_hour: 0, label: 0.5, currency: USD}\n")
    other = value(book.factory, LINE)

    assert (0.5, 360.0) == (same.costs.amount, same.ratio)
    assert "EUR 360.00 gained for each EUR spent" in result_text(same)
    assert other.ratio is None
    assert "no ratio, since the gain is in EUR" in result_text(other)


@pytest.mark.usefixtures("processes")
def test_the_worker_keeps_accounts_in_a_process_that_stands_back(book, capfd):
    """A log of months is read beside the endpoint, not in the process that tends all lines."""
    book.know(book.answer(), "yes")
    (book.factory.root / "lines" / "silent.yaml").write_text(FILE.replace("line: claims", "line: silent"))
    root = book.factory.root
    with closing(value_accounting.Accounting(lambda: Factory.open(root), every_s=0.05)):
        deadline = time.monotonic() + 60
        while not book.factory.metadata.events(Accounted, line=LINE) and time.monotonic() < deadline:
            time.sleep(0.05)
    (kept,) = book.factory.metadata.events(Accounted, line=LINE)

    assert 90.0 == kept.totals[0].value
    assert "linewright" == kept.by
    assert "" == capfd.readouterr().err
