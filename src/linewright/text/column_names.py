"""Names that no column of a table can have."""


def is_column_pattern(name: str) -> bool:
    """Return whether polars reads a name as a pattern of names: ``*``, and what stands between ``^`` and ``$``.

    Examples
    --------
    >>> [is_column_pattern(name) for name in ("*", "^a$", "^a", "a*")]
    [True, True, False, False]
    """
    return name == "*" or (name.startswith("^") and name.endswith("$"))
