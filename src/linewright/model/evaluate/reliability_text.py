"""How far probabilities are from the shares that came true, in words for people."""

from linewright.model.facts import Reliability
from linewright.text.numbers import in_words

SURE = 0.95
"""Share of draws in which correct probabilities stay below the error that is reported as their largest."""


def is_off(found: Reliability) -> bool:
    """Return whether probabilities are further from the shares that came true than chance explains."""
    return found.error.value > found.by_chance_most


def off_in_words(found: Reliability) -> str:
    """Say in short that probabilities are off, and by how much; where `is_off`.

    Examples
    --------
    >>> from linewright.model.facts import Metric
    >>> metric = Metric(name="ece", value=0.018, low=0.01, high=0.02, n=3000)
    >>> print(off_in_words(Reliability(error=metric, by_chance=0.012, by_chance_most=0.0164, before=None, bins=())))
    its probabilities are further from what came true than chance explains: the calibration error (ECE) is 0.018, and of true ones it would be above 0.0164 in one case of 20
    """
    return (
        f"its probabilities are further from what came true than chance explains: the calibration error (ECE) is "
        f"{in_words(found.error.value)}, and of true ones it would be above {in_words(found.by_chance_most)} in one case of "
        f"{round(1 / (1 - SURE))}"
    )


def reliability_in_words(found: Reliability, *, of: str) -> str:
    """Say how far probabilities are from the shares that came true, and what to make of it.

    Examples
    --------
    >>> from linewright.model.facts import Metric
    >>> metric = Metric(name="ece", value=0.012, low=0.0, high=0.019, n=3000)
    >>> found = Reliability(error=metric, by_chance=0.014, by_chance_most=0.021, before=0.041, bins=())
    >>> print(reliability_in_words(found, of="of 'yes'"))
    The expected calibration error (ECE) of the probability of 'yes' is 0.012 on the test rows (95 % interval 0 to 0.019), and 0.041 before calibration. True probabilities would show 0.014 on as many rows, and 0.021 in one case of 20: as far as these rows can tell, they can be taken at their word.
    """
    error = found.error
    interval = (
        f" (95 % interval {in_words(error.low)} to {in_words(error.high)})"
        if error.low is not None and error.high is not None
        else ""
    )
    before = "" if found.before is None else f", and {in_words(found.before)} before calibration"
    told = (
        "they are further from what came true than chance explains"
        if is_off(found)
        else "as far as these rows can tell, they can be taken at their word"
    )
    return (
        f"The expected calibration error (ECE) of the probability {of} is {in_words(error.value)} on the test rows{interval}{before}. "
        f"True probabilities would show {in_words(found.by_chance)} on as many rows, and {in_words(found.by_chance_most)} in one case "
        f"of {round(1 / (1 - SURE))}: {told}."
    )
