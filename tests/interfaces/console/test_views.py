"""Saved views: a member's own pages, and what becomes of them with backups, removals and damage."""

from pathlib import Path
from urllib.parse import urlencode

import pytest
from console_pages import PAGES
from msgspec.structs import replace
from shown_pages import HOSTILE, Get, hostile_factory, pages_of

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.forget import forget
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.inbox.operations import save_view, views
from linewright.capabilities.members.operations.members import member_add, member_remove
from linewright.errors import RequestError
from linewright.interfaces.console.table import find, view_address
from linewright.line.factory import Factory
from linewright.people.preferences import (
    MOST_VIEWS,
    OWNER,
    Preferences,
    SavedView,
    change_preferences,
    files_in,
    read_preferences,
)
from linewright.serve.access.accounts import read_accounts


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with two members, ada who may see all, and una who sees one line."""
    folder = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("views") / "factory")
    with Factory.open(folder) as factory:
        member_add(factory, "ada", role="engineer")
        member_add(factory, "una", role="viewer", lines=("claims",))
    return folder


@pytest.fixture(scope="module")
def get(root: Path) -> Get:
    return pages_of(root)


@pytest.fixture(autouse=True)
def _nothing_saved(root: Path):
    yield
    for file in files_in(root / ".linewright"):
        file.unlink()


def save(get: Get, member: str, name: str, address: str, **given: object):
    form = {"name": name, "page": address, "_next": "/views"}
    return get("/do/save-view", member=member, form=form, **given)


def of(root: Path, member: str) -> dict[str, str]:
    since = read_accounts(root / ".linewright").members[member].created
    found = read_preferences(root / ".linewright", member, since)
    return {one.name: one.address for one in found.views}


def test_a_saved_view_is_in_the_navigation_of_its_member_alone(get: Get, root: Path):
    """It works without scripts: a form, and links on the next page."""
    mine = "/?q=fraud&need=alert&by=tag"
    told = save(get, "ada", "fraud that needs me", mine)
    hers, others = get("/runs", member="ada"), get("/runs", member="una", role="viewer", lines=("claims",))

    assert 303 == told.status
    assert mine in hers.links
    assert "fraud that needs me" in hers.text
    assert mine not in others.links
    assert "You have saved no view." in get("/views", member="una", role="viewer").text
    assert 'aria-current="page">fraud that needs me' in get(f"{mine}&page=", member="ada").html
    assert {"fraud that needs me": mine} == of(root, "ada")


def test_saving_again_renames_or_replaces_and_a_view_can_be_deleted(get: Get, root: Path):
    save(get, "ada", "one", "/?q=eu")
    save(get, "ada", "two", "/?need=&q=eu")
    renamed = of(root, "ada")
    save(get, "ada", "two", "/runs?line=claims")
    replaced = of(root, "ada")
    get("/do/delete-view", member="ada", form={"name": "two", "_next": "/views"})

    assert {"two": "/?q=eu"} == renamed
    assert {"two": "/runs?line=claims"} == replaced
    assert {} == of(root, "ada")
    assert 404 == get("/do/delete-view", member="ada", form={"name": "two"}).status


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "javascript:alert(1)",
        "/api/v1/status",
        "/sign-out",
        "/do/promote",
        "/?unheard=1",
        "/runs?line=a&line=b",
        "/#main",
        "/nowhere",
        "runs",
        "/runs\n",
        "/?q=" + "x" * 600,
    ],
)
def test_only_an_address_of_our_own_pages_can_be_saved(get: Get, root: Path, address: str):
    assert 422 == save(get, "ada", "elsewhere", address).status
    assert {} == of(root, "ada")


def test_each_page_has_an_address_that_can_be_saved():
    for name, entry in PAGES.items():
        filled = entry.path.replace("{", "a").replace("}", "1")
        assert name == find(filled).route.name or entry.path.count("{")
        assert filled == view_address(filled)


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "two\nlines", "\u202eleft"])
def test_a_view_has_a_name_that_can_be_read(get: Get, root: Path, name: str):
    assert 422 == save(get, "ada", name, "/runs").status
    assert {} == of(root, "ada")


def test_a_member_saves_twenty_views_and_no_more(get: Get, root: Path):
    for number in range(MOST_VIEWS):
        save(get, "ada", f"view {number}", f"/?q={number}")
    one_more = save(get, "ada", "one more", "/?q=more")
    again = save(get, "ada", "view 3", "/?q=other")

    assert 422 == one_more.status
    assert "as many views as one may save" in one_more.text
    assert (303, MOST_VIEWS) == (again.status, len(of(root, "ada")))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_or_search_is_shown_and_not_carried_out(get: Get, name: str):
    told = save(get, "ada", name, "/?" + urlencode({"q": name}))
    for page in ("/views", "/runs", told.location):
        shown = get(page, member="ada")
        assert 200 == shown.status
        assert name in shown.text
        shown.assert_harmless()


def test_what_a_file_says_that_leads_elsewhere_is_no_link(get: Get, root: Path):
    """Somebody may have written the file: an old version, or a backup from elsewhere."""
    state = root / ".linewright"
    since = read_accounts(state).members["ada"].created
    evil = SavedView(name="evil", address="javascript:alert(1)")
    change_preferences(state, "ada", since, lambda now: replace(now, views=(evil,)))

    assert "evil" not in get("/runs", member="ada").text


def test_a_token_that_is_nobodys_has_no_views(get: Get):
    shown = get("/views")

    assert 403 == save(get, "", "mine", "/runs").status
    assert 200 == shown.status
    assert "/do/save-view" not in shown.forms
    assert "/do/save-view" in get("/views", member="ada").forms


def test_whoever_sees_one_line_saves_a_view_of_it(get: Get, root: Path):
    told = save(get, "una", "mine", "/lines/claims/release", role="viewer", lines=("claims",))

    assert 303 == told.status
    assert {"mine": "/lines/claims/release"} == of(root, "una")
    assert 403 == save(get, "una", "x", "/runs", role="predict").status


def test_damage_is_told_where_views_are_asked_for_and_keeps_no_page_from_being_shown(get: Get, root: Path):
    save(get, "ada", "mine", "/runs")
    (root / ".linewright" / "preferences" / "ada.json").write_text("{")

    assert 200 == get("/runs", member="ada").status
    shown = get("/views", member="ada")
    assert 502 == shown.status
    assert "preferences of a member are damaged" in shown.text
    assert 502 == save(get, "ada", "again", "/runs").status


def test_another_member_of_the_same_name_gets_none_of_them(tmp_path: Path):
    """Removal takes them away; and a file that a restore brought back is of the member of then."""
    with Factory.create(tmp_path) as factory:
        member_add(factory, "ada", role="admin")
        member_add(factory, "bob", role="viewer")
        view = SavedView(name="mine", address="/runs")
        was = read_accounts(factory.state).members["bob"].created
        change_preferences(factory.state, "bob", was, lambda now: now.with_view(view))
        member_remove(factory, "bob")
        after_removal = files_in(factory.state)
        member_add(factory, "bob", role="viewer")
        change_preferences(factory.state, "bob", was, lambda now: now.with_view(view))
        created = read_accounts(factory.state).members["bob"].created

        assert [] == after_removal
        assert was != created
        assert Preferences(since=created) == read_preferences(factory.state, "bob", created)


def test_a_backup_has_them_and_a_restore_brings_them_back(tmp_path: Path):
    with Factory.create(tmp_path / "factory") as factory:
        save_view(factory, "mine", "/runs")
        made = make_backup(factory, tmp_path / "backup.tar")
    restore_backup(Factory(tmp_path / "restored"), Path(made.file))
    with Factory.open(tmp_path / "restored") as factory:
        assert ["mine"] == [one.name for one in views(factory).views]
        assert 0o600 == (factory.state / "preferences" / f"{OWNER}.json").stat().st_mode & 0o777


def test_what_is_forgotten_about_a_person_is_in_no_address_either(tmp_path_factory, tmp_path: Path):
    root = hostile_factory(tmp_path_factory, tmp_path / "factory")
    path = root / "lines" / "claims.yaml"
    path.write_text(path.read_text().replace("table: {key: claim}", "table: {key: claim, subject: claim}"))
    person = f"C003{HOSTILE[3]}"
    with Factory.open(root) as factory:
        save_view(factory, "her", "/lines/claims/predictions?" + urlencode({"key": person}))
        save_view(factory, "all", "/lines/claims/predictions")
        forgot = forget(factory, "claims", person, dry_run=False)

        assert ["all"] == [one.name for one in views(factory).views]
        assert () == tuple(one for one in forgot.left if "preferences" in one)


def test_a_view_without_empty_values_is_the_same_view():
    assert "/?need=alert" == view_address("/?q=&need=alert&by=&page=")
    assert "/lines/claims/try?c.amount=" == view_address("/lines/claims/try?c.amount=")
    with pytest.raises(RequestError, match="no page has that address"):
        view_address("/nowhere")
