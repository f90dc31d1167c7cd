"""Pictures in the console: somebody tries one, sees those of predictions, and labels by them, in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drawn
import pytest
from browser import visitor
from control import Up, factory_up

from linewright.capabilities.annotation.operations import annotate_queue
from linewright.capabilities.members.operations.members import member_add
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.serve.log.segments import read_log


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Give a factory that is up, with eight answers about pictures, which wait for labels."""
    root = drawn.make_factory(tmp_path_factory, tmp_path_factory.mktemp("pictures") / "factory")
    drawn.draw_folder(root / "new", 8)
    with Factory.open(root) as factory:
        predict_file(factory, drawn.LINE, root / "new", Path(root / "answers.csv"))
        annotate_queue(factory, drawn.LINE, size=8)
        member_add(factory, "ann", role="annotator", lines=(drawn.LINE,))
        member_add(factory, "vic", role="viewer")
    with factory_up(root, forked=True) as up:
        yield up


def _is_drawn(picture: Any) -> bool:
    """Return whether a browser has decoded a picture."""
    picture.wait_for()
    return bool(picture.evaluate("one => one.complete && one.naturalWidth > 40"))


def test_a_picture_is_tried_and_answered(browser: Any, shapes: Up, tmp_path: Path):
    """It is chosen, kept, shown, and answered with what moved the answer; the policy of the page lets nothing else in."""
    file = tmp_path / "a new square.png"
    file.write_bytes(drawn.encoded(drawn.drawn("square", 77)))
    with visitor(browser, shapes) as looks:
        looks.page.goto(f"/lines/{drawn.LINE}/try")
        looks.page.locator("input[type=file]").set_input_files(file)
        looks.page.get_by_role("heading", name="shape: square").wait_for(timeout=60_000)

        assert _is_drawn(looks.page.get_by_role("img", name="Picture of column file"))
        looks.page.get_by_role("img", name="Which parts of the picture speak for square").wait_for()
        assert [] == looks.troubles


def test_what_is_no_picture_is_refused_in_words(browser: Any, shapes: Up, tmp_path: Path):
    """Beside the form, which stays as it was."""
    file = tmp_path / "notes.png"
    file.write_bytes(b"dear diary")
    with visitor(browser, shapes) as looks:
        looks.page.goto(f"/lines/{drawn.LINE}/try")
        looks.page.locator("input[type=file]").set_input_files(file)

        looks.page.locator(".problem").get_by_text("not a picture").wait_for(timeout=60_000)
        looks.troubles.clear()  # a browser tells of each answer that refuses


def test_the_page_of_a_prediction_shows_its_picture(browser: Any, shapes: Up):
    """What the model saw is what a person wants to see."""
    with Factory.open(shapes.root) as factory:
        record = next(iter(read_log(factory.log_of(drawn.LINE), sealed=factory.sealed_of(drawn.LINE)))).record
    with visitor(browser, shapes) as looks:
        looks.page.goto(f"/predictions/{record.id}?line={drawn.LINE}")

        assert _is_drawn(looks.page.get_by_role("img", name="Picture of column file").first)
        looks.page.get_by_role("img", name="Which parts of the picture speak for").wait_for(timeout=60_000)
        assert [] == looks.troubles


def test_an_annotator_labels_what_they_see(browser: Any, shapes: Up):
    """By the picture, and not by its digest."""
    with visitor(browser, shapes, "ann") as looks:
        looks.page.goto(f"/lines/{drawn.LINE}/label")

        assert _is_drawn(looks.page.get_by_role("img", name="Picture of column file"))
        looks.page.keyboard.press("1")
        looks.page.get_by_text("1 done").wait_for()
