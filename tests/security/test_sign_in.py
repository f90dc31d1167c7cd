"""Signing in: who gets a session, what it is good for, and what ends it."""

import asyncio
import itertools
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import argon2
import commands
import httpx
import msgspec
import pytest
from control import Up, factory_up
from served import HASH, PASSWORD, SITE, START, Served, sign_in

from linewright.capabilities.audit.verify_chain import verify_chain
from linewright.capabilities.care.operations.maintenance import backup
from linewright.capabilities.care.operations.restore import restore
from linewright.capabilities.members.operations.invitations import member_invite
from linewright.capabilities.members.operations.members import (
    member_add,
    member_list,
    member_remove,
    member_role,
)
from linewright.capabilities.members.operations.tokens import token_create
from linewright.errors import Corrupt, Denied, LinewrightError, NotFound, RequestError, TooMany
from linewright.interfaces.cli.login import log_in
from linewright.interfaces.cli.saved_sessions import Login, forget, keep, origin_of, token_for
from linewright.line.factory import Factory
from linewright.people.facts import MemberInvited, PasswordChosen, SignedIn, SignInRefused
from linewright.serve.access.accounts import Accounts, Invitation, Member, Session, read_accounts, sha256
from linewright.serve.access.authenticate import Authenticator
from linewright.serve.access.back_off import FORGET_S, LONGEST_S, BackOff
from linewright.serve.access.change_accounts import change
from linewright.serve.access.passwords import _NOBODYS, LONGEST, is_right, to_hash
from linewright.serve.access.sign_in import (
    MOST_SESSIONS,
    begin_session,
    first_invitation,
    invite,
    with_password,
)

