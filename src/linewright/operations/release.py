"""Operations that decide what serves."""

import msgspec

from linewright.errors import GateRefused, NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.mistakes import did_you_mean
from linewright.line.registry import declared_before, find_model, judged
from linewright.operations.declare import operation
from linewright.operations.words import short
from linewright.release import pointer


class Serves(msgspec.Struct, frozen=True, kw_only=True):
    """What serves now."""

    line: str
    champion: str
    digest: str
    before: str | None
    generation: int
    because: str
    canary: str | None = None
    """The canary that was taken back, so that the champion serves alone again; `None` where none ran."""

    def to_text(self) -> str:
        """Say what serves instead of what."""
        instead = f" instead of {self.before}" if self.before else ""
        instead = f" alone, without its canary {self.canary}" if self.canary else instead
        return f"{self.champion} ({short(self.digest)}) serves{instead}: {self.because}"


def _named(line: str, version: int | None) -> str | None:
    return None if version is None else f"{line}@{version}"


@operation(writes=True)
def promote(factory: Factory, model: str, /, *, force: bool = False, because: str = "") -> Serves:
    """Make a model the champion of its line.

    Parameters
    ----------
    model
        Which model, as LINE@VERSION or LINE@challenger.
    force
        Promote without a passing certificate; needs ``because``, and the record says that it was forced.
    because
        Why, for the record.
    """
    version = find_model(factory, model)
    if force and not because.strip():
        raise RequestError("a forced promotion needs a reason", where="--because", hint='add --because "why"')
    factory.artifacts.get(version.digest)  # corrupt bytes are refused before anything moves
    named = f"{version.line}@{version.version}"
    found = judged(factory, version.line).get(version.digest)
    certificate = found.digest if found and found.certificate.verdict == "promote" else None
    if certificate is None and not force:
        raise GateRefused(
            "no passing certificate is for this model",
            where=named,
            found=f"its newest certificate says {found.verdict}" if found else "none",
            hint=f'see `linewright card {named}`, or use --force --because "why"',
        )
    event = pointer.promote(
        factory.context,
        factory.serving,
        version.line,
        model=version.version,
        package=version.digest,
        certificate=certificate,
        because=because or "asked for, with a passing certificate",
        forced=certificate is None,
        declared=declared_before(factory.metadata, version.line, version.digest),
    )
    return Serves(
        line=version.line,
        champion=named,
        digest=version.digest,
        before=_named(version.line, event.before),
        generation=event.generation,
        because=event.because,
    )


@operation(writes=True)
def rollback(factory: Factory, line: str, /, *, because: str = "") -> Serves:
    """Let the previous champion of a line serve again, or take back the canary that runs.

    Parameters
    ----------
    line
        Name of the line.
    because
        Why, for the record.
    """
    _known(factory, line)
    withdrawn = pointer.withdraw(
        factory.context, factory.serving, line, because or "asked for", trigger="person"
    )
    if withdrawn is not None:
        champion = find_model(factory, line)
        return Serves(
            line=line,
            champion=f"{line}@{champion.version}",
            digest=champion.digest,
            before=None,
            canary=f"{line}@{withdrawn.model}",
            generation=withdrawn.generation,
            because=withdrawn.because,
        )
    event = pointer.rollback(factory.context, factory.serving, line, because=because or "asked for")
    return Serves(
        line=line,
        champion=f"{line}@{event.model}",
        digest=event.package,
        before=_named(line, event.before),
        generation=event.generation,
        because=event.because,
    )


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a line's endpoint answers."""

    line: str
    halted: bool
    generation: int
    because: str
    was_halted: bool = False
    """Whether it was halted before."""

    def to_text(self) -> str:
        """Say whether it answers."""
        if self.halted:
            already = " already" if self.was_halted else ""
            return f"{self.line} is halted{already}: its endpoint answers 503 until `linewright halt {self.line} --off`"
        return f"{self.line} answers again" if self.was_halted else f"{self.line} was not halted"


@operation(writes=True)
def halt(factory: Factory, line: str, /, *, off: bool = False, because: str = "") -> Stopped:
    """Stop a line's endpoint from answering, or free it.

    Parameters
    ----------
    line
        Name of the line.
    off
        Free it again.
    because
        Why, for the record.
    """
    _known(factory, line)
    was = factory.metadata.pointer(line).halt
    event = pointer.halt(factory.context, factory.serving, line, halt=not off, because=because or "asked for")
    return Stopped(
        line=line,
        halted=event.halt,
        generation=event.generation,
        because=event.because,
        was_halted=was,
    )


def _known(factory: Factory, line: str) -> None:
    names = sorted({*factory.names(), *factory.metadata.lines()})
    if line not in names:
        raise NotFound(
            "there is no such line",
            found=line,
            allowed=", ".join(names) or "(none yet)",
            hint=did_you_mean(line, names),
        )
