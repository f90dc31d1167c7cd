"""What the demo prints: the story once, in lines that a terminal holds, and money in a column."""

import msgspec
import pytest

from linewright.capabilities.members.operations.members import MemberLine
from linewright.interfaces.cli.dispatch import result_text
from linewright.worlds.demo.operations import Demo, Sight
from linewright.worlds.life import Day, Life, Moment
from linewright.worlds.story import THIN, caption

SAYS = "207 positives are confirmed since 2026-03-24, the model expects 109: it does not see what happens now"


def a_demo(**changes) -> Demo:
    days = tuple(
        Day(
            day=day,
            date=f"2026-03-{day + 1:02}",
            payments=9,
            frauds=1,
            model="payments@1",
            value=-5,
            never=-7,
            best=-2,
        )
        for day in range(5)
    )
    found = Moment(day=2, kind="alert", says=SAYS, evidence="sha256:52f4110d5182" + 52 * "0")
    life = Life(
        world="fraud",
        seed=1,
        is_attacked=True,
        line="payments",
        currency="EUR",
        days=days,
        moments=(found,),
    )
    told = Demo(
        factory="demo-factory",
        picture="demo-factory/life.svg",
        world="fraud",
        seed=1,
        attack_day=None,
        alert_day=2,
        promoted_day=None,
        champion="payments@1",
        currency="EUR",
        value=-10_587_200,
        never=-158_912_345_00,
        best=4_700,
        life=life,
        seconds=60.0,
    )
    return msgspec.structs.replace(told, **changes)


def test_the_caption_is_told_once():
    """The story begins with it."""
    text = " ".join(result_text(a_demo()).replace(THIN, " ").split())

    assert text.count(caption(a_demo().life).replace(THIN, " ")) == 1


def test_what_is_long_goes_on_under_what_was_said():
    """A terminal that breaks lines itself breaks the columns."""
    lines = result_text(a_demo()).splitlines()
    begun = next(at for at, line in enumerate(lines) if line.startswith("day   2  alert "))

    assert max(map(len, lines)) <= 100
    assert f"{lines[begun][19:]} {lines[begun + 1].strip()}" == f"{SAYS} (evidence 52f4110d5182)"
    assert lines[begun + 1].index(lines[begun + 1].strip()) == 19


@pytest.mark.parametrize("never", [-158_912_345_00, -700, 0])
def test_money_stands_in_one_column(never):
    """Sums that are compared are read downwards."""
    lines = result_text(a_demo(never=never)).splitlines()
    begun = next(at for at, line in enumerate(lines) if line.startswith("  as it was"))
    sums = lines[begun : begun + 3]

    assert len({len(line) for line in sums}) == 1
    assert len({line.index("EUR") for line in sums}) == 1


def test_it_ends_with_what_there_is_to_see_and_how_to_open_it():
    """Whoever has just watched it for a minute wants to know what to do now."""
    sights = (
        Sight(line="claims", kind="account", count=1_200),
        Sight(line="claims", kind="alerts", about="amount", count=2),
        Sight(line="parts", kind="refused", about="parts@2"),
        Sight(line="parts", kind="rollout", about="parts@3", share=0.25),
        Sight(line="wine", kind="proposal", about="wine@2"),
        Sight(line="wine", kind="questions", count=40),
        Sight(line="wine", kind="comments", count=1),
        Sight(line="cards", kind="unlabelled", count=60),
        *(
            Sight(line="more", kind="answers", about=about, count=number)
            for number, about in enumerate(("pictures", "heat maps", "lists", "forecasts", "curves"), 1)
        ),
    )
    ada = MemberLine(member="ada", roles=("engineer",), created="", tokens=0, has_password=False, provider="")
    text = result_text(a_demo(sights=sights, members=(ada,)))

    assert (
        text[text.index("There is to see") :]
        == """\
There is to see in it:
  claims   a value account of 1,200 answers; 2 open alerts (first 'amount')
  parts    parts@2, refused by its gate; parts@3 in a rollout, on 25% of the rows
  wine     wine@2 waits for an approval; 40 questions for annotators; 1 comment
  cards    60 answers without a label
  more     1 picture, each with its class; 2 pictures, each with a heat map; 3 lists with reasons; 4
           forecasts, drawn as fans; 5 survival curves
  members  ada (engineer): `linewright member invite NAME` lets one sign in
Open it: its console is at http://127.0.0.1:8080, and `up` prints the link that signs you in.
  linewright up --factory demo-factory"""
    )


def test_nothing_is_listed_where_nothing_is_left():
    assert "There is to see" not in result_text(a_demo())
