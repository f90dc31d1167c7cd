"""The console: who sees a page, who may send its forms, and what other sites can make a browser do."""

import asyncio
import html
from collections.abc import Iterator

import pytest
from console_pages import PAGES
from served import PASSWORD, SITE, Browser, Served

from linewright.capabilities.members.operations.console import console, console_link
from linewright.capabilities.members.operations.members import member_remove
from linewright.capabilities.members.operations.tokens import token_create
from linewright.errors import Denied
from linewright.line.factory import Factory
from linewright.people.facts import Commented
from linewright.serve.access.authenticate import local_identity

PAGE = {"Accept": "text/html"}
VISIT = {**PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
OWN = {**PAGE, "Origin": SITE, "Sec-Fetch-Site": "same-origin"}
EVIL = """\'"><script>alert(1)</script><img src=x onerror=alert(2)>{{31337*7}}${31337*7}=1+1"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("console") / "factory"
    with asyncio.Runner() as runner, Factory.create(root) as factory:
        (root / "lines" / "claims.yaml").write_text(
            "line: claims\nsources: {a: {file: a.csv}}\nlabel: {column: y}\n"
        )
        factory.metadata.register("claims", "sha256:" + "0" * 64, at=factory.now())
        yield Served(factory, runner)


@pytest.fixture
def served(shared: Served) -> Served:
    return shared.begin()


def owner(served: Served) -> Browser:
    """Return the browser of the owner, who has used a link."""
    client = served.client()
    assert 303 == enter(client, link(served)).status_code
    return client


def link(served: Served) -> str:
    return console_link(served.factory, "").partition("code=")[2]


def enter(client: Browser, code: str, **more: str):
    return client.post("/sign-in", data={"code": code, **more}, headers=OWN)


@pytest.mark.parametrize("path", [entry.path.replace("{", "").replace("}", "") for entry in PAGES.values()])
def test_whoever_is_not_signed_in_is_led_to_where_they_do_that(path: str, served: Served):
    """And from there to where they wanted to go; nothing of the factory is told."""
    client = served.client()
    answer = client.get(path, headers=PAGE)
    assert 303 == answer.status_code
    assert answer.headers["location"].startswith("/sign-in")
    assert b"" == answer.content
    assert client.get(path, headers=VISIT).status_code == 200, "our own page asks once more, with the cookie"
    assert "claims" not in client.get(path, headers=VISIT).text


def test_the_link_signs_the_owner_in_once(served: Served):
    """It is of no use in a shell's history, and a wrong one tells nothing."""
    code, client = link(served), served.client()
    assert 200 == client.get(f"/sign-in?code={code}", headers=VISIT).status_code
    assert code in client.get(f"/sign-in?code={code}").text
    assert 303 == enter(client, code).status_code
    assert "<span>owner</span>" in client.get("/", headers=PAGE).text
    for wrong in (code, "lw_00000000_" + "x" * 43, "", EVIL):
        answer = enter(served.client(), wrong)
        assert (403, True) == (answer.status_code, "unknown, used or expired" in answer.text)
        assert "set-cookie" not in answer.headers


def test_a_second_link_ends_the_first_and_both_end_by_themselves(served: Served):
    first, second = link(served), link(served)
    assert [403, 303] == [enter(served.client(), code).status_code for code in (first, second)]
    late = link(served)
    served.at = "2999-01-01T00:00:00.000000Z"
    assert 403 == enter(served.client(address="10.1.1.1"), late).status_code


def test_the_owners_session_ends_once_an_admin_has_a_token(served: Served):
    """As the owner's token does: from then on people sign in."""
    client = owner(served)
    assert 200 == client.get("/people", headers=PAGE).status_code
    served.member("ada")
    token_create(served.factory, "of-ada", kind="admin", member="ada")
    assert 303 == client.get("/people", headers=PAGE).status_code
    assert 401 == client.get("/api/v1/status").status_code


def test_a_member_does_not_become_owner_by_a_link(served: Served):
    """An admin may not train or approve; a link of their own would let them."""
    served.member("ada")
    token = token_create(served.factory, "of-ada", kind="admin", member="ada").token
    ada = local_identity(served.state, token, "x")
    with (
        Factory.open(served.factory.root, identity=ada) as factory,
        pytest.raises(Denied, match="owner's"),
    ):
        console(factory)


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\r\nX: y",
        "http:evil",
    ],
)
def test_signing_in_and_forms_lead_to_no_other_site(to: str, served: Served):
    """An open redirect makes a page of another site look like one of ours."""
    assert "/" == enter(served.client(), link(served), next=to).headers["location"]
    client = owner(served)
    answer = client.post("/do/comment", data={"line": "claims", "text": "x", "_next": to}, headers=OWN)
    assert answer.headers["location"].startswith("/?note=")
    assert to not in served.client().get("/sign-in", params={"next": to}).text or to == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_no_other_site_sends_a_form_of_ours(headers: dict[str, str], served: Served):
    """Also with the cookie, which a browser would not even send along."""
    client = owner(served)
    before = len(served.factory.metadata.events(Commented))
    answer = client.post(
        "/do/comment", data={"line": "claims", "text": "forged"}, headers={**PAGE, **headers}
    )
    assert 403 == answer.status_code
    assert before == len(served.factory.metadata.events(Commented))
    assert (
        403 == client.get("/lines/claims", headers={**PAGE, **headers, "Sec-Fetch-Mode": "cors"}).status_code
    )