STATUS = "/api/v1/member-list"
OTHER_PAGES = (
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("shared") / "factory"
    with asyncio.Runner() as runner, Factory.create(root) as factory:
        yield Served(factory, runner)


@pytest.fixture
def served(shared: Served) -> Served:
    return shared.begin()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Served]:
    """Return one whose record is empty."""
    with asyncio.Runner() as runner, Factory.create(tmp_path / "factory") as factory:
        yield Served(factory, runner).begin()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Hold one factory up for all tests: starting one takes seconds."""
    root = tmp_path_factory.mktemp("sign-in") / "factory"
    with Factory.create(root) as factory:
        member_add(factory, "ada", role="admin")
    with factory_up(root, forked=True) as one:
        yield one


def join(client: Any, invitation: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/api/v1/join", json={"invitation": invitation, "password": password})


def events(factory: Factory, kind: Any) -> list[Any]:
    return list(factory.metadata.events(kind))


def test_a_member_who_was_invited_chooses_a_password_and_signs_in(served):
    """From the invitation to a request, as a person and as a program do it."""
    member_add(served.factory, "ada", role="admin")
    assert [False] == [one.has_password for one in member_list(served.factory).members]
    assert 401 == sign_in(served.client()).status_code

    served.at = served.factory.now()
    client = served.client()
    joined = join(client, member_invite(served.factory, "ada").invitation)
    signed = sign_in(client, " Ada ")

    assert (200, {"member": "ada"}) == (joined.status_code, joined.json())
    assert (200, {"member", "expires"}) == (signed.status_code, signed.json().keys())
    assert 200 == client.get(STATUS).status_code
    assert 401 == served.client().get(STATUS).status_code
    token = served.token()
    assert 200 == served.client().get(STATUS, headers=token).status_code
    assert [True] == [one.has_password for one in member_list(served.factory).members]


def test_the_cookie_is_for_this_server_alone(served):
    """Not for scripts, not for other sites; with TLS no other name of the domain can have set it."""
    served.member()
    secure = sign_in(served.client()).headers["set-cookie"]
    plain = sign_in(served.client("http://127.0.0.1:8080")).headers["set-cookie"]
    form = r"lw_[0-9a-f]{8}_[A-Za-z0-9_-]{43}; Path=/; Max-Age=43200; "

    assert re.fullmatch(f"__Host-linewright={form}Secure; HttpOnly; SameSite=Strict", secure)
    assert re.fullmatch(f"linewright={form}HttpOnly; SameSite=Strict", plain)
    assert "set-cookie" not in sign_in(served.client(), token=True).headers


@pytest.mark.parametrize("wrong", ["", "1", "lw_00000000_" + "a" * 43])
def test_a_session_is_never_taken_from_the_client(served, wrong):
    """Fixation: whoever plants a cookie does not know the session that the member gets."""
    served.member()
    client = served.client()
    secret = sign_in(client).headers["set-cookie"].partition(";")[0].partition("=")[2]
    other = served.client()
    given = {"Cookie": f"__Host-linewright={wrong or secret}"}

    made = other.post("/api/v1/sign-in", json={"name": "ada", "password": PASSWORD}, headers=given)
    new = made.headers["set-cookie"].partition(";")[0].partition("=")[2]

    assert 200 == made.status_code
    assert new not in {secret, wrong}
    assert (401 if not wrong else 200) == client.get(
        STATUS
    ).status_code  # the session before ends with a new one
    assert 401 == served.client().get(STATUS, headers={"Cookie": f"__Host-linewright={wrong}"}).status_code


def test_only_one_cookie_of_the_right_name_with_a_session_counts(served):
    """A token is no session, a plain cookie is none of TLS, and of two nobody knows which is meant."""
    served.member()
    secret = served.token()["Authorization"].removeprefix("Bearer ")
    token = token_create(served.factory, "ci", kind="admin").token

    def got(cookie: str) -> int:
        return served.client().get(STATUS, headers={"Cookie": cookie}).status_code

    assert 200 == got(f"a=b; __Host-linewright={secret}; c=d")
    assert 401 == got(f"linewright={secret}")
    assert 401 == got(f"__Host-linewright={token}")
    assert 401 == got(f"__Host-linewright={secret}; __Host-linewright={secret}")
    assert 401 == got(f"__Host-linewright={secret[:-1]}")


def test_of_a_cookie_and_a_token_the_token_counts(served):
    """A browser sends its cookie by itself; whoever sends a token means it."""
    served.member()
    client = served.signed_in()
    narrow = token_create(served.factory, "narrow", kind="predict").token

    assert 403 == client.get(STATUS, headers={"Authorization": f"Bearer {narrow}"}).status_code
    assert 401 == client.get(STATUS, headers={"Authorization": "Bearer lw_00000000_x"}).status_code
    assert 200 == client.get(STATUS).status_code


@pytest.mark.parametrize("how", ["sign-out", "password", "role", "role off", "removal", "expiry"])
@pytest.mark.parametrize("by", ["cookie", "token"])
def test_a_session_ends_before_the_next_request(served, how, by):
    """ZenML's CVE-2024-2213: sessions that outlived a change of password."""
    served.member()
    served.member("bob", "admin")
    client, headers = (served.signed_in(), {}) if by == "cookie" else (served.client(), served.token())
    bobs = served.token("bob")
    assert 200 == client.get(STATUS, headers=headers).status_code

    if how == "sign-out":
        done = client.post("/api/v1/sign-out", json={}, headers=headers)
        assert {"ended": True} == done.json()
        assert "Max-Age=0" in done.headers["set-cookie"]
        client.cookies.clear()
    elif how == "password":
        code = invite(served.state, "ada", served.at).code
        assert 200 == client.get(STATUS, headers=headers).status_code
        assert 200 == join(served.client(), code, PASSWORD + "2").status_code
    elif how == "role":
        member_role(served.factory, "ada", "viewer")
    elif how == "role off":
        member_role(served.factory, "ada", "admin", off=True)
    elif how == "removal":
        member_remove(served.factory, "ada")
    else:
        served.at = "2026-06-01T12:00:00.000000Z"
        change(served.state, lambda accounts: accounts)

    assert 401 == client.get(STATUS, headers=headers).status_code
    assert (401 if how == "expiry" else 200) == served.client().get(STATUS, headers=bobs).status_code


def test_a_session_can_do_what_its_member_may(served):
    """An endpoint asks the same question."""
    served.member("eve", "viewer")
    served.member()
    client = served.signed_in("eve")
    token = served.token("eve")["Authorization"]
    identity = Authenticator(state=served.state, now=lambda: served.at).identify([token])

    assert 403 == client.get(STATUS).status_code
    assert ("eve", "eve", True, False) == (
        identity.actor,
        identity.member,
        identity.allows("view"),
        identity.allows("manage"),
    )


