"""Days that a line was watched, and what its monitors found: put into the record by hand, as no test waits ten days."""

from linewright.line.factory import Factory
from linewright.store.values import digest_of
from linewright.watch.facts import (
    Alerted,
    Confirmations,
    Confirmed,
    Counts,
    OpenAlerts,
    Performance,
    Proposed,
    Reference,
    RetrainProposal,
    Summary,
    Watched,
    Window,
)

DAYS = [f"2026-03-{day:02}T00:00:00.000000Z" for day in range(1, 12)]
"""Where the windows begin and end."""
LINE = "claims"


def watch_days(
    factory: Factory, *, number: str, category: str, values: tuple[str, ...], because: str
) -> dict[str, str]:
    """Record ten windows of the newest model of ``claims``, and four alerts; return the id of each by its monitor.

    Parameters
    ----------
    number
        A column of numbers; from the sixth day on some are out of the contract.
    category
        A column of `values`, of which then one comes alone.
    values
        Four of them.
    because
        Stands in each alert.
    """
    metadata = factory.metadata
    package = metadata.versions(LINE)[-1].digest
    amount, kind, answer = _summaries(number, category, values)
    reference = metadata.keep(Reference(package=package, n=200, columns=(amount, kind), prediction=answer))
    window = performance = ""
    for day in range(10):
        window = metadata.keep(_window(package, reference, day, number, category))
        performance = metadata.keep(_performance(package, day))
        metadata.record(
            Watched(
                at=DAYS[day + 1],
                by="linewright",
                because="a window",
                line=LINE,
                window=window,
                package=package,
                performance=performance,
                start=DAYS[day],
                end=DAYS[day + 1],
                n=100,
            )
        )
    surplus = metadata.keep(
        Confirmations(
            line=LINE,
            package=package,
            windows=(
                Confirmed(start=DAYS[8], end=DAYS[9], expected=4.0, positives=9),
                Confirmed(start=DAYS[9], end=DAYS[10], expected=5.0, positives=12),
            ),
        )
    )
    found: dict[str, str] = {}
    for monitor, column, evidence, since in (
        ("drift", category, window, DAYS[5]),
        ("contract", number, window, DAYS[5]),
        ("performance", None, performance, DAYS[9]),
        ("calibration", None, surplus, DAYS[8]),
    ):
        found[monitor] = digest_of([monitor, column])
        metadata.record(
            Alerted(
                at=DAYS[10],
                by="linewright",
                because=f"{column or monitor!r} moved {because}",
                line=LINE,
                id=found[monitor],
                package=package,
                monitor=monitor,
                column=column,
                value=1.5,
                bar=0.2,
                evidence=evidence,
                since=since,
            )
        )
    proposal = metadata.keep(
        RetrainProposal(
            line=LINE, reason=OpenAlerts(alerts=(found["drift"],)), trigger="drift", since=DAYS[5]
        )
    )
    metadata.record(Proposed(at=DAYS[10], by="linewright", because="drift", line=LINE, proposal=proposal))
    return found


def _summaries(number: str, category: str, values: tuple[str, ...]) -> tuple[Summary, Summary, Summary]:
    """Return how the two columns and the answers were spread before serving."""
    amounts = Counts(name=number, counts=(40, 60, 60, 40))
    kinds = Counts(name=category, counts=(50, 50, 50, 50))
    answers = Counts(name="prediction", counts=(120, 80))
    return (
        Summary(name=number, kind="number", edges=(-1.0, 0.0, 1.0), counts=amounts),
        Summary(name=category, kind="category", values=values, counts=kinds),
        Summary(name="prediction", kind="number", edges=(0.5,), counts=answers),
    )


def _window(package: str, reference: str, day: int, number: str, category: str) -> Window:
    moved = day >= 5
    return Window(
        line=LINE,
        package=package,
        reference=reference,
        start=DAYS[day],
        end=DAYS[day + 1],
        n=100,
        columns=(
            Counts(name=number, counts=(20, 30, 30, 20)),
            Counts(name=category, counts=(97, 1, 1, 1) if moved else (25, 25, 25, 25)),
        ),
        prediction=Counts(name="prediction", counts=(60, 40)),
        breaches={number: 3} if moved else {},
    )


def _performance(package: str, day: int) -> Performance:
    return Performance(
        line=LINE,
        package=package,
        start=DAYS[day],
        end=DAYS[day + 1],
        metric="roc_auc",
        value=0.8 - day / 50,
        error=0.01,
        low=0.7 - day / 50,
        high=0.9 - day / 50,
        labelled=60,
        predictions=100,
        certified=0.82,
        promised=0.75,
        guess=0.5,
    )
