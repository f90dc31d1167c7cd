"""Signing in at a provider of OpenID Connect: whom it lets in, what is refused, and that a sign-in belongs to the browser that began it."""

import asyncio
import base64
import hashlib
import os
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec.structs import replace
from provider import CLIENT, KEYS, OTHER, SECRET, Provider, provider, signed

from linewright.capabilities.members.operations.login import login
from linewright.capabilities.members.operations.members import member_add, member_remove, member_role
from linewright.errors import Conflict, LinewrightError, RequestError, SpecError, Terminal, Transient
from linewright.interfaces.cli.login import main as login_program
from linewright.interfaces.cli.saved_sessions import token_for
from linewright.interfaces.http.app import bound, control_app, serve_control
from linewright.interfaces.http.provider_sign_in import open_provider
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.operations.table import OPERATIONS
from linewright.people.facts import MemberChanged, SignedIn, SignInRefused
from linewright.people.spec import Role
from linewright.plugins import oidc
from linewright.serve.access.accounts import Accounts, Grant, read_accounts
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.change_accounts import change
from linewright.serve.access.one_time import MOST, MOST_OF_ONE, OneTime
from linewright.serve.access.provider_members import Begun, Vouched, enter
from linewright.serve.access.rights import ROLES
from linewright.serve.access.sign_in import begin_session, first_invitation, invite
from linewright.store.clock import now_utc

FILE = """\
format: 1
sign_in:
  oidc:
    issuer: {issuer}
    client_id: linewright
    client_secret: file:secret
    groups:
      staff: viewer
      makers: {{role: engineer, lines: [parts, claims], tags: [eu]}}
      admins: admin
"""
STATUS, LINES = "/api/v1/member-list", "/api/v1/status"
VISIT = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
_TLS = ssl.create_default_context()
"""Made once: reading the authorities costs more than a request."""
ADA = {"sub": "u-1", "preferred_username": "Ada", "groups": ["staff", "admins", "others"]}


class World:
    """A provider, and the control plane of a factory whose members sign in at it."""

    def __init__(self, at: Provider, factory: Factory, plugin: Any) -> None:
        self.at, self.factory, self.plugin = at, factory, plugin
        self.url, self.tests = "", 0

    def app(self) -> Any:
        return control_app(
            lambda asked: Factory.open(self.factory.root, identity=asked),
            OPERATIONS,
            authenticator=Authenticator(state=self.factory.state),
            root=self.factory.root,
            provider=self.plugin,
            hosts=["factory.example.org"],
        )

    @property
    def address(self) -> str:
        """Where browsers are: each test has an address, so that what failed in others is not held against it."""
        return f"127.1.0.{self.tests}"

    def browser(self) -> httpx.Client:
        transport = httpx.HTTPTransport(local_address=self.address, verify=_TLS)
        return httpx.Client(base_url=self.url, timeout=30, transport=transport)

    def begin(self, browser: httpx.Client, **query: str) -> str:
        """Go to the provider, and return where it sends the browser."""
        sent = browser.get("/sign-in/oidc", params=query, headers={"Sec-Fetch-Site": "same-origin"})
        assert 303 == sent.status_code, sent.text
        back = httpx.get(sent.headers["location"], verify=_TLS)
        assert back.headers["location"].startswith(f"{self.url}/sign-in/oidc/callback?")
        return back.headers["location"]

    def sign_in(self, browser: httpx.Client, **person: Any) -> httpx.Response:
        """Sign a person in at the provider and here."""
        self.at.person = person or ADA
        return browser.get(self.begin(browser), headers=VISIT)

    def events(self, kind: Any) -> list[Any]:
        return list(self.factory.metadata.events(kind))

    def members(self) -> dict[str, Any]:
        return dict(read_accounts(self.factory.state).members)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root, ports, ending = tmp_path_factory.mktemp("oidc") / "factory", Queue[int](), Event()
    with provider() as at, Factory.create(root) as factory:
        for line in ("claims", "parts"):
            text = f"line: {line}\nsources: {{t: {{file: t.csv}}}}\nlabel: {{column: y, positive: 'yes'}}\n"
            (root / "lines" / f"{line}.yaml").write_text(text)
        (root / "factory.yaml").write_text(FILE.format(issuer=at.issuer))
        (root / "secret").write_text(SECRET + "\n")
        made = World(at, factory, None)
        made.plugin = open_provider(root, now_utc)
        app, listening = made.app(), bound("127.0.0.1", 0)
        serve = partial(serve_control, app, listening, ready=ports.put, is_stopped=ending.is_set)
        thread = threading.Thread(target=serve)
        thread.start()
        made.url = f"http://127.0.0.1:{ports.get(timeout=30)}"
        yield made
        ending.set()
        thread.join(30)


