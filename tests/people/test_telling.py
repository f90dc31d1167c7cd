"""Telling: what happens reaches those who asked for it, whatever they, the network or this machine do meanwhile."""

import base64
import email
import email.policy
import hashlib
import hmac
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest
from receivers import KillableWebhook, mail_server, webhook

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.doctor import Needs, examine
from linewright.capabilities.care.restore import restore_backup
from linewright.capabilities.notifications import send_events as notifying
from linewright.capabilities.notifications.deliveries import deliveries, undelivered
from linewright.capabilities.notifications.destinations import destinations
from linewright.capabilities.notifications.send_events import PATIENCE, Courier, Notifying
from linewright.capabilities.notifications.send_now import send_now, try_out
from linewright.capabilities.overview.operations.status import status
from linewright.errors import NotFound, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.file.factory_file import read_factory_file
from linewright.line.file.read import parse_line
from linewright.people import send
from linewright.people.messages import probe_message
from linewright.people.outbox import Outbox
from linewright.people.send import Undelivered, open_sender
from linewright.people.spec import EmailSpec
from linewright.release.facts import Halted, RolledBack
from linewright.watch.facts import Alerted, Cleared

pytestmark = pytest.mark.usefixtures("processes")

SECRET = "a secret of this test"  # noqa: S105 -- it is none


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """Give a factory without lines, whose record the tests write."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with Factory.create(tmp_path / "works") as opened:
        yield opened


def tell(factory, **destinations):
    """Declare who is told, and have that begin now."""
    text = "\n".join(f"  {name}: {{{says}}}" for name, says in destinations.items())
    (factory.root / "factory.yaml").write_text(f"format: 1\nnotify:\n{text}\n")
    outbox = Outbox(factory.state)
    for one in deliveries(factory):
        outbox.begin(one.destination, factory.metadata.newest_seq())


def halted(factory, number=1, *, line="claims"):
    factory.metadata.record(
        Halted(
            at=factory.now(), by="ada", because=f"reason {number}", line=line, halt=True, generation=number
        )
    )


def chain(factory):
    return [link.chain for link in factory.metadata.links()]


def until(holds, seconds=30.0):
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


@contextmanager
def worker(factory):
    """Have the factory's own thread tell."""
    said = []
    with closing(Notifying(lambda: Factory.open(factory.root, report=said.append), every_s=0.02)):
        yield said


def test_an_event_is_a_signed_cloud_event(factory):
    """A receiver must know what it is, whom it is from, that nobody changed it, and whether it has had it before."""
    with webhook() as hook:
        tell(factory, ops=f"webhook: '{hook.url}', secret: 'env:HOOK_SECRET'")
        halted(factory)
        (sent,) = send_now(factory, None, refused=False)

    (headers, body), (event,) = hook.got[0], hook.events
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()

    assert 1 == sent.delivered
    assert "" == sent.trouble
    assert "application/cloudevents+json; charset=utf-8" == headers["content-type"]
    assert f"v1,{signature}" == headers["webhook-signature"]
    assert event["id"] == headers["webhook-id"] == chain(factory)[0]
    assert {"1.0", "/linewright/works/claims", "linewright.halted", "application/json"} == {
        event[name] for name in ("specversion", "source", "type", "datacontenttype")
    }
    assert "claims was halted by ada: reason 1" == event["data"]["says"]
    assert "reason 1" == event["data"]["event"]["because"]


