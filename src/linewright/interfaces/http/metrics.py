"""`GET /metrics` of the control plane: how all lines stand, in the text format of Prometheus."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from linewright.interfaces.http.guard import asked_by
from linewright.line.record.monitoring.factory_metrics import FactoryMetrics
from linewright.serve.access.rights import Identity
from linewright.serve.metrics import samples_text
from linewright.store.files.disk import faults_explained

PATH = "/metrics"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def metrics_route(
    open_factory: Callable[[Identity], AbstractContextManager[Any]],
) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers. One request is carried out at a time; it costs what has happened since the last."""
    metrics, one_at_a_time = FactoryMetrics(), CapacityLimiter(1)

    def read(identity: Identity) -> str:
        identity.require("metrics")
        with faults_explained(), open_factory(identity) as factory:
            return samples_text(metrics.samples(factory))

    async def answer(request: Request) -> Response:
        return Response(
            await run_sync(read, asked_by(request.scope), limiter=one_at_a_time), media_type=_TEXT
        )

    return answer
