"""Two factories whose results, texts and pages are frozen: one with state of every kind, one with a candidate that waits."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import approvals
import every_state
import pytest
import watched_days
from masked import Masks, folder_of
from templates import copied, made_once

from linewright.capabilities.inbox.operations import comment, save_view
from linewright.line.factory import Factory
from linewright.serve.access.accounts import Grant
from linewright.serve.access.change_accounts import change, new_token, with_token
from linewright.store.clock import now_utc

LENGTH = 90
"""Characters of the path of a factory."""
NAMES = ("every", "waiting")
_DETAILS = "details.json"
_FACTORY_FILE = """\
format: 1
about: A factory whose candidate waits
goals:
  - {name: cut-fraud, kpi: value, target: 1000, lines: [claims]}
costs: {label: 2}
notify: {ops: {webhook: "http://127.0.0.1:1/hook"}}
approve: {restore: [approver]}
"""
_FEAST = {
    "feature_store.yaml": "project: taxis\nregistry: registry.db\nprovider: local\n",
    "views.py": """\
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource
from feast.types import Int64

driver = Entity(name="driver", join_keys=["driver_id"])
stats = FileSource(name="stats", path="stats.parquet", timestamp_field="at")
driver_stats = FeatureView(
    name="driver_stats", entities=[driver], ttl=timedelta(days=1), schema=[Field(name="trips", dtype=Int64)], source=stats
)
""",
}
_DEAD = "sha256:" + "0" * 64


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A factory that nobody changes, with what is said about it in words of commands."""

    folder: Path
    now: str
    """When it was made; commands that read the clock of the factory find this time."""
    tokens: dict[str, str]
    """A token by the name of each member that has one."""

    @property
    def begun(self) -> date:
        return date.fromisoformat(self.now[:10])

    def copy(self, base: Path, name: str) -> Path:
        """Copy it to a folder whose path has the same length on each machine."""
        return copied(self.folder, folder_of(base, name, length=LENGTH))

    def masks(self) -> Masks:
        return Masks(self.begun)

    def places(self, root: Path) -> dict[str, str]:
        """Return what stands for a copy, and for what else is random and known."""
        tokens = {token: f"<token of {name}>" for name, token in self.tokens.items()}
        return {str(root): "<factory>", str(root.parent): "<folder>", **tokens}


def kept(folders: pytest.TempPathFactory, name: str) -> Kept:
    """Return one of the two, by its name in `NAMES`."""
    folder = made_once(folders, f"frozen-{name}", _MAKE[name](folders))
    details = json.loads((folder / _DETAILS).read_text())
    return Kept(folder=folder / "factory", now=details["now"], tokens=details["tokens"])


def _every(folders: pytest.TempPathFactory) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        root = every_state.make_every_state(folders, folder / "factory")
        _finish(root, {})

    return make


def _waiting(folders: pytest.TempPathFactory) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        root = approvals.waiting_factory(folders, folder / "factory")
        (root / "factory.yaml").write_text(_FACTORY_FILE)
        with Factory.open(root) as factory:
            watched_days.watch_days(
                factory,
                number="amount",
                category="age",
                values=("old", "young", "ripe", "new"),
                because="on purpose",
            )
            comment(factory, approvals.LINE, "Is this the right threshold, @ann?")
            save_view(factory, "open alerts", "/?need=alert")
        _finish(root, approvals.MEMBERS)

    return make


_MAKE = {"every": _every, "waiting": _waiting}


def _finish(root: Path, members: Mapping[str, tuple[str, ...]]) -> None:
    """Add files that commands are given, and tokens: one by the name of each member, and of each of their other roles."""
    given = root / "given"
    (given / "feast").mkdir(parents=True)
    for name, text in _FEAST.items():
        (given / "feast" / name).write_text(text)
    text = (root / "lines" / "claims.yaml").read_text()
    (given / "edited.yaml").write_text(text.replace("folds: 2", "folds: 3"))
    (given / "wrong.yaml").write_text(text.replace("folds: 2", "folds: many"))
    (given / "notes.txt").write_text("mine\n")
    tokens: dict[str, str] = {}
    for member, role in ((member, role) for member, roles in members.items() for role in roles):
        name = member if role == members[member][-1] else f"{member}-{role}"
        made = new_token(
            name=f"of-{name}",
            grant=Grant(role=role),
            member=member,
            created="2020-01-01T00:00:00.000000Z",
            expires="2999-01-01T00:00:00.000000Z",
        )
        change(root / ".linewright", with_token(made))
        tokens[name] = made.token
    (root.parent / _DETAILS).write_text(json.dumps({"now": now_utc(), "tokens": tokens}))
