"""How long an answer may take is documented for each operation, and kept."""

import threading

import anyio
import pytest

from linewright.errors import Terminal
from linewright.interfaces.http import expensive
from linewright.interfaces.http.app import control_app
from linewright.interfaces.http.expensive import DEADLINE_S, LONG_S, Expensive
from linewright.line.factory import Factory
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.rights import owner

EXPENSIVE = [name for name in OPERATIONS if load(name, OPERATIONS).expensive]


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("name", EXPENSIVE)
def test_a_deadline_that_is_documented_is_kept(name, tmp_path, monkeypatch):
    """A client that waits as long as the document says, and no longer, has its answer; here it is seconds that stand for minutes."""
    monkeypatch.setattr(expensive, "LONG_S", 0.1)
    with Factory.create(tmp_path / "f"):
        pass
    asked, never = load(name, OPERATIONS), threading.Event()
    work = Expensive(tmp_path / "f", report=lambda _: None, deadline_s=0.05)

    async def ask() -> bytes:
        return await work.carry_out(
            asked, {}, identity=owner("ada"), hung_up=anyio.sleep_forever, stopping=never
        )

    with pytest.raises(Terminal, match="did not end within"):
        anyio.run(ask)


def test_each_operation_says_how_long_its_answer_may_take_where_that_is_long(tmp_path):
    """A new one is asked about by itself: it is quick, has a deadline, or waits for runs and says so."""
    made = Expensive(tmp_path, report=lambda _: None)
    whole = control_app(
        lambda _: None, OPERATIONS, authenticator=Authenticator("t" * 55), root=tmp_path, expensive=made
    )
    paths = whole.openapi()["paths"]
    long = {name: load(name, OPERATIONS) for name in OPERATIONS}
    long = {name: one for name, one in long.items() if (one.expensive or one.waits) and not one.local}

    said = {name: paths[one.path][one.method.lower()] for name, one in long.items()}

    assert {"run", "retrain"} == {name for name, one in said.items() if "x-waits-for-runs" in one}
    most = {name: LONG_S if one.files else DEADLINE_S for name, one in long.items() if one.expensive}
    assert most == {name: one["x-deadline-s"] for name, one in said.items() if "x-deadline-s" in one}