@pytest.fixture
def world(shared: World) -> World:
    """Begin without members, and with a provider of which nothing is known."""
    shared.at.begin()
    shared.tests += 1
    (shared.factory.root / "secret").write_text(SECRET + "\n")
    shared.plugin._said = shared.plugin._keys = shared.plugin._trouble = None
    (shared.factory.state / "access.json").unlink(missing_ok=True)
    return shared


def test_a_member_is_who_the_provider_says_and_may_what_the_groups_say(world):
    """From the link on the page to a request."""
    before = len(world.events(SignedIn)), len(world.events(MemberChanged))
    with world.browser() as browser:
        page = browser.get("/sign-in").text
        done = world.sign_in(browser)
        cookies = done.headers.get_list("set-cookie")
        seen = browser.get(STATUS)

    assert f'<a href="/sign-in/oidc">Sign in with {urlsplit(world.at.issuer).netloc}</a>' in page
    assert (303, "/") == (done.status_code, done.headers["location"])
    assert ["SameSite=Strict", "SameSite=Lax"] == [one.rpartition("; ")[2] for one in cookies]
    assert "Max-Age=0" in cookies[1]
    [ada] = seen.json()["members"]
    assert ("ada", ["viewer", "admin"], world.at.issuer, False) == (
        ada["member"],
        ada["roles"],
        ada["provider"],
        ada["has_password"],
    )
    signed_in, changed = world.events(SignedIn)[before[0] :], world.events(MemberChanged)[before[1] :]
    assert [("ada", "ada", world.at.issuer, world.address)] == [
        (one.by, one.member, one.provider, one.address) for one in signed_in
    ]
    assert [("ada", ("viewer", "admin"), world.at.issuer)] == [
        (one.member, tuple(role.role for role in one.roles), one.provider) for one in changed
    ]


def test_the_name_stays_and_the_roles_follow_the_groups(world):
    """A role that is gone at the provider is gone here, with the sessions that had it; a new name there is no new member here."""
    with world.browser() as first, world.browser() as second:
        world.sign_in(first)
        assert 200 == first.get(STATUS).status_code
        world.sign_in(second, sub="u-1", preferred_username="countess", groups="makers")
        ended, kept = first.get(LINES).status_code, second.get(LINES + "?line=parts").status_code
        refused = second.get(STATUS).status_code
        again = world.sign_in(first, sub="u-1", preferred_username="countess", groups=["makers"])

        assert (401, 200, 403, 303) == (ended, kept, refused, again.status_code)
        assert 200 == second.get(LINES + "?line=parts").status_code
    assert {"ada": (Grant(role="engineer", lines=("claims", "parts"), tags=("eu",)),)} == {
        name: one.grants for name, one in world.members().items()
    }


def test_somebody_without_a_group_gets_in_nowhere_and_loses_what_they_had(world):
    """Refused, recorded, and no member; whoever was one is signed out."""
    grace = {"sub": "u-9", "preferred_username": "grace"}
    with world.browser() as stranger, world.browser() as browser:
        refused = world.sign_in(stranger, **{**grace, "groups": ["others"]})
        assert (403, {}) == (refused.status_code, world.members())
        assert "no group of yours" in refused.text
        world.sign_in(browser, **{**grace, "groups": ["admins"]})
        assert 200 == browser.get(STATUS).status_code
        gone = world.sign_in(stranger, **grace)

        assert (403, 401) == (gone.status_code, browser.get(STATUS).status_code)
    assert () == world.members()["grace"].grants
    deadline = time.monotonic() + 30
    found: list[Any] = []
    while not found and time.monotonic() < deadline:  # it is recorded after the answer
        found = [one for one in world.events(SignInRefused) if one.member == "grace"]
        time.sleep(0.01)
    assert [(world.at.issuer, "no group with a role")] == [(one.provider, one.because) for one in found]


