"""The likely encoding of a text that is not UTF-8."""

import codecs
import re

from charset_normalizer import CharsetMatch, from_bytes

WESTERN = "cp1252"
ENCODINGS = (
    *("cp1250", "cp1251", WESTERN, "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("iso8859_2", "iso8859_7", "koi8_r", "cp932", "euc_jp", "cp949", "gb18030", "big5"),
)
"""Encodings of common data files. Among all that Python knows, short texts are taken for rare ones."""
_MESS = 0.5
"""Share of odd characters above which an encoding is out. The library's 0.2 is for sentences: a column of "£20" is Japanese by it."""
_CONTROLS = re.compile("[\x80-\x9f]")
"""Characters of no text, which ISO encodings have where Windows has letters."""


def likely_encoding(part: bytes) -> str:
    r"""Return the likely encoding of a part of a file.

    Examples
    --------
    >>> likely_encoding("顧客;都市\n1;東京\n2;大阪\n".encode("shift_jis")), likely_encoding("n;price\n1;£20\n".encode("cp1252"))
    ('cp932', 'cp1252')
    """
    lines = [line for line in part.splitlines(keepends=True) if not line.isascii()]
    whole = [line for line in lines if line.endswith((b"\n", b"\r"))]
    matches = from_bytes(b"".join(whole or lines), cp_isolation=list(ENCODINGS), threshold=_MESS)
    found = [one for one in matches if not _CONTROLS.search(str(one))]
    best = max(found, key=_fit, default=None)
    western = next((one for one in found if WESTERN in one.could_be_from_charset), None)
    if best is None or (western is not None and (best.coherence == 0 or _fit(western) >= _fit(best))):
        return WESTERN
    return codecs.lookup(best.encoding).name


def _fit(one: CharsetMatch) -> float:
    """Return how much of a text is letters as in a language, less the share of odd characters, in [-1, 1]."""
    return one.coherence - one.chaos
