"""What a plain linear model reaches beside the one that was trained, in sentences for people."""

from linewright.model.facts import Plain
from linewright.text.numbers import in_words


def plain_in_words(found: Plain) -> str:
    """Say how good a plain linear model is, and how much better the model is than it.

    Examples
    --------
    >>> plain_in_words(Plain(metric="roc_auc", value=0.7, better=0.05, low=0.02, high=0.08, rows=900, n=300))
    'a plain linear model of the same columns reaches roc_auc 0.7 on these rows; this one is 0.05 better, with a 95 % interval of 0.02 to 0.08 better'
    >>> plain_in_words(Plain(metric="rmse", value=12.0, better=-0.1, low=-0.4, high=0.2, rows=900, n=300))
    'a plain linear model of the same columns reaches rmse 12 on these rows; this one is 0.1 worse, with a 95 % interval of 0.4 worse to 0.2 better: as far as these rows can tell, the plain one does as well'
    """
    said = (
        f"a plain linear model of the same columns reaches {found.metric} {in_words(found.value)} on these rows; this one is "
        f"{apart_in_words(found.better)}, with a 95 % interval of {difference_in_words(found.low, found.high)}"
    )
    if found.low > 0:
        return said
    if found.high < 0:
        return f"{said}: the plain one is surely better here"
    return f"{said}: as far as these rows can tell, the plain one does as well"


def apart_in_words(difference: float) -> str:
    """Return on which side a difference in favour of the model is.

    Examples
    --------
    >>> apart_in_words(0.05), apart_in_words(-0.1), apart_in_words(0.0)
    ('0.05 better', '0.1 worse', 'no different')
    """
    if difference == 0:
        return "no different"
    return f"{in_words(abs(difference))} {'better' if difference > 0 else 'worse'}"


def difference_in_words(low: float, high: float) -> str:
    """Return the interval of such a difference.

    Examples
    --------
    >>> difference_in_words(-0.08, -0.02), difference_in_words(-0.4, 0.2)
    ('0.02 to 0.08 worse', '0.4 worse to 0.2 better')
    >>> difference_in_words(0.0, 0.0)
    'no different to no different'
    """
    if low > 0 or high < 0:
        ends = sorted((abs(low), abs(high)))
        return f"{in_words(ends[0])} to {in_words(ends[1])} {'better' if low > 0 else 'worse'}"
    return f"{apart_in_words(low)} to {apart_in_words(high)}"
