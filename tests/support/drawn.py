"""Pictures of circles and of squares, drawn; and a factory whose line tells them apart."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from templates import copied, made_once

from linewright.line.factory import Factory
from linewright.line.runs.execute import execute

LINE = "shapes"
FILE = """\
line: shapes
sources: {shapes: {files: pictures}}
table:
  sql: "select name, file, folder as shape, split_part(split_part(name, '/', 2), '-', 1) as part from shapes"
  key: name
  subject: part
label: {column: shape, positive: square}
contract:
  columns:
    file: {type: file, nullable: false}
train: {task: binary, metric: roc_auc, budget: quick, folds: 2}
gates:
  - {metric: roc_auc, at_least: 0.6}
"""
"""Of each part, whose name begins that of its pictures, there are two."""


def drawn(shape: str, seed: int, side: int = 48) -> Image.Image:
    """Draw one in grey, somewhere, with noise."""
    chance = np.random.default_rng(seed)
    size = int(chance.integers(side // 4, side // 2))
    left, top = (int(chance.integers(2, side - size - 2)) for _ in range(2))
    picture = Image.fromarray(chance.normal(90, 12, (side, side)).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    (draw.ellipse if shape == "circle" else draw.rectangle)((left, top, left + size, top + size), fill=190)
    return picture


def encoded(picture: Image.Image, form: str = "PNG", **how: object) -> bytes:
    """Return a picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, form, **how)
    return file.getvalue()


def draw_folder(folder: Path, pictures: int = 120) -> None:
    """Write a folder for each shape, with pictures that have the names of their parts."""
    for number in range(pictures):
        shape = ("circle", "square")[number // 2 % 2]
        file = folder / shape / f"P{number // 2:03}-{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(drawn(shape, number)))


def make_factory(folders: pytest.TempPathFactory, root: Path) -> Path:
    """Make a factory whose line `shapes` has a champion: a copy of one that the session makes once."""
    return copied(made_once(folders, LINE, _make), root)


def _make(root: Path) -> None:
    (root / "lines").mkdir(parents=True)
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    draw_folder(root / "pictures")
    with Factory.create(root) as factory:
        execute(factory, LINE)
