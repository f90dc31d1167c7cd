"""What stands around a page may break; the page is shown all the same."""

from pathlib import Path

import pytest
from shown_pages import Get, hostile_factory, pages_of

from linewright.capabilities.members.operations.members import member_add
from linewright.interfaces.console import routes
from linewright.interfaces.console.inbox_cache import InboxCache
from linewright.line.factory import Factory

PAGES = ("/", "/lines/claims", "/alerts", "/goals", "/runs", "/proposals", "/lines/claims/predictions")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("parts") / "factory")
    with Factory.open(folder) as factory:
        member_add(factory, "ada", role="engineer")
    return folder


@pytest.fixture(scope="module")
def get(root: Path) -> Get:
    return pages_of(root)


def breaks(*_: object, **__: object) -> None:
    """Fail as a bug does."""
    raise IndexError("list index out of range")


def test_an_unforeseen_error_in_the_inbox_costs_the_inbox_alone(get: Get, monkeypatch, capfd):
    """One broken file of one line once took eleven pages from everybody who annotates."""
    monkeypatch.setattr(InboxCache, "of", breaks)
    shown = [get(path) for path in PAGES]
    told = capfd.readouterr().err

    assert {200} == {one.status for one in shown}
    assert all("What waits for you could not be computed." in one.text for one in shown)
    assert all("Your saved views could not be computed." not in one.text for one in shown)
    assert 1 == told.count("Traceback") == told.count("IndexError: list index out of range")


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("_leads_somewhere", "Your saved views could not be computed."),
        ("_task_of", "The other pages of this line could not be computed."),
    ],
)
def test_each_part_breaks_alone(get: Get, monkeypatch, capfd, part: str, says: str):
    """What is not broken stands where it stood."""
    get("/do/save-view", form={"page": "/alerts", "name": "mine"}, member="ada")
    before = get("/lines/claims", member="ada")
    monkeypatch.setattr(routes, part, breaks)
    after = get("/lines/claims", member="ada")

    assert (200, False, True) == (after.status, says in before.text, says in after.text)
    assert "What waits for you" not in after.text
    assert 1 == capfd.readouterr().err.count("Traceback")


def test_a_part_that_is_loaded_later_breaks_alone(get: Get, monkeypatch, capfd):
    """Its card once held the text of a server's error, and no way on."""
    path = "/lines/claims/monitors"
    monkeypatch.setattr(routes.Ask, "__call__", breaks)
    shown = get(path, headers={"X-Fragment": "main"})

    assert 200 == shown.status
    assert "This could not be computed. The log of the control plane says why. Try again" in shown.text
    assert path in shown.links
    assert 1 == capfd.readouterr().err.count("Traceback")
