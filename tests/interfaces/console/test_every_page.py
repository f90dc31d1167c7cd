"""Every page of the table in a real browser, with hostile names: nothing of them is carried out, and anybody can use it."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import hostile as names
import pytest
from browser import SIZES, Watched, address, expect, visitor
from console_pages import PAGES
from control import control_here
from hostile import hostile_factory
from shown_pages import app_of


class Visit(NamedTuple):
    """What is looked at of a page."""

    path: str = ""
    """Address, with values in braces (default: that of the table)."""
    shows: tuple[str, ...] = ()
    """Texts of somebody that stand on it as they were written."""


FILLED = urlencode({f"c.{names.AMOUNT}": 0.4, f"c.{names.AGE}": 40, f"c.{names.KIND}": names.KINDS[1]})
VISITS = {
    "factory": Visit("/?by=goal", (names.GOAL, names.TAG)),
    "alerts": Visit("/alerts?over=1", (names.EVERYTHING,)),
    "value": Visit(shows=(names.GOAL,)),
    "proposals": Visit("/proposals?all=1", (names.EVERYTHING,)),
    "people": Visit(shows=(names.MEMBER, names.TOKEN)),
    "audit": Visit(shows=(names.EVERYTHING,)),
    "entry": Visit("/audit/{entry}", (names.EVERYTHING,)),
    "proposal": Visit(shows=(names.EVERYTHING,)),
    "line": Visit(shows=(names.EVERYTHING,)),
    "release": Visit(shows=(names.EVERYTHING,)),
    "line-value": Visit(),
    "what-if": Visit("/lines/{line}/value/what-if?false_positive=-30", (names.POSITIVE,)),
    "try": Visit(f"/lines/{{line}}/try?{FILLED}", (names.AMOUNT, names.KINDS[1], names.LABEL)),
    "file-check": Visit(shows=(names.AMOUNT,)),
    "datasets": Visit(shows=(names.FILE, *names.COLUMNS)),
    "difference": Visit("/lines/{line}/datasets/diff?before={before}&after={digest}", (names.KIND,)),
    "quarantine": Visit(shows=names.COLUMNS),
    "dataset": Visit(shows=(names.EVERYTHING,)),
    "profile": Visit(shows=names.COLUMNS),
    "monitors": Visit(shows=(names.KIND, names.AMOUNT)),
    "alert": Visit("/alerts/{alert}", (names.EVERYTHING, names.KIND, *names.KINDS)),
    "worst-slice": Visit("/alerts/{alert}/slice"),
    "predictions": Visit(shows=(names.POSITIVE, names.NEGATIVE)),
    "prediction": Visit("/predictions/{prediction}", names.COLUMNS[:-1]),
    "replay": Visit("/predictions/{prediction}/replay", (names.AMOUNT,)),
    "version": Visit(shows=(names.EVERYTHING, names.AMOUNT)),
    "card": Visit(shows=(names.AMOUNT, names.LABEL, names.POSITIVE)),
    "rows": Visit("/lines/{line}/datasets/{digest}/rows?split={split}&part=test", names.COLUMNS),
    "evidence": Visit("/evidence/{explanation}?line={line}", (names.AMOUNT,)),
    "label": Visit("/lines/{line}/label?consent=1", (names.EVERYTHING, names.AMOUNT, names.POSITIVE)),
    "labels": Visit(shows=(names.MEMBER,)),
}
"""By the name of the page; one that is not here is looked at by its address in the table, and need show no text of somebody."""
FURTHER = {
    "consent": Visit("/lines/{line}/label", (names.EVERYTHING,)),
    "tags": Visit("/?by=tag", (names.TAG,)),
    "disputed": Visit("/lines/{line}/label?decide=1&consent=1", (names.POSITIVE, names.NEGATIVE)),
    "searched": Visit(f"/?{urlencode({'q': names.EVERYTHING[:90]})}", (names.EVERYTHING[:90],)),
    "unknown": Visit(f"/lines/{quote(names.IMAGE)}"),
    "no-evidence": Visit(f"/evidence/{quote(names.IMAGE)}", (names.IMAGE,)),
    "strange-query": Visit(f"/alerts?{quote(names.IMAGE)}=1", (names.IMAGE,)),
}
"""Other states of pages, and errors."""
TABLE = f'{names.SCRIPT},"{names.IMAGE.replace(chr(34), chr(34) * 2)}",{names.FORMULA}\n1,2,3\n'
FILL = """(form, [fields, operation, byScript]) => {
  for (const [name, value] of Object.entries(fields)) form.elements[name].value = value;
  form.noValidate = true;
  form.setAttribute("action", "/do/" + operation);
  if (byScript) form.requestSubmit(); else form.submit();
}"""
"""Fills in a form past what a browser checks, and sends it: by the script of the console, or as a browser does without it."""
_HARM = """(server) => {
  const all = [...document.querySelectorAll("*")];
  const ours = (each) => !each.textContent && new URL(each.src).origin === location.origin && new URL(each.src).pathname.startsWith("/static/");
  const where = ["href", "src", "action", "formaction", "data-load", "data-into", "xlink:href", "srcdoc"];
  const said = (each) => each.outerHTML.slice(0, 200);
  return {
    scripts: all.filter((each) => each.localName === "script" && !ours(each)).map(said),
    strange: all.filter((each) => ["img", "iframe", "object", "embed", "base", "style"].includes(each.localName)
      && !(each.localName === "style" && location.protocol === "file:")).map(said),
    handlers: all.filter((each) => [...each.attributes].some((one) => one.name.startsWith("on") || one.name === "style")).map(said),
    links: all.filter((each) => where.some((one) => /^[^a-z]*javascript:/i.test(each.getAttribute(one) || ""))).map(said),
    elsewhere: all.filter((each) => each.href && typeof each.href === "string" && new URL(each.href).origin !== location.origin
      && new URL(each.href).origin !== server).map(said),
    turned: all.filter((each) => each.matches("main :is(a, span, strong, time)") && getComputedStyle(each).unicodeBidi === "normal").map(said),
    hit: window.__hit || null,
    html: document.documentElement.outerHTML,
    text: [document.title, document.body.textContent, ...[...document.querySelectorAll("input, textarea")].map((each) => each.value)]
      .join(" ").replace(/\\s+/g, " "),
  };
}"""

_RESIZED = """async (width) => { while (innerWidth !== width) await new Promise(requestAnimationFrame); }"""
_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((each) => each.scrollWidth + each.getBoundingClientRect().left > innerWidth && getComputedStyle(each).overflowX === "visible")
  .map((each) => each.outerHTML.slice(0, 200)).slice(-9)"""