def test_a_name_is_taken_over_by_nobody(world):
    """Neither a local member's, with a password or an invitation, nor that of somebody else at the provider."""
    member_add(world.factory, "ada", role="viewer")
    local = world.members()["ada"]
    with world.browser() as browser:
        refused = world.sign_in(browser)
        assert (409, {"ada": local}) == (refused.status_code, world.members())
        member_remove(world.factory, "ada")
        assert 303 == world.sign_in(browser).status_code
        other = world.sign_in(browser, sub="u-2", preferred_username="ada", groups=["staff"])

    assert (409, "u-1") == (other.status_code, world.members()["ada"].subject)


@pytest.mark.parametrize("name", ["", "../x", "ada lovelace", "\u212aate", "a" * 64, 7, None])
def test_what_cannot_be_a_name_makes_no_member(world, name):
    """The Kelvin sign would become a k as a small letter."""
    with world.browser() as browser:
        refused = world.sign_in(browser, sub="u-1", preferred_username=name, groups=["staff"])

    assert refused.status_code in {401, 422}
    assert {} == world.members()


def test_a_member_of_a_provider_has_no_second_way_in(world):
    """No password, no roles of ours; and `up` invites no first admin of that name."""
    with world.browser() as browser:
        world.sign_in(browser)
        told = browser.post("/api/v1/member-invite", json={"name": "ada"})
        password = browser.post("/api/v1/sign-in", json={"name": "ada", "password": ""})

    assert (409, 401) == (told.status_code, password.status_code)
    with pytest.raises(Conflict, match="signs in at a provider"):
        invite(world.factory.state, "ada", now_utc())
    with pytest.raises(Conflict, match="come from the groups"):
        member_role(world.factory, "ada", "engineer")
    assert first_invitation(world.factory.state, now_utc()) is None
    assert world.at.issuer == read_accounts(world.factory.state).without_secrets().members["ada"].issuer


@pytest.mark.parametrize("alg", oidc.ALGORITHMS)
def test_each_signature_that_counts_lets_in(world, alg):
    """With whatever other keys the provider has."""
    world.at.alg = alg
    with world.browser() as browser:
        assert 303 == world.sign_in(browser).status_code


def seconds() -> float:
    """Return the time since 1970."""
    return datetime.fromisoformat(now_utc()).timestamp()


def test_a_short_key_signs_nothing(world, monkeypatch):
    """RFC 7518 wants 2,048 bits of RSA."""
    monkeypatch.setitem(KEYS, "RS256", rsa.generate_private_key(65_537, 1_024))  # noqa: S505 -- refused
    world.at.alg = "RS256"
    with world.browser() as browser:
        refused = world.sign_in(browser)

    assert (401, True) == (refused.status_code, "nobody&#39;s key" in refused.text)


def bad_tokens() -> dict[str, Any]:
    """Return by name what makes a token of right claims that lets nobody in, and what the page says."""

    def of(alg: str = "ES256", key: Any = None, kid: str = "one", **more: Any) -> Any:
        header = {"alg": alg, "kid": kid}
        return lambda claims: signed(
            header, {**claims, **{n: v(claims) if callable(v) else v for n, v in more.items()}}, key
        )

    now = seconds()
    return {
        "nonce": (of(nonce="another"), "of another sign-in"),
        "audience": (of(aud="another"), "for another client"),
        "many audiences": (of(aud=[CLIENT, "another"]), "for another client"),
        "azp": (of(aud=[CLIENT, "another"], azp="another"), "for another client"),
        "issuer": (of(iss="https://id.example.org"), "of another provider"),
        "issuer with a slash": (of(iss=lambda claims: claims["iss"] + "/"), "of another provider"),
        "expired": (of(exp=now - 61), "has expired"),
        "old": (of(iat=now - 700), "has expired"),
        "future": (of(iat=now + 120), "of the future"),
        "not before": (of(nbf=now + 120), "of the future"),
        "no subject": (of(sub=""), "whom it is about"),
        "a number as subject": (of(sub=7), "cannot be trusted"),
        "none": (of("none"), "does not count"),
        "HMAC with the public key": (of("HS256"), "does not count"),
        "unknown kid": (of(kid="two"), "nobody&#39;s key"),
        "another key": (of(key=OTHER), "nobody&#39;s key"),
        "another algorithm": (of("EdDSA"), "nobody&#39;s key"),
        "no list of what is critical": (
            lambda claims: signed({"alg": "ES256", "kid": "one", "crit": 5}, claims),
            "cannot be trusted",
        ),
        "no token": (lambda _: "x.y.z", "cannot be trusted"),
        "unsigned": (lambda claims: of()(claims).rpartition(".")[0] + ".", "nobody&#39;s key"),
    }  # fmt: skip


