"""The folder of an MLflow model: which file in it can be adopted, and what its signature says of the columns.

Only its description is read (``MLmodel``, YAML). The files of the flavours ``onnx``, ``lightgbm`` and ``xgboost`` can be plain data; others are
pickles or need a library to be read, so that none of them is opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from linewright.errors import RequestError

DESCRIPTION = "MLmodel"
_MOST_BYTES = 1 << 20
_FLAVORS = ("onnx", "lightgbm", "xgboost")
"""Flavours whose file can be taken, the preferred one first."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the folder says."""

    file: Path
    """The file of its flavour."""
    columns: tuple[str, ...]
    """Names of the columns that its signature lists; empty where it lists none."""


def describe(folder: Path, *, where: str) -> Described:
    """Look at the folder of an MLflow model."""
    try:
        told = _read(folder / DESCRIPTION)
    except (OSError, ValueError, RecursionError, YAMLError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise RequestError(f"the file {DESCRIPTION} cannot be read: {first}", where=where) from error
    flavors = _mapping(_mapping(told).get("flavors"))
    data = next(
        (said for name in _FLAVORS if (said := _mapping(flavors.get(name)).get("data")) is not None), None
    )
    if data is None:
        raise RequestError(
            "this MLflow model has no file that can be taken",
            where=where,
            found=", ".join(sorted(map(str, flavors))) or "no flavour",
            allowed=f"a flavour of {', '.join(_FLAVORS)}: others are pickles, or need their library and would have to be served out of process",
            hint="export the model to ONNX (skl2onnx, for one) and log it with mlflow.onnx.log_model, or name the ONNX file; or train the "
            "estimator in a line: train.python",
        )
    file = (folder / str(data)).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise RequestError(
            "the file of this MLflow model is not in its folder",
            where=where,
            found=str(data),
            allowed="a file in the folder",
            hint="copy the whole folder of the model, or name the file of the model itself",
        )
    return Described(file=file, columns=_columns(_mapping(_mapping(told).get("signature")).get("inputs")))


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES + 1).decode()
    if len(text) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
    yaml = YAML(typ="safe", pure=True)
    if any(isinstance(event, AliasEvent) for event in yaml.parse(text)):
        raise ValueError("it has aliases, by which a few lines can stand for gigabytes")
    return yaml.load(text)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _columns(inputs: Any) -> tuple[str, ...]:
    """Return the names in a signature, which is JSON within the YAML; a signature of tensors has none."""
    try:
        listed = msgspec.json.decode(inputs) if isinstance(inputs, str) else []
    except msgspec.DecodeError:
        return ()
    names = [one.get("name") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    is_named = all(isinstance(name, str) and name for name in names)
    return tuple(str(name) for name in names) if is_named else ()
