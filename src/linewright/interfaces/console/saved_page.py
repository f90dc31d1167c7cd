"""A page as one file: with the parts that it loads, with links to the server that it came from, and without forms."""

import re
from collections.abc import Sequence

_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)
_EMPTY = re.compile(r"<details[^>]*>\s*<summary>[^<]*</summary>\s*</details>")
_BUTTON = re.compile(r"<button\b.*?</button>", re.DOTALL)
_TABS = re.compile(r'<nav class="tabs".*?</nav>', re.DOTALL)
_LINK = re.compile(r'(\shref=")/(?!/)')
_HEAD = re.compile(r"<(title|h1|nav)\b.*?</\1>", re.DOTALL)


def place_of(number: int) -> str:
    """Return what stands in a page in place of a part; a text that somebody wrote cannot look so, since it is escaped."""
    return f"<!--part {number}-->"


def whole_page(html: str, parts: Sequence[str], *, address: str) -> str:
    """Return a page as a file that needs no server.

    Examples
    --------
    >>> whole_page('<a href="/a">a</a><form>x</form><!--part 0-->', ["<h1>b</h1><p>c</p>"], address="http://127.0.0.1:8080")
    '<a href="http://127.0.0.1:8080/a">a</a><p>c</p>'
    """
    for number, part in enumerate(parts):
        html = html.replace(place_of(number), _HEAD.sub("", part))
    html = _EMPTY.sub("", _BUTTON.sub("", _FORM.sub("", _TABS.sub("", html))))
    return _LINK.sub(lambda found: f"{found[1]}{address}/", html)
