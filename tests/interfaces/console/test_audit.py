"""The record and the goals in the console: who did what and when, whether it is as it was, and what it was worth."""

import re

import pytest
from shown_pages import hostile_factory, pages_of

from linewright.capabilities.audit.export import entries
from linewright.capabilities.audit.operations import audit_find
from linewright.line.factory import Factory
from linewright.people.facts import Commented


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Make a factory that has a goal, an account and an entry by somebody with a hostile name."""
    root = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("audited") / "factory")
    (root / "factory.yaml").write_text(
        "format: 1\n"
        "goals:\n"
        "  - {name: '<script>alert(1)</script>', kpi: value, target: 100, lines: [claims]}\n"
        "  - {name: low-costs, kpi: cost, target: 100, lines: [claims]}\n"
        "costs: {cpu_hour: 0.04, label: 0.5, currency: EUR}\n"
    )
    with Factory.open(root) as factory:
        factory.metadata.record(
            Commented(
                at="2026-02-03T04:05:06.000000Z",
                by="<script>alert(1)</script>",
                because="{{31337*7}} =1+1",
                line="claims",
                id="c1",
                about="claims@1",
            )
        )
    return root


@pytest.fixture(scope="module")
def get(root):
    return pages_of(root)


def test_entries_are_found_by_who_line_kind_and_time(root):
    """The newest first, and each with what it is bound to."""
    with Factory.open(root) as factory:
        every = list(entries(factory, after=0))
        newest = audit_find(factory, limit=1000)
        pages = audit_find(factory, limit=3)
        older = audit_find(factory, limit=1000, before=pages.next)
        hers = audit_find(factory, actor="<script>alert(1)</script>")
        promoted = audit_find(factory, kind="promoted", line="claims")
        then = audit_find(factory, since="2026-02-03", until="2026-02-04")

    assert every[::-1] == list(newest.found)
    assert newest.found == (*pages.found, *older.found)
    assert newest.next is None
    assert hers == then
    assert ["commented"] == [one.kind for one in hers.found]
    assert {("promoted", "claims")} == {(one.kind, one.line) for one in promoted.found}


def test_the_page_shows_each_entry_with_its_fields(get):
    page = get("/audit", role="admin")

    assert 200 == page.status
    assert "{{31337*7}} =1+1" in page.text
    assert any(link == "/audit?kind=promoted" for link in page.links)
    page.assert_harmless()
    found = get("/audit?kind=commented&since=2026-02-03", role="admin")
    entry = next(link for link in found.links if link.startswith("/audit/") and link != "/audit/verify")
    shown = get(entry, role="admin")
    assert "claims@1" in shown.text
    assert "sha256:" in shown.text
    shown.assert_harmless()
    assert 404 == get("/audit/999999", role="admin").status
    assert 403 == get(entry, role="engineer").status
    assert 422 == get("/audit?since=yesterday", role="admin").status


def test_the_record_is_verified_on_a_page(get):
    page = get("/audit/verify", role="viewer")

    assert 200 == page.status
    assert "as it was recorded" in page.text
    assert "/audit/verify" in page.links  # to check again
    assert "What a change would look like" in page.text
    head = re.findall("sha256:[0-9a-f]{64}", page.text)[0]
    assert "it is in the record" in get(f"/audit/verify?against={head}", role="viewer").text
    assert "it is not in the record" in get(f"/audit/verify?against=sha256:{'1' * 64}", role="viewer").text


def test_who_lacks_the_audit_finds_the_record_in_its_place(get):
    """Verifying tells a count and a head: it is for all who may see the whole factory."""
    links = {role: get("/", role=role).links for role in ("approver", "viewer", "admin")}

    assert all(
        "/audit/verify" in links[role] and "/audit" not in links[role] for role in ("approver", "viewer")
    )
    assert "/audit" in links["admin"]
    assert "/audit/verify" not in links["admin"]
    of_line = {"role": "viewer", "lines": ("claims",)}
    assert "/audit/verify" not in get("/", **of_line).links
    assert 403 == get("/audit/verify", **of_line).status


def test_the_record_is_for_those_who_look_after_the_factory(get):
    """An engineer and a viewer are told so by a page."""
    for role in ("viewer", "engineer"):
        assert 403 == get("/audit", role=role).status


def test_goals_stand_with_their_progress_and_their_lines(get):
    page = get("/goals", role="viewer")

    assert 200 == page.status
    assert "<script>alert(1)</script>" in page.text
    assert "kept" in page.text
    assert "progress" in page.tags
    assert "no account was kept yet" in page.text
    page.assert_harmless()
