"""Chances, by SciPy, which is imported when one is asked for: that takes up to a second, and commands that look ask for none."""

# ruff: noqa: PLC0415 -- for that reason


def normal(value: float) -> float:
    """Return the chance that a standard normal variable is at most `value`.

    Examples
    --------
    >>> normal(0.0)
    0.5
    """
    from scipy.special import ndtr

    return float(ndtr(value))


def student(freedom: float, value: float) -> float:
    """Return the chance that a Student variable with so many degrees of freedom is at most `value`.

    Examples
    --------
    >>> student(10, 0.0)
    0.5
    """
    from scipy.special import stdtr

    return float(stdtr(freedom, value))


def poisson(count: int, mean: float) -> float:
    """Return the chance that a Poisson variable is at most `count`.

    Examples
    --------
    >>> round(poisson(0, 1.0), 4)
    0.3679
    """
    from scipy.special import pdtr

    return float(pdtr(count, mean))


def poisson_beyond(count: int, mean: float) -> float:
    """Return the chance that a Poisson variable is more than `count`; precise also where it is tiny.

    Examples
    --------
    >>> round(poisson_beyond(0, 1.0), 4)
    0.6321
    """
    from scipy.special import pdtrc

    return float(pdtrc(count, mean))


def noncentral_chi2_beyond(value: float, freedom: float, noncentrality: float) -> float:
    """Return the chance that a noncentral chi-squared variable is more than `value`; NaN where SciPy cannot say.

    Examples
    --------
    >>> round(noncentral_chi2_beyond(3.0, 1.0, 0.0), 4)
    0.0833
    """
    from scipy.stats import ncx2

    return float(ncx2.sf(value, freedom, noncentrality))
