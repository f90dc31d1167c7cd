"""One chart of each kind, and the empty, the single and the hostile ones."""

import math
from datetime import UTC, date, datetime, timedelta

from linewright.charts import (
    Axis,
    Bar,
    BarChart,
    Calibrated,
    Chart,
    Confusion,
    DotChart,
    Histogram,
    Line,
    LineChart,
    Point,
    Quantiles,
    Reference,
    Reliability,
    Ribbon,
    Sample,
    ShareChart,
    Sparkline,
    Waterfall,
)

START = date(2026, 1, 5)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=HYPERLINK(1)",
    "a\x00b",
    "long " * 60,
)


def _days(number: int) -> list[date]:
    return [START + timedelta(days=day) for day in range(number)]


def _bars(names=("amount", "hour", "device")) -> tuple[Bar, ...]:
    return tuple(
        Bar(name=name, value=0.3 - 0.2 * place, low=0.2 - 0.2 * place, high=0.4 - 0.2 * place, rows=900)
        for place, name in enumerate(names)
    )


def charts() -> dict[str, Chart]:
    """Return charts by a name for tests."""
    auc = [
        Point(at=day, value=0.8 + 0.01 * math.sin(n), low=0.7, high=0.9) for n, day in enumerate(_days(90))
    ]
    auc[40] = Point(at=auc[40].at, value=None)
    hours = [datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=3 * n) for n in range(10)]
    certified = Reference(name="certified", value=0.82)
    score = Axis(label="ROC AUC")
    return {
        "line": LineChart(
            title="Realised ROC AUC fell below the certified 0.82",
            x=Axis(label="day"),
            y=score,
            lines=(Line(name="realised", points=tuple(auc)),),
            references=(certified,),
            interval="95 % interval",
        ),
        "hours": LineChart(
            title="The challenger earns more",
            x=Axis(label="window"),
            y=Axis(label="value", unit="EUR"),
            lines=tuple(
                Line(
                    name=name,
                    points=tuple(
                        Point(at=at, value=None if n == 4 else k * math.cos(n)) for n, at in enumerate(hours)
                    ),
                )
                for name, k in (("champion", 900.0), ("challenger", -1800.0), ("certified", 30.0))
            ),
        ),
        "numbers": LineChart(
            title="More labels stop paying",
            x=Axis(label="labels", unit="rows"),
            y=Axis(label="recall", unit="%"),
            lines=(
                Line(name="recall", points=tuple(Point(at=100 * n, value=n / (n + 3)) for n in range(1, 9))),
            ),
        ),
        "bars": BarChart(
            title="amount matters most", axis=Axis(label="loss of ROC AUC"), bars=_bars(), names="column"
        ),
        "contributions": BarChart(
            title="A new device pushed this answer up",
            axis=Axis(label="contribution", unit="log odds"),
            bars=(
                Bar(name="device = new", value=1.3),
                Bar(name="tenure", value=-0.9),
                Bar(name="hour", value=None),
            ),
        ),
        "dots": DotChart(
            title="The challenger is better by 0.02",
            axis=score,
            names="model",
            bars=(
                Bar(name="fraud@7", value=0.81, low=0.79, high=0.83, rows=2509),
                Bar(name="fraud@8", value=0.83, low=0.81, high=0.85, rows=2509, is_marked=True),
            ),
            references=(certified,),
        ),
        "series": DotChart(
            title="The challenger is better in each slice",
            axis=Axis(label="recall", unit="%", holds=(0.0, 1.0)),
            names="slice",
            bars=tuple(
                Bar(
                    name=f"region = {name}",
                    series=series,
                    value=value,
                    low=value - 0.1,
                    high=value + 0.1,
                    rows=700,
                )
                for name, base in (("north", 0.4), ("south", 0.6))
                for series, value in (("champion", base), ("challenger", base + 0.07))
            ),
        ),
        "years": LineChart(
            title="Newer cars cost more",
            x=Axis(label="year built", is_year=True),
            y=Axis(label="difference", unit="points", is_signed=True),
            lines=(
                Line(name="answer", points=tuple(Point(at=2005.0 + 3 * n, value=n - 1.5) for n in range(4))),
            ),
            references=(Reference(name="average", value=0), Reference(name="no value", value=1.2)),
            rows=(3, 0, 900, 400),
        ),
        "waterfall": Waterfall(
            title="Caught frauds pay for all else",
            axis=Axis(label="value", unit="EUR"),
            steps=(
                Bar(name="caught", value=136_800),
                Bar(name="missed", value=-34_200),
                Bar(name="reviews", value=-21_000),
            ),
        ),
        "histogram": Histogram(
            title="Incomes have moved up",
            x=Axis(label="income", unit="EUR"),
            edges=(0, 10_000, 20_000, 40_000),
            samples=(
                Sample(name="training", counts=(300, 500, 200)),
                Sample(name="last week", counts=(10, 40, 70)),
            ),
        ),
        "shares": ShareChart(
            title="Half of the payments come by app",
            categories=("app", "web", "branch"),
            samples=(
                Sample(name="then", counts=(200, 500, 300)),
                Sample(name="now", counts=(520, 300, 180)),
            ),
        ),
        "reliability": Reliability(
            title="Probabilities above 60 % are too high",
            bins=tuple(
                Calibrated(predicted=p, observed=o, rows=n, low=max(o - 0.05, 0), high=o + 0.05)
                for p, o, n in ((0.03, 0.02, 4000), (0.22, 0.2, 700), (0.68, 0.55, 120), (0.9, 0.7, 3))
            ),
        ),
        "confusion": Confusion(
            title="Missed frauds cost most",
            classes=("ok", "fraud"),
            counts=((9500, 210), (38, 152)),
            money=((0, -8400), (-34_200, 136_800)),
            currency="EUR",
        ),
        "many classes": Confusion(
            title="Shirts are taken for coats",
            classes=tuple(f"class {n} of clothes" for n in range(12)),
            counts=tuple(tuple(1000 if i == j else i + j for j in range(12)) for i in range(12)),
        ),
        "sparkline": Sparkline(title="PSI of 30 days", values=(0.1, None, 0.3, 0.2), reference=0.2),
        "ribbon": Ribbon(
            title="9 of 10 days fell into the 90 % band",
            x=Axis(label="day"),
            y=Axis(label="demand", unit="pieces"),
            levels=(0.05, 0.25, 0.5, 0.75, 0.95),
            points=tuple(
                Quantiles(
                    at=day,
                    values=tuple(100 + z * (5 + n / 4) for z in (-1.6, -0.7, 0, 0.7, 1.6)),
                    observed=None if n > 40 else 100 + 5 * math.sin(n),
                )
                for n, day in enumerate(_days(56))
            ),
        ),
        "empty line": LineChart(
            title="No window is complete yet", x=Axis(label="day"), y=Axis(label="PSI"), lines=()
        ),
        "one day": LineChart(
            title="One day",
            x=Axis(label="day"),
            y=Axis(label="recall", unit="%"),
            lines=(Line(name="realised", points=(Point(at=START, value=0.8, low=0.7, high=0.9),)),),
        ),
        "nothing known": LineChart(
            title="Labels are due later",
            x=Axis(label="day"),
            y=score,
            lines=(Line(name="realised", points=(Point(at=START, value=None),)),),
        ),
        "empty bars": BarChart(title="No column matters", axis=Axis(label="gain"), bars=()),
        "empty shares": ShareChart(
            title="No rows", categories=("a", "b"), samples=(Sample(name="now", counts=(0, 0)),)
        ),
        "empty sparkline": Sparkline(title="No values", values=()),
        "hostile": BarChart(
            title=HOSTILE[0],
            axis=Axis(label=HOSTILE[1], unit=HOSTILE[0]),
            bars=_bars(HOSTILE),
            names=HOSTILE[2],
            references=(Reference(name=HOSTILE[1], value=0.1),),
        ),
        "hostile lines": LineChart(
            title=HOSTILE[1],
            x=Axis(label=HOSTILE[0]),
            y=Axis(label=HOSTILE[4], unit=HOSTILE[1]),
            lines=tuple(
                Line(name=name, points=(Point(at=1, value=1), Point(at=2, value=2))) for name in HOSTILE[2:]
            ),
            references=tuple(Reference(name=name, value=1) for name in HOSTILE),
        ),
        "hostile matrix": Confusion(
            title=HOSTILE[4],
            classes=HOSTILE,
            counts=((1,) * 5,) * 5,
            money=((1e9,) * 5,) * 5,
            currency=HOSTILE[1],
        ),
        "many bars": DotChart(
            title="Many", axis=score, bars=tuple(Bar(name=f"model {n}", value=n / 100) for n in range(60))
        ),
    }
