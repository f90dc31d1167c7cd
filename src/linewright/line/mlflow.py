"""The folder of an MLflow model: which file in it can be adopted, and what its signature says of the columns.

Only its description is read (``MLmodel``, YAML). Flavours other than ``onnx`` are pickles or need a library to be read, so that none
of them is opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from linewright.errors import RequestError

DESCRIPTION = "MLmodel"


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the folder says."""

    file: Path
    """The ONNX file."""
    columns: tuple[str, ...]
    """Names of the columns that its signature lists; empty where it lists none."""


def describe(folder: Path, *, where: str) -> Described:
    """Look at the folder of an MLflow model.

    Parameters
    ----------
    folder
        A folder with a file ``MLmodel``.
    where
        What errors name.

    Raises
    ------
    RequestError
        If its description cannot be read, or it has no ONNX file that lies in the folder.
    """
    try:
        text = (folder / DESCRIPTION).read_text(encoding="utf-8")
        told = YAML(typ="safe", pure=True).load(text)
    except (OSError, ValueError, YAMLError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise RequestError(f"the file {DESCRIPTION} cannot be read: {first}", where=where) from error
    flavors = _mapping(_mapping(told).get("flavors"))
    data = _mapping(flavors.get("onnx")).get("data")
    file = (folder / str(data)).resolve()
    if data is None or not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise RequestError(
            "this MLflow model has no ONNX file"
            if data is None
            else "the ONNX file of this MLflow model is not in its folder",
            where=where,
            found=", ".join(sorted(flavors)) or "no flavour" if data is None else str(data),
            allowed="the flavour onnx: others are pickles, or need their library and would have to be served out of process",
            hint="export the model to ONNX (skl2onnx, for one) and log it with mlflow.onnx.log_model, or name the ONNX file; or train the "
            "estimator in a line: train.python",
        )
    return Described(file=file, columns=_columns(_mapping(_mapping(told).get("signature")).get("inputs")))


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
