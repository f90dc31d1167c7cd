"""How a model decides: probabilities, thresholds and intervals, and whether they hold on the test rows."""

from collections.abc import Iterator

from linewright.model.card.parts import CardFacts, Section, Statement, Table, Text, interval, say
from linewright.model.card.plots import reliability_plot, said_answer
from linewright.model.evaluate.coverage_text import (
    percent_in_words,
    range_in_words,
    surely_less,
)
from linewright.model.evaluate.reliability_text import is_off
from linewright.model.facts import Evaluation, Reliability
from linewright.model.task_facts import learns_good
from linewright.model.tasks import task as rules_of
from linewright.text.numbers import in_words


def decisions(facts: CardFacts) -> Section:
    """Return the section on how it decides."""
    reliability = facts.evaluation.reliability if facts.evaluation else None
    return Section(
        name="decisions",
        statements=tuple(_statements(facts, reliability)),
        plots=(reliability_plot(reliability.bins, _whose(facts)),) if reliability else (),
        table=_held(facts.evaluation),
        plain=_came_true(reliability) if reliability else None,
    )


def _statements(facts: CardFacts, reliability: Reliability | None) -> Iterator[Statement]:
    package, measured = facts.package, facts.evaluation_digest
    if learns_good(package.task):
        yield say("decisions.odd", facts.package.trained)
    elif package.classes or package.calibration.method == "clip":
        yield _calibration(facts, reliability)
    if facts.trained.adopted and _is_worse_than_none(facts.evaluation):
        yield say("decisions.worse_than_none", measured)
    if reliability is not None:
        yield say("decisions.reliability", measured, found=reliability, positive=_whose(facts))
    if package.threshold is not None and facts.decision is not None:
        reason = facts.decision.reason
        kind = "decisions.alarms" if learns_good(package.task) else "decisions.threshold"
        yield say(kind, facts.decision_digest, package=package, reason=reason)
    if facts.certificate and (found := facts.certificate.redecided):
        yield say("decisions.redecided", facts.certificate_digest, found=found, classes=package.classes)
    if package.maintenance is not None:
        yield say("decisions.maintenance", facts.digest, amounts=package.maintenance)
    if package.half_width is not None:
        yield _interval(facts, package.half_width)
        yield from _on_test_rows(facts)


def _calibration(facts: CardFacts, reliability: Reliability | None) -> Statement:
    found, cited = facts.package.calibration, facts.package.trained
    if found.method == "clip":
        return say("decisions.clip", cited, least=found.least, most=found.most)
    if found.method != "none":
        return say(f"decisions.{found.method}", cited)
    if facts.trained.adopted:
        return say("decisions.as_given", cited)
    return say("decisions.uncalibrated", cited, is_off=reliability is not None and is_off(reliability))


def _whose(facts: CardFacts) -> str | None:
    """Return the class of which probabilities are taken at their word; `None`: the predicted one."""
    return facts.positive if rules_of(facts.package.task).has_positive else None


def _interval(facts: CardFacts, half_width: float) -> Statement:
    band, is_imported = facts.package.band, facts.trained.adopted is not None
    width: Text = in_words(half_width)
    if band is not None and len(band.at) > 1:
        pairs = list(zip(band.half_widths, band.at, strict=True))
        width = say("decisions.widths", narrow=min(pairs), wide=max(pairs))
    cited = facts.package.trained
    return say("decisions.interval", cited, width=width, band=band, is_imported=is_imported)


def _on_test_rows(facts: CardFacts) -> Iterator[Statement]:
    """Return whether the interval of answers holds what it is meant to, and whether answers lean to one side."""
    found, cited = facts.evaluation, facts.evaluation_digest
    if found is None:
        return
    if found.coverage:
        why = "_imported" if facts.trained.adopted else "_by_time" if facts.split.by == "time" else ""
        yield say(f"decisions.coverage{why}", cited, found=found.coverage, beyond=found.beyond)
    if surely_less(found.coverage_at):
        yield say("decisions.coverage_at", cited, parts=found.coverage_at)
    bias = found.bias
    if bias and bias.low is not None and bias.high is not None and not bias.low <= 0 <= bias.high:
        yield say("decisions.bias", cited, found=bias)


def _held(evaluation: Evaluation | None) -> Table | None:
    """Return how often intervals hold the truth of test rows, by the answer."""
    if evaluation is None or not evaluation.coverage_at:
        return None
    return Table(
        head=("Answers", "Inside the interval", "95 % interval of that", "Test rows"),
        rows=tuple(
            (
                interval(one.low, one.high),
                percent_in_words(one.held),
                range_in_words(one.held),
                f"{one.held.n:,}",
            )
            for one in evaluation.coverage_at
        ),
    )


def _came_true(reliability: Reliability) -> Table:
    return Table(
        head=("Mean probability", "Came true", "Test rows"),
        rows=tuple(
            (
                said_answer(one.answered, is_share=True),
                said_answer(one.true, is_share=True),
                f"{one.rows:,}",
            )
            for one in reliability.bins
        ),
    )


def _is_worse_than_none(evaluation: Evaluation | None) -> bool:
    """Return whether the probabilities are further from the truth than those of the prediction without features."""
    metrics = (*evaluation.metrics, *evaluation.baseline) if evaluation else ()
    losses = [one.value for one in metrics if one.name == "log_loss"]
    return len(losses) == 2 and losses[0] > losses[1]
