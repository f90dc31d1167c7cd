"""What decisions were worth, and what other amounts would change, in the console."""

import csv
import io
import re
from datetime import date, timedelta

import pytest

from linewright.interfaces.console import routes
from linewright.people.account import CHANGE_DAYS, gain_change
from linewright.people.facts import DaySums, Sums


def days_of(gains: list[float]) -> list[DaySums]:
    """Return days with a hundred matured answers each, the last of them today."""
    first = date(2026, 6, 30) - timedelta(days=len(gains) - 1)
    return [
        DaySums(
            day=(first + timedelta(days=number)).isoformat(),
            spans={},
            sums=(
                Sums(currency="EUR", matured=100, value=gain, gain_squared=gain**2, value_squared=gain**2),
            ),
        )
        for number, gain in enumerate(gains)
    ]


def test_the_gain_of_four_weeks_is_compared_with_that_of_four_weeks_before():
    rose = gain_change("claims", "EUR", "never", days_of([10.0, 12.0] * 14 + [30.0, 28.0] * 14))
    same = gain_change("claims", "EUR", "never", days_of([10.0, 90.0, -40.0, 20.0] * 14))

    assert rose is not None
    assert (CHANGE_DAYS, "2026-06-30", 28 * 11.0, 28 * 29.0) == (
        rose.days,
        rose.until,
        rose.before,
        rose.gain,
    )
    assert 0 < rose.low < rose.gain - rose.before < rose.high
    assert same is not None
    assert same.low <= 0 <= same.high


@pytest.mark.parametrize("many", [0, 1, 30, 35])
def test_too_few_days_are_not_compared(many: int):
    assert gain_change("claims", "EUR", "never", days_of([10.0] * many)) is None


def test_the_account_is_had_with_its_gain_and_is_not_worked_out_again_for_that(get, monkeypatch):
    """Each file of what somebody sees costs a process of a second otherwise."""
    page = get("/lines/claims/value/account")
    asked: list[str] = []
    answer = routes.Console._answer

    async def counted(self, operation, *rest, **named):
        asked.append(operation.name)
        return await answer(self, operation, *rest, **named)

    monkeypatch.setattr(routes.Console, "_answer", counted)
    sheets = [get(link) for link in page.links if ".csv" in link]
    rows = [list(csv.DictReader(io.StringIO(sheet.html))) for sheet in sheets]

    assert 200 == page.status
    assert any("gain" in row for table in rows for row in table[:1])
    assert [] == asked
    assert 403 == get("/lines/claims/value/account?data=0.csv", role="viewer", lines=("other",)).status
    page.assert_harmless()


def test_other_amounts_are_told_with_what_they_would_change(get):
    page = get("/lines/claims/value/what-if?false_positive=-30")
    reason = re.search(r'name="because"[^>]*>\n(.*?)</textarea>', page.html, re.DOTALL)

    assert "What costs has a minus" in page.text
    assert re.search("threshold (is|is not|is perhaps) (better|worse)|decide the test rows alike", page.text)
    assert "is worth 18" in page.text
    assert reason is not None
    assert "One false alarm -30" in reason[1]
    assert "test rows" in reason[1]
    assert "/lines/claims/value/what-if?false_positive=-30" in reason[1]
    page.assert_harmless()


def test_a_saved_page_is_what_is_shown(get):
    page = get("/lines/claims/value/what-if?false_positive=-30")

    assert "/lines/claims/value/what-if?false_positive=-30&save=1" in page.links
