"""What monitors find, in sentences for people."""

from typing import assert_never

from linewright.data.facts import SensorFault
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
        case SensorFault():
            return sensor_fault_in_words(found)
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


_CONVERSIONS = {
    "mm-inch": "in inches instead of millimetres (divided by 25.4)",
    "inch-mm": "in millimetres instead of inches (times 25.4)",
    "celsius-fahrenheit": "in degrees Fahrenheit instead of Celsius",
    "fahrenheit-celsius": "in degrees Celsius instead of Fahrenheit",
    "celsius-kelvin": "in kelvins instead of degrees Celsius",
    "kelvin-celsius": "in degrees Celsius instead of kelvins",
    "bar-psi": "in psi instead of bar (times 14.5)",
    "psi-bar": "in bar instead of psi (divided by 14.5)",
    "psi-kpa": "in kPa instead of psi (times 6.89)",
    "kpa-psi": "in psi instead of kPa (divided by 6.89)",
}


def sensor_fault_in_words(found: SensorFault) -> str:
    """Say which sensor of which group fails, and how.

    Examples
    --------
    >>> from msgspec.structs import replace
    >>> fault = SensorFault(
    ...     fault="stuck", column="vibration", group="7", since="2026-03-02T06:00:00.000000Z", until="2026-03-20T06:00:00.000000Z",
    ...     readings=19, needed=5, value=2.314,
    ... )
    >>> sensor_fault_in_words(fault)
    "sensor 'vibration' of '7' is stuck at 2.314 since 2026-03-02 06:00:00Z (19 readings): not a machine fault"

    A machine that is switched off runs and draws nothing, and no sensor has to fail for that.

    >>> sensor_fault_in_words(replace(fault, value=0.0))
    "sensor 'vibration' of '7' is stuck at 0 since 2026-03-02 06:00:00Z (19 readings): it fails, or the machine stands still"
    """
    head, since = f"sensor {found.column!r} of {found.group!r}", f"since {said(found.since)}"
    readings = count(found.readings, "reading")
    value, usual = f"{found.value or 0:.4g}", f"{found.usual or 0:.4g}"
    match found.fault:
        case "stuck":
            says = f"is stuck at {value} {since} ({readings})"
        case "missing":
            says = f"sends no value {since} ({readings})"
        case "spike":
            says = (
                f"has {count(found.readings, 'spike')} {since}, the farthest {value} where {usual} is usual"
            )
        case "unit":
            conversion = found.conversion or ""
            unit = _CONVERSIONS.get(conversion, f"in another unit (times {conversion.removeprefix('by-')})")
            says = f"sends numbers {unit} {since} ({readings}), about {value} instead of {usual}"
    stands_still = found.fault == "stuck" and found.value == 0
    return (
        f"{head} {says}: {'it fails, or the machine stands still' if stands_still else 'not a machine fault'}"
    )


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