@pytest.mark.parametrize("what", bad_tokens())
def test_a_token_that_is_not_for_this_sign_in_lets_nobody_in(world, what):
    """And leaves nothing behind."""
    world.at.token, says = bad_tokens()[what]
    with world.browser() as browser:
        refused = world.sign_in(browser)
        assert (401, True) == (refused.status_code, says in refused.text), refused.text
        assert 401 == browser.get(STATUS).status_code
    assert {} == world.members()


def test_clocks_may_differ_by_a_minute(world):
    """With many audiences the token says for whom it is."""
    now = seconds()
    world.at.token = lambda claims: signed(
        world.at.header(), {**claims, "exp": now - 50, "iat": now + 50, "aud": ["x", CLIENT], "azp": CLIENT}
    )
    with world.browser() as browser:
        assert 303 == world.sign_in(browser).status_code


def test_new_keys_are_asked_for_once(world):
    """A provider changes its keys without notice."""
    with world.browser() as browser:
        world.sign_in(browser)
        world.at.kid, world.at.alg = "two", "EdDSA"
        done = world.sign_in(browser)
        world.at.token = lambda claims: signed({"alg": "EdDSA", "kid": "three"}, claims)
        asked = world.at.asked.count("/keys")
        refused = world.sign_in(browser)

    assert (303, 2, 401, 3) == (done.status_code, asked, refused.status_code, world.at.asked.count("/keys"))
    assert 1 == world.at.asked.count("/.well-known/openid-configuration")


def test_a_sign_in_is_good_for_one_return(world):
    """Neither its state nor its code a second time."""
    world.at.person = ADA
    with world.browser() as browser, world.browser() as bare:
        back = world.begin(browser)
        cookie = {"Cookie": f"linewright-oidc={browser.cookies['linewright-oidc']}"}
        done = browser.get(back, headers=VISIT)
        replayed = bare.get(back, headers={**VISIT, **cookie})
        again = dict(parse_qsl(urlsplit(world.begin(browser)).query))
        old = dict(parse_qsl(urlsplit(back).query))["code"]
        code = browser.get("/sign-in/oidc/callback", params={**again, "code": old}, headers=VISIT)

    assert (303, 403, 401) == (done.status_code, replayed.status_code, code.status_code)
    assert "unknown, used, or too old" in replayed.text
    assert "invalid_grant" in code.text


@pytest.mark.parametrize("query", [{}, {"state": ""}, {"state": "x" * 43}, {"code": "x"}])
def test_a_return_that_nobody_began_lets_nobody_in(world, query):
    """However often: a page elsewhere must not make a browser's address wait."""
    with world.browser() as browser:
        world.begin(browser)
        for _ in range(6):
            answer = browser.get("/sign-in/oidc/callback", params={"code": "x", **query}, headers=VISIT)
            assert 403 == answer.status_code
        assert 303 == world.sign_in(browser).status_code


def test_another_browser_is_not_let_in(world):
    """Login CSRF: who is sent the address of somebody else's return is not signed in as them; and the code is not used."""
    world.at.person = ADA
    with world.browser() as mallory, world.browser() as victim:
        back = world.begin(mallory)
        bare = victim.get(back, headers=VISIT)
        world.begin(victim)
        begun = victim.get(world.begin(mallory), headers=VISIT)

        assert (403, 403) == (bare.status_code, begun.status_code)
        assert not [one for one in (*bare.headers.get_list("set-cookie"),) if one.startswith("linewright=")]
        assert 401 == victim.get(STATUS).status_code
    assert "/token" not in world.at.asked