"""What makes the page wider than the screen."""


class Hostile(NamedTuple):
    """A browser at a factory with hostile names."""

    looks: Watched
    saved: Watched
    """A page for files."""
    values: Mapping[str, str]
    folder: Path
    base: str


@pytest.fixture(scope="module")
def here(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """Open a browser at the factory, once for all pages."""
    folder = tmp_path_factory.mktemp("hostile")
    root, values = hostile_factory(tmp_path_factory, folder / names.FOLDER)
    files = browser.new_context(offline=True)
    with (
        control_here(root, app_of(root)) as up,
        visitor(browser, up, names.VISITOR, viewport=SIZES["desktop"]) as looks,
    ):
        yield Hostile(looks, Watched(files.new_page()), values, folder, address(up))
    files.close()


@pytest.mark.parametrize("name", [*PAGES, *FURTHER])
def test_no_name_is_carried_out_and_anybody_can_use_the_page(name: str, here: Hostile):
    """Neither by a browser, which opens the page and the file that it is saved as, nor by a spreadsheet or a template."""
    looks, page = here.looks, here.looks.page
    visit = FURTHER.get(name) or VISITS.get(name, Visit())
    path = (visit.path or PAGES[name].path).format_map(here.values)
    answer = page.goto(path)
    expect(page.locator("[data-load], [aria-busy]")).to_have_count(0, timeout=30_000)

    assert answer.ok or name in FURTHER, page.locator("main").text_content()
    _assert_harmless(looks, visit.shows)
    _assert_accessible(page)
    if answer.ok:
        for link in page.locator("a[href*='data='][href$='.csv']").all():
            _assert_no_formula(page.request.get(link.get_attribute("href")))
        _assert_saved(here, path)
    refused = [] if answer.ok else [each for each in looks.troubles if "Failed to load resource" in each]
    troubles = [each for each in looks.troubles if each not in refused]
    looks.troubles.clear()
    assert not troubles


@pytest.mark.parametrize("by_script", [True, False], ids=["by-script", "plain"])
@pytest.mark.parametrize(
    ("path", "operation", "fields", "shows"),
    [
        ("/people", "member-add", {"name": names.IMAGE}, names.IMAGE),
        ("/people", "token-create", {"name": names.SCRIPT}, names.SCRIPT),
        ("/new", "new", {"name": names.IMAGE, "label": names.AREA, "_text.data": TABLE}, names.IMAGE),
        ("/new", "new", {"name": "made", "label": names.AREA, "_text.data": TABLE}, names.AREA),
        ("/new", "new", {"name": "made", "label": "a", "data": names.SCRIPT}, names.SCRIPT),
        ("/lines/claims/file", "check-text", {"file": f"line: {names.TITLE}\n{names.AREA}"}, names.AREA),
        ("/lines/claims/labels", "annotate-queue", {"size": "0", "consent": names.SCRIPT}, "size"),
        ("/lines/claims", "comment", {"text": f"{names.EVERYTHING} new"}, f"{names.EVERYTHING} new"),
    ],
    ids=["member", "token", "line", "label", "file", "line-file", "queue", "comment"],
)
def test_what_a_form_is_answered_tells_a_name_as_text(  # noqa: PLR0917 -- what is filled in, and how it is sent
    path: str, operation: str, fields: Mapping[str, str], shows: str, by_script: bool, here: Hostile
):
    """Whether it is taken or refused: an error is the place where a name comes back as it was sent."""
    page = here.looks.page
    page.goto(path)
    form = page.locator(f"form[action='/do/{operation}'], form:has([formaction='/do/{operation}'])").first
    form.evaluate(FILL, [dict(fields), operation, by_script])
    expect(page.locator("main")).to_contain_text(re.compile(re.escape(shows).replace(r"\ ", r"\s+")))

    _assert_harmless(here.looks, (shows,))
    here.looks.troubles[:] = [each for each in here.looks.troubles if "Failed to load resource" not in each]
    assert [] == here.looks.troubles


def test_a_file_with_a_hostile_name_and_hostile_columns_is_refused_as_text(here: Hostile):
    page = here.looks.page
    page.goto("/new")
    file = {"name": names.FILE, "mimeType": "text/csv", "buffer": TABLE.encode()}
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator("datalist option")).to_have_count(3)
    assert names.IMAGE in [each.get_attribute("value") for each in page.locator("datalist option").all()]
    page.get_by_label("Name of the line").fill("sent")
    page.get_by_label("Column to predict").fill(names.SCRIPT)
    page.get_by_role("button", name="Look at the table").click()
    page.locator(".problem section").wait_for()

    _assert_harmless(here.looks, ())
    here.looks.troubles[:] = [each for each in here.looks.troubles if "Failed to load resource" not in each]


