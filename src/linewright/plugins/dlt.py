"""Rows of a function of the user's that returns a source or a resource of dlt, in a child process.

``python -m linewright.plugins.dlt FILE FUNCTION CHANNEL``; the channel says first what the function gets, and through which proxy.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

from linewright.engine.child import Channel, parent

_BLOCK = 1 << 18
"""Characters that are sent at once, about."""
_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
_LASTING = ("401", "403", "404", "400")
"""Answers of servers that will be the same the next time."""


def main(file: str, function: str, word: str) -> None:
    """Send rows, some at a time, each as its JSON; then that all were sent, or what is wrong."""
    channel = parent(word)
    asked = channel.receive()
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1", "DLT_DATA_DIR": asked["folder"]}
    os.environ |= dict.fromkeys(_PROXIES, asked["proxy"])
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        os.environ.pop(name, None)
    channel.send({"ready": True})
    try:
        found = _function(Path(file), function)
        _send_rows(_rows(found(*asked["given"]), asked["resource"]), channel)
    except BaseException as error:  # noqa: BLE001 -- it is the user's own code, and may raise anything
        channel.send(_what_is_wrong(error, file))
    else:
        channel.send({"is_last": True})


def _function(file: Path, name: str) -> Callable[..., Any]:
    module = ModuleType("linewright_dlt_source")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # noqa: S102 -- the user's own code
    found = getattr(module, name, None)
    if not callable(found):
        raise TypeError(f"{file.name} has no function {name}")
    return found


def _rows(made: Any, resource: str | None) -> Iterator[Any]:
    resources = getattr(made, "resources", None)
    if resources is not None:
        names = list(resources)
        if resource is None and len(names) > 1:
            raise LookupError(f"the source has {', '.join(names)}; say which: resource: {names[0]}")
        if resource is not None and resource not in names:
            raise LookupError(f"the source has no resource {resource!r}, but {', '.join(names)}")
        made = resources[resource or names[0]]
    for item in made:
        if isinstance(item, dict):
            yield item
        elif hasattr(item, "to_pylist"):
            yield from item.to_pylist()
        elif hasattr(item, "to_dict"):
            yield from item.to_dict("records")
        else:
            yield from item


def _send_rows(rows: Iterator[Any], channel: Channel) -> None:
    some, size, names = list[str](), 0, dict[str, None]()
    for row in rows:
        if not isinstance(row, dict):
            raise TypeError(f"a row is {type(row).__name__}, not a mapping")
        names |= dict.fromkeys(map(str, row))
        some.append(json.dumps({str(name): _value(value) for name, value in row.items()}))
        size += len(some[-1])
        if size > _BLOCK:
            channel.send({"rows": some, "names": [*names]})
            some, size = [], 0
    channel.send({"rows": some, "names": [*names]})


def _value(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else None  # neither infinite nor no number
        case datetime():
            return value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case dict() | list() | tuple():
            return json.dumps(value, default=str)
        case _:
            raise TypeError(f"a value is {type(value).__name__}, which no table holds")


def _what_is_wrong(error: BaseException, file: str) -> dict[str, Any]:
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    if isinstance(chain[-1], ModuleNotFoundError):
        return {"absent": chain[-1].name}
    lines = [
        frame.lineno
        for one in chain
        for frame in traceback.extract_tb(one.__traceback__)
        if frame.filename == file
    ]
    responses = [getattr(one, "response", None) for one in chain]
    statuses = {str(getattr(one, "status_code", "")) for one in responses}
    is_away = any(isinstance(one, OSError | EOFError) for one in chain) and statuses.isdisjoint(_LASTING)
    says = f"{type(chain[-1]).__name__}: {chain[-1]}"
    return {"wrong": says, "line": lines[-1] if lines else None, "is_away": is_away}


if __name__ == "__main__":
    main(*sys.argv[1:])
