"""What a card says of how a model decides: probabilities, thresholds and intervals, and whether they hold on the test rows."""

from collections.abc import Iterator, Sequence

from linewright.model.card.parts import CardFacts, Section, Sentence, Table, cite, sentence_of
from linewright.model.card.plots import reliability_plot, said_answer
from linewright.model.evaluate.coverage_text import (
    beyond_in_words,
    bias_in_words,
    coverage_in_words,
    parts_in_words,
    percent_in_words,
    range_in_words,
)
from linewright.model.evaluate.decision_changes import redecided_in_words
from linewright.model.evaluate.reliability_text import is_off, reliability_in_words
from linewright.model.facts import Band, Calibration, Evaluation, Reliability
from linewright.model.reason_text import threshold_in_words
from linewright.text.numbers import in_words


def decisions(facts: CardFacts) -> Section:
    """Return the section on how it decides."""
    trained, cited = facts.trained, (facts.package.trained,)
    method = facts.package.calibration.method
    reliability = facts.evaluation.reliability if facts.evaluation else None
    off = "; on the test rows they are off all the same" if reliability and is_off(reliability) else ""
    told = {
        "none": "Scores are used as the model gives them."
        if trained.adopted
        else f"Scores are used as the model gives them, since out of fold no calibration was surely better, or there were too few rows to try one{off}.",
        "sigmoid": "Scores become probabilities by a sigmoid (Platt scaling).",
        "isotonic": "Scores become probabilities by a rising curve of straight pieces (isotonic regression).",
        "temperature": "Scores become probabilities by a temperature.",
        "clip": f"No answer is {_beyond_ends(facts.package.calibration)}, where labels pile up.",
    }[method]
    sentences = [Sentence(text=told, evidence=cited)] if facts.package.classes or method == "clip" else []
    if trained.adopted and _is_off(facts):
        text = (
            "Its log_loss is worse than that of the prediction without features: its probabilities cannot be taken at their "
            "word, nor can alarms of the monitor calibration, which rest on them."
        )
        sentences.append(Sentence(text=text, evidence=cite(facts.evaluation_digest)))
    of = _whose(facts.package.classes)
    if reliability is not None:
        told = reliability_in_words(reliability, of=of)
        sentences.append(Sentence(text=told, evidence=cite(facts.evaluation_digest)))
    threshold, half_width = facts.package.threshold, facts.package.half_width
    if threshold is not None and facts.decision is not None:
        positive = facts.positive
        reason = facts.decision.reason
        why = f" {sentence_of(threshold_in_words(reason))}" if reason else ""
        text = f"{positive!r} is answered at a probability of {in_words(threshold)} or more.{why}"
        sentences.append(Sentence(text=text, evidence=cite(facts.decision_digest)))
    if facts.certificate and facts.certificate.redecided:
        told = redecided_in_words(
            facts.certificate.redecided, facts.package.classes, of="test rows that neither has learned from"
        )
        text = f"Beside the champion that it was compared with: {told}."
        sentences.append(Sentence(text=text, evidence=cite(facts.certificate_digest)))
    if half_width is not None:
        rows = "residuals on the training part" if trained.adopted else "out-of-fold residuals"
        wide = _how_wide(facts.package.band, half_width)
        text = f"A prediction is given with plus or minus {wide}: a 90 % interval from {rows}{_bounded(facts.package.band)}."
        sentences.append(Sentence(text=text, evidence=cited))
        sentences.extend(
            Sentence(text=told, evidence=cite(facts.evaluation_digest)) for told in _on_test_rows(facts)
        )
    return Section(
        name="decisions",
        title="How it decides",
        sentences=tuple(sentences),
        plots=(reliability_plot(reliability.bins, of),) if reliability else (),
        table=_held(facts.evaluation),
        plain=_came_true(reliability) if reliability else None,
    )


def _bounded(band: Band | None) -> str:
    if band is None:
        return ""
    bounds = [] if band.least is None else [f"begins below {in_words(band.least)}"]
    bounds += [] if band.most is None else [f"ends above {in_words(band.most)}"]
    return (
        f"; none {' or '.join(bounds)}, as no label of those rows is, unless the answer itself is"
        if bounds
        else ""
    )


def _how_wide(band: Band | None, half_width: float) -> str:
    if band is None or len(band.at) == 1:
        return in_words(half_width)
    narrow, wide = (
        f"{in_words(width)} for answers of about {in_words(at)}"
        for width, at in (one(zip(band.half_widths, band.at, strict=True)) for one in (min, max))
    )
    return f"{narrow} to {wide}"


def _held(evaluation: Evaluation | None) -> Table | None:
    """Return how often intervals hold the truth of test rows, by the answer."""
    if evaluation is None or not evaluation.coverage_at:
        return None
    return Table(
        head=("Answers", "Inside the interval", "95 % interval of that", "Test rows"),
        rows=tuple(
            (
                f"{in_words(one.low)} to {in_words(one.high)}",
                percent_in_words(one.held),
                range_in_words(one.held),
                f"{one.held.n:,}",
            )
            for one in evaluation.coverage_at
        ),
    )


def _whose(classes: Sequence[str]) -> str:
    """Say of which class probabilities are taken at their word."""
    return f"of {classes[-1]!r}" if len(classes) == 2 else "of the class that is answered"


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


def _beyond_ends(calibration: Calibration) -> str:
    """Name what no answer is; empty where nothing is cut off."""
    ends = [("below", calibration.least), ("above", calibration.most)]
    return " or ".join(f"{side} {in_words(end)}" for side, end in ends if end is not None)


def _on_test_rows(facts: CardFacts) -> Iterator[str]:
    """Say whether the interval of answers holds what it is meant to, and whether answers lean to one side."""
    if facts.evaluation is None:
        return
    if coverage := facts.evaluation.coverage:
        because = ""
        if facts.trained.adopted:
            because = "the model may have learned from the rows that it was made from"
        elif facts.split.by == "time":
            because = "the world has probably moved since the rows that it was made from"
        beyond = facts.evaluation.beyond
        sides = f" {beyond_in_words(beyond)}" if beyond else ""
        yield f"{coverage_in_words(coverage, because=because)}{sides}"
    if told := parts_in_words(facts.evaluation.coverage_at):
        yield told
    if (bias := facts.evaluation.bias) and (leans := bias_in_words(bias)):
        yield leans


def _is_off(facts: CardFacts) -> bool:
    """Return whether the probabilities are further from the truth than those of the prediction without features."""
    if facts.evaluation is None:
        return False
    own, base = (
        {one.name: one.value for one in metrics}.get("log_loss")
        for metrics in (facts.evaluation.metrics, facts.evaluation.baseline)
    )
    return own is not None and base is not None and own > base
