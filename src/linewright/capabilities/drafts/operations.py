"""The operation that makes a line."""

from pathlib import Path
from typing import Literal

from linewright.capabilities.drafts.remote_data import Access, url_of
from linewright.capabilities.drafts.write import NewLine, NewTask, new_line
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.people.facts import LineMade
from linewright.store.values import digest_of_bytes
from linewright.text.remote_url import shown_url


@operation(
    permission="run",
    effect="act",
    expensive=True,
    anywhere=True,
    files={"data": "data", "model": "data"},
)
def new(
    factory: Factory,
    name: str,
    /,
    *,
    data: Path,
    label: str | None = None,
    event: str | None = None,
    positive: str | None = None,
    time: str | None = None,
    group: str | None = None,
    key: str | None = None,
    exclude: tuple[str, ...] = (),
    weight: str | None = None,
    model: Path | None = None,
    columns: tuple[str, ...] = (),
    python: str | None = None,
    engine: Literal["built-in", "flaml", "autogluon"] = "built-in",
    task: NewTask = "auto",
    table: str | None = None,
    at: str | None = None,
) -> NewLine:
    """Look at a table and write a line file for it, each choice with its reason.

    Parameters
    ----------
    name
        Name of the line: small letters, digits and hyphens.
    data
        File of CSV, JSON lines (each packed or not), Parquet or Excel; a folder of such files, or a pattern in quotes; or a folder with a folder
        of pictures for each class. Or a URL of such files: `s3://`, `gs://`, `az://` or `https://`; or of the first page of
        a REST service. Or `env:NAME` or `file:PATH` of the URL of a
        database, or `sqlite:///PATH` or `duckdb:///PATH`, with --table.
    label
        Column to predict; of pictures, by default the names of their folders.
    event
        Where that is how long something took: column that is true, or 1, if it happened then, and false if it had not happened yet.
    positive
        For two classes: the value whose probability is predicted.
    time
        Column that says when a row happened; the latest rows then test the model.
    group
        Column whose rows belong together, such as a patient or a machine.
    key
        Column that names a row, used to match the truth with a prediction later.
    exclude
        Columns that the model must not use, separated by commas.
    weight
        Column with a sample weight.
    model
        File (ONNX, LightGBM, XGBoost) of an imported model, or folder of an MLflow model with one; it takes the place of training.
    columns
        Columns that this model reads, in the order of its inputs, separated by commas, where it does not name them itself.
    python
        Function of yours that returns an unfitted estimator: FILE.py:FUNCTION, the file in the factory's folder.
    engine
        What chooses and fits the model: built-in, or one of the extras flaml and autogluon.
    task
        `recommend` for a table of events: the label is the item that was taken, the group the user; `forecast` for values of series: the group is the series; `anomaly` to learn from good rows or pictures alone: no label is needed. By default the label decides.
    table
        Table of the database that --data names, such as customers or sales.customers.
    at
        Of a URL: `env:NAME` or `file:PATH` of what it is read with, as in the line file.
    """
    made = new_line(
        factory.root,
        name,
        data,
        GivenRoles(
            label=label or "",
            event=event,
            positive=positive,
            time=time,
            group=group,
            key=key,
            weight=weight,
            exclude=exclude,
        ),
        model=model,
        columns=columns,
        python=python,
        engine=engine,
        task=task,
        access=Access(table=table, at=at),
    )
    with Factory.create(factory.root, identity=factory.identity) as opened:
        if member := opened.identity.member:
            file = digest_of_bytes(Path(made.path).read_bytes())
            url = url_of(data, at)
            because = f"from {shown_url(url) if url else data.name}"
            opened.metadata.record(
                LineMade(
                    at=opened.now(), by=opened.actor, because=because, line=name, member=member, file=file
                )
            )
    return made
