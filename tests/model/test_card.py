"""Cards: every figure is from the record, and whatever users wrote stays text."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from markdown_it import MarkdownIt

from linewright.data.facts import Breach, ByTime, Column, Dataset, Ingested, Split, SplitReason
from linewright.data.split_text import split_in_words
from linewright.features.facts import Category, DatePart, Elapsed, Encoder, Frequency, Number
from linewright.model.card import words
from linewright.model.card.parts import say
from linewright.model.card.render import CardFacts, card_html, card_markdown, escape_markdown
from linewright.model.card.words import text_of
from linewright.model.evaluate.measure import evaluate
from linewright.model.facts import (
    Adopted,
    Band,
    Beyond,
    Calibration,
    Contribution,
    CoverageAt,
    Decision,
    Dependence,
    Executed,
    Expected,
    Explanation,
    IsLevel,
    IsWithin,
    MemberOf,
    Metric,
    Missed,
    Package,
    Parity,
    Point,
    Registered,
    RequestColumn,
    Shuffled,
    Trained,
    Trial,
    WeakSlice,
)
from linewright.model.gates.certify import Rival, certify
from linewright.model.gates.text import certificate_in_words, outcome_in_words
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.reason_text import chosen_in_words, threshold_in_words
from linewright.model.reasons import Alternative, BestF1, ChosenReason, Fastest, LowestLoss, Sum
from linewright.model.spec import BeatsGate, FairnessGate, MetricGate
from linewright.release.facts import Promoted, Refused, RolledBack
from linewright.store.values import digest_of
from linewright.text.numbers import in_words

CHOSEN = ChosenReason(
    choice=LowestLoss(
        trials=3,
        loss=0.2081,
        rows=12_336,
        next=Alternative(name="lgb", loss=0.2127, more=0.0046, error=0.001, low=0.0026, high=0.0066),
    )
)
NASTY = "<script>alert(1)</script> | [x](javascript:1) *b* `c` &amp; \\ # ! {{ 7 * 7 }} {% raw %}"


def digest(word):
    return digest_of([word])


def scores_for(truth, chance, noise):
    odds = 1.6 * truth - 2.6 + noise * chance.normal(size=len(truth))
    positive = 1 / (1 + np.exp(-odds))
    return np.column_stack([1 - positive, positive])


@cache
def judged(classes, sex):
    chance = np.random.default_rng(5)
    n = 1500
    truth = (chance.random(n) < 0.12).astype(np.int64)
    scores, rival = scores_for(truth, chance, 1.0), scores_for(truth, chance, 2.5)
    shares = np.tile([0.88, 0.12], (n, 1))
    rows = EvaluationRows(
        split=digest("split"),
        task="binary",
        classes=classes,
        truth=truth,
        scores=scores,
        baseline_scores=shares,
        weight=np.ones(n),
        threshold=0.25,
        seed=1,
    )
    evaluation = evaluate(rows, package=digest("package"), headline="average_precision")
    gates = (
        MetricGate(metric="average_precision", at_least=0.1),
        BeatsGate(beats="champion"),
        FairnessGate(fairness=sex, at_most=0.2, min_group=100),
    )
    certificate = certify(
        rows,
        Rival(
            digest=digest("rival"),
            scores=rival,
            threshold=0.3,
            rows_digest=digest("rows"),
            seen=np.arange(n) < 120,
        ),
        package=digest("package"),
        gates=gates,
        headline="average_precision",
        groups={sex: chance.choice(["Female", "Male"], n).astype(object)},
    )
    return evaluation, certificate


def facts(
    *, name="claims", label="FraudFound", classes=("No", "Yes"), sex="Sex", about="Flag suspicious claims."
):
    evaluation, certificate = judged(classes, sex)
    encoder = Encoder(
        encodings=(
            Number(column="Age"),
            Category(column=sex, levels=("Male", "Female")),
            Frequency(column="Make", levels=("a", "b"), shares=(0.6, 0.3), missing=0.1),
            DatePart(column="accident_month", part="month"),
            Elapsed(column="accident_month"),
        )
    )
    columns = tuple(
        RequestColumn(name=one, type=kind, role=role)
        for one, kind, role in (
            ("Age", "integer", "feature"),
            (sex, "category", "feature"),
            ("Make", "category", "feature"),
            ("accident_month", "date", "feature"),
            ("PolicyNumber", "integer", "carried"),
        )
    )
    package = Package(
        task="binary",
        label=label,
        classes=classes,
        key="PolicyNumber",
        columns=columns,
        encoder=encoder,
        graph=digest("graph"),
        graph_bytes=123_456,
        calibration=Calibration(method="sigmoid", parameters=(1.0, 0.0)),
        threshold=0.25,
        half_width=None,
        golden=digest("golden"),
        trained=digest("trained"),
    )
    trials = (
        Trial(name="lgb_s", family="lightgbm", settings={}, loss=0.2031, low=0.197, high=0.21, rounds=220),
        Trial(name="lgb", family="lightgbm", settings={}, loss=0.2077, low=0.2, high=0.214, rounds=140),
        Trial(name="linear", family="linear", settings={}, loss=0.2204, low=0.214, high=0.227, rounds=0),
    )
    trained = Trained(
        dataset=digest("dataset"),
        split=digest("split"),
        task="binary",
        classes=classes,
        encoder=encoder,
        trials=trials,
        chosen="lgb_s",
        reason=CHOSEN,
        native=digest("native"),
        calibration=package.calibration,
        half_width=None,
        baseline=(0.88, 0.12),
        rows=12_336,
        seed=17,
        libraries={"lightgbm": "4.7.0", "numpy": "2.4.6"},
    )
    finding = Breach(
        column="Age",
        kind="min",
        figures={"bound": 16},
        failed=320,
        rows=15_420,
        first="0",
        action="quarantine",
    )
    event = {"by": "ada", "line": name, "package": digest("package")}
    return CardFacts(
        line=name,
        version=3,
        about=about,
        owner="Ada Lovelace",
        digest=digest("package"),
        package=package,
        trained=trained,
        dataset=Dataset(
            columns=tuple(Column(name=one, type="text") for one in ("Age", sex, "Make", "Days", label)),
            rows=15_100,
            order=("accident_month",),
            chunks=(),
        ),
        split=Split(
            dataset=digest("dataset"),
            by="time",
            reason=SplitReason(
                cut=ByTime(column="Date", share=0.2, asked=0.2, is_shortest=False, without_repeats=False)
            ),
            cutoff="1996-01-01T00:00:00.000000Z",
            train=12_336,
            test=1_620,
            embargo=44,
            unlabelled=7,
            parts=digest("parts"),
            fold_salt="",
        ),
        ingested=Ingested(
            dataset=digest("dataset"), quarantine=digest("quarantine"), breaches=(finding,), rows_read=15_420
        ),
        ingested_digest=digest("ingested"),
        parity=Parity(package=digest("package"), rows=2_000, largest=1.2e-7, allowed=1e-5, flips=0),
        parity_digest=digest("parity"),
        decision=Decision(
            package=digest("package"),
            threshold=0.25,
            reason=BestF1(of="out-of-fold", rows=12_336, f1=0.4, precision=0.3, recall=0.6),
            rows=12_336,
        ),
        decision_digest=digest("decision"),
        evaluation=evaluation,
        evaluation_digest=digest("evaluation"),
        certificate=certificate,
        certificate_digest=digest("certificate"),
        champion=3,
        events=(
            Registered(
                at="2026-11-25T01:02:03.000004Z",
                because="a run trained it",
                model=3,
                run="r",
                ingested=digest("ingested"),
                parity=digest("parity"),
                decision=digest("decision"),
                **event,
            ),
            Promoted(
                at="2026-11-25T01:02:04.000004Z",
                because=certificate_in_words(certificate),
                model=3,
                before=2,
                generation=4,
                certificate=digest("certificate"),
                **event,
            ),
        ),
        time_range=("1994-01-01", "1996-12-31"),
    )


@pytest.fixture(scope="module")
def card():
    return facts()


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def rendered(markdown):
    return Page(MarkdownIt("commonmark").enable("table").render(markdown))


def both(card):
    return (Page(card_html(card)), rendered(card_markdown(card)))


def test_both_forms_say_what_the_record_says(card):
    """A card that rounds differently, or from elsewhere, is worth nothing."""
    for page in both(card):
        for metric in (*card.evaluation.metrics, *card.evaluation.baseline):
            assert metric.name in page.text
            assert in_words(metric.value) in page.text
            assert f"{in_words(metric.low)} to {in_words(metric.high)}" in page.text
        for outcome in card.certificate.outcomes:
            assert outcome_in_words(outcome) in page.text
        for told in (
            certificate_in_words(card.certificate),
            chosen_in_words(card.trained)[1:],
            split_in_words(card.split)[1:],
            threshold_in_words(card.decision.reason)[1:],
            "It is the champion of claims",
            "15,420 rows were read; the contract kept out 320",
            "at least 16",
            "44 rows whose truth was not yet known",
            "From 1994-01-01 to 1996-12-31",
            "Left out of the features: Days",
            "which the model never uses: PolicyNumber",
            "It uses 4 columns of a row: Age, Sex, Make, accident_month.",
            "give this digest again, in any folder",
            "lightgbm 4.7.0",
            "answered for by Ada Lovelace",
        ):
            assert told in page.text


def test_a_class_without_test_rows_is_in_no_metric(card):
    """That metrics rest on it is wrong: they leave it out, and nothing is known of it; on one of few rows they do rest."""
    package = msgspec.structs.replace(card.package, classes=("a", "b", "maybe"))

    def told(*row):
        evaluation = msgspec.structs.replace(card.evaluation, confusion=((90, 10, 0), (5, 80, 0), row))
        return both(msgspec.structs.replace(card, package=package, evaluation=evaluation))

    for page in told(0, 0, 0):
        assert "Of class 'maybe' there are no test rows: the metrics say nothing of it" in page.text
        assert "rest on it" not in page.text
    for page in told(1, 0, 1):
        assert (
            "Of class 'maybe' there are 2 test rows: metrics that count each class alike rest on it"
            in page.text
        )


def several(card, counts, **measured):
    """Return the facts of a model of the classes a, b, c, with this confusion."""
    package = msgspec.structs.replace(
        card.package, task="multiclass", classes=("a", "b", "c"), threshold=None
    )
    evaluation = msgspec.structs.replace(card.evaluation, confusion=counts, **measured)
    return msgspec.structs.replace(card, package=package, evaluation=evaluation)


def test_each_of_several_classes_has_what_is_found_of_it(card):
    """A reader should not have to divide the counts of a matrix, nor guess what 3 of 24 may be."""
    for page in both(several(card, ((90, 10, 0), (21, 3, 0), (9, 0, 1)))):
        assert "b 24 12.5 % 4.3 to 31.0 % 13 23.1 %" in page.text
        assert (
            "It finds less than half of some classes, also at the upper end of the interval: 1 of 10 that are 'c' and 3 of 24 that are "
            "'b'." in page.text
        )


def test_a_class_of_which_half_may_be_found_is_not_accused(card):
    """1 of 4 may be two thirds."""
    for page in both(several(card, ((90, 10, 0), (5, 19, 0), (3, 0, 1)))):
        assert "less than half" not in page.text


def test_a_class_that_is_promised_too_often_is_named(card):
    """The probability of the class that is answered may be right, and that of a rare one three times too high."""
    expected = (
        Expected(code=0, said=96.0, true=100.0, low=84.0, high=107.0),
        Expected(code=1, said=22.4, true=24.0, low=13.0, high=33.0),
        Expected(code=2, said=30.2, true=10.0, low=19.0, high=42.0),
    )
    counts = ((90, 10, 0), (5, 19, 0), (4, 0, 6))
    for page in both(several(card, counts, expected=expected)):
        assert (
            "The probability of 'c' is too high as a whole: by it 30 test rows would be 'c', and 10 are"
            in page.text
        )
        assert "The probability of 'b'" not in page.text
        assert "22 13 to 33" in page.text
    fair = msgspec.structs.replace(expected[2], said=11.5, low=5.0, high=19.0)
    for page in both(several(card, counts, expected=(*expected[:2], fair))):
        assert "none is promised too often or too seldom" in page.text


def test_rows_of_several_classes_that_are_weighted_are_told_beside(card):
    """Expected rows are weighted; held against rows that are not, they would look wrong."""
    expected = tuple(Expected(code=code, said=50.0, true=44.7, low=30.0, high=70.0) for code in range(3))
    for page in both(several(card, ((90, 10, 0), (5, 19, 0), (4, 0, 6)), expected=expected)):
        assert "Rows, weighted" in page.text
        assert "50 30 to 70 45" in page.text


def test_no_paragraph_of_a_card_is_empty(card):
    """A gap above a table looks as if something were missing."""
    for facts_of in (card, several(card, ((90, 10, 0), (21, 3, 0), (9, 0, 1)))):
        text = card_markdown(facts_of)
        assert "\n\n\n|" not in text
        assert not re.search(r"## .*\n\n\n", text)


def test_groups_of_a_fairness_gate_have_a_table(card):
    """One number says that groups are answered differently; who is harmed, and how many, it does not say."""
    groups = card.certificate.outcomes[-1].groups

    assert {"Female", "Male"} == {one.group for one in groups}
    for page in both(card):
        assert "Groups by Sex" in page.text
        for one in groups:
            rates = (one.selection_rate, one.true_positive_rate, one.false_positive_rate)
            told = " ".join(f"{rate:.1%}" for rate in rates)
            assert f"{one.group} {one.n} {one.positives} {told}" in page.text


def test_the_confusion_matrix_is_told_in_words_too(card):
    """Counts of people, not only rates."""
    (_, false), (missed, found) = card.evaluation.confusion

    for page in both(card):
        assert (
            f"Of {found + missed} test rows that are 'Yes' it finds {found} and misses {missed}." in page.text
        )
        assert f"Of {found + false} rows that it calls 'Yes', {found} are." in page.text


PAGES = sorted((Path(words.__file__).parents[1] / "templates" / "card").rglob("*.jinja"))


def test_every_statement_has_its_words_and_all_words_are_said():
    """Python says a kind and its values, a template says them: neither may know of one that the other has lost."""
    modules = Path(words.__file__).parent.glob("*.py")
    found = re.findall(r'"([a-z]+)\.([^"\s]+)"', "".join(map(Path.read_text, modules)))
    said = {f"{page}.{macro}" for page, macro in found if page in {one.stem for one in PAGES}}
    known = {
        f"{page.stem}.{macro}"
        for page in PAGES
        for macro in re.findall(r"\{% macro ([a-z]\w*)\(", page.read_text())
    }
    kinds = [re.compile(re.sub(r"\{[^}]*\}", r"[a-z_]*", one)) for one in said]

    own = {f"{page.stem}.title" for page in PAGES} | {"losses.called"}

    assert not [one for one in said if "{" not in one and one not in known]
    assert not [one for one in known - own if not any(kind.fullmatch(one) for kind in kinds)]


def test_a_value_that_a_template_does_not_get_is_an_error():
    """An empty place in a sentence would pass for a figure that is not there."""
    with pytest.raises(TypeError, match=r"groups.rates says \['column'\], and was given \['colunm'\]"):
        text_of(say("groups.rates", colunm="Sex"))
    with pytest.raises(TypeError, match="StrictUndefined"):
        text_of(say("certificate.alone", found={}, rows="alone"))


def test_every_evidence_id_beside_a_sentence_is_in_the_list_of_evidence(card):
    """A claim whose evidence cannot be followed is only a claim."""
    page = Page(card_html(card))
    ids = {value for name, value in page.attributes if name == "id" and value.startswith("e-")}
    links = {value for name, value in page.attributes if name == "href"}
    rival = "#e-" + card.certificate.rival.removeprefix("sha256:")[:12]

    assert links - {rival} <= {f"#{one}" for one in ids}
    assert len(links) > 5
    assert all(digest(word) in page.text for word in ("package", "certificate", "dataset", "quarantine"))


def test_the_page_is_self_contained_and_runs_nothing(card):
    """It is mailed to auditors, opened from disks and printed."""
    html = card_html(card)
    page = Page(html)

    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import", html)
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert {"svg", "table"} <= set(page.tags)


def test_what_users_wrote_stays_text_in_both_forms():
    """A class, a column or a sentence of a line file may hold anything."""
    card = facts(about=NASTY, label=NASTY, classes=("No", NASTY), sex=NASTY)
    plain = facts()

    for page, ordinary in zip(both(card), both(plain), strict=True):
        assert ordinary.tags == page.tags
        assert NASTY in page.text
        assert not [
            value for _, value in page.attributes if value and "javascript" in value and "aria" not in _
        ]


@pytest.mark.parametrize(
    "about", ["# title", "- item", "1. item", "> quote", "a\n\n<hr>\n\n---", "===", "```", "| a |"]
)
def test_a_sentence_never_becomes_a_block_of_markdown(about):
    """What begins like a heading or a list is still a sentence."""
    page = rendered(card_markdown(facts(about=about)))

    assert rendered(card_markdown(facts())).tags == page.tags
    assert " ".join(about.split()) in page.text


def test_bars_lie_where_the_figures_say(card):
    """A picture that contradicts its number is worse than none."""
    facts = explained(card)
    alone, other = facts.explanation.shuffled
    together = facts.explanation.together[0]
    low, width, *drawn = re.search(
        r'<td>Age</td>.*?viewBox="(\S+) 0 (\S+) 26".*?class="own" x1="(\S+)" x2="(\S+)".*?class="own" x1="(\S+)"',
        card_html(facts),
        re.DOTALL,
    ).groups()

    assert [alone.low, alone.high, alone.rise] == list(map(float, drawn))
    assert (other.low, pytest.approx(together.high - other.low)) == (float(low), float(width))


def test_a_model_that_serves_no_more_says_who_does(card):
    """And how that came about, forced promotions included."""
    event = {"at": "2026-11-26T01:02:03.000004Z", "by": "ada", "line": "claims", "package": digest("package")}
    forced = Promoted(
        because="it was urgent", model=3, before=1, generation=2, certificate=None, forced=True, **event
    )
    back = RolledBack(because="complaints", model=1, before=3, generation=3, **event)
    other = Refused(because="no", model=2, verdict="reject", certificate=digest("other"), run="r", **event)
    told = msgspec.structs.replace(card, champion=1, events=(forced, back, other))

    for page in both(told):
        assert "Former champion" in page.text
        assert "It is not the champion; claims@1 is." in page.text
        assert "ada promoted it by force (no passing certificate was asked for): it was urgent." in page.text
        assert "ada rolled back from version 3 to version 1: complaints." in page.text
        assert "did not promote it" not in page.text


def test_what_is_not_known_is_said_and_not_made_up(card):
    """A model that was never judged has no figures, and a card all the same."""
    bare = msgspec.structs.replace(
        card,
        about="",
        owner=None,
        champion=None,
        events=(),
        ingested=None,
        ingested_digest=None,
        evaluation=None,
        evaluation_digest=None,
        certificate=None,
        certificate_digest=None,
        parity=None,
        parity_digest=None,
        time_range=None,
    )

    for page in both(bare):
        assert "Not promoted" in page.text
        assert "There is none: no gate has judged this model." in page.text
        assert "no fairness gate is declared" in page.text
        assert "How good it is on rows that it has not seen." in page.text
        assert "None" not in page.text.replace("There is none", "")


def test_a_model_that_decides_nothing_is_said_to(card):
    """Its ranking may pass every gate, while all are answered alike."""
    alike = msgspec.structs.replace(
        card, evaluation=msgspec.structs.replace(card.evaluation, confusion=((0, 90), (0, 10)))
    )

    assert card.evaluation.only_answer is None
    for page in both(alike):
        assert "It answers 'Yes' to every test row" in page.text


def test_numbers_and_many_classes_have_cards_too(card):
    """The other tasks have no threshold, or too many classes for a table."""
    names = tuple(f"class {i}" for i in range(30))
    truth = np.arange(300) % 30
    scores = np.full((300, 30), 0.01)
    scores[np.arange(300), np.where(truth == 7, 8, truth)] = 0.71
    evaluation = evaluate(
        EvaluationRows(
            split=digest("split"),
            task="multiclass",
            classes=names,
            truth=truth,
            scores=scores,
            baseline_scores=np.full((300, 30), 1 / 30),
            weight=np.ones(300),
            seed=1,
        ),
        package=digest("package"),
        headline="accuracy",
    )
    changes = {"task": "multiclass", "classes": names, "threshold": None}
    many = msgspec.structs.replace(
        card, evaluation=evaluation, package=msgspec.structs.replace(card.package, **changes)
    )
    changes = {"task": "regression", "classes": (), "threshold": None, "half_width": 12.5}
    number = msgspec.structs.replace(
        card,
        evaluation=msgspec.structs.replace(evaluation, confusion=()),
        package=msgspec.structs.replace(card.package, **changes),
    )

    for page in both(many):
        assert "class 7 class 8 10" in page.text.replace(" | ", " ")
        assert "It finds none of 10 test rows that are 'class 7'." in page.text
    for page in both(card):
        assert "It finds none" not in page.text
    for page in both(number):
        assert "plus or minus 12.5" in page.text
        assert "Which mistakes it makes" not in page.text


def test_which_trials_became_the_model_is_told_in_both_forms(card):
    """Markdown has no colours."""
    first, last = card.trained.trials[0], card.trained.trials[-1]
    executed = Executed(
        folds=5,
        of=5,
        members=(
            MemberOf(trial=first.name, weight=0.75, rounds=10),
            MemberOf(trial=last.name, weight=0.25, rounds=0),
        ),
    )
    several = msgspec.structs.replace(card, trained=msgspec.structs.replace(card.trained, executed=executed))
    tables = [
        {
            row.split("|")[1].strip(): row.split("|")[-2].strip()
            for row in card_markdown(facts).split("What else was tried")[1].split("##")[0].splitlines()
            if row.startswith("|")
        }
        for facts in (
            several,
            msgspec.structs.replace(card, trained=msgspec.structs.replace(card.trained, executed=None)),
        )
    ]

    assert ("75% of it", "25% of it") == (tables[0][first.name], tables[0][last.name])
    assert "all of it" == tables[1][card.trained.chosen]
    assert "Became the model" == tables[0]["Trial"]
    assert "75% of it" in Page(card_html(several)).text
    assert {"75% of it", "25% of it", "", "Became the model", "---"} >= set(tables[0].values())


@pytest.mark.parametrize(("most", "is_off"), [(0.5, False), (0.0001, True)])
def test_that_nothing_was_calibrated_does_not_deny_that_probabilities_are_off(card, most, is_off):
    """No calibration was needed, and the probabilities cannot be believed: one of the two is wrong."""
    reliability = msgspec.structs.replace(card.evaluation.reliability, by_chance_most=most)
    told = msgspec.structs.replace(
        card,
        evaluation=msgspec.structs.replace(card.evaluation, reliability=reliability),
        package=msgspec.structs.replace(card.package, calibration=Calibration()),
    )
    for page in both(told):
        assert "since out of fold no calibration was surely better" in page.text
        assert is_off is ("on the test rows they are off all the same" in page.text)
        assert is_off is ("further from what came true than chance explains" in page.text)
        assert "needed or possible" not in page.text


HELD = Metric(name="coverage", value=0.743, low=0.721, high=0.764, n=3092)
LEANS = Metric(name="bias", value=15.24, low=12.1, high=18.2, n=3092)


def numbers(card, *, adopted=None, by="random", **measured):
    """Return the facts of a model that answers numbers, as far as its card tells of them."""
    evaluation = msgspec.structs.replace(
        card.evaluation, confusion=(), metrics=(Metric(name="rmse", value=40.0, low=38.0, high=42.0, n=3092),)
    )
    changes = {"task": "regression", "classes": (), "threshold": None, "half_width": 35.3}
    best = msgspec.structs.replace(card.trained.trials[0], loss=400.0, low=361.0, high=441.0)
    trained = msgspec.structs.replace(
        card.trained,
        task="regression",
        trials=(best,),
        chosen=best.name,
        reason=ChosenReason(choice=LowestLoss(trials=2, loss=400.0, rows=990)),
        adopted=adopted,
    )
    return msgspec.structs.replace(
        card,
        evaluation=msgspec.structs.replace(evaluation, **measured),
        package=msgspec.structs.replace(card.package, **changes),
        trained=trained,
        split=msgspec.structs.replace(card.split, by=by),
    )


def test_an_interval_that_does_not_hold_is_said_to_where_it_is_promised(card):
    """A half-width is believed, unless the next sentence says that a quarter of the truth lay outside."""
    for page in both(numbers(card, by="time", coverage=HELD, bias=LEANS)):
        promised, told = (
            page.text.index("plus or minus 35.3"),
            page.text.index("74.3 % lie inside (72.1 to 76.4 %)"),
        )
        assert promised < told
        assert (
            "may be too narrow (one check in 40 says so by chance); the world has probably moved" in page.text
        )
        assert "surely too low: the truth is higher by 15.2 on average (12.1 to 18.2)" in page.text


def test_why_an_interval_is_too_narrow_is_not_made_up(card):
    """Rows that were split by chance are of the same world; what a brought model has seen is not known."""
    by_chance = numbers(card, coverage=HELD)
    brought = numbers(card, by="time", coverage=HELD, adopted=Adopted(output="y", classes=(), widths=(1,)))

    for page in both(by_chance):
        assert "the interval may be too narrow (one check in 40 says so by chance)." in page.text
    for page in both(brought):
        assert "the model may have learned from the rows that it was made from" in page.text
        assert "the world has" not in page.text


def test_an_interval_that_nobody_counted_is_not_praised(card):
    """Where no row has weight there is no such figure: the card says so, and says nothing of a bias."""
    for page in both(numbers(card)):
        assert "Whether the interval of an answer holds what it is meant to: nobody counted" in page.text
        assert "lie inside" not in page.text
        assert "surely too" not in page.text
    for page in both(numbers(card, coverage=HELD)):
        assert "nobody counted" not in page.text
    for page in both(card):
        assert "nobody counted" not in page.text


def test_a_loss_of_numbers_is_told_on_the_scale_of_the_test_rows_too(card):
    """400 out of fold and 40 on the test rows: one is the square of what the other should be held against."""
    for page in both(numbers(card)):
        assert "squared error of 2 trials: 400 (RMSE 20)" in page.text
        assert "held beside the rmse on the test rows (40)" in page.text
        assert "361 to 441 20" in page.text.replace(" | ", " ")
    for page in both(card):
        assert "RMSE" not in page.text


def told(**parts):
    return rendered(card_markdown(msgspec.structs.replace(facts(), **parts))).text


def test_what_a_rival_made_elsewhere_has_seen_is_not_claimed():
    """Nobody knows which rows a brought model has learned from, so the one that beat it may have had it harder or easier."""
    assert "rows that neither has seen" in told()
    assert "rows that neither has seen" not in told(rival_adopted=True)
    assert "whether the champion, which was imported, has seen them is not known" in told(rival_adopted=True)


def test_a_retrained_model_says_who_asked_and_what_was_known():
    """The same rows are split otherwise at another instant: the digest depends on it."""
    text = told(as_of="2026-11-25T13:14:00.000000Z", asked="'a' has drifted", proposal=digest("proposal"))

    assert "asked for by monitoring or a schedule: 'a' has drifted." in text
    assert "known at its instant (here 2026-11-25 13:14:00Z)" in text
    assert "whose truth was known at 2026-11-25 13:14:00Z, are among them" in text


def test_probabilities_of_a_brought_model_that_are_worse_than_none_are_told():
    """Alarms about confirmed positives add them up."""
    one = facts()
    adopted = msgspec.structs.replace(one.trained, adopted=Adopted(output="p", classes=(), widths=()))
    off = msgspec.structs.replace(
        one.evaluation,
        metrics=tuple(
            msgspec.structs.replace(m, value=9.0) if m.name == "log_loss" else m
            for m in one.evaluation.metrics
        ),
    )

    assert "cannot be taken at their word" in told(trained=adopted, evaluation=off)
    assert "cannot be taken at their word" not in told(trained=adopted)
    assert "cannot be taken at their word" not in told(evaluation=off)


def explained(card, column="Age", level="Ford"):
    """Return the card of a model that was explained; a column and a category of it have these names."""
    told = Explanation(
        package=card.digest,
        split=digest("split"),
        loss="log_loss",
        value=0.41,
        columns=30,
        shuffled=(
            Shuffled(columns=(column,), rise=0.0865, low=0.068, high=0.1036),
            Shuffled(columns=("Make",), rise=0.0001, low=-0.002, high=0.0022),
        ),
        together=(Shuffled(columns=(column, "Make"), rise=0.2, low=0.15, high=0.25),),
        rows=1333,
        repeats=3,
        contributions=(
            Contribution(column="Make", size=0.73, up=level, down="Fiat"),
            Contribution(column=column, size=0.33, direction=-0.98),
        ),
        unit="log-odds",
        explained=607,
        dependence=(
            Dependence(
                column=column,
                kind="number",
                curves=(),
                average=(0.26,),
                points=(
                    Point(at=1.0, answers=(0.41,), rows=0),
                    Point(at=30.0, answers=(0.29,), rows=600),
                    Point(at=72.0, answers=(0.16,), rows=700),
                ),
                spread=(600, 700),
                missing=Point(at="(no value)", answers=(0.5,), rows=33),
            ),
            Dependence(
                column="Make",
                kind="category",
                curves=(),
                average=(0.26,),
                points=(
                    Point(at=level, answers=(0.29,), rows=700),
                    Point(at="Fiat", answers=(0.2,), rows=600),
                ),
                left_out=1,
            ),
        ),
        slices=(
            WeakSlice(
                conditions=(
                    IsLevel(column="Make", level=level),
                    IsWithin(column="Age", above=None, to=3, scale="number"),
                ),
                loss=0.61,
                elsewhere=0.38,
                low=0.1,
                rows=412,
                answered=0.43,
                true=0.49,
            ),
        ),
        looked_at=331,
        confirmed_on=681,
    )
    return msgspec.structs.replace(card, explanation=told, explanation_digest=digest("explanation"))


def test_what_a_model_makes_of_its_columns_is_told_in_both_forms(card):
    """In words that a person who sells insurance understands, with the figures of the record."""
    for page in both(explained(card)):
        for told in (
            "Rows with Make = Ford and Age <= 3: log-loss 0.61 against 0.38 elsewhere, 412 rows.",
            "It gives 'Yes' a probability of 43% on average; 49% are.",
            "331 slices of one half of the test rows",
            "were shuffled among 1,333 test rows",
            "Age and Make",
            "It reads 30 columns; the 28 others move",
            "how far each moved 607 test rows",
            "'Ford' raises it most, 'Fiat' lowers it most",
            "larger values lower it",
            "is more or less than the average answer (26%) as one column changes",
            "in percentage points",
        ):
            assert told in page.text
        assert "explanation" in page.text


def test_no_column_says_which_way_where_no_row_does(card):
    """Of several classes what raises one lowers another: eleven empty cells were an empty column."""
    facts = explained(card)
    unsaid = tuple(Contribution(column=one.column, size=one.size) for one in facts.explanation.contributions)
    told = msgspec.structs.replace(facts.explanation, contributions=unsaid)

    assert "Which way" in card_markdown(facts)
    assert "Which way" not in card_markdown(msgspec.structs.replace(facts, explanation=told))


def test_a_text_has_no_rows_in_the_table_of_effects(card):
    """'NO DAMAGE' and 'NO DAMAGE.' are two spellings, not two categories."""
    facts = explained(card)
    text = RequestColumn(name="remarks", type="text", role="feature")
    package = msgspec.structs.replace(facts.package, columns=(*facts.package.columns, text))

    for page in both(msgspec.structs.replace(facts, package=package)):
        effects = page.text.partition("How the answer goes with a column")[2].partition("Data")[0]
        assert "Columns of text are left out here (remarks)" in effects
        assert "Make" in effects


def test_columns_that_are_not_shown_are_those_that_are_needed_least(card):
    """A column with a larger upper end may be shown: the order is by what is lost, and the sentence says so."""
    facts = explained(card)
    shuffled = tuple(Shuffled(columns=(f"c{i}",), rise=1.0 - i / 20, low=0.0, high=1.5) for i in range(14))
    told = msgspec.structs.replace(facts.explanation, shuffled=shuffled)

    for page in both(msgspec.structs.replace(facts, explanation=told)):
        assert (
            "Not shown, since the log-loss rises least without them (the upper ends of their intervals are at most 1.5): c12, c13."
            in page.text
        )


@pytest.mark.parametrize(
    ("next_high", "is_asked"), [(0.0022, True), (0.04, False)], ids=["far above", "among others"]
)
def test_a_card_asks_of_a_column_that_the_model_leans_on_whether_it_is_known_in_time(
    card, next_high, is_asked
):
    """Nobody had said that the weight at birth is known once the birth is."""
    facts = explained(card)
    first, second = facts.explanation.shuffled
    shuffled = (msgspec.structs.replace(second, high=next_high), first)
    told = msgspec.structs.replace(facts.explanation, shuffled=shuffled)
    for page in both(msgspec.structs.replace(facts, explanation=told)):
        says = "It leans on Age surely more than twice as much as on any other column: if that is known only once the truth is"
        assert is_asked == (says in page.text)

    alone = msgspec.structs.replace(facts.explanation, shuffled=(first,))
    for page in both(msgspec.structs.replace(facts, explanation=alone)):
        assert "It leans on" not in page.text


@pytest.mark.parametrize(
    ("slices", "looked_at", "says"),
    [
        (
            ("Fiat",),
            40,
            "Rows with Make = Fiat: of 33 that are {}, 80% are missed, against 30% elsewhere.",
        ),
        ((), 40, "are answered {}; of none of 40 slices surely more than of the others."),
        ((), 0, "they are too few to tell where these are."),
    ],
)
def test_where_positives_are_missed_is_told(card, slices, looked_at, says):
    """Where the loss is high is another question."""
    found = tuple(
        WeakSlice(conditions=(IsLevel(column="Make", level=one),), loss=0.8, elsewhere=0.3, low=0.2, rows=33)
        for one in slices
    )
    missed = Missed(slices=found, looked_at=looked_at, confirmed_on=60, positives=120, share=0.375)
    facts = explained(card)
    told = card_markdown(
        msgspec.structs.replace(facts, explanation=msgspec.structs.replace(facts.explanation, missed=missed))
    )
    negative, positive = map(repr, card.package.classes)

    assert f"Of 120 test rows that are {positive}, 38% are answered {negative}" in told
    assert says.format(positive if slices else negative) in told


def test_a_card_without_an_explanation_says_so_and_draws_nothing(card):
    """A card is made all the same."""
    card = msgspec.structs.replace(
        card, evaluation=msgspec.structs.replace(card.evaluation, reliability=None)
    )
    for page in both(card):
        assert "nobody counted when it was judged" in page.text
        assert "nobody looked when it was judged" in page.text
        assert "Which columns it needs" not in page.text
    assert "figure" not in Page(card_html(card)).tags
    assert 2 == Page(card_html(explained(card))).tags.count("figure")


def test_effects_are_differences_and_never_probabilities(card):
    """Beside the average an effect may lie below 0 or above 1: nobody is told of a probability of -60 %."""
    facts = explained(card)
    along, kinds = facts.explanation.dependence
    along = msgspec.structs.replace(
        along,
        points=(
            Point(at=1.0, answers=(-0.34,), rows=0),
            Point(at=30.0, answers=(0.26,), rows=600),
            Point(at=72.0, answers=(0.272345,), rows=700),
        ),
        missing=Point(at="(no value)", answers=(1.36,), rows=33),
    )
    kinds = msgspec.structs.replace(
        kinds, points=(Point(at="Ford", answers=(-0.14,), rows=700), *kinds.points[1:])
    )
    told = msgspec.structs.replace(facts.explanation, dependence=(along, kinds))
    facts = msgspec.structs.replace(facts, explanation=told)
    text, page = card_markdown(facts), card_html(facts)

    assert "| Age | -60 points | 1 | +110 points | (no value) |" in text
    assert "| Make | -40 points | Ford | -6 points | Fiat |" in text
    assert (
        "<title>answer by Age, beside the average answer: -60 points at 1, +1.2 points at 72</title>" in page
    )
    assert ">\N{MINUS SIGN}40, 700 rows<" in page
    assert not re.search(r"-\d+(\.\d+)?%", text + page)
    # The average is drawn at 0, and what is less than it to the left.
    less = re.findall(r'<rect fill="var\(--two[^"]*" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', page)
    assert len(less) == 2
    assert float(less[0][0]) < float(less[1][0])
    assert sum(map(float, less[0])) == pytest.approx(sum(map(float, less[1])), abs=0.02)


def test_names_in_plots_stay_text(card):
    """A column is named by whoever made the table."""
    plain, nasty = explained(card), explained(card, column=NASTY, level=NASTY)
    for page, ordinary in zip(both(nasty), both(plain), strict=True):
        assert [tag for tag in ordinary.tags if tag != "title"] == [
            tag for tag in page.tags if tag != "title"
        ]
        assert NASTY in page.text
        assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_a_plot_lies_where_its_figures_say(card):
    """Points go up where answers do, and nothing lies outside of the picture."""
    html = card_html(explained(card))
    curve = next(path for path in re.findall(r' d="(M [^"]+)"', html) if path.count("L") == 2)
    places = [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", curve)]

    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)  # down: these answers fall
    ratio = (places[1][1] - places[0][1]) / (places[2][1] - places[0][1])
    assert ratio == pytest.approx((0.41 - 0.29) / (0.41 - 0.16), abs=0.01)
    for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', html):
        assert 0 <= float(x) <= 400
        assert 0 <= float(y) <= 260


def test_a_card_says_why_a_column_of_the_table_is_not_in_the_model(card):
    """Who looks for a column in a card finds that the line bars it, and where the reason stands."""
    barred = msgspec.structs.replace(card, excluded=("country", "leak"), file="lines/a.yaml")

    for page in both(barred):
        assert (
            "keeps these from every model (table.exclude): country, leak. Why stands beside each in lines/a.yaml."
            in page.text
        )
    assert not any("table.exclude): " in page.text for page in both(card))


@pytest.mark.parametrize(
    ("column", "places", "said"),
    [
        ("sold", (2005.0, 2009.0, 2015.0), ("2005", "2015", "2010")),
        ("YearBuilt", (0.0, 2009.0, 2015.0), ("0", "2015", "2000")),
        ("price", (2005.0, 2009.0, 12015.0), ("2,005", "12,015", "10,000")),
    ],
)
def test_years_on_a_card_have_no_separators(card, column, places, said):
    """Nobody was born in 2,009."""
    known = explained(card, column)
    first, *others = known.explanation.dependence
    points = tuple(
        msgspec.structs.replace(point, at=at) for point, at in zip(first.points, places, strict=True)
    )
    drawn = msgspec.structs.replace(first, points=points)
    told = msgspec.structs.replace(known.explanation, dependence=(drawn, *others))
    known = msgspec.structs.replace(known, explanation=told)

    assert f"| {said[0]} |" in card_markdown(known) or f"| {said[1]} |" in card_markdown(known)
    assert f">{said[2]}</text>" in card_html(known)


def test_categories_that_a_plot_leaves_out_are_named_in_both_forms(card):
    """`1 rarer category` stood beside a section that called it by its name."""
    known = explained(card)
    first, second = known.explanation.dependence
    named = msgspec.structs.replace(second, left_out=3, rarer=("Lada", "Saab"))
    told = msgspec.structs.replace(known.explanation, dependence=(first, named))

    for page in both(msgspec.structs.replace(known, explanation=told)):
        assert "Of Make not shown, since they are rarer: 'Lada', 'Saab' and 1 more." in page.text
    assert not any("since they are rarer" in page.text for page in both(known))


def test_what_we_quote_is_code_and_what_users_wrote_is_text(card):
    """A person copies what stands in a card: words of a line file as they are written, and columns as they are called."""
    nasty = "`<u>` > `train: {x}|` `linewright <s>` ```"
    single = Alternative(name=f"{nasty} a > b", loss=0.2, more=0.01, error=0.01, low=-0.01, high=0.03)
    choice = Sum(loss=0.19, rows=990, best=None, next=single, dear_ms=100.0, price=0.01)
    members = tuple(MemberOf(trial=name, weight=0.5, rounds=9) for name in "ab")
    trained = msgspec.structs.replace(
        card.trained, reason=ChosenReason(choice=choice), executed=Executed(folds=5, of=5, members=members)
    )
    facts = msgspec.structs.replace(card, trained=trained)
    page = card_html(facts)

    assert "a > b alone does as well, and `train: {prefer: small}` takes one setting" in card_markdown(facts)
    assert "<code>train: {prefer: small}</code> takes one setting" in page
    assert "<u>" not in page
    assert "<s>" not in page
    for said in both(facts):
        assert nasty in said.text
    assert r"\> x \`y\` a < 3 and a <= b &lt;b>" == escape_markdown("> x `y` a < 3 and a <= b <b>")


def test_a_card_never_calls_the_fastest_one_the_smallest(card):
    """Chosen is what answers fastest within noise; another may have fewer leaves."""
    best, *others, last = card.trained.trials
    near = msgspec.structs.replace(
        last, loss=best.loss + 0.001, more=0.001, more_low=-0.0012, more_high=0.0032
    )
    above = Alternative(name="lgb", loss=0.199, more=-0.001, error=0.002, low=-0.005, high=0.003)
    choice = Fastest(loss=0.2, rows=990, best=above, dear_ms=100.0, price=0.01)
    trained = msgspec.structs.replace(
        card.trained, trials=(best, *others, near), chosen=best.name, reason=ChosenReason(choice=choice)
    )

    for page in both(msgspec.structs.replace(card, trained=trained)):
        assert (
            "Fastest to answer of those within noise: out-of-fold log-loss 0.2, 0.001 above lgb" in page.text
        )
        assert "mallest model" not in page.text


def test_an_answer_that_nothing_calibrates_is_not_told_of_calibration(card):
    """Numbers have none, and many probabilities are used as they are."""
    facts = explained(card)
    plain = msgspec.structs.replace(facts.package, calibration=Calibration())

    for page in both(facts):
        assert "Before calibration an answer is the sum" in page.text
    for page in both(msgspec.structs.replace(facts, package=plain)):
        assert "An answer is the sum" in page.text
        assert "Before calibration" not in page.text


def test_fewer_rows_than_there_are_have_a_reason(card):
    """Two counts of one thing on one card look like a mistake, unless it says why they differ."""
    reason = ChosenReason(choice=LowestLoss(trials=2, loss=0.2, rows=2_011))
    explanation = msgspec.structs.replace(explained(card).explanation, rows=666)

    def told(rows, by, executed=None):
        trained = msgspec.structs.replace(card.trained, reason=reason, rows=rows, executed=executed)
        split = msgspec.structs.replace(card.split, by=by)
        return both(msgspec.structs.replace(card, trained=trained, split=split, explanation=explanation))

    for page in told(2074, "random"):
        assert (
            "The losses are of 2,011 of the 2,074 rows that it was trained on: a row that repeats one which a fold learned from proves nothing."
            in page.text
        )
        assert "were shuffled among 666 test rows, a sample of the 1,500, so that" in page.text
    for page in told(2500, "time"):
        assert (
            "of the 2,500 rows that it was trained on: the first block of time is only learned from, and a"
            in page.text
        )
    for page in told(2011, "random"):
        assert "that it was trained on:" not in page.text
    whole = MemberOf(trial="linear", weight=1.0, rounds=0)
    for page in told(10_100, "random", Executed(folds=1, of=5, members=(whole,))):
        assert "trained on: one fold of 5 judged (" in page.text
        assert "has all of them judge), and a row that repeats" in page.text
    for page in told(2074, "random", Executed(folds=5, of=5, members=(whole,))):
        assert "judged (" not in page.text


def test_how_often_intervals_hold_is_told_by_the_answer(card):
    """A share of all rows hides that large answers are held less often."""
    band = Band(at=(62.0, 150.0, 245.0), half_widths=(21.4, 30.0, 48.9), least=0.0, most=300.0)
    held = (
        CoverageAt(low=10.0, high=80.5, held=Metric(name="coverage", value=0.92, low=0.88, high=0.95, n=300)),
        CoverageAt(
            low=81.0, high=310.0, held=Metric(name="coverage", value=0.77, low=0.72, high=0.82, n=301)
        ),
    )
    facts = numbers(card, coverage_at=held)
    facts = msgspec.structs.replace(facts, package=msgspec.structs.replace(facts.package, band=band))

    for page in both(facts):
        text = page.text.replace(" | ", " ")
        assert "plus or minus 21.4 for answers of about 62 to 48.9 for answers of about 245" in text
        assert (
            "none begins below 0 or ends above 300, as no label of those rows is, unless the answer itself is"
            in text
        )
        assert "10 to 80.5 92 % 88 to 95 % 300" in text
        assert "81 to 310 77 % 72 to 82 % 301" in text
        assert "Of answers from 81 to 310 surely fewer than 90 % lie inside (77 %)" in text


def test_a_card_of_mae_says_by_what_its_models_are_fitted(card):
    """The line's metric is read as what was optimized, and it was not."""
    mae = (Metric(name="mae", value=30.0, low=28.0, high=32.0, n=3092),)
    told = "The line's metric is mae, yet models are fitted and chosen by squared error"

    for page in both(numbers(card, metrics=mae)):
        assert told in page.text
    for page in both(numbers(card)):
        assert told not in page.text


def test_a_card_says_beyond_which_end_the_truth_lies(card):
    """Whoever takes the upper end as a 95 % bound has to know that 9 % lie above it."""

    def share(name, value, low, high):
        return Metric(name=name, value=value, low=low, high=high, n=2110)

    coverage = share("coverage", 0.902, 0.89, 0.914)
    beyond = Beyond(
        below=share("below", 0.008, 0.005, 0.013),
        above=share("above", 0.09, 0.078, 0.103),
        tilt=share("tilt", 0.082, 0.069, 0.095),
    )
    held = "On the test rows 90.2 % lie inside (89 to 91.4 %): as meant, as far as these rows can tell."
    told = (
        "0.8 % lie below it and 9 % above, surely not alike: take the upper end as one that 91 % stay under"
    )

    for page in both(numbers(card, coverage=coverage, beyond=beyond)):
        assert f"{held} {told}" in page.text
    for page in both(numbers(card, coverage=coverage)):
        assert held in page.text
        assert "lie below it" not in page.text
