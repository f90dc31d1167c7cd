"""A datasheet [1]_ of a dataset version: the questions that the factory can answer, and the others for people.

References
----------
.. [1] T. Gebru et al., Datasheets for Datasets, Communications of the ACM 64 (2021), 86-92.
"""

from collections.abc import Iterator, Sequence

from linewright import __version__
from linewright.capabilities.datasets.export.version import VersionToExport
from linewright.line.record.data.readings import Reading
from linewright.line.spec import LineSpec
from linewright.text.numbers import count


def datasheet(version: VersionToExport) -> Iterator[str]:
    """Give the lines of a datasheet in Markdown; what the factory does not know is left to people."""
    spec = version.spec
    yield f"# Datasheet of {spec.line}"
    yield ""
    yield f"Dataset version `{version.digest}`, written by Linewright {__version__}. Questions are those of Gebru et al., Datasheets for"
    yield "Datasets. What stands in brackets is for people to fill in."
    for title, questions in _questions(version).items():
        yield ""
        yield f"## {title}"
        for question, answer in questions:
            yield ""
            yield f"**{question}**"
            yield ""
            yield answer or f"[to fill in by {spec.owner or 'the owner of the data'}]"


_Questions = Sequence[tuple[str, str]]


def _questions(version: VersionToExport) -> dict[str, _Questions]:
    spec, read = version.spec, version.read
    return {
        "Motivation": [
            ("For what purpose was the dataset created?", spec.about),
            ("Who created the dataset?", spec.owner or ""),
            ("Who funded the creation of the dataset?", ""),
        ],
        "Composition": _composition(version),
        "Collection process": [
            ("How was the data associated with each instance acquired?", ""),
            ("Over what timeframe was the data collected?", ""),
            ("Where was it read from, and when?", _sources(read)),
            ("Were the individuals in question notified, and did they consent?", ""),
            ("Were any ethical review processes conducted?", ""),
        ],
        "Preprocessing, cleaning, labelling": [
            ("Was any preprocessing or cleaning of the data done?", _cleaning(version)),
            ("Who labelled the rows?", _labelled(read)),
            ("Was the raw data saved in addition to the preprocessed data?", ""),
        ],
        "Uses": [
            ("Has the dataset been used for any tasks already?", _uses(version)),
            ("Are there tasks for which the dataset should not be used?", ""),
        ],
        "Distribution": [
            ("Will the dataset be distributed to third parties?", ""),
            ("Under which licence?", ""),
        ],
        "Maintenance": [
            ("Who is supporting and maintaining the dataset?", spec.owner or ""),
            ("Will the dataset be updated?", "Each run that reads other rows makes a new version; old ones stay as they are."),
            ("How long is it kept?", _kept(spec)),
        ],
    }  # fmt: skip


def _composition(version: VersionToExport) -> _Questions:
    dataset, spec = version.dataset, version.spec
    types = ", ".join(f"`{one.name}` ({one.type})" for one in dataset.columns)
    split = version.split
    parts = (
        f"Yes, by {split.by}: {count(split.train, 'row')} to train and {count(split.test, 'row')} to test; "
        f"{count(split.embargo + split.unlabelled, 'row')} in neither part."
        if split
        else ""
    )
    personal = ", ".join(f"`{name}`" for name in version.personal)
    return [
        ("What do the instances represent?", ""),
        ("How many instances are there in total?", f"{count(dataset.rows, 'row')}."),
        ("What data does each instance consist of?", f"{count(len(dataset.columns), 'column')}: {types}."),
        ("Is there a label or target?", f"The column `{spec.label.column}`."),
        ("Does the dataset contain all possible instances, or is it a sample?", ""),
        ("Are relationships between individual instances made explicit?", _related(spec)),
        ("Are there recommended data splits?", parts),
        ("Are there any errors, sources of noise, or redundancies?", _errors(version.read)),
        (
            "Does the dataset identify individuals, or contain data that might be considered sensitive?",
            f"These columns are declared personal: {personal}." if personal else "",
        ),
    ]


def _related(spec: LineSpec) -> str:
    names = ", ".join(f"`{name}`" for name in spec.table.groups)
    return f"Rows with the same value of {names} belong together." if names else ""


def _errors(read: Reading | None) -> str:
    if read is None:
        return ""
    broken = [
        f"- {one.column or 'the table'}: {one.rule}: {one.failed:,} of {count(one.rows, 'row')}"
        for one in read.breaches
    ]
    head = f"{count(read.quarantined, 'row')} of {read.rows_read:,} broke the contract and were kept out."
    return "\n".join([head, *(["", "Rules that did not hold:", "", *broken] if broken else [])])


def _sources(read: Reading | None) -> str:
    lines = [f"- `{one.name}`: {one.place or 'no longer declared'}" for one in read.sources] if read else []
    return "\n".join([f"Read on {read.at[:10]}:", "", *lines]) if read and lines else ""


def _cleaning(version: VersionToExport) -> str:
    spec = version.spec
    views = ", ".join(f"`{name}`" for name in spec.features)
    rules = len(spec.contract.columns)
    types = (
        f"of a contract with rules for {count(rules, 'column')}"
        if rules
        else "that were found in the sources"
    )
    said = [
        "The table is made by the SQL of the line file." if spec.table.sql else "",
        f"Values have the types {types}.",
        f"The columns of these feature views were added: {views}." if views else "",
        "Nothing else was changed.",
    ]
    return " ".join(filter(None, said))


def _labelled(read: Reading | None) -> str:
    if read is None or read.annotated is None:
        return ""
    return f"People of the factory labelled {count(read.annotated.labelled, 'row')}: {', '.join(read.annotated.by)}."


def _uses(version: VersionToExport) -> str:
    models = version.read.models if version.read else ()
    return f"To train {', '.join(models)}." if models else ""


def _kept(spec: LineSpec) -> str:
    versions = spec.keep.datasets if spec.keep else None
    return (
        f"The newest {count(versions, 'version')} of the dataset, and those of models that serve."
        if versions
        else ""
    )
