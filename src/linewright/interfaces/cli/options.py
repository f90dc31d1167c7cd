"""How the arguments of an operation, and those that every command has, are written on a command line."""

from pathlib import Path
from typing import Any

import click

from linewright.operations.parameter import MANY, Parameter

FACTORY_FILE = "factory.yaml"
_METAVARS = {str: "TEXT", int: "N", float: "X", bool: "", Path: "PATH"}


def shared_options() -> list[click.Parameter]:
    """Return the options that stand before a command's name or after it."""
    return [
        click.Option(
            ["--factory"],
            metavar="DIR",
            help=f"Factory folder, or https://HOST:PORT of one that is up.  [default: LINEWRIGHT_FACTORY, else the nearest folder upward with {FACTORY_FILE}, else here]",
        ),
        click.Option(["--json"], is_flag=True, help="Print one JSON document on stdout, all else on stderr."),
        click.Option(["--quiet"], is_flag=True, help="Show no progress."),
    ]


def click_parameter(parameter: Parameter) -> click.Parameter:
    """Return a parameter of an operation as click's; its values stay text, which the operation itself checks."""
    if parameter.positional:
        return click.Argument([parameter.name], nargs=parameter.count, required=parameter.required)
    flag = f"--{parameter.name.replace('_', '-')}"
    help_text, short = described(parameter), [f"-{parameter.short}"] if parameter.short else []
    if parameter.element is bool:
        off = "" if parameter.default is False else f"/--no-{flag.removeprefix('--')}"
        return click.Option([parameter.name, flag + off, *short], is_flag=True, default=None, help=help_text)
    # `multiple` also for single values: so that a second one is refused, where click would take the last.
    return click.Option(
        [parameter.name, *short, flag],
        metavar=_metavar(parameter),
        nargs=max(1, parameter.count),
        multiple=parameter.count in (1, MANY),
        required=parameter.required,
        help=help_text,
    )


def _metavar(parameter: Parameter) -> str:
    one = "|".join(parameter.choices) or _METAVARS[parameter.element]
    return f"{one},…" if parameter.count == MANY else " ".join([one] * parameter.count)


def described(parameter: Parameter) -> str:
    """Return what help says of a parameter, with its default."""
    default, said = parameter.default, plain(parameter.help)
    if parameter.required or default is None or default in (False, "", ()):
        return said
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f"{said}  [default: {shown}]"


def plain(text: str) -> str:
    """Return a description for a terminal: code in single backticks, as messages have it.

    Examples
    --------
    >>> plain("A section such as ``train``.")
    'A section such as `train`.'
    """
    return text.replace("``", "`")


def texts(value: Any) -> list[str]:
    """Return what the parser found for a parameter as texts; empty where it was not given."""
    if value is None:
        return []
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return list(value) if isinstance(value, tuple) else [value]
