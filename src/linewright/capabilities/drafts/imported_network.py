"""What `new` finds out about a network that somebody brings for a folder of pictures: its output, its scale and the order of its classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from linewright.capabilities.drafts.imported_model import OPTION, read_model
from linewright.errors import RequestError
from linewright.model.imported.network import (
    MEANS_AND_SPREADS,
    OTHERWISE,
    Network,
    scale_of,
    to_backbone,
)
from linewright.model.imported.network_answers import GivenNetwork, form_of_answers, to_scores
from linewright.model.imported.sandbox import tried_network
from linewright.model.spec import Scale
from linewright.text.numbers import count, share_in_words
from linewright.text.quoting import quoted_sentence

_TRIED = 64
"""Pictures that are predicted in each way."""
_SMALLEST = 1e-12


@dataclass(frozen=True, kw_only=True)
class ImportedNetwork:
    """A network, as the line file says it."""

    file: str
    """Path as the line file has it."""
    is_outside: bool
    """Whether it lies outside the factory's folder."""
    output: str | None
    """Its output, if it has several."""
    scale: Scale | None
    """How pixels become what it reads; `None` for one that reads bytes."""
    classes: tuple[str, ...]
    """In the order of its answers; empty for a number."""
    right: float | None
    """Share of the pictures that were tried whose class it tells."""
    tried: int
    made_by: str

    def lines(self) -> Iterator[str]:
        """Give the lines of the section ``train``."""
        words = [f"file: {quoted_sentence(self.file)}"]
        words += [f"output: {quoted_sentence(self.output)}"] if self.output else []
        words += [f"scale: {self.scale}"] if self.scale else []
        words += [f"classes: [{', '.join(map(quoted_sentence, self.classes))}]"] if self.classes else []
        yield "  # This network takes the place of training. Take the line `model` out and run again: a model that is trained here then has to"
        yield "  # beat it, on test pictures. Which pictures it has learned from is not known: these should be others, or it looks better than it is."
        if self.classes:
            yield "  # Classes: it does not say them; these are in the order of spelling, as most programs sort folders. Check it."
        if self.scale:
            yield "  # Scale: it does not say it; of bytes, unit, signed and imagenet this fits the pictures best. Check it."
        if self.right is not None:
            yield f"  # So it tells the class of {share_in_words(self.right)} of {count(self.tried, 'picture')}."
        outside = "; outside the factory's folder, so a copy of the folder is not a copy of the network"
        yield f"  model: {{{', '.join(words)}}}  # {self.made_by}{outside if self.is_outside else ''}"


def bring_network(
    root: Path, file: Path, pictures: Sequence[Path], labels: Sequence[str], *, is_class: bool
) -> ImportedNetwork:
    """Look at a network, and have it answer some pictures in each way that it may read them."""
    found, data = read_model(file)
    where = f"{OPTION} {file}"
    network = tried_network(data, where=where)
    classes = tuple(sorted(set(labels))) if is_class else ()
    output, side = _output(data, network, max(len(classes), 1), where)
    step = max(1, len(pictures) // _TRIED)
    some = range(0, len(pictures), step)
    files = [pictures[place].read_bytes() for place in some]
    places = np.array([classes.index(labels[place]) for place in some] if classes else [], dtype=np.int64)
    scales: tuple[Scale, ...] = ("bytes",) if network.dtype == "uint8" else tuple(MEANS_AND_SPREADS)
    tried: dict[Scale, tuple[float, float]] = {}
    problem: RequestError | None = None
    for scale in scales if classes else scales[:1]:
        given = GivenNetwork(data, output=output, side=side, scale=scale, where=where)
        try:
            raw = given.answers(files)
            form = form_of_answers(raw, classes=len(classes), where=where)
        except RequestError as error:  # of numbers that it does not read nothing sensible may come
            problem = error
            continue
        if classes:
            scores = to_scores(raw, form, range(len(classes)))
            loss = -np.log(np.maximum(scores[np.arange(len(places)), places], _SMALLEST)).mean()
            tried[scale] = (float(loss), float((scores.argmax(axis=1) == places).mean()))
    if problem is not None and not tried:
        raise problem
    if not classes and network.dtype != "uint8":
        scale_of(network, None, where=where)  # nothing tells which fits
    best = min(tried, key=lambda scale: tried[scale][0]) if tried else None
    home = root.resolve()
    is_outside = not found.is_relative_to(home)
    made_by = " ".join(word for word in (network.producer, network.producer_version) if word)
    return ImportedNetwork(
        file=str(found) if is_outside else found.relative_to(home).as_posix(),
        is_outside=is_outside,
        output=output if len(network.outputs) > 1 else None,
        scale=None if network.dtype == "uint8" else best,
        classes=classes,
        right=tried[best][1] if best else None,
        tried=len(files),
        made_by=f"an ONNX file of {made_by}" if made_by else "an ONNX file",
    )


def _output(data: bytes, network: Network, width: int, where: str) -> tuple[str, int]:
    """Return the first output that has an answer for each class, and the side of the squares that the network gets."""
    side = network.side or OTHERWISE
    scale: Scale = "bytes" if network.dtype == "uint8" else "unit"
    problem: RequestError | None = None
    for output in network.outputs:
        try:
            made = to_backbone(data, side=side, scale=scale, outputs=(output,), where=where, is_pooled=False)
        except RequestError as error:
            problem = error
            continue
        if made.width == width or (width == 2 and made.width == 1):
            return output, side
        problem = RequestError(
            "the network gives another number of answers than there are folders",
            where=where,
            found=f"{made.width} numbers for a picture",
            allowed=f"{width}, one for each folder",
            hint="bring pictures of each of its classes, a folder for each; or write all of its classes into a line file",
        )
    raise problem or RequestError("the network gives no numbers", where=where)