def test_a_member_has_a_hundred_sessions_at_most(served):
    """The file does not grow for ever; the oldest ends, and what has expired is removed."""
    served.member()
    first = begin_session(served.state, "ada", served.at, password=HASH)
    held = {
        f"{number:08x}": Session(
            sha256="0" * 64, member="ada", created=START, expires="2026-06-01T12:00:00.000000Z"
        )
        for number in range(MOST_SESSIONS - 1)
    }
    change(served.state, lambda one: msgspec.structs.replace(one, sessions={**one.sessions, **held}))
    last = begin_session(served.state, "ada", "2026-06-01T00:00:01.000000Z", password=HASH)

    accounts = read_accounts(served.state)
    assert MOST_SESSIONS == len(accounts.sessions)
    assert accounts.signed_in(last.code, served.at) is not None
    begin_session(served.state, "ada", "2026-07-01T00:00:00.000000Z", password=HASH)
    assert 1 == len(read_accounts(served.state).sessions)
    assert first.expires == "2026-06-01T12:00:00.000000Z"


def test_whoever_was_removed_while_the_password_was_checked_is_not_signed_in(served):
    """What was checked counts only as long as it is so."""
    served.member()
    for kept, name in ((to_hash(PASSWORD), "ada"), (HASH, "bob")):
        with pytest.raises(LinewrightError, match="no member has this name"):
            begin_session(served.state, name, served.at, password=kept)


def test_an_invitation_is_used_once_also_by_eight_at_a_time(up):
    """All but one are told what whoever made a code up is told."""
    with Factory.open(up.root) as factory:
        code = member_invite(factory, "ada").invitation
    url = f"http://127.0.0.1:{up.control}"
    got: list[tuple[int, str]] = []
    barrier = threading.Barrier(8)

    def use() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            barrier.wait()
            answer = join(client, code)
            got.append((answer.status_code, answer.text))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with httpx.Client(base_url=url, timeout=60) as client:
        unknown = join(client, "lw_00000000_" + "a" * 43)

    assert [200] + [403] * 7 == sorted(status for status, _ in got)
    assert {(403, unknown.text)} == {one for one in got if one[0] == 403}


def test_an_invitation_is_used_once_under_the_lock(served):
    """The same where all have passed every check before."""
    served.member()
    code = invite(served.state, "ada", served.at).code
    barrier, done = threading.Barrier(8), list[str]()

    def use(number: int) -> None:
        barrier.wait()
        try:
            change(served.state, with_password(code, f"hash {number}", served.at))
            done.append(f"hash {number}")
        except Denied:
            pass

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert 1 == len(done)
    assert done[0] == read_accounts(served.state).members["ada"].password


def test_an_invitation_ends_with_its_time_or_with_the_next_one(served):
    """All with the text of one that is unknown."""
    member_add(served.factory, "ada", role="viewer")
    replaced = invite(served.state, "ada", served.at).code
    expired = invite(served.state, "ada", served.at).code
    served.at = "2026-06-02T00:00:00.000000Z"
    unknown = join(served.client(), "lw_00000000_" + "a" * 43)

    assert 403 == unknown.status_code
    assert {unknown.text} == {join(served.client(), code).text for code in (replaced, expired)}
    last = invite(served.state, "ada", served.at)
    assert ("2026-06-03T00:00:00.000000Z", 200) == (
        last.expires,
        join(served.client(), last.code).status_code,
    )
    for wrong in ("0s", "8d", "169h"):
        with pytest.raises(RequestError, match="cannot last"):
            member_invite(served.factory, "ada", expires=wrong)
    with pytest.raises(NotFound):
        member_invite(served.factory, "bob")


def test_what_cannot_be_a_password_uses_nothing_up(served):
    """And the answer does not repeat it."""
    member_add(served.factory, "ada", role="viewer")
    code = invite(served.state, "ada", served.at).code
    for wrong in ("eleven-char", "", "x" * (LONGEST + 1)):
        refused = join(served.client(), code, wrong)
        assert (422, False) == (refused.status_code, bool(wrong) and wrong in refused.text)

    assert 200 == join(served.client(), code, "x" * LONGEST).status_code
    assert 401 == sign_in(served.client(), password="x" * (LONGEST + 1)).status_code
    assert 200 == sign_in(served.client(), password="x" * LONGEST).status_code


