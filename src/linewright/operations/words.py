"""How numbers and digests are said to people."""


def short(digest: str) -> str:
    """Return the first 12 hex digits of a digest; other texts as they are.

    Examples
    --------
    >>> short("sha256:0123456789abcdef")
    '0123456789ab'
    """
    return digest.removeprefix("sha256:")[:12] if digest.startswith("sha256:") else digest
