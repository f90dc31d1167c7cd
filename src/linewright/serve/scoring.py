"""Rows in, answers out: the one path that the endpoint, batch scoring and replays take."""

from collections.abc import Callable
from typing import Any

from linewright.errors import Corrupt
from linewright.features.encode import Columns, encode
from linewright.model.package import Model, golden_differences, read_golden
from linewright.serve.rows import Place, RowReader, in_rows

TOLERANCE = 1e-6
"""Largest difference of a golden answer: processors round the last bits of a sum differently."""


class Scorer:
    """Answers rows with one loaded model. Safe to use from several threads.

    Parameters
    ----------
    model
        A loaded, verified package.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._reader = RowReader(model.package.columns, missing=model.package.missing)

    def read(self, rows: object, *, place: Place = in_rows) -> Columns:
        """Return the feature columns of JSON rows.

        Raises
        ------
        RequestError
            If a row does not fit; it names the row and the column.
        """
        return self._reader.read(rows, place=place)

    def columns(self, columns: Columns) -> list[dict[str, Any]]:
        """Return one answer a row for features that are columns already; its form is the task's."""
        return self.model.answers(self.model.scores(encode(self.model.package.encoder, columns)))

    def score(self, rows: object) -> list[dict[str, Any]]:
        """Return one answer a JSON row: `read`, then `columns`."""
        return self.columns(self.read(rows))

    def check_golden(self, get: Callable[[str], bytes]) -> None:
        """Try the rows that came with the package.

        Raises
        ------
        Corrupt
            If an answer differs by more than 1e-6 from the one that was packaged.
        """
        golden = read_golden(self.model.package, get)
        if not golden.rows:
            return
        x = encode(self.model.package.encoder, self.read(list(golden.rows)))
        largest = golden_differences(self.model, x, golden.predictions)
        if largest > TOLERANCE:
            raise Corrupt(
                "the package does not answer as it did when it was made",
                where=self.model.digest,
                found=largest,
                allowed=f"differences of at most {TOLERANCE:g}",
                hint="let the champion before it serve: linewright rollback LINE",
            )
