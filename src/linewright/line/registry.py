"""The models of a line, by name and number."""

import re

from linewright.errors import NotFound, RequestError
from linewright.line.factory import Factory
from linewright.model.facts import Certificate
from linewright.release.facts import Promoted, Refused
from linewright.store.seams import Version

_MODEL = re.compile(r"^(?P<line>[a-z0-9-]{1,63})@(?P<version>[1-9][0-9]{0,8})$")


def find_model(factory: Factory, model: str) -> Version:
    """Return the registered model named LINE@VERSION, or the champion of a LINE named alone.

    Raises
    ------
    RequestError
        If the text is not of that form.
    NotFound
        If there is no such model; the message names those there are.
    """
    if "@" not in model:
        model = _champion(factory, model)
    match = _MODEL.match(model)
    if not match:
        raise RequestError("not a model", found=model, allowed="LINE@VERSION, e.g. claims@3")
    versions = factory.metadata.versions(match["line"])
    for version in versions:
        if version.version == int(match["version"]):
            return version
    known = ", ".join(f"{one.line}@{one.version}" for one in versions)
    raise NotFound("there is no such model", found=model, allowed=known or "(no model of that line yet)")


def certificates_of(factory: Factory, version: Version) -> list[str]:
    """Return the digests of the certificates that decided about a model, oldest first."""
    decided: list[Promoted | Refused] = [
        *factory.metadata.events(Promoted, line=version.line),
        *factory.metadata.events(Refused, line=version.line),
    ]
    return [
        one.certificate
        for one in sorted(decided, key=lambda event: event.at)
        if one.certificate and one.package == version.digest
    ]


def passing_certificate(factory: Factory, version: Version) -> str | None:
    """Return the latest certificate of a model that says promote, or `None`."""
    for digest in reversed(certificates_of(factory, version)):
        if factory.metadata.get(digest, Certificate).verdict == "promote":
            return digest
    return None


def _champion(factory: Factory, line: str) -> str:
    champion = factory.metadata.pointer(line).champion
    if champion is None:
        factory.path_of(line)
        raise NotFound("the line has no champion yet", where=line, hint=f"linewright run {line}")
    return f"{line}@{champion}"
