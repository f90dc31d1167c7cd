"""A line of classes counts on its test rows how often its probabilities come true, before calibration and after."""

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.special import expit, logit

from linewright.capabilities.evidence.operations import card
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.known_result import result_of
from linewright.line.runs.plan import begin, survey
from linewright.line.split_rows import label_text
from linewright.model.evaluate.reliability import calibration_error
from linewright.model.facts import Calibration
from linewright.model.package.model import load


@pytest.fixture(scope="module")
def ran(tumours_once):
    """Give a line whose calibration is known: it halves log-odds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "linewright.model.train.fit.fit_calibration",
            lambda *_, **__: Calibration(method="sigmoid", parameters=(0.5, 0.0)),
        )
        execute_inline(tumours_once, "tumours")
    return tumours_once


def test_the_record_holds_the_error_of_the_rows_that_the_model_has_not_seen(ran):
    """Counted here once more from the package: of what it answers, and of the log-odds that calibration has halved."""
    work = survey(begin(ran, ran.line("tumours")))[1]
    found, model = work.evaluation.reliability, load(work.parity.package, ran.artifacts.get)
    frame = work.rows.frame[work.rows.test]
    truth = work.rules.target(label_text(frame, "diagnosis"), model.package.classes)
    x = encode(model.package.encoder, to_columns(frame, model.package.encoder.columns))
    even = np.ones(len(truth))
    scores = model.scores(x)
    raw = expit(2 * logit(scores))

    assert len(truth) == found.error.n == sum(one.rows for one in found.bins)
    assert calibration_error(scores, truth, even) == pytest.approx(found.error.value)
    assert calibration_error(raw, truth, even) == pytest.approx(found.before, abs=1e-6)
    assert found.before != pytest.approx(found.error.value, abs=1e-4)


def test_the_card_tells_it_in_each_form(ran):
    """As a sentence and a table, as a plot, and in figures."""
    told = card(ran, "tumours@1", html=True)

    for page in (told.markdown, told.html):
        assert "expected calibration error (ECE)" in page
        assert "before calibration" in page
    assert "| Mean probability | Came true | Test rows |" in told.markdown
    assert "How often it came true" in told.html
    assert told.reliability.error.n == sum(one.rows for one in told.reliability.bins)


def test_a_run_warns_of_probabilities_that_are_off(ran):
    """Who reads no card acts on them all the same; it is said once, where chance does not explain it."""
    spec = ran.line("tumours")
    result = result_of(ran, spec, run="r", did=())
    found = result.reliability
    off = replace(result, reliability=replace(found, by_chance_most=found.error.value / 2))
    fine = replace(result, reliability=replace(found, by_chance_most=found.error.value))

    assert found == survey(begin(ran, spec))[1].evaluation.reliability
    assert 1 == result_text(off).count(
        "its probabilities are further from what came true than chance explains"
    )
    assert "than chance explains" not in result_text(fine)


@pytest.mark.parametrize(
    ("changes", "says", "never"),
    [
        ({"unfound": {}}, "", "it finds none"),
        (
            {"unfound": {"invalid": 75, "positive": 158}, "threshold": None},
            "it finds none of 158 test rows that are 'positive' and none of 75 that are 'invalid'; each row gets its likeliest class",
            "value:",
        ),
        (
            {"unfound": {"invalid": 75, "positive": 158}, "threshold": None, "only_answer": "negative"},
            "it answers 'negative' to every test row; it finds none of 158 test rows that are 'positive'",
            "value:",
        ),
        (
            {"unfound": {"M": 75}, "threshold": 0.5},
            "it finds none of 75 test rows that are 'M'; in the line file `value:`",
            "likeliest",
        ),
    ],
)
def test_a_run_warns_of_classes_that_are_never_found(ran, changes, says, never):
    """An accuracy of 92 % does not show that two classes of three are missed altogether."""
    result = result_of(ran, ran.line("tumours"), run="r", did=())
    told = result_text(replace(result, reliability=None, **changes))

    assert says in told
    assert bool(says) is ("it finds none" in told)
    assert never not in told


def test_a_run_warns_of_classes_of_which_little_is_found(ran):
    """3 of 24 were found, and nobody was told, for it was not none."""
    result = result_of(ran, ran.line("tumours"), run="r", did=())
    told = result_text(replace(result, reliability=None, threshold=None, hardly="3 of 24 that are 'b'"))

    assert (
        "less than half of some classes, also at the upper end of the interval: 3 of 24 that are 'b'; each row"
        in told
    )
    assert "less than half" not in result_text(replace(result, reliability=None))