def test_a_code_of_another_sign_in_is_refused_by_its_verifier(world):
    """PKCE: a code that was stolen is of no use in a sign-in of the thief's."""
    world.at.person = ADA
    with world.browser() as victim, world.browser() as thief:
        stolen = dict(parse_qsl(urlsplit(world.begin(victim)).query))["code"]
        own = dict(parse_qsl(urlsplit(world.begin(thief)).query))
        refused = thief.get("/sign-in/oidc/callback", params={**own, "code": stolen}, headers=VISIT)

    assert (401, True) == (refused.status_code, "invalid_grant" in refused.text)
    assert {} == world.members()


def test_what_the_provider_refuses_is_said_in_its_word_alone(world):
    """Whatever else stands in the address."""
    with world.browser() as browser:
        told: list[str] = []
        for said in ("access_denied", "<script>alert(1)</script>"):
            state = dict(parse_qsl(urlsplit(world.begin(browser)).query))["state"]
            query = {"state": state, "error": said, "error_description": "<b>call 555</b>"}
            told.append(browser.get("/sign-in/oidc/callback", params=query, headers=VISIT).text)

    assert "access_denied" in told[0]
    assert not [one for one in told if "script" in one or "555" in one]


def test_five_failures_make_an_address_wait(world):
    """Also for the way to the provider; other addresses do not wait."""
    app, codes = world.app(), list[int]()

    async def fail(address: str) -> int:
        transport = httpx.ASGITransport(app=app, client=(address, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
            sent = await client.get("/sign-in/oidc")
            if sent.status_code != 303:
                return sent.status_code
            state = dict(parse_qsl(urlsplit(sent.headers["location"]).query))["state"]
            return (
                await client.get("/sign-in/oidc/callback", params={"state": state, "code": "x"})
            ).status_code

    async def all_of_them() -> None:
        codes.extend([await fail("192.0.2.1") for _ in range(6)])
        codes.append(await fail("192.0.2.2"))

    asyncio.run(all_of_them())

    assert [401] * 5 + [429, 401] == codes


def test_a_provider_that_is_down_is_said_and_nothing_is_half_done(world):
    """Transient, by a page; it counts as nobody's failure."""
    world.at.person = ADA
    with world.browser() as browser:
        for number in range(6):
            world.plugin._said = world.plugin._trouble = None
            back = world.begin(browser)
            world.at.answers = {"/token": (503, {}, b"")}
            down = browser.get(back, headers=VISIT)
            assert (503, "1") == (down.status_code, down.headers["retry-after"]), number
            world.at.answers = {}
        world.plugin._said = None
        world.at.answers = {"/.well-known/openid-configuration": (500, {}, b"")}
        asked = len(world.at.asked)
        shown = [browser.get("/sign-in/oidc") for _ in range(2)]
        assert len(world.at.asked) == asked + 1  # it is left alone for some seconds
        assert [503, 503] == [one.status_code for one in shown]
        assert "the provider cannot be reached" in shown[0].text
        assert {} == world.members()
        world.at.answers, world.plugin._trouble = {}, None
        assert 303 == world.sign_in(browser).status_code


def test_nothing_leads_elsewhere(world):
    """Open redirect: the way back is by our own name, and ends at the index."""
    evil = "https://evil.example"
    headers = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=evil.example",
        "Referer": evil,
    }
    with world.browser() as browser:
        sent = browser.get("/sign-in/oidc", params={"next": evil, "redirect_uri": evil}, headers=headers)
        query = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
        world.at.person = ADA
        back = httpx.get(sent.headers["location"], verify=_TLS).headers["location"]
        done = browser.get(back + f"&next={evil}", headers={**VISIT, **headers})
        foreign = browser.get("/sign-in/oidc", headers={"Host": "evil.example"})

    assert f"{world.url}/sign-in/oidc/callback" == query["redirect_uri"]
    assert sent.headers["location"].startswith(f"{world.at.issuer}/authorize?tenant=1&response_type=code&")
    assert "evil" not in sent.headers["location"]
    assert ("/", 403) == (done.headers["location"], foreign.status_code)


def test_with_tls_the_cookie_is_of_this_name_alone(world):
    """The browser gives it back to a redirect of another site, and to no other server; the way back is https."""
    app = world.app()

    async def begin(base: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base) as client:
            return await client.get("/sign-in/oidc")

    secure = asyncio.run(begin("https://factory.example.org"))
    app = world.app()
    behind = asyncio.run(begin("http://factory.example.org"))

    assert secure.headers["set-cookie"].startswith("__Host-linewright-oidc=")
    assert secure.headers["set-cookie"].endswith("; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax")
    for one in (secure, behind):
        query = dict(parse_qsl(urlsplit(one.headers["location"]).query))
        assert "https://factory.example.org/sign-in/oidc/callback" == query["redirect_uri"]


@pytest.mark.parametrize("path", ["/sign-in/oidc", "/sign-in/oidc/callback"])
def test_a_page_of_another_site_may_lead_back_and_do_nothing_else(world, path):
    """The return alone comes from elsewhere, and only as what a person sees."""
    pages = (
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "https://evil.example"},
    )
    with world.browser() as browser:
        got = [browser.get(path, headers=one) for one in (*pages, VISIT)]

    denied = [one.json()["where"] == "Origin" for one in got if "json" in one.headers["content-type"]]
    assert [True] * (4 if path == "/sign-in/oidc" else 3) == denied


