"""What a page says of something that a form has done: the text of the command, without commands, or a sentence with a link."""

import re
from typing import Any

from markupsafe import Markup

from linewright.interfaces.cli.dispatch import result_text
from linewright.interfaces.console.render import environment

_NEXT = re.compile(r"\s*(next|more|as a page|older ones): .*linewright ", re.IGNORECASE)
_QUOTED = re.compile(r"[:;,]? *(until |by |with )?`linewright [^`]*`[^;\n]*")
_BARE = re.compile(r"[:;,] *linewright [^;\n]*")


def note_of(result: Any, to: str) -> Markup:
    """Return what the page at an address says of a result."""
    kinds = {each.__name__ for each in type(result).__mro__}
    shown = {"result": result, "kinds": kinds, "to": to, "text": without_commands(result_text(result) or "")}
    return Markup(environment().get_template("note.html.jinja").render(shown))  # noqa: S704 -- the template escapes


def without_commands(text: str) -> str:
    r"""Return a text without what is to be typed into a terminal.

    Examples
    --------
    >>> print(without_commands("claims is halted: it answers 503 until `linewright halt claims --off`\nnext: linewright status claims"))
    claims is halted: it answers 503
    >>> without_commands("2 open alerts: linewright alerts")
    '2 open alerts'
    """
    lines = [line for line in text.splitlines() if not _NEXT.match(line)]
    return "\n".join(_BARE.sub("", _QUOTED.sub("", line)) for line in lines)
