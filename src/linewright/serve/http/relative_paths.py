"""What an answer over the network says of a factory's files: where they are in its folder, not where that is on this machine."""

import re
from pathlib import Path

import msgspec


class Relative:
    """Leaves the path of a folder out of JSON.

    Examples
    --------
    >>> told = Relative(Path("/srv/f"))
    >>> told(b'{"where":"/srv/f/.linewright/log","hint":"rm /srv/f2/a; df /srv/f"}')
    b'{"where":".linewright/log","hint":"rm /srv/f2/a; df ."}'
    """

    def __init__(self, root: Path) -> None:
        # As JSON spells it; what follows must not be the rest of another name.
        spelt = msgspec.json.encode(str(root))[1:-1]
        self._pattern = re.compile(re.escape(spelt) + rb"(/(?=[\w.])|(?![\w.\-/]))")

    def __call__(self, body: bytes) -> bytes:
        """Return JSON that names what is in the folder by its path from there."""
        return self._pattern.sub(lambda match: b"" if match[1] else b".", body)