def test_a_password_is_the_same_however_its_letters_are_composed():
    """One keyboard sends é as one character, another as two."""
    kept = to_hash("caf\u00e9 au lait, please")

    assert kept.startswith("$argon2id$")
    assert is_right("cafe\u0301 au lait, please", kept)
    assert not is_right("cafe au lait, please", kept)


def test_an_unknown_name_and_a_wrong_password_get_the_same_answer(served):
    """And the same work is done: what nobody has is checked with the parameters of what members have."""
    served.member()
    member_add(served.factory, "not-yet", role="viewer")
    answers = [
        sign_in(served.client(address=f"192.0.2.{number}"), name, "wrong password").text
        for number, name in enumerate(("ada", "nobody", "not-yet", "../..", "x" * 5_000))
    ]

    assert 1 == len(set(answers))
    assert argon2.extract_parameters(_NOBODYS) == argon2.extract_parameters(HASH)
    assert not is_right(PASSWORD, "")


def test_a_fresh_factory_lets_nobody_in_by_any_name(served):
    """There is no default password, also for a member who was just added."""
    member_add(served.factory, "admin", role="admin")
    client = served.client()

    assert [401] * 4 == [
        sign_in(client, "admin", password).status_code
        for password in ("", "admin", "linewright", "password1234")
    ]


def test_back_off_doubles_from_the_fifth_failure_to_a_quarter_of_an_hour():
    """To ask meanwhile makes it no longer; after an hour nothing is held against anybody."""
    now = [0.0]
    back_off = BackOff(lambda: now[0])
    waits: list[float] = []
    for _ in range(18):
        now[0] += back_off.wait_s("ada", "192.0.2.1")
        back_off.begin("ada", "192.0.2.1")
        waits.append(back_off.wait_s("ada", "192.0.2.1"))
        with pytest.raises(TooMany) if waits[-1] else nullcontext():
            back_off.require("ada", "192.0.2.1")

    assert [0.0] * 4 + [2.0**n for n in range(10)] + [LONGEST_S] * 4 == waits
    now[0] += FORGET_S
    assert 0 == back_off.wait_s("ada", "192.0.2.1")


def test_nobody_is_locked_out_by_what_others_do_elsewhere():
    """A thousand addresses that guess wait each for all; the member's own address does not."""
    back_off = BackOff(lambda: 0.0)
    for number in range(1_000):
        back_off.begin("ada", f"198.51.{number // 250}.{number % 250}")

    assert LONGEST_S == back_off.wait_s("ada", "198.51.0.1")
    assert 0 == back_off.wait_s("ada", "192.0.2.1")
    back_off.begin("ada", "192.0.2.1")
    back_off.succeeded("ada", "192.0.2.1")
    assert 0 == back_off.wait_s("ada", "192.0.2.1")


def test_many_names_at_one_address_and_one_good_password_among_them_do_not_help():
    """Else an own account would pay for guesses at those of others; a network of IPv6 is one address."""
    back_off = BackOff(lambda: 0.0)
    for number in range(4):
        back_off.begin(f"name-{number}", f"2001:db8::{number}")
        back_off.begin("mallory", f"2001:db8::{number}")
        back_off.succeeded("mallory", f"2001:db8::{number}")
    back_off.begin("ada", "2001:db8::ffff")

    assert 1 == back_off.wait_s("somebody", "2001:db8::1")
    assert 0 == back_off.wait_s("somebody", "2001:db8:0:1::1")


