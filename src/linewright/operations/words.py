"""How numbers and digests are said to people."""


def short(digest: str) -> str:
    """Return the first 12 hex digits of a digest; other texts as they are.

    Examples
    --------
    >>> short("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return digest.removeprefix("sha256:")[:12] if digest.startswith("sha256:") else digest


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it should be.

    Examples
    --------
    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