def test_a_form_asks_for_what_its_sender_may_do_and_nothing_else(served: Served):
    served.member("vic", role="viewer")
    client = served.signed_in("vic")
    for name in ("halt", "run", "token-create", "member-add", "gc", "approve"):
        answer = client.post(f"/do/{name}", data={"line": "claims", "name": "x", "because": "x"}, headers=OWN)
        assert 403 == answer.status_code, name
        assert "text/html" in answer.headers["content-type"]
    for name in ("nothing", "up", "console", "../api/v1/halt", "login"):
        assert client.post(f"/do/{name}", data={"_next": "/"}, headers=OWN).status_code in {403, 404, 405}, (
            name
        )
    assert 415 == client.post("/do/comment", json={"line": "claims", "text": "x"}, headers=OWN).status_code
    assert 422 == client.post("/do/comment", data={"line": "claims", "x": "y"}, headers=OWN).status_code


def test_a_session_that_ends_sees_nothing_more(served: Served):
    served.member("ada")
    served.member("bob")
    client = served.signed_in("ada")
    assert 200 == client.get("/people", headers=PAGE).status_code
    member_remove(served.factory, "ada")
    assert 303 == client.get("/people", headers=PAGE).status_code


def test_a_page_has_a_strict_policy_and_is_kept_nowhere(served: Served):
    client = owner(served)
    for path in ("/", "/lines/claims", "/people", "/nothing", "/proposals/zzz"):
        headers = client.get(path, headers=PAGE).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy, path
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert ("no-referrer", "no-store", "nosniff") == (
            headers["referrer-policy"],
            headers["cache-control"],
            headers["x-content-type-options"],
        )


def test_what_people_write_is_text_and_no_markup(served: Served):
    """In comments, names, searches and addresses."""
    client = owner(served)
    client.post("/do/comment", data={"line": "claims", "text": EVIL}, headers=OWN)
    client.post("/do/member-add", data={"name": "x" + EVIL, "role": "viewer"}, headers=OWN)
    pages = [
        client.get("/lines/claims", headers=PAGE),
        client.get("/", params={"q": EVIL}, headers=PAGE),
        client.get("/people", headers=PAGE),
        client.get("/lines/" + EVIL.replace("/", ""), headers=PAGE),
        client.get("/proposals/" + EVIL.replace("/", ""), headers=PAGE),
        client.get("/", params={EVIL: "x"}, headers=PAGE),
        client.post("/do/" + EVIL.replace("/", ""), data={}, headers=OWN),
        client.post("/do/comment", data={"line": EVIL, "text": EVIL, EVIL: EVIL}, headers=OWN),
    ]
    assert EVIL in html.unescape(pages[0].text)
    for page in pages:
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
        assert "{{31337*7}}" in html.unescape(page.text) or "7*7" not in page.text, (
            "no template was made of it"
        )


def test_more_lines_than_a_page_shows_are_on_the_next(served: Served):
    """A thousand lines are ten pages, and a search finds each."""
    folder = served.factory.root / "lines"
    files = [folder / f"many-{number:03}.yaml" for number in range(150)]
    for file in files:
        file.write_text(f"line: {file.stem}\nsources: {{a: {{file: a.csv}}}}\nlabel: {{column: y}}\n")
    try:
        client = owner(served)
        client.post("/do/comment", data={"line": "claims", "text": "looked at again"}, headers=OWN)
        first, second = (client.get(f"/?page={number}", headers=PAGE).text for number in (1, 2))
        assert ("1 / 2" in first, "2 / 2" in second) == (True, True)
        assert ("many-000" in first, "many-149" in first, "many-149" in second) == (True, False, True)
        assert "many-149" in client.get("/?q=many-149", headers=PAGE).text
    finally:
        for file in files:
            file.unlink()


def test_addresses_are_short_and_say_nothing_twice(served: Served):
    client = owner(served)
    assert 422 == client.get("/", params={"q": "x" * 501}, headers=PAGE).status_code
    assert 422 == client.get("/?q=a&q=b", headers=PAGE).status_code
    assert 422 == client.get("/?nothing=1", headers=PAGE).status_code
    assert 404 == client.get("/static/../table.py", headers=PAGE).status_code
    assert PASSWORD not in client.get("/people", headers=PAGE).text
