"""What monitors find, in sentences for people."""

from typing import assert_never

from linewright.store.clock import said
from linewright.text.numbers import count
from linewright.watch.facts import BeyondBar, Finding, Shifted, Surplus, Volume


def finding_in_words(finding: Finding) -> str:
    """Say what a monitor is sure of.

    Examples
    --------
    >>> since = "2026-11-18T00:00:00Z"
    >>> finding_in_words(Finding(monitor="drift", column="amount", value=0.412, bar=0.2, since=since, found=Shifted(windows=3)))
    "'amount' has drifted: PSI 0.41, at least 0.2 in 3 windows in a row"
    """
    found = finding.found
    match found:
        case Shifted():
            times = "1 window" if found.windows == 1 else f"{found.windows} windows in a row"
            return f"{_shifted(finding, found)}: PSI {finding.value:.2f}, at least {finding.bar:g} in {times}"
        case Volume():
            came = count(int(finding.value), "row") if finding.value else "no rows"
            return f"{came} came in {found.every}, {finding.bar:,.0f} are usual"
        case BeyondBar():
            return f"{found.metric} is {finding.value:.4g} on {_judged_on(found)}, surely {_bar(finding.bar, found)}"
        case Surplus():
            return (
                f"{finding.value:,.0f} positives are confirmed since {said(finding.since)}, the model expects {finding.bar:,.0f}: it does "
                "not see what happens now"
            )
        case _:
            assert_never(found)


def _shifted(finding: Finding, found: Shifted) -> str:
    now, then = _percent(found.share), _percent(found.before)
    match finding.monitor:
        case "missing":
            return f"{finding.column!r} is missing in {now} of rows, in the reference {then}"
        case "unseen":
            return f"{finding.column!r} has values that the model never saw in {now} of rows, in the reference {then}"
        case "contract":
            return f"{finding.column!r} breaks its contract in {now} of rows, in the reference {then}"
        case "prediction":
            return "the predictions have drifted"
        case _:
            return f"{finding.column!r} has drifted"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0):.3g} %"


def _judged_on(found: BeyondBar) -> str:
    if found.start is None or found.end is None:
        return f"{found.labelled:,} labelled predictions"
    return f"{found.labelled:,} labels that came from {said(found.start)} to {said(found.end)}"


def _bar(bar: float, found: BeyondBar) -> str:
    match found.of:
        case "guess":
            return f"worse than guessing ({bar:.4g})"
        case "at_least":
            return f"below {bar:g}"
        case "at_most":
            return f"above {bar:g}"
        case "certificate":
            return f"worse than the certificate's {bar:.4g}"
