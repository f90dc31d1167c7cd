"""What the data plane answers: the form of each JSON body, of which its OpenAPI document is made."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta


def _says(text: str) -> Meta:
    return Meta(description=text)


Count = Annotated[int, Meta(ge=0)]
Durability = Annotated[
    Literal["none", "buffered", "durable"],
    _says("Answers survive nothing (no log has it), the kill of any process, or power loss too."),
]
Datatype = Literal["BYTES", "BOOL", "FP64", "INT64"]
OutputName = Literal[
    "prediction",
    "probabilities",
    "survival",
    "beyond",
    "act_by",
    "interval",
    "scores",
    "times",
    "low",
    "high",
    "id",
    "model_version",
    "contributions",
    "base",
    "score",
    "heat_map",
]


class Error(TypedDict):
    """Why a request was refused."""

    error: Annotated[str, _says("Class of the error, e.g. RequestError; below /v2/ the message.")]
    kind: NotRequired[Annotated[str, _says("Class of the error, below /v2/.")]]
    message: Annotated[str, _says("All of it in one sentence.")]
    what: str
    where: Annotated[str, _says("Row, column, header or byte that it is about; may be empty.")]
    found: str | int | float | bool | None
    allowed: str
    hint: Annotated[str, _says("What to do next; may be empty.")]
    details: Annotated[
        dict[str, Any],
        _says("`errors`: the first 20 mistakes of a request of rows; `wrong_rows`: how many rows have one."),
    ]


class Index(TypedDict):
    """What there is."""

    linewright: Annotated[str, _says("Its version.")]
    lines: list[str]
    routes: list[str]


class OpenAPI(TypedDict):
    """A document of OpenAPI 3.1."""

    openapi: str
    info: dict[str, Any]
    servers: list[dict[str, Any]]
    paths: dict[str, Any]
    components: dict[str, Any]
    security: list[dict[str, Any]]


class Server(TypedDict):
    """The server, as the Open Inference Protocol wants it."""

    name: str
    version: str
    extensions: list[str]


class Live(TypedDict):
    """Whether the process runs."""

    live: bool


class Ready(TypedDict):
    """Whether requests should come here."""

    ready: bool


class ModelReady(TypedDict):
    """Whether a line answers."""

    name: str
    ready: bool


class LineHealth(TypedDict):
    """How a line is."""

    line: str
    ready: bool
    model: Annotated[str | None, _says("LINE@VERSION, or null where none answers.")]
    digest: str | None
    loaded: Annotated[bool, _says("Whether its models are in memory; else a request loads them.")]
    generation: Count
    halted: bool
    refused: Annotated[str | None, _says("Why the newest model was not taken over.")]
    log_fails: Annotated[str | None, _says("Why the log fails at this moment.")]
    log_trouble: Annotated[str | None, _says("The last time that the disk did not keep what was logged.")]
    unlogged_rows: Annotated[Count, _says("Rows that were answered and that no log has.")]
    log_damaged: Annotated[Count, _says("Places of the log that hold no record.")]


class Health(TypedDict):
    """How an endpoint is."""

    live: bool
    ready: bool
    processes: Count
    lines: list[LineHealth]


class TensorPlace(TypedDict):
    """A tensor that goes into a model or comes out of it."""

    name: str
    datatype: str
    shape: list[int]
    optional: NotRequired[bool]


class Model(TypedDict):
    """What goes into the model of a line and what comes out."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorPlace]
    outputs: list[TensorPlace]


class Output(TypedDict):
    """A tensor of an answer, the values of one row after those of another."""

    name: OutputName
    datatype: Datatype
    shape: list[Count]
    data: list[str | int | float]
    parameters: NotRequired[dict[str, Any]]


class InferParameters(TypedDict):
    """Which model answered, and what the answer survives."""

    model: str
    digest: str
    durability: Durability
    features: NotRequired[
        Annotated[
            list[dict[str, Any]], _says("Of each row, as in the answer to rows; of lines with feature views.")
        ]
    ]


class InferAnswer(TypedDict):
    """The answer to tensors."""

    id: NotRequired[Annotated[str, _says("The request's, where it had one.")]]
    model_name: str
    model_version: str
    parameters: InferParameters
    outputs: list[Output]


class Answer(TypedDict):
    """The answer to rows."""

    model: Annotated[str, _says("LINE@VERSION.")]
    digest: str
    durability: Durability
    predictions: Annotated[list[dict[str, Any]], _says("One a row, in their order.")]


class PushAnswer(TypedDict):
    """What became of rows that were sent to a source."""

    accepted: Count
    repeated: Annotated[Count, _says("Rows that were there already; they are not kept twice.")]
    forgotten: NotRequired[
        Annotated[Count, _says("Rows about persons whom a line has forgotten; they are not kept.")]
    ]
    durability: Durability
    counts_in: Annotated[
        list[str],
        _says(
            "Feature views whose answers here follow the rows within a second; of others, once a run has read them."
        ),
    ]


class SimilarItems(TypedDict):
    """What goes with one item, the best first."""

    item: str
    items: list[str]
    scores: list[float]


class SimilarAnswer(TypedDict):
    """Items that go with others."""

    model: Annotated[str, _says("LINE@VERSION.")]
    digest: str
    similar: Annotated[
        Sequence[SimilarItems],
        _says("One for each item of the request: what goes with it, best first."),
    ]


class UnknownLabel(TypedDict):
    """A label that is about no prediction."""

    where: str
    id: NotRequired[str]
    key: NotRequired[str]
    why: str


class FeedbackAnswer(TypedDict):
    """What became of labels."""

    accepted: Count
    repeated: Annotated[Count, _says("Labels that were known already.")]
    unknown: Annotated[Count, _says("Labels about predictions that were never made; not kept.")]
    corrected: NotRequired[Annotated[Count, _says("Labels that replaced another, where there are such.")]]
    unknown_first: NotRequired[list[UnknownLabel]]
