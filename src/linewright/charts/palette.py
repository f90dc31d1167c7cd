"""The colours of charts: attributes that follow the page's variables, and a style for files that stand alone.

A page under a strict content policy allows no style inside a picture; `fill="var(--one, #0b6e69)"` is an attribute, which it does allow.
"""

COLOURS = {
    "card": ("#ffffff", "#1d2327"),
    "ink": ("#1b2226", "#e8edf0"),
    "soft": ("#55626a", "#a5b2ba"),
    "rule": ("#d5dade", "#39434a"),
    "one": ("#0b6e69", "#58c9c1"),
    "two": ("#b4520a", "#f0a15e"),
    "three": ("#5b4bb0", "#b3a6ff"),
}
"""By name, in the light and in the dark scheme: those of the console."""
SERIES = ("one", "two", "three")
DASHES = {"one": "none", "two": "7 3", "three": "2 3"}
REFERENCE_DASHES = ("4 3", "1 3", "9 3")
"""Lines differ by their dashes too: nobody needs to see the colours."""


def paint(kind: str) -> dict[str, str]:
    """Return the attributes of a kind: a colour, then `line` for a stroke, `pale` for a wash, `dashed`.

    Examples
    --------
    >>> paint("one"), paint("two line dashed")["stroke-dasharray"]
    ({'fill': 'var(--one, #0b6e69)'}, '4 3')
    """
    colour, *ways = kind.split()
    shown = f"var(--{colour}, {COLOURS[colour][0]})"
    found = {"fill": "none", "stroke": shown} if "line" in ways else {"fill": shown}
    if "pale" in ways:
        found["fill-opacity"] = ".2"
    if "dashed" in ways:
        found["stroke-dasharray"] = "4 3"
    return found


def style() -> str:
    """Return the style of a file that stands alone: the same variables, in both schemes, for this picture only."""
    light, dark = (
        "".join(f"--{name}:{both[scheme]};" for name, both in COLOURS.items()) for scheme in (0, 1)
    )
    return f".linewright-chart{{{light}}}\n@media (prefers-color-scheme:dark){{.linewright-chart{{{dark}}}}}"
