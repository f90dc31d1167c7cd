"""Small stores that the record does not prove, and all files that are computed or read again."""

from collections.abc import Iterator
from pathlib import Path

from linewright.errors import Corrupt
from linewright.line.factory import Factory
from linewright.line.holding import Archive, Databases, Holding
from linewright.people.outbox import OUTBOX
from linewright.people.preferences import FOLDER as PREFERENCES
from linewright.people.preferences import OWNER, decode_preferences, files_in
from linewright.serve.access.change_accounts import NAME


class Form(Holding):
    """The mark of a state folder: its version."""

    name = "the form of the state"
    files = ("FORMAT",)
    kept = "FORMAT"

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy it."""
        archive.add(factory.state / "FORMAT")


class PreferenceFiles(Holding):
    """Saved views of members, and up to when they have read comments."""

    name = "preferences of members"
    files = (f"{PREFERENCES}/*",)
    kept = rf"{PREFERENCES}/({NAME.pattern}|{OWNER})\.json"

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy them."""
        for path in files_in(factory.state):
            archive.add(path)

    def restored(self, state: Path) -> Iterator[str]:
        """Require that each can be read."""
        for path in files_in(state):
            path.chmod(0o600)
            try:
                decode_preferences(path.read_bytes(), path)
            except Corrupt as error:
                yield f"{path.relative_to(state)}: {error.found}"


class Replies(Databases):
    """Answers of the control plane that a client may ask for again by its idempotency key."""

    name = "replies"
    files = ("replies.sqlite*",)
    kept = r"replies\.sqlite"


class Deliveries(Databases):
    """How far the record was delivered to receivers of notifications."""

    name = "deliveries"
    files = (f"{OUTBOX}*",)
    kept = r"outbox\.sqlite"


class WorkingFiles(Holding):
    """Files that are computed or read again, secrets of this machine, and what processes keep while they work: no backup has them."""

    name = "working files"
    files = (
        *("*.lock", "*/lock", "*/.*", ".gitignore", "checked.json"),
        *("control.token", "tokens/*", "endpoints/*", "cancel/*", "runs/*"),
        *("fits/*", "features/*", "remote/*", "scratch/*", "files/*"),
        *("proposals/*", "refused/*", "checkpoints/*"),
    )