def test_no_secret_is_in_a_log_or_in_the_record(world, capfd):
    """Codes, verifiers, tokens, the client's secret, states and nonces, of sign-ins that succeed and that fail."""
    before = len(world.at.secrets)
    with world.browser() as browser:
        world.at.person = ADA
        back = world.begin(browser)
        secrets = [value for _, value in parse_qsl(urlsplit(back).query)]
        secrets += browser.cookies.values()
        pages = [browser.get(back, headers=VISIT).text]
        secrets += browser.cookies.values()
        world.at.token = bad_tokens()["nonce"][0]
        pages.append(world.sign_in(browser).text)
    out = "".join(capfd.readouterr())
    secrets += [*world.at.secrets[before:], SECRET]
    files = [
        path.read_bytes()
        for path in world.factory.root.rglob("*")
        if path.is_file() and path.name != "secret"
    ]

    assert len(secrets) > 8
    for secret in secrets:
        assert not [one for one in files if secret.encode() in one], secret
        assert secret not in out + "".join(pages), secret


@pytest.mark.parametrize("how", ["basic", "post", "public", "wrong"])
def test_the_factory_proves_who_it_is_as_the_provider_wants(world, how):
    """With a secret, which is read each time, or without."""
    if how == "post":
        world.at.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    if how == "public":
        world.at.secret = ""
    if how == "wrong":
        (world.factory.root / "secret").write_text("another")
    spec = world.plugin.spec
    world.plugin.spec = spec.model_copy(update={"client_secret": None}) if how == "public" else spec
    try:
        with world.browser() as browser:
            done = world.sign_in(browser)
    finally:
        world.plugin.spec = spec

    assert (502 if how == "wrong" else 303) == done.status_code, done.text


def plugin(world: World, **more: Any) -> oidc.Provider:
    spec = world.plugin.spec.model_copy(update=more)
    return oidc.Provider(spec, root=world.factory.root, now=now_utc)


BEGUN = Begun("state", "nonce", "verifier", "http://127.0.0.1/sign-in/oidc/callback")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"issuer": "https://id.example.org"}, "calls itself something else"),
        ({"token_endpoint": "http://id.example.org/token"}, "cannot be used"),
        ({"jwks_uri": "file:///etc/passwd"}, "cannot be used"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "cannot be used"),
        ({"authorization_endpoint": "https://id.example.org/a\nSet-Cookie: b"}, "cannot be used"),
        ({"token_endpoint": "https://ada@id.example.org/token"}, "cannot be used"),
        ({"jwks_uri": 7}, "something else than OpenID Connect wants"),
    ],
)
def test_what_a_provider_says_of_itself_is_checked(world, said, why):
    """Before anybody is sent there."""
    world.at.metadata = said
    with pytest.raises(Terminal, match=why):
        plugin(world).address(BEGUN)


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"location": "http://127.0.0.1:1/"}, b""),
        (200, {}, b"{" + b" " * 300_000 + b"}"),
        (200, {}, b"[" * 100_000),
        (200, {}, b"\xff"),
        (404, {}, b"{}"),
    ],
)
def test_what_is_no_answer_is_refused(world, answer):
    """Redirects are not followed, and little is read."""
    world.at.answers = {"/.well-known/openid-configuration": answer}
    with pytest.raises(Terminal, match="something else"):
        plugin(world).address(BEGUN)
    assert 1 == len(world.at.asked)


