"""Operations that take care of a factory: is it well, is it whole, copy it, bring it back, free what nothing needs."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from linewright.capabilities.care.backup import BackedUp, make_backup
from linewright.capabilities.care.doctor import Examined, Needs, examine
from linewright.capabilities.care.forget import forget as forget_subject
from linewright.capabilities.care.gc import Freed, collect
from linewright.capabilities.care.propose_forgetting import propose_forgetting
from linewright.capabilities.care.verify import verify_factory
from linewright.capabilities.proposals.operations import Waits, line_of
from linewright.errors import RequestError
from linewright.line.erasure import ErasureReport
from linewright.line.factory import Factory
from linewright.line.holding import Verified
from linewright.line.holdings.results import verify_model
from linewright.line.proposals.pending_subject import drop_all_of
from linewright.line.proposals.rules import forget_rule, is_free
from linewright.line.record.registry import find_model
from linewright.operations.declare import operation
from linewright.operations.parameter import Duration
from linewright.text.durations import duration_micros


@operation(permission="manage", effect="read", expensive=True, anywhere=True)
def doctor(
    factory: Factory,
    /,
    *,
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000,
    control_port: Annotated[int, Meta(ge=0, le=65535)] = 8080,
    free: Annotated[int, Meta(ge=0)] = 500,
) -> Examined:
    """Find what keeps the factory from working, and the command that mends it.

    It looks at `factory.yaml`, packages, limits, space, permissions, owners, databases, locks, ports, clock, line files and their sources,
    what endpoints are told, interrupted runs, and the bytes of each champion. Nothing is changed.

    Parameters
    ----------
    port, control_port
        Ports that `up` will ask for.
    free
        Least free space on the disk, in megabytes.
    """
    return examine(factory, Needs(free_bytes=free * 10**6, ports=(port, control_port)))


@operation(permission="plan", effect="read", expensive=True)
def verify(factory: Factory, model: str | None = None, /) -> Verified:
    """Check every stored byte, and that the record keeps its promises.

    It may be asked at any time, also while runs and endpoints are at work; it reads everything that is stored.

    Parameters
    ----------
    model
        Only what this model rests on, as LINE@VERSION; LINE alone means its champion (default: the whole factory).
    """
    if model is None:
        return verify_factory(factory)
    return verify_model(factory, find_model(factory, model))


@operation(permission="manage", effect="read", expensive=True, files={"file": "new"})
def backup(factory: Factory, file: Path, /) -> BackedUp:
    """Copy the whole factory into one file, also while it is at work.

    In it are the line files, the sources inside the folder, the record, runs, labels, prediction logs and all artifacts, as
    they were in one instant. It is complete under its name or not there at all.

    Parameters
    ----------
    file
        The file to make, or a folder, in which it is named after the factory and the time.
    """
    return make_backup(factory, file)


@operation(permission="manage", effect="destroy", expensive=True)
def gc(factory: Factory, /, *, dry_run: bool = False, grace: Duration = "1d") -> Freed:
    """Free what lines keep no longer and stored bytes that nothing refers to.

    What `keep` of a line file or of `factory.yaml` says is carried out: answers with their labels, dataset versions, rows in quarantine and
    notes of runs that are older go. Results and events are never removed. A run that was killed is finished as if nothing had been freed.

    Parameters
    ----------
    dry_run
        Remove nothing, and say what would go.
    grace
        Least age of what may go, such as ``1d`` or ``2h``; less than ``1h`` only while nothing else is at work.
    """
    return collect(factory, grace_s=duration_micros(grace) / 1e6, dry_run=dry_run)


@operation(permission="manage", effect="destroy", expensive=True)
def forget(
    factory: Factory,
    line: str,
    /,
    *,
    subject: str,
    yes: bool = False,
    dry_run: bool = False,
) -> ErasureReport | Waits:
    """Remove for ever what a line has stored about one person.

    Rows whose `table.subject` is this value, and rows of their keys, go from the prediction log, labels, quarantine and dataset versions.
    The record keeps that it happened, by a keyed hash, and which models had learned from them. Rows that stand in sources are passed over
    from then on. What was interrupted is ended by the next `up`, `gc` or `forget`. If `approve` of `factory.yaml` says so, a member
    only proposes it.

    Parameters
    ----------
    line
        Name of the line; it must name `table.subject`.
    subject
        The value that names the person, as the data spell it.
    yes
        Do it: nothing brings back what is removed.
    dry_run
        Remove nothing, and say what would go.
    """
    if not yes and not dry_run:
        raise RequestError(
            "nothing brings back what is removed, so it must be confirmed",
            where="--yes",
            hint="look first with --dry-run, then give --yes",
        )
    rule = forget_rule(factory)
    if rule is not None and not dry_run and not is_free(factory):
        return line_of(factory, propose_forgetting(factory, line, subject, rule), Waits)
    if not dry_run:
        drop_all_of(factory, subject)
    return forget_subject(factory, line, subject, dry_run=dry_run)