def test_the_page_to_sign_in_tells_a_name_as_text(browser: Any, here: Hostile):
    context = browser.new_context(base_url=here.base)
    looks = Watched(context.new_page())
    looks.page.goto(f"/sign-in?{urlencode({'next': names.ADDRESS + names.IMAGE})}")
    _assert_harmless(looks, ())
    looks.page.get_by_label("Name").fill(names.IMAGE)
    looks.page.get_by_label("Password").fill(names.SCRIPT)
    looks.page.get_by_role("button").click()
    looks.page.get_by_role("alert").wait_for()
    _assert_harmless(looks, (names.IMAGE,))
    context.close()


def _assert_harmless(looks: Watched, shows: tuple[str, ...], *, server: str = "") -> None:
    """Assert that nothing that somebody wrote is carried out; `server` is the origin that links of a saved page may lead to."""
    found = looks.page.evaluate(_HARM, server)
    text, html = found.pop("text"), found.pop("html")

    assert not any(found.values()), found
    assert [] == looks.dialogs
    assert names.PRODUCT not in html.replace(",", "")
    assert [] == [each for each in shows if " ".join(each.split()) not in text], text


def _assert_accessible(page: Any) -> None:
    """Look at the page in both schemes, and at both sizes."""
    found = [("light", each) for each in _violations(page)]
    page.emulate_media(color_scheme="dark")
    found += [("dark", each) for each in _violations(page, runOnly=["color-contrast"])]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(SIZES["phone"])
    page.evaluate(_RESIZED, SIZES["phone"]["width"])
    found += [
        ("phone", each) for each in _violations(page, runOnly=["scrollable-region-focusable", "target-size"])
    ]
    wide = page.evaluate(_WIDE)
    page.set_viewport_size(SIZES["desktop"])
    page.evaluate(_RESIZED, SIZES["desktop"]["width"])

    assert [] == found
    assert [] == wide


def _violations(page: Any, **options: Any) -> list[tuple[str, str]]:
    from axe_playwright_python.sync_playwright import Axe

    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("(options) => axe.run(options)", {"resultTypes": ["violations"], **options})
    return [
        (each["id"], each["nodes"][0]["html"][:200])
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def _assert_no_formula(answer: Any) -> None:
    assert answer.ok
    rows = list(csv.reader(io.StringIO(answer.text())))
    assert len(rows) > 1
    for cell in (cell for row in rows for cell in row):
        assert cell[:1] not in {"=", "+", "@", "\t"}, cell
        assert not cell.startswith("-") or re.fullmatch(r"-[0-9.e+-]+", cell), cell


def _assert_saved(here: Hostile, path: str) -> None:
    """Open the page as the file that it is saved as, where no policy of ours protects anybody."""
    file = here.folder / "saved.html"
    file.write_bytes(here.looks.page.request.get(f"{path}{'&' if '?' in path else '?'}save=1").body())
    here.saved.page.goto(file.as_uri())

    _assert_harmless(here.saved, (), server=here.base)
    assert [] == here.saved.troubles