def test_a_slow_provider_is_left_after_a_while(world, monkeypatch):
    """The time limit is of the whole answer."""
    monkeypatch.setattr(oidc, "_WAIT_S", 0.05)
    release = Event()
    world.at.said = lambda _path: release.wait(20)
    try:
        with pytest.raises(Transient, match="no answer within"):
            plugin(world).address(BEGUN)
    finally:
        release.set()
        del world.at.said


def test_no_secret_of_a_cloud_is_asked_for_by_the_name_of_a_provider(world, monkeypatch):
    """The connection is looked at, whatever name led there."""
    monkeypatch.setattr("socket.socket.getpeername", lambda _self: ("::ffff:169.254.169.254", 80))
    with pytest.raises(Transient, match="link-local"):
        plugin(world).address(BEGUN)
    assert [] == world.at.asked


def test_the_answer_of_another_provider_is_refused(world):
    """RFC 9207: the return says who sent it, and always does where the provider says so."""
    world.at.metadata = {"authorization_response_iss_parameter_supported": True}
    for issuer in ("https://id.example.org", None):
        with pytest.raises(LinewrightError, match="another provider"):
            plugin(world).vouch(BEGUN, code="x", issuer=issuer)
    assert "/token" not in world.at.asked


@pytest.mark.parametrize(("verified", "status"), [(True, 303), (False, 401), ("true", 401), (None, 401)])
def test_an_address_of_email_is_a_name_once_it_is_verified(world, verified, status):
    """Else anybody would take the name of a member whom they write to."""
    spec = world.plugin.spec
    world.plugin.spec = spec.model_copy(update={"name_claim": "email"})
    try:
        with world.browser() as browser:
            done = world.sign_in(
                browser, sub="u", email="ada@example.org", email_verified=verified, groups=["staff"]
            )
    finally:
        world.plugin.spec = spec

    assert status == done.status_code
    assert (["ada@example.org"] if status == 303 else []) == list(world.members())