def test_back_off_remembers_a_bounded_number():
    """Names that are made up fill no memory."""
    back_off = BackOff(lambda: 0.0)
    for number in range(20_000):
        back_off.begin(f"{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert 10_000 == len(back_off)


def test_whoever_guesses_waits_and_the_member_elsewhere_does_not(served):
    """429 says how long; a right password does not shorten it, and is not even looked at."""
    served.member("gus")
    guesser = served.client(address="198.51.100.1")
    assert [401] * 5 == [sign_in(guesser, "gus", password=f"guess number {n}").status_code for n in range(5)]

    refused = sign_in(guesser, "gus")

    assert (429, "1", "TooMany") == (
        refused.status_code,
        refused.headers["retry-after"],
        refused.json()["error"],
    )
    page = guesser.post("/sign-in", data={"name": "gus", "password": PASSWORD}, headers={"Origin": SITE})
    assert (429, "1") == (page.status_code, page.headers["retry-after"])
    assert 200 == sign_in(served.client(address="192.0.2.7"), "gus").status_code


def test_a_page_of_another_site_uses_no_session(served):
    """CSRF, by any method, also where a browser would send the cookie."""
    served.member()
    client = served.signed_in()
    methods = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
    paths = (STATUS, "/api/v1/member-remove", "/api/v1/sign-out", "/nothing")
    kinds = ("application/json", "text/plain", "application/x-www-form-urlencoded")
    for method, path, kind, page in itertools.product(methods, paths, kinds, OTHER_PAGES):
        headers = {**page, "Content-Type": kind}
        answer = client.request(method, path, headers=headers, content=b'{"name": "ada"}')
        assert 403 == answer.status_code, (method, path, kind, page)

    assert 200 == client.get(STATUS).status_code


def test_a_form_signs_in_from_our_own_page_alone(served):
    """Signing somebody in as another is forgery too; a page that tells nobody its address sends the origin `null`."""
    served.member()
    form = {"name": "ada", "password": PASSWORD}
    own = ({}, {"Origin": SITE}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"})

    for page in OTHER_PAGES:
        assert 403 == served.client().post("/sign-in", data=form, headers=page).status_code
        assert 403 == served.client().post("/join", data=form, headers=page).status_code
    for page in own:
        assert 303 == served.client().post("/sign-in", data=form, headers=page).status_code
    assert 415 == served.client().post("/sign-in", json=form).status_code
    assert 415 == served.client().post("/api/v1/sign-in", data=form).status_code
    nulls = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert (
        403
        == served.signed_in().post("/api/v1/member-remove", json={"name": "ada"}, headers=nulls).status_code
    )


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_after_signing_in_it_goes_to_the_index_and_nowhere_else(served, to):
    """Open redirect: no parameter says where."""
    served.member()
    form = {"name": "ada", "password": PASSWORD, "next": to, "redirect": to}
    client = served.client()

    done = client.post("/sign-in", data=form, headers={"Referer": to})

    assert (303, "/") == (done.status_code, done.headers["location"])
    assert 200 == client.get(STATUS).status_code
    assert 422 == served.client().post("/sign-in", params={"next": to}, data=form).status_code
    assert 401 == served.client().post("/sign-in", data={**form, "password": "x"}).status_code


def test_a_person_joins_in_a_browser(served):
    """To look at the link uses nothing up: programs that preview links do that too."""
    member_add(served.factory, "ada", role="admin")
    code = invite(served.state, "ada", served.at).code
    client = served.client()
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    shown = [client.get("/join", params={"invitation": code}, headers=visit) for _ in range(3)]
    form = {"invitation": code, "password": PASSWORD, "again": PASSWORD}
    differs = client.post("/join", data={**form, "again": "x"})
    short = client.post("/join", data={**form, "password": "x", "again": "x"})
    before = len(served.factory.metadata.events(SignedIn))
    joined = client.post("/join", data=form)
    replayed = client.post("/join", data=form)

    assert {200} == {page.status_code for page in shown}
    assert f'value="{code}"' in shown[0].text
    assert (422, 422) == (differs.status_code, short.status_code)
    assert "12 to 1,000 characters" in short.text
    assert "as admin. Your name here is ada." in shown[0].text
    assert 200 == joined.status_code
    assert "your name here is ada" in joined.text
    assert (200, 401) == (client.get(STATUS).status_code, served.client().get(STATUS).status_code)
    assert ["ada"] == [one.member for one in served.factory.metadata.events(SignedIn)[before:]]
    used = client.get("/join", params={"invitation": code}, headers=visit)
    assert (403, False) == (used.status_code, "<form" in used.text)
    assert (403, True) == (replayed.status_code, "unknown, used or expired" in replayed.text)
    assert 200 == client.get("/sign-in", headers=visit).status_code
    assert 200 == sign_in(client).status_code


def test_the_pages_have_no_script_and_repeat_nothing_that_could_be_one(served):
    """Whatever stands in the address or in a form."""
    evil = '"><script>alert(1)</script>'
    client = served.client()
    pages = [
        client.get("/join", params={"invitation": evil}),
        client.get("/sign-in"),
        client.post("/sign-in", data={"name": evil, "password": evil}),
        client.post("/join", data={"invitation": evil, "password": PASSWORD, "again": PASSWORD}),
    ]

    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "<script" not in page.text
        assert re.fullmatch(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            policy,
        )
        assert ("no-referrer", "no-store", "nosniff") == (
            page.headers["referrer-policy"],
            page.headers["cache-control"],
            page.headers["x-content-type-options"],
        )
    assert not [
        page for page in pages if "alert(1)" in page.text.replace("&#34;&gt;&lt;script&gt;alert(1)", "")
    ]


def test_a_body_that_names_something_twice_signs_nobody_in(served):
    """What stands before the server may have read the other one; an enormous number is refused as well, and is no error of ours."""
    client, json_of = served.client(), {"Content-Type": "application/json"}
    twice = f'{{"name": "nobody", "password": "{PASSWORD}", "name": "ada"}}'
    enormous = f'{{"name": "ada", "password": "{PASSWORD}", "next": {"1" * 5000}}}'

    answers = [client.post("/api/v1/sign-in", content=one, headers=json_of) for one in (twice, enormous)]

    assert [422, 422] == [one.status_code for one in answers]
    assert ("a name comes twice", "name") == (answers[0].json()["what"], answers[0].json()["found"])


def test_what_is_sent_wrongly_signs_nobody_in(served):
    """A password in an address stands in logs; an answer with a secret is not kept for a repeat."""
    served.member()
    client = served.client()
    body = {"name": "ada", "password": PASSWORD}
    path = "/api/v1/sign-in"
    refused = [
        client.post(path, params=body, json={}),
        client.post(path, params=body, json=body),
        client.post(path, json={**body, "next": "/"}),
        client.post(path, json={"name": ["ada"], "password": PASSWORD}),
        client.post(path, content=b'{"name"', headers={"Content-Type": "application/json"}),
        client.post(path, content=b"\xff" * 9, headers={"Content-Type": "application/json"}),
        client.post(path, json=body, headers={"Idempotency-Key": "k"}),
        client.post(
            "/sign-in",
            content=b"name=ada&name=bob",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ),
    ]

    assert {422} == {answer.status_code for answer in refused}
    assert not [answer for answer in refused if PASSWORD in answer.text or "set-cookie" in answer.headers]
    assert {"ended": False} == client.post("/api/v1/sign-out", json={}).json()


def test_the_record_has_who_came_in_and_who_did_not_and_no_secret(fresh):
    """A name that nobody has may be a password in the wrong field; refusals are one a minute and member."""
    member_add(fresh.factory, "ada", role="admin")
    code = member_invite(fresh.factory, "ada").invitation
    fresh.at = fresh.factory.now()
    join(fresh.client(), code)
    for password in ("wrong password", "wrong again 1"):
        sign_in(fresh.client(), password=password)
    sign_in(fresh.client(), "hunter2 is my password")
    sign_in(fresh.client(), "another mistake")
    secret = fresh.token()["Authorization"].removeprefix("Bearer ")

    assert ["ada"] == [one.member for one in events(fresh.factory, MemberInvited)]
    assert [("ada", "10.0.0.1")] == [(one.by, one.address) for one in events(fresh.factory, PasswordChosen)]
    assert [("ada", "10.0.0.1")] == [(one.by, one.address) for one in events(fresh.factory, SignedIn)]
    assert ["ada", ""] == [one.member for one in events(fresh.factory, SignInRefused)]
    assert verify_chain(fresh.factory).problems == ()
    files = [path for path in fresh.factory.root.rglob("*") if path.is_file()]
    for one in (PASSWORD, "hunter2", code.split("_", 2)[2], secret.split("_", 2)[2]):
        assert not [path for path in files if one.encode() in path.read_bytes()]


def test_a_backup_has_no_password_no_invitation_and_no_session(served, tmp_path):
    """Else an old copy would let in again whom somebody has shut out; and one that was made up would let in its maker."""
    served.member()
    token = served.token()["Authorization"]
    invite(served.state, "ada", served.at)
    backup(served.factory, tmp_path / "b.tar")
    restored = restore(Factory(tmp_path / "new"), tmp_path / "b.tar")

    with Factory.open(restored.factory) as new:
        member = read_accounts(new.state).members["ada"]
        assert ("", None, {}) == (member.password, member.invitation, read_accounts(new.state).sessions)
        with pytest.raises(LinewrightError, match="lets nobody in"):
            Authenticator(state=new.state, now=lambda: served.at).identify([token])


@pytest.mark.parametrize("what", ["password", "invitation", "session"])
def test_accounts_with_a_secret_are_not_what_a_backup_has(what):
    """`restore` compares them with this."""
    member = Member(created=START, password=HASH if what == "password" else "")
    if what == "invitation":
        made = Invitation(sha256=sha256("x"), created=START, expires=START)
        member = Member(created=START, invitation=made)
    session = Session(sha256=sha256("x"), member="ada", created=START, expires=START)
    accounts = Accounts(members={"ada": member}, sessions={"0": session} if what == "session" else {})

    assert accounts != accounts.without_secrets()
    assert accounts.without_secrets() == accounts.without_secrets().without_secrets()


def test_the_first_admin_is_invited_until_somebody_can_sign_in(served):
    """Each start gives another code, and the code of an old log is of no use."""
    codes = [first_invitation(served.state, served.at) for _ in range(2)]
    client = served.client()

    assert None not in codes
    assert [403, 200] == [join(client, str(code)).status_code for code in codes]
    assert 200 == sign_in(client, "admin").status_code
    assert 200 == client.get(STATUS).status_code
    assert first_invitation(served.state, served.at) is None


def command(up: Up, *words: str, config: Path, said: str = "", code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [*commands.python(), "-m", "linewright", *words, "--json"],
        cwd=up.root.parent,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CONFIG_HOME": str(config)},
    )
    assert code == done.returncode, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_person_signs_in_and_out_at_a_terminal(up, tmp_path, monkeypatch):
    """The session is kept for its owner alone, and of no use after."""
    config, url = tmp_path / "config", f"http://127.0.0.1:{up.control}"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    with Factory.open(up.root) as factory:
        code = member_invite(factory, "ada").invitation
    joined = command(up, "login", url, "--invitation", code, config=config, said=PASSWORD + "\n")
    first = token_for(url)
    signed = command(up, "login", url + "/", "--name", "ada", config=config, said=PASSWORD + "\n")
    second = token_for(url)
    file = config / "linewright" / "logins.json"

    assert ("ada", "ada", str(file)) == (joined["member"], signed["member"], signed["file"])
    assert (0o600, 0o700) == (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777)
    assert len({None, first, second}) == 3
    headers = {"Authorization": f"Bearer {second}"}
    assert 200 == httpx.get(url + STATUS, headers=headers).status_code
    wrong = command(up, "login", url, "--name", "ada", config=config, said="wrong password\n", code=2)
    assert ("Unauthenticated", second) == (wrong["error"], token_for(url))

    assert command(up, "logout", url, config=config)["ended"]

    assert token_for(url) is None
    assert 401 == httpx.get(url + STATUS, headers=headers).status_code


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("http://factory.example.org", Denied),
        ("http://127.0.0.1.example.org", Denied),
        ("http://0.0.0.0:8080", Denied),
        ("ftp://127.0.0.1", RequestError),
        ("https://", RequestError),
        ("https://ada:secret@factory.example.org", RequestError),
        ("https://factory.example.org/path", RequestError),
        ("https://factory.example.org:99999", RequestError),
        ("https://factory.example.org?x=1", RequestError),
        ("factory.example.org", RequestError),
    ],
)
def test_a_password_goes_by_tls_or_stays_on_this_machine(address, error):
    """Before anybody is asked for it."""
    with pytest.raises(error):
        log_in(address, name="ada")


def test_sessions_are_kept_by_address_until_they_expire(tmp_path, monkeypatch):
    """However the address is written; a file that others may read is not used."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    login = Login(member="ada", token="secret", expires="2026-06-01T12:00:00.000000Z")  # noqa: S106 -- nobody's
    file = keep("https://Factory.example.org:443/", login)
    keep("https://factory.example.org:8443", login)

    assert "secret" == token_for("https://factory.example.org", START)
    assert token_for("https://factory.example.org", login.expires) is None
    assert token_for("http://localhost:443", START) is None
    assert "http://[::1]:8080" == origin_of("http://[::1]:8080/")
    forget("https://factory.example.org/")
    assert (None, "secret") == (
        token_for("https://factory.example.org", START),
        token_for("https://factory.example.org:8443", START),
    )
    file.chmod(0o644)
    with pytest.raises(Denied, match="others may read"):
        token_for("https://factory.example.org:8443", START)
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(Corrupt, match="damaged"):
        token_for("https://factory.example.org:8443", START)
