"""What a package reads, column by column, as it is explained to people."""

import numpy as np

from linewright.features.encode import MISSING, Columns, Instants, Levels, Numbers, encode_one
from linewright.features.facts import Boolean, Encoder, PicturePart, Raw, partner
from linewright.model.explain.inputs import Input
from linewright.model.onnx.contributions import sources_of


def inputs_of(encoder: Encoder, columns: Columns) -> list[Input]:
    """Return the columns that an encoder reads, each with the places that it fills; what two are together is one of its own.

    Examples
    --------
    >>> from linewright.features.facts import Number
    >>> (age,) = inputs_of(Encoder(encodings=(Number(column="age"),)), {"age": Numbers(values=np.array([31.0]))})
    >>> age.name, age.places, age.kind, age.values.tolist()
    ('age', (0,), 'number', [31.0])
    """
    names = tuple(one.column for one in encoder.encodings) if encoder.is_raw else sources_of(encoder)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return [_input(name, tuple(at), encoder, columns) for name, at in places.items()]


def _input(name: str, places: tuple[int, ...], encoder: Encoder, columns: Columns) -> Input:
    first = encoder.encodings[places[0]]
    if partner(first) is not None:
        return Input(
            name=name, places=places, kind="number", values=encode_one(first, columns).astype(np.float64)
        )
    is_boolean = isinstance(first, Boolean) or (isinstance(first, Raw) and first.dtype == "bool")
    match columns[first.column]:
        case Numbers(values=values) if is_boolean:
            return Input(name=name, places=places, kind="category", values=values, levels=("false", "true"))
        case Numbers(values=values):
            return Input(name=name, places=places, kind="number", values=values)
        case Levels(codes=codes) if isinstance(first, PicturePart):
            # No two rows have one picture: it tells none apart, and no result names it.
            return Input(name=name, places=places, kind="category", values=np.full(len(codes), np.nan))
        case Levels(codes=codes, levels=levels):
            known = np.where(codes < 0, np.nan, codes.astype(np.float64))
            return Input(name=name, places=places, kind="category", values=known, levels=tuple(levels))
        case Instants(micros=micros):
            known = np.where(micros == MISSING, np.nan, micros.astype(np.float64))
            return Input(name=name, places=places, kind="time", values=known)