def test_a_receiver_killed_under_a_thousand_events_gets_each(factory, tmp_path):
    """Alarms come when things break, and receivers break with them: repeats are allowed, a loss is not."""
    hook = KillableWebhook(tmp_path)
    tell(factory, ops=f"webhook: '{hook.url}'")
    try:
        with worker(factory):
            for number in range(1000):
                if number in {0, 400}:
                    hook.start()
                if number in {300, 700}:
                    until(lambda least=number // 2: len(hook.ids()) >= least)
                    hook.kill()
                halted(factory, number)
            hook.start()
            until(lambda: len(set(hook.ids())) >= 1000)
    finally:
        hook.kill()
    wanted = chain(factory)

    assert 1000 == len(wanted)
    assert set(wanted) == set(hook.ids())
    # Each comes first in the order in which it happened.
    assert wanted == list(dict.fromkeys(hook.ids()))


_SENDER = """
import sys, time
from linewright.line.factory import Factory
from linewright.capabilities.notifications.send_events import Notifying
Notifying(lambda: Factory.open(sys.argv[1]), every_s=0.02)
time.sleep(600)
"""


def test_a_sender_that_is_killed_goes_on_where_it_was(factory, tmp_path):
    """`kill -9` of the worker must lose no news, and what it repeats is the little that it sent last."""
    hook = KillableWebhook(tmp_path)
    tell(factory, ops=f"webhook: '{hook.url}'")
    for number in range(200):
        halted(factory, number)
    hook.start()
    try:
        sender = subprocess.Popen([sys.executable, "-c", _SENDER, str(factory.root)])
        try:
            until(lambda: len(hook.ids()) > 0)
        finally:
            sender.kill()
            sender.wait()
        before = len(hook.ids())
        (sent,) = send_now(factory, None, refused=False)
    finally:
        hook.kill()

    assert 0 < before < 200
    assert chain(factory) == list(dict.fromkeys(hook.ids()))
    assert "" == sent.trouble
    assert before + sent.delivered >= 200


def test_what_fails_for_long_is_kept_told_of_and_sent_once_that_is_possible(factory):
    """A receiver that answers 500 for a day loses nothing, and people can see that it does."""
    with webhook() as hook:
        hook.answer = lambda _: (500, {}, b"database is down")
        tell(factory, ops=f"webhook: '{hook.url}'")
        halted(factory, 1)
        courier = courier_of(factory, "ops")
        for _ in range(3 * PATIENCE):  # a day has some 150 tries; each is the same
            courier.deliver()
        halted(factory, 2)
        (ill,) = undelivered(factory)
        pause = courier.next_at - time.monotonic()
        hook.answer = lambda _: (200, {}, b"")
        courier.deliver()

    assert (2, 3 * PATIENCE, 0) == (ill.waiting, ill.failures, ill.refused)
    assert "answers 500 Internal Server Error: database is down" in ill.trouble
    assert 590 < pause <= 600
    assert chain(factory) == [event["id"] for event in hook.events]
    assert [] == undelivered(factory)


def courier_of(factory, name):
    outbox = Outbox(factory.state)
    (to,) = [one for one in destinations(factory) if one.name == name]
    return Courier(factory, outbox, to, outbox.places()[name])


def test_an_event_that_its_receiver_calls_wrong_does_not_hold_back_the_rest_for_ever(factory):
    """One event that a receiver cannot take must not silence it for good, nor be lost."""
    with webhook() as hook:
        hook.answer = lambda body: (400, {}, b"no") if b"reason 1" in body else (204, {}, b"")
        tell(factory, ops=f"webhook: '{hook.url}'")
        for number in (1, 2, 3):
            halted(factory, number)
        courier = courier_of(factory, "ops")
        for _ in range(PATIENCE):
            courier.deliver()
        before = len(hook.got)
        courier.deliver()
        (ill,) = undelivered(factory)
        after = [event["id"] for event in hook.events]
        hook.answer = lambda _: (204, {}, b"")
        (again,) = send_now(factory, "ops", refused=True)

    assert 0 == before
    assert chain(factory)[1:] == after
    assert (0, 1) == (ill.waiting, ill.refused)
    assert (1, "") == (again.delivered, again.trouble)
    assert set(chain(factory)) == {event["id"] for event in hook.events}
    assert [] == undelivered(factory)


def test_a_receiver_that_hangs_holds_up_nobody_else(factory, monkeypatch):
    """One dead system must not keep the others, or the factory, from hearing."""
    monkeypatch.setattr(send, "SEND_S", 0.4)
    with webhook() as hook, socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        tell(factory, dead=f"webhook: '{url}'", ops=f"webhook: '{hook.url}'")
        with worker(factory) as said:
            began = time.monotonic()
            halted(factory)
            until(lambda: hook.got)
            seconds = time.monotonic() - began
            until(lambda: undelivered(factory))
            until(lambda: said)
        (ill,) = undelivered(factory)

    assert hook.asked[0] - began <= seconds
    assert "dead" == ill.destination
    assert "no answer within 0.4 s" in ill.trouble
    assert "dead is not told what happens" in said[0].says


def test_an_answer_that_dribbles_in_has_an_end(factory, monkeypatch):
    """A time limit that each byte renews is none."""
    monkeypatch.setattr(send, "SEND_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tell(factory, slow=f"webhook: 'http://127.0.0.1:{listening.getsockname()[1]}/'")

        def dribble():
            connection, _ = listening.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 600:
                    try:
                        connection.sendall(bytes([byte]))
                    except OSError:
                        return
                    time.sleep(0.02)

        thread = threading.Thread(target=dribble)
        thread.start()
        (tried,) = try_out(factory, None)
        thread.join()

    assert 0 == tried.delivered
    assert "no answer within 0.5 s" in tried.trouble


def test_redirects_are_not_followed_and_long_answers_not_read(factory):
    """Where news goes is what the file says, and a receiver cannot fill our memory."""
    with webhook() as elsewhere, webhook() as hook:
        hook.answer = lambda _: (307, {"location": elsewhere.url}, b"x" * 10_000_000)
        tell(factory, ops=f"webhook: '{hook.url}'")
        (tried,) = try_out(factory, "ops")

    assert "redirects are not followed" in tried.trouble
    assert [] == elsewhere.asked


def test_a_receiver_may_ask_for_a_pause(factory):
    with webhook() as hook:
        hook.answer = lambda _: (429, {"retry-after": "90"}, b"")
        tell(factory, ops=f"webhook: '{hook.url}'")
        halted(factory)
        courier = courier_of(factory, "ops")
        courier.deliver()

    assert 80 < courier.next_at - time.monotonic() <= 90


def test_each_is_told_of_what_it_asked_for(factory):
    """Whoever is on call wants failures and no proposals."""
    failed = Finished(
        at=factory.now(),
        by="x",
        because="",
        line="claims",
        run="r1",
        outcome="failed",
        error={"message": "no such file"},
    )
    back = RolledBack(
        at=factory.now(),
        by="ada",
        because="worse",
        line="claims",
        model=1,
        package="p",
        before=2,
        generation=3,
    )
    alert = Alerted(
        at=factory.now(), by="x", because="'a' has drifted", line="claims", id="i", package="p", monitor="drift",
        column="a", value=1.0, bar=0.2, evidence="e", since=factory.now(),
    )  # fmt: skip
    over = Cleared(
        at=factory.now(), by="x", because="not found in 3 windows", line="claims", alert="i", evidence="e"
    )
    with webhook() as calls, webhook() as all_, webhook() as chat:
        (factory.state / "chat").write_text(chat.url + "\n")
        tell(
            factory,
            calls=f"webhook: '{calls.url}', on: [failures]",
            all=f"webhook: '{all_.url}'",
            chat="slack: 'file:.linewright/chat'",
        )
        for event in (
            failed,
            back,
            alert,
            over,
            Finished(at=factory.now(), by="x", because="", line="b", run="r2", outcome="done"),
        ):
            factory.metadata.record(event)
        send_now(factory, None, refused=False)

    told = ["failures", "rollbacks", "alerts", "alerts"]
    says = [event["data"]["says"] for event in all_.events]

    assert ["failures"] == [event["data"]["topic"] for event in calls.events]
    assert told == [event["data"]["topic"] for event in all_.events]
    assert "claims, run r1 failed: no such file" == says[0]
    assert "claims, an alert is over: not found in 3 windows (it said: 'a' has drifted)" == says[3]
    assert ["\n".join(f"• {one}" for one in says)] == [event["text"] for event in chat.events]


def test_text_of_the_data_calls_nobody_in_a_chat(factory):
    """A column named <!channel> would otherwise wake everybody."""
    with webhook() as chat:
        (factory.state / "chat").write_text(chat.url)
        tell(factory, chat="slack: 'file:.linewright/chat'")
        factory.metadata.record(
            Halted(at=factory.now(), by="<!channel>", because="a & b", line="a", halt=True, generation=1)
        )
        send_now(factory, None, refused=False)

    assert "• a was halted by &lt;!channel&gt;: a &amp; b" == chat.events[0]["text"]


def test_a_line_has_receivers_of_its_own(factory):
    """The team of one line is told of that line alone, whatever the factory's own receivers are told."""
    line = "line: claims\nsources: {a: {file: a.csv}}\nlabel: {column: y}\nnotify: {team: {webhook: '%s'}}\n"
    with webhook() as team, webhook() as ops:
        (factory.root / "lines" / "claims.yaml").write_text(line % team.url)
        tell(factory, ops=f"webhook: '{ops.url}'")
        with worker(factory):
            halted(factory, 1, line="other")
            halted(factory, 2)
            until(lambda: len(team.got) >= 1 and len(ops.got) >= 2)

    assert ["/linewright/works/claims"] == [event["source"] for event in team.events]
    assert ["other", "claims"] == [event["data"]["line"] for event in ops.events]
    assert {"claims/team", "ops"} == set(Outbox(factory.state).places())


def test_one_who_is_new_is_told_of_what_happens_from_then_on(factory, monkeypatch):
    """Nobody wants the history of a year at once; and nothing that happens after the file was written may be missed."""
    monkeypatch.setattr(notifying, "_FILES_S", 0.3)
    halted(factory, 1)
    with webhook() as hook, worker(factory):
        time.sleep(0.1)
        (factory.root / "factory.yaml").write_text(f"format: 1\nnotify: {{ops: {{webhook: '{hook.url}'}}}}\n")
        halted(factory, 2)  # before anybody looked at the file again
        until(lambda: hook.got)

    assert chain(factory)[1:] == [event["id"] for event in hook.events]


def test_a_backup_keeps_who_has_been_told_what(factory, tmp_path):
    """A factory that is restored tells what had not been told, and not everything again."""
    with webhook() as hook:
        tell(factory, ops=f"webhook: '{hook.url}'")
        halted(factory, 1)
        send_now(factory, None, refused=False)
        halted(factory, 2)
        backup = make_backup(factory, tmp_path / "backup.tar")
        with Factory(tmp_path / "again") as empty:
            restore_backup(empty, tmp_path / "backup.tar")
        with Factory.open(tmp_path / "again") as again:
            (sent,) = send_now(again, None, refused=False)

    assert backup is not None
    assert 1 == sent.delivered
    assert chain(factory) == [event["id"] for event in hook.events]


# E-mail


def test_a_line_break_in_the_name_of_the_folder_is_none_in_a_mail(tmp_path):
    """It would end the header of the subject: nobody would be told, and whoever tells would stop."""
    spec = EmailSpec.model_validate(
        {"email": ["a@b.c"], "sender": "a@b.c", "smtp": "127.0.0.1:1", "security": "none"}
    )
    with mail_server() as server:
        sender = open_sender(
            spec.model_copy(update={"smtp": server.address}),
            "a@b.c",
            root=tmp_path / "a\nBcc: e@f.g",
            where="",
            at="2026-11-25T00:00:00.000000Z",
        )
        sender.send([probe_message(id="a", at="2026-11-25T00:00:00.000000Z", destination="mail")])
        sender.close()

    assert email.message_from_string(server.mails[0].text)["Subject"].startswith("[a Bcc: e@f.g] ")


@pytest.mark.parametrize("address", ["a@b]", "\xe9@b.c", "=@[\xfc", "a..b@c.d"])
def test_of_an_address_that_no_mail_can_have_it_is_told(address, tmp_path):
    """The form of a line file allows more than mail does."""
    spec = EmailSpec.model_validate(
        {"email": ["a@b.c"], "sender": address, "smtp": "127.0.0.1:1", "security": "none"}
    )
    sender = open_sender(spec, "a@b.c", root=tmp_path, where="", at="2026-11-25T00:00:00.000000Z")

    with pytest.raises(Undelivered):
        sender.send([probe_message(id="a", at="2026-11-25T00:00:00.000000Z", destination="mail")])


def test_mail_reaches_each_recipient_by_smtp(factory, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "hush")
    with mail_server() as server:
        tell(
            factory,
            mail=f"email: [ada@example.com, bo@example.com], sender: linewright@example.com, smtp: '{server.address}', "
            "security: none, user: lw, password: 'env:MAIL_PASSWORD'",
        )
        for number in (1, 2, 3):
            halted(factory, number)
        sent = send_now(factory, "mail", refused=False)

    letters = [email.message_from_string(one.text, policy=email.policy.default) for one in server.mails]

    assert [3, 3] == [one.delivered for one in sent]
    assert ["ada@example.com", "bo@example.com"] == [one.recipient for one in server.mails]
    assert {"linewright@example.com"} == {one.sender for one in server.mails}
    assert "[works] claims was halted by ada: reason 1 (and 2 more)" == letters[0]["Subject"]
    assert all(f"reason {number}" in letters[0].get_content() for number in (1, 2, 3))
    assert (
        letters[0]["Message-ID"] == letters[1]["Message-ID"]
    )  # of the same news, so that a repeat can be dropped
    assert ["lw:hush"] * 2 == server.signed_in


def test_a_broken_mail_server_loses_nothing_and_one_bad_recipient_keeps_nobody_else(factory):
    with mail_server() as server:
        tell(
            factory,
            mail=f"email: [ada@example.com, gone@example.com], sender: a@example.com, smtp: '{server.address}', security: none",
        )
        halted(factory)
        server.at_recipient = lambda to: "550 no such user" if "gone" in to else "250 ok"
        server.at_end = lambda _: "451 try again later"
        broken = send_now(factory, None, refused=False)
        server.at_end = lambda _: "250 taken"
        mended = send_now(factory, None, refused=False)
        (ill,) = undelivered(factory)
    late = try_out(factory, "mail/ada@example.com")

    assert [0, 0] == [one.delivered for one in broken]
    assert "451 try again later" in broken[0].trouble
    assert "550 no such user" in broken[1].trouble
    assert [1, 0] == [one.delivered for one in mended]
    assert ["ada@example.com"] == [one.recipient for one in server.mails]
    assert ("mail/gone@example.com", 1) == (ill.destination, ill.waiting)
    assert "Connection refused" in late[0].trouble


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_mail_goes_encrypted_to_a_server_whose_certificate_is_right(factory, tmp_path, monkeypatch):
    """Else whoever is in between reads what happens, and the password."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    with mail_server((certificate, key)) as server:
        tell(factory, mail=f"email: [ada@example.com], sender: a@example.com, smtp: '{server.address}'")
        (strange,) = try_out(factory, None)
        monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(certificate))
        (known,) = try_out(factory, None)

    assert "CERTIFICATE_VERIFY_FAILED" in strange.trouble or "certificate verify failed" in strange.trouble
    assert "" == known.trouble
    assert [True] == server.encrypted


# The file


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("webhook: 'ftp://x/y'", "https://HOST/PATH"),
        ("webhook: 'https://ada:hunter2@x/y'", "env:NAME"),
        ("webhook: 'https://x/y', secret: hunter2", "env:NAME or file:PATH"),
        ("slack: 'https://hooks.slack.com/services/hunter2'", "env:NAME or file:PATH"),
        ("webhook: 'https://x/y', on: [alarms]", "'alarms'"),
        ("webhook: 'https://x/y', on: []", "at least 1 item"),
        ("post: [a@b.c]", "does not say what it is"),
        ("email: [a], sender: a@b.c, smtp: 'x:25'", "an e-mail address"),
        ("email: [a@b.c], sender: a@b.c, smtp: x", "HOST:PORT"),
        ("email: [a@b.c], sender: a@b.c, smtp: 'x:0'", "from 1 to 65535"),
        ("email: [a@b.c], sender: a@b.c, smtp: 'x:25', user: u", "go together"),
        (
            "email: [a@b.c], sender: a@b.c, smtp: 'x:25', security: none, user: u, password: 'env:P'",
            "without encryption",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_told_and_no_secret_with_it(factory, says, told):
    """A typing error in `notify:` must be found by `check` and `up`, and not at the first alarm."""
    (factory.root / "factory.yaml").write_text(f"format: 1\nnotify:\n  ops: {{{says}}}\n")
    with pytest.raises(SpecError) as of_factory:
        read_factory_file(factory.root)
    line = f"line: a\nsources: {{a: {{file: a.csv}}}}\nlabel: {{column: y}}\nnotify:\n  ops: {{{says}}}\n"
    with pytest.raises(SpecError) as of_line:
        parse_line(line, name="lines/a.yaml")

    for error in (of_factory.value, of_line.value):
        everything = f"{error} {error.to_json()}"
        assert told in everything
        assert "hunter2" not in everything


def test_a_secret_that_is_not_there_is_told_and_waits(factory, monkeypatch):
    """Nothing is sent unsigned because a variable was forgotten, and nothing is lost."""
    with webhook() as hook:
        tell(factory, ops=f"webhook: '{hook.url}', secret: 'env:HOOK_SECRET'")
        halted(factory)
        monkeypatch.delenv("HOOK_SECRET")
        (without,) = send_now(factory, None, refused=False)
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        (with_it,) = send_now(factory, None, refused=False)

    assert "no variable of the environment has that name" in without.trouble
    assert "env:HOOK_SECRET" in without.trouble
    assert (0, 1) == (without.delivered, with_it.delivered)


def test_a_destination_that_is_not_there_is_named_with_those_that_are(factory):
    tell(factory, ops="webhook: 'http://127.0.0.1:9/'")

    with pytest.raises(NotFound, match=r"found 'opps', allowed: ops\. Next: did you mean 'ops'"):
        try_out(factory, "opps")


def test_status_and_doctor_say_what_is_not_told(factory):
    """Who relies on an alarm must be able to see that it does not reach them."""
    tell(factory, ops="webhook: 'http://127.0.0.1:9/'")
    halted(factory)
    before = [one.what for one in examine(factory, Needs(free_bytes=0, ports=())).problems]
    send_now(factory, None, refused=False)
    found = [one for one in examine(factory, Needs(free_bytes=0, ports=())).problems if "notify" in one.where]
    text = result_text(status(factory))

    assert ["1 event waits to be told, and the factory is not up"] == before
    assert "1 event waits to be told since" in found[0].what
    assert "Connection refused" in found[0].what
    assert "not told: ops (webhook): 0 events told; 1 waiting" in text
    assert "Connection refused" in text
