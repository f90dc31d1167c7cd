"""What is said of answers for a file."""

from linewright.capabilities.predictions.operations import Predicted
from linewright.interfaces.cli.dispatch import result_text


def told(**columns: float) -> list[str]:
    """Return the columns of one answer as the terminal shows them."""
    answers = Predicted(line="a", model="a@1", digest="sha256:00", rows=1, out="a.csv", first=(columns,))
    return result_text(answers).splitlines()[1].strip().split(", ")


def test_an_explanation_of_many_columns_is_cut_on_the_terminal():
    """Three rows of twenty-eight columns filled the screen; the file has them all."""
    columns = {f"c{number}": float(number) for number in range(28)}

    assert [*(f"c{number}={number}.0" for number in range(10)), "and 18 further columns"] == told(**columns)
    assert 11 == len(told(**dict([*columns.items()][:11])))
