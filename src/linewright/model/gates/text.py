"""What gates asked, found and concluded, in sentences for people."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, assert_never

from linewright.model.facts import ROWS_OF_VALUE, Certificate, Conclusion, Outcome
from linewright.model.gate_reasons import (
    Advice,
    Alike,
    AnotherQuestion,
    BeatsFound,
    FairnessFound,
    Incomparable,
    LostColumns,
    MetricFound,
    Same,
    TooFew,
    Unit,
)
from linewright.model.gates.bound import Claim, Status
from linewright.text.numbers import as_declared, count, in_words, listed, percent, roughly

MOST_NAMED = 5
END: Mapping[Status, str] = {
    "pass": "cleared",
    "fail": "missed",
    "undecided": "neither cleared nor missed",
}
SHOWN: Mapping[Status, str] = {
    "pass": "shown",
    "fail": "ruled out",
    "undecided": "neither shown nor ruled out",
}
_DRAWN: Mapping[Unit, tuple[str, str]] = {
    "row": ("row", ""),
    "different-row": ("different row", ""),
    "group": ("group", " of rows"),
    "block": ("block", " of rows"),
}
"""What is counted, and of what it is made."""
_ALIKE: Mapping[Alike, str] = {
    "answers": "answers each of the {rows:,} test rows as the {rival} does",
    "scores": "scores each of the {rows:,} test rows as the {rival} does",
    "decisions": "decides each of the {rows:,} test rows as the {rival} does",
    "order": "puts the {rows:,} test rows in the same order as the {rival} does",
}
_ASK = "ask whether the columns can tell it at all, and whether labels and rows belong together"
_KNOWS = "It does know something about the label: {known}. Ask whether what is compared says what its errors cost (`train.metric`, the amounts of `value`)"
_ADVICE: Mapping[Advice, str] = {
    "gather": "Nothing has to be changed: train again once there are more {rows} whose truth is known{only}.",
    "doubt": f"As far as these rows can tell it may know nothing about the label: {_ASK}, before waiting for more {{rows}}{{only}}.",
    "nothing-known": f"It may know nothing about the label, and waiting for more {{rows}} is in vain: {_ASK}.",
    "known-gather": f"{_KNOWS}, or train again once there are more {{rows}}{{only}}.",
    "known-enough": f"{_KNOWS}; waiting for more {{rows}} is in vain.",
    "no-better": "It does no better than the champion on these rows, and more {rows} may as well show that it does worse.",
    "change": "Waiting for more {rows} is in vain: change columns or settings, or let in what is as good with a margin below 0.",
    "nothing-faulty": "No test row is known to be faulty, so nothing can be compared: label some, or let one who knows the model approve it "
    "(promote it with --force and --because). The gate {{metric: false_positive_rate, at_most: 0.05}} needs good rows alone.",
}
_SAME: Mapping[Same, tuple[str, str]] = {
    "scores": ("scores", "where it decides"),
    "decisions": ("decides", "what decisions are declared to be worth"),
    "views": ("decides", "the declaration of feature views"),
}
"""What a model does as its rival, and what differs."""
_AWAITED: Mapping[bool, Mapping[str, str]] = MappingProxyType(
    {
        False: {"rows": "rows", "only": ""},
        True: {
            "rows": "groups of rows",
            "only": " (more rows of the groups that there are would hardly help)",
        },
    }
)
"""What is waited for, by whether groups are drawn whole."""
_ONLY: Mapping[Literal["only-amounts", "only-views"], str] = {
    "only-amounts": "Nothing is decided otherwise, so nothing can get worse: it is the champion's model with the champion's threshold, "
    "and only what decisions are declared to be worth differs.",
    "only-views": "Nothing was compared: it is the champion's model of the same rows, and only the declaration of feature views differs.",
}
_ASK_DECISIONS = "Let one ask what its decisions are worth: {beats: champion, metric: value}."


def gate_in_words(outcome: Outcome) -> str:
    """Return what a gate asks, e.g. ``"average_precision at least 0.1"``."""
    found, bar = outcome.found, outcome.bar
    match found:
        case MetricFound():
            return f"{found.metric} at {'least' if found.rises else 'most'} {as_declared(bar)}"
        case BeatsFound(same=None):
            asked = f" by more than {as_declared(bar)}" if bar > 0 else ""
            asked = f", or is at most {as_declared(-bar)} worse" if bar < 0 else asked
            return f"beats the {found.beats} on {found.metric}{asked}"
        case BeatsFound():
            return f"beats the {found.beats} on {found.metric}"
        case FairnessFound():
            return f"{found.measure} over {found.column} at most {as_declared(bar)}"
        case _:
            assert_never(found)


def outcome_in_words(outcome: Outcome) -> str:
    """Say in one sentence what a gate found."""
    found = outcome.found
    match found:
        case MetricFound():
            told = _metric(outcome, found)
        case BeatsFound():
            told = _beats(outcome, found)
        case FairnessFound():
            told = _fairness(outcome, found) + _left_out(found)
        case _:
            assert_never(found)
    return f"{told}; {awaited} would decide" if (awaited := _awaited(outcome)) else told


def undecided_in_words(certificate: Certificate) -> tuple[str, ...]:
    """Say what the gates found about which the rows could not decide, and others may."""
    return tuple(
        outcome_in_words(one) for one in certificate.outcomes if one.status == "undecided" and not one.is_same
    )


def incomparable_in_words(why: Incomparable) -> str:
    """Say why a champion cannot be compared with.

    Examples
    --------
    >>> incomparable_in_words(LostColumns(columns=("size",)))
    'the champion needs columns that the table no longer has: size'
    """
    match why:
        case AnotherQuestion():
            return "the champion answers another question (its task, label or classes differ)"
        case LostColumns():
            return f"the champion needs columns that the table no longer has: {', '.join(why.columns)}"
        case _:
            assert_never(why)


def certificate_in_words(certificate: Certificate) -> str:
    """Say why the verdict of a certificate is what it is."""
    return conclusion_in_words(certificate.reason, certificate.outcomes)


def conclusion_in_words(reason: Conclusion, outcomes: Sequence[Outcome]) -> str:
    """Say what was concluded from outcomes, and what to do about it."""
    first = "" if reason.first is None else outcome_in_words(outcomes[reason.first])
    and_others = f" (and {reason.others} more)" if reason.others else ""
    match reason.kind:
        case "no-gates":
            return "The line declares no gates, so nothing was shown about this candidate: declare one, or promote it by force."
        case "failed":
            return f"Rejected, because {first}{and_others}."
        case "only-amounts" | "only-views":
            return _ONLY[reason.kind]
        case "blocked":
            return (
                f"More data is needed, because {first}{and_others}, and this gate blocks. {_advice(reason)}"
            )
        case "waiting":
            return f"More data is needed, because {first}{and_others}. {_advice(reason)}"
        case "hopeless":
            return f"Held, because no difference worth naming was shown: {first}. {_advice(reason)}"
        case "same-model":
            return f"Held, because no gate asks about its decisions: {first}. {_ASK_DECISIONS}"
        case "none-decided":
            return f"More data is needed, because no gate could be decided: {first}. {_advice(reason)}"
        case "passed":
            return f"{_passed(outcomes)} {first}."
        case _:
            assert_never(reason.kind)


def _passed(outcomes: Sequence[Outcome]) -> str:
    passed = sum(one.status == "pass" for one in outcomes)
    if passed < len(outcomes):
        undecided = ", ".join(gate_in_words(one) for one in outcomes if one.status == "undecided")
        counts = f"{passed} of {len(outcomes)} gates were passed, none failed"
        return f"{counts}, and what is undecided ({undecided}) does not block; first,"
    match passed:
        case 1:
            return "Its gate was passed:"
        case 2:
            return "Both gates were passed; first:"
        case _:
            return f"All {passed} gates were passed; first:"


def _advice(reason: Conclusion) -> str:
    if reason.advice is None:
        return ""
    known = outcome_in_words(reason.known) if reason.known else ""
    return _ADVICE[reason.advice].format_map({**_AWAITED[reason.by_group], "known": known})


def _metric(outcome: Outcome, found: MetricFound) -> str:
    claim, bar = _claim(outcome, rises=found.rises), outcome.bar
    told = f"{_called(found)} is {in_words(claim.value, beside=bar)}" if outcome.value is not None else ""
    known = f", {_range(claim, outcome.status, found.confidence)}: the bar of {as_declared(bar)} is {END[outcome.status]}"
    return _unless_unknown(outcome, found, told, known)


def _beats(outcome: Outcome, found: BeatsFound) -> str:
    if found.same is not None:
        does, differs = _SAME[found.same]
        return (
            f"{_called(found)} is the champion's own: it {does} every row as the champion does, since both are one model and "
            f"only {differs} differs"
        )
    claim, bar, rival = _claim(outcome, rises=True), outcome.bar, found.against
    # What beats the champion and fails all the same has passed what it was asked.
    status = "pass" if found.below_baseline else outcome.status
    asked = (
        f"at most {as_declared(-bar)} worse"
        if bar < 0
        else f"better{f' by more than {as_declared(bar)}' if bar > 0 else ''}"
    )
    verdict = "" if status == "pass" and not bar else f": that it is {asked} is {SHOWN[status]}"
    alike = f" (it {_ALIKE[found.alike].format(rows=found.alike_rows, rival=rival)})" if found.alike else ""
    told = f"{_called(found)} is {_better(claim.value, bar)} the {rival}'s{_note(found)}{alike}"
    known = f", {_better_range(claim, status, found.confidence)}{verdict}"
    if (below := found.below_baseline) is not None:
        but = Claim(value=below.value, low=below.low, high=below.high, bar=0.0, rises=True)
        known += (
            f", but {_better(but.value, 0.0)} the baseline's, {_better_range(but, 'fail', found.confidence)}: "
            "a model that is worse than guessing is not promoted"
        )
    return _unless_unknown(outcome, found, told, known)


def _note(found: BeatsFound) -> str:
    if found.beats == found.against:
        return ""
    # Also said of the first champion itself, when it is judged anew.
    why = incomparable_in_words(found.stands_in) if found.stands_in else "no champion came before it"
    return f" ({why}, so the baseline stands in)"


def _fairness(outcome: Outcome, found: FairnessFound) -> str:
    name = f"{found.measure} over {found.column}"
    if (widest := found.widest) is None:
        enough = (
            f"{count(found.min_group, 'test row')}" if found.large < 2 else "enough rows of a kind to measure"
        )
        return f"{name} cannot be measured, because fewer than two groups have {enough}"
    claim = _claim(outcome, rises=False)
    return (
        f"{name} is {in_words(claim.value, beside=claim.bar)} ({widest.rate} {in_words(widest.high)} of {widest.highest!r} against "
        f"{in_words(widest.low)} of {widest.lowest!r}), {_range(claim, outcome.status, found.confidence)}: "
        f"the bar of {as_declared(claim.bar)} is {END[outcome.status]}"
    )


def _left_out(found: FairnessFound) -> str:
    one, of = _DRAWN[found.of]
    small = [f"{each.group!r} ({each.rows:,})" for each in found.small]
    few = [f"{each.rate} of {each.group!r} ({each.units:,})" for each in found.thin]
    text = (
        f"; left out, with fewer than {count(found.min_group, 'test row')}: {listed(small, MOST_NAMED)}"
        if small
        else ""
    )
    return text + (
        f"; too few to measure, with fewer than {count(found.min_units, one)}{of}: {listed(few, MOST_NAMED)}"
        if few
        else ""
    )


def _awaited(outcome: Outcome) -> str:
    """Say how much more data it takes: where groups are drawn whole, more rows of the same groups would not help.

    Only a share of a table's rows tests, so the table needs more than that.
    """
    if outcome.more_rows is None:
        return ""
    if (groups := outcome.more_groups) is not None:
        return f"about {roughly(groups)} more {'group' if groups == 1 else 'groups'} of test rows"
    return f"about {roughly(outcome.more_rows)} more test {'row' if outcome.more_rows == 1 else 'rows'}"


def _called(found: MetricFound | BeatsFound) -> str:
    """Return what a metric is called where its figure follows, with its unit."""
    return f"{found.metric} ({found.currency} per {ROWS_OF_VALUE:,} rows)" if found.currency else found.metric


def _unless_unknown(outcome: Outcome, found: MetricFound | BeatsFound, told: str, known: str) -> str:
    """Say what was found and what is known by it; or that the value is unknown, or rests on too few rows, where that is so.

    Bounds by too few rows decide nothing, so that they are not said: beside the verdict they would read as if they did.
    """
    is_known = outcome.value is not None
    says = told if is_known else f"{_called(found)} cannot be measured on {count(outcome.n, 'row')}"
    if found.few is None:
        return f"{says}{known}" if is_known else says
    return f"{_too_few(found.few)}; {says}{', which may be luck' if is_known else ''}"


def _too_few(few: TooFew) -> str:
    one, of = _DRAWN[few.of]
    rarest = "" if few.rarest is None else f" of {few.rarest!r}"
    return f"{count(few.units, one)}{of}{rarest} {'is' if few.units == 1 else 'are'} too few, {few.needed} are needed"


def _claim(outcome: Outcome, *, rises: bool) -> Claim:
    value, low, high = (
        math.nan if one is None else one for one in (outcome.value, outcome.low, outcome.high)
    )
    return Claim(value=value, low=low, high=high, bar=outcome.bar, rises=rises)


def _range(claim: Claim, status: Status, confidence: float) -> str:
    """Say the bound that decided, or both where neither did."""
    least = f"at least {in_words(claim.low, beside=claim.bar)}"
    most = f"at most {in_words(claim.high, beside=claim.bar)}"
    return _choose(least, most, claim, status, confidence)


def _better_range(claim: Claim, status: Status, confidence: float) -> str:
    """Say how much better or worse, by the bound that decided, or by both where neither did."""
    if claim.low == claim.high == 0:
        return f"neither better nor worse with {percent(confidence)} confidence"
    low, high = (_distance(end, claim.bar) for end in (claim.low, claim.high))
    least = (
        f"at least {low} better" if claim.low > 0 else f"at most {low} worse" if claim.low else "not worse"
    )
    most = (
        f"at most {high} better"
        if claim.high > 0
        else f"at least {high} worse"
        if claim.high
        else "not better"
    )
    return _choose(least, most, claim, status, confidence)


def _choose(least: str, most: str, claim: Claim, status: Status, confidence: float) -> str:
    sure = f"with {percent(confidence)} confidence"
    match status:
        case "pass":
            return f"{least if claim.rises else most} {sure}"
        case "fail":
            return f"{most if claim.rises else least} {sure}"
        case "undecided" if math.isnan(claim.low + claim.high):
            return "within unknown bounds"
        case "undecided":
            return f"{least} and {most}, each {sure}"


def _better(difference: float, margin: float) -> str:
    """Say how much better a difference is, in digits that keep it on its side of the margin.

    Examples
    --------
    >>> _better(0.02, 0.0), _better(0.0, 0.0)
    ('0.02 better than', 'no different from')
    """
    if difference == 0:
        return "no different from"
    return f"{_distance(difference, margin)} {'better' if difference > 0 else 'worse'} than"


def _distance(difference: float, margin: float) -> str:
    is_on_its_side = (difference > 0) == (margin >= 0)
    return in_words(abs(difference), beside=abs(margin) if is_on_its_side else None)