def test_a_person_signs_in_at_a_terminal_by_a_browser_elsewhere(world, tmp_path, monkeypatch, capsys):
    """The page shows a code, which the terminal that began takes; the browser itself is not signed in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (takes, types), (reads, says) = os.pipe(), os.pipe()
    codes: list[int] = []
    with (
        os.fdopen(takes) as stdin,
        os.fdopen(types, "w") as keys,
        os.fdopen(reads) as screen,
        os.fdopen(says, "w") as stderr,
    ):
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr", stderr)
        thread = threading.Thread(
            target=lambda: codes.append(login_program("login", "--browser", "--", world.url))
        )
        thread.start()
        link = screen.readline().split()[-1]
        world.at.person = ADA
        with world.browser() as browser:
            query = dict(parse_qsl(urlsplit(link).query))
            page = browser.get(world.begin(browser, **query), headers=VISIT)
            assert 401 == browser.get(STATUS).status_code
        code = page.text.partition("<strong>")[2].partition("</strong>")[0]
        keys.write(code.lower() + "\n")
        keys.flush()
        thread.join(60)
    kept = token_for(world.url)

    assert (200, 14, [0]) == (page.status_code, len(code), codes)
    assert f"Signed in to {world.url} as ada" in capsys.readouterr().out
    assert 200 == httpx.get(world.url + STATUS, headers={"Authorization": f"Bearer {kept}"}).status_code
    assert "ada" == world.events(SignedIn)[-1].member
    assert ("login", "--browser", "--", "https://x") == login(
        world.factory, "https://x", browser=True
    ).arguments
    with pytest.raises(RequestError, match="asks for the password"):
        login(world.factory, "https://x", browser=True, name="ada")


def test_a_code_is_for_the_terminal_that_began_and_for_one_use(world):
    """Who reads it over a shoulder has nothing; the answer is the same for each reason."""
    world.at.person = ADA
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    got: list[httpx.Response] = []
    with world.browser() as browser:
        for given in ("w" * 43, verifier):
            page = browser.get(world.begin(browser, terminal=challenge), headers=VISIT).text
            code = page.partition("<strong>")[2].partition("</strong>")[0]
            body = {"code": code, "verifier": given}
            got += [browser.post("/api/v1/sign-in/code", json=body) for _ in range(2)]
        wrong = browser.get("/sign-in/oidc", params={"terminal": "x"})
        assert "linewright" not in browser.cookies

    assert [401, 401, 200, 401] == [one.status_code for one in got]
    assert 1 == len({one.text for one in got if one.status_code == 401})
    assert 422 == wrong.status_code


def test_who_was_removed_meanwhile_is_not_let_in(world):
    """What the provider said counts for the member of then."""
    vouched = Vouched(world.at.issuer, "u-1", "ada", ("staff",))
    roles = {"staff": Grant(role="viewer")}
    accounts = enter(Accounts(), vouched, roles, now_utc()).accounts
    local = replace(accounts.members["ada"], issuer="", subject="")
    change(world.factory.state, lambda _: replace(accounts, members={"ada": local}))

    with pytest.raises(LinewrightError, match="no member has this name"):
        begin_session(world.factory.state, "ada", now_utc(), vouched=(vouched.issuer, vouched.subject))


def test_what_is_under_way_is_bounded_and_ends():
    """An address that begins many sign-ins pushes out its own."""
    now = [0.0]
    kept = OneTime[int](600.0, clock=lambda: now[0])
    kept.put("first", 1, "192.0.2.1")
    for number in range(2 * MOST_OF_ONE):
        kept.put(f"many {number}", number, f"2001:db8::{number:x}")

    assert (MOST_OF_ONE + 1, None, 1) == (len(kept), kept.take("many 0"), kept.take("first"))
    now[0] = 600.0
    assert kept.take(f"many {2 * MOST_OF_ONE - 1}") is None
    for number in range(MOST + 50):
        kept.put(f"all {number}", number, f"10.0.{number >> 8}.{number & 255}")
    assert (MOST, MOST) == (len(kept), len(kept._of_place))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("issuer: http://id.example.org", "https, or of http to this machine"),
        ("issuer: https://ada@id.example.org", "without a name"),
        ("issuer: https://id.example.org?x=1", "without a name, a query"),
        ("client_secret: hunter2", "not shown here|not the place"),
        ("groups: {a: enginer}", "engineer"),
        ("groups: {}", "groups"),
        ("groups: {a: {role: viewer, line: [x]}}", "unknown word"),
        ("scopes: [profile]", "openid"),
        ("group: x", "unknown word"),
    ],
)
def test_a_wrong_section_is_told_with_its_place(tmp_path, text, says):
    """As the rest of the file; a secret is never repeated."""
    words = {"issuer": "https://id.example.org", "client_id": "x", "groups": "{a: viewer}"}
    name, _, value = text.partition(": ")
    words[name] = value
    lines = "".join(f"    {one}: {said}\n" for one, said in words.items())
    (tmp_path / "factory.yaml").write_text(f"format: 1\nsign_in:\n  oidc:\n{lines}")

    with pytest.raises(SpecError, match=says) as found:
        read_factory_file(tmp_path)
    assert "factory.yaml:" in str(found.value)
    assert "hunter2" not in str(found.value)


def test_roles_of_a_file_are_the_roles_that_there_are():
    """The two lists are in rooms that do not know each other."""
    assert list(ROLES) == list(Role.__args__)  # type: ignore[attr-defined]


def test_without_the_extra_it_says_which(world, monkeypatch):
    """And a factory that names no provider needs none."""
    monkeypatch.delitem(sys.modules, "linewright.plugins.oidc")
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(RequestError, match=r"linewright\[oidc\]"):
        open_provider(world.factory.root, now_utc)


def test_a_factory_without_a_provider_has_no_way_there(tmp_path: Path):
    """And no link."""
    with Factory.create(tmp_path / "factory") as factory:
        assert open_provider(factory.root, now_utc) is None
        app = control_app(lambda _: factory, OPERATIONS, authenticator=Authenticator(state=factory.state))

        async def ask() -> list[int | bool]:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                paths = ("/sign-in/oidc", "/sign-in/oidc/callback?state=x&code=y")
                got: list[int | bool] = [(await client.get(path)).status_code for path in paths]
                code = await client.post("/api/v1/sign-in/code", json={"code": "x", "verifier": "y"})
                return [*got, code.status_code, "Sign in with" in (await client.get("/sign-in")).text]

        assert [404, 404, 404, False] == asyncio.run(ask())
