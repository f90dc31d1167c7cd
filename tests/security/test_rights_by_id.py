"""An id names no line: whoever may see one line learns nothing of another by the ids of what it holds.

MLflow's CVE-2026-2651 is of this kind: who was signed in got another's object.
"""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linewright.capabilities.datasets.operations import datasets
from linewright.capabilities.evidence.operations import replay, show, why
from linewright.capabilities.runs.operations import cancel
from linewright.errors import Denied, LinewrightError, NotFound
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Declared
from linewright.serve.access.rights import ROLES, Identity, Scope
from linewright.store.clock import uuid7

spec = importlib.util.spec_from_file_location(
    "made_by_hand", Path(__file__).parents[1] / "serve" / "conftest.py"
)
assert spec is not None
assert spec.loader is not None
hand = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hand)

pytestmark = pytest.mark.usefixtures("processes")
OWN, OTHER = "claims", "parts"
LINE = "line: {name}\nsources: {{t: {{file: t.csv}}}}\nlabel: {{column: y}}\n"


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Make two lines that have answered, and a run of each that waits; give the ids of both."""
    root = tmp_path_factory.mktemp("by-id") / "factory"
    found: dict[str, Any] = {"root": root}
    with Factory.create(root) as factory:
        for name in (OWN, OTHER):
            (root / "lines" / f"{name}.yaml").write_text(LINE.format(name=name))
            served = hand.Claims(factory.state, name)
            digest = served.make(1)
            factory.metadata.keep(served.package)
            factory.metadata.register(name, digest, at=factory.now())
            served.point(1)
            run = uuid7()
            factory.metadata.record(
                Accepted(
                    at=factory.now(),
                    by="owner",
                    because="asked for",
                    line=name,
                    run=run,
                    plan=digest,
                    declared=digest,
                )
            )
            found[name] = {"run": run, "digest": digest}
        own = factory.metadata.keep(Declared(spec={"line": OTHER}))
        found[OTHER]["declared"] = own
    endpoint = hand.Endpoint(root / ".linewright")
    for name in (OWN, OTHER):
        _, _, answer = endpoint.ask("POST", f"/v1/lines/{name}/predict", {"rows": [hand.ROW]})
        found[name]["prediction"] = answer["predictions"][0]["id"]
    endpoint.close()
    return found


def asked_by(ids: dict[str, Any], role: str, *lines: str) -> Factory:
    """Open the factory as somebody with a role on some lines."""
    scope = Scope(permissions=ROLES[role], lines=frozenset(lines) or None)
    return Factory.open(ids["root"], identity=Identity(actor="ada", member="ada", scopes=(scope,)))


def refusal(ask: Callable[[], object]) -> str:
    """Return what somebody is told, without the ids that they know."""
    with pytest.raises(LinewrightError) as refused:
        ask()
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", f"{type(refused.value).__name__}: {refused.value}")


@pytest.mark.parametrize(
    ("what", "ask"),
    [
        ("prediction", show),
        ("prediction", lambda factory, one: replay(factory, prediction=one)),
        ("run", show),
        ("run", cancel),
    ],
    ids=["show a prediction", "replay", "show a run", "cancel"],
)
def test_what_is_of_another_line_is_told_as_if_it_were_not_there(what, ask, ids):
    """Word for word; and whoever may do it to the other line is not refused."""
    with asked_by(ids, "engineer", OWN) as factory:
        assert refusal(lambda: ask(factory, ids[OTHER][what])) == refusal(lambda: ask(factory, uuid7()))
        ask(factory, ids[OWN][what])
    with asked_by(ids, "engineer", OTHER) as factory:
        ask(factory, ids[OTHER][what])


def test_rows_of_data_need_their_own_right(ids):
    """A viewer sees what a line does, and nobody's data."""
    with asked_by(ids, "viewer", OWN) as factory:
        for ask in (
            lambda: show(factory, ids[OWN]["prediction"]),
            lambda: datasets(factory, OWN, quarantine=True),
            lambda: datasets(factory, OWN, log=True),
        ):
            with pytest.raises(Denied, match="view-rows"):
                ask()
        with pytest.raises(NotFound):
            replay(factory, prediction=ids[OWN]["prediction"])


def test_evidence_of_another_line_is_refused_by_name_and_by_digest(ids):
    """Nobody sees by a digest what only another line rests on."""
    with asked_by(ids, "viewer", OWN) as factory:
        for name in (OTHER, f"{OTHER}@1", ids[OTHER]["declared"], ids[OTHER]["declared"][:20]):
            with pytest.raises(Denied):
                why(factory, name)
        for name in (f"{OTHER}@1", ids[OTHER]["declared"]):
            with pytest.raises(LinewrightError):
                show(factory, name)


def test_what_the_own_line_rests_on_is_seen_by_its_digest(ids):
    """Equal results have equal digests: that another line rests on it too tells nothing of that line."""
    assert ids[OWN]["digest"] == ids[OTHER]["digest"]
    with asked_by(ids, "viewer", OWN) as factory:
        assert ids[OWN]["digest"] == why(factory, ids[OWN]["digest"]).id
        assert ids[OWN]["digest"] == show(factory, ids[OWN]["digest"]).id
