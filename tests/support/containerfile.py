"""What the files of deploy/ say, as values."""

import json
import shlex
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True)
class Image:
    """What the last stage of the container file says."""

    base: str
    user: int
    workdir: str
    volume: str
    ports: tuple[int, ...]
    environment: dict[str, str]
    copied: dict[str, str]
    """Files of this repository → where they are in the image."""
    venv: str
    entrypoint: list[str]
    command: list[str]
    health: list[str]
    runs: tuple[str, ...]


def instructions() -> list[list[tuple[str, str]]]:
    """Return the instructions of the container file, by stage; what is before the first stage is left out."""
    text = (DEPLOY / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stages.append([])
        if word and stages:
            stages[-1].append((word, " ".join(rest.split())))
    return stages


def read() -> Image:
    """Return what the last stage says; an instruction that it says twice, though it may once, is an error."""
    said: defaultdict[str, list[str]] = defaultdict(list)
    for word, rest in instructions()[-1]:
        said[word].append(rest)
    (base,), (user,), (workdir,), (volume,), (ports,) = (
        said[word] for word in ("FROM", "USER", "WORKDIR", "VOLUME", "EXPOSE")
    )
    (entrypoint,), (command,), (health,) = (said[word] for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))
    (only,) = json.loads(volume)
    copies = [shlex.split(each) for each in said["COPY"]]
    (venv,) = (words[-1] for words in copies if words[0] == "--from=build")
    own, group = user.split(":")
    assert own == group
    return Image(
        base=base,
        user=int(own),
        workdir=workdir,
        volume=only,
        ports=tuple(map(int, ports.split())),
        environment={"HOME": only}
        | dict(word.split("=", 1) for each in said["ENV"] for word in shlex.split(each)),
        copied={words[0]: words[1] for words in copies if words[0] != "--from=build"},
        venv=venv,
        entrypoint=json.loads(entrypoint),
        command=json.loads(command),
        health=json.loads(health.partition(" CMD ")[2]),
        runs=tuple(said["RUN"]),
    )


def compose() -> dict[str, Any]:
    """Return the compose file, with what its anchors stand for."""
    return YAML(typ="safe").load(DEPLOY / "compose.yaml")


def manifests() -> dict[str, list[dict[str, Any]]]:
    """Return the objects of the Kubernetes manifest by kind."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in YAML(typ="safe").load_all(DEPLOY / "kubernetes" / "linewright.yaml"):
        found[each["kind"]].append(each)
    return found


def unit() -> dict[str, list[str]]:
    """Return the settings of the section Service of the unit; a setting may stand there several times."""
    text = (DEPLOY / "systemd" / "linewright.service").read_text()
    section = text.partition("[Service]\n")[2].partition("\n[")[0]
    said: defaultdict[str, list[str]] = defaultdict(list)
    for line in section.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            said[name].append(value)
    return said
