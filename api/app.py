"""The application: every router under /v1, behind the guards, with its errors as problem documents."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from sqlalchemy import Engine
from starlette.types import ASGIApp
from typing_extensions import override

from api import (
    annotations,
    batches,
    callers,
    compare,
    comparisons,
    datasets,
    documents,
    errors,
    events,
    health,
    metrics,
    presets,
    shares,
    storage,
    treatments,
    uploads,
    watched_runs,
    webhooks,
    workers,
)
from api.deps import Services
from api.http.auth import LimitBody, RequireToken, bearer
from api.http.framing import RequireOneLength
from api.http.hosts import KnownHosts, RequireHost
from api.http.request_metrics import RequestMetrics
from api.http.sessions import Sessions
from api.http.tracking import Tracking
from api.notifications.notifier import Notifier
from api.pages import bundle
from api.pages import router as pages
from api.runs import diagnosis, downloads, evaluations, figures, glances, log, ndb, router, samples, series, waiting
from ganlib.wire.events import EventView
from store.core.db import make_engine
from store.core.settings import Settings, read_or_create_token
from store.files.backends import open_artifacts, open_uploaded
from store.files.usage import StorageGauge
from store.operations.bell import ring
from store.operations.tracing import stop_tracing
from store.scheduling.accounts import read_accounts

NOUNS = (
    router,
    log,
    events,
    batches,
    compare,
    series,
    samples,
    downloads,
    glances,
    figures,
    evaluations,
    ndb,
    diagnosis,
    annotations,
    treatments,
    comparisons,
    presets,
    datasets,
    uploads,
    webhooks,
    watched_runs,
    shares,
    storage,
    waiting,
    workers,
    callers,
    documents,
)
DESCRIPTION = """Trains GANs from run specs, watches every run, and says early, with evidence, what goes wrong.

Created work is stored before it is answered with 202. Every error is a problem document (RFC 9457)."""


class Api(FastAPI):
    """FastAPI whose OpenAPI document describes problem documents."""

    @override
    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            document = get_openapi(
                title=self.title, version=self.version, description=self.description, routes=self.routes
            )
            schemas = document["components"]["schemas"]
            for model in (errors.Problem, EventView):  # no route returns one: they are written into answers
                described = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas |= described.pop("$defs", {}) | {model.__name__: described}
            document["components"]["schemas"] = dict(sorted(schemas.items()))
            self.openapi_schema = document
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """Everything that serves a request; what tracks it is outermost, so that it sees also what failed."""
        services: Services = self.state.services
        return Tracking(super().build_middleware_stack(), services.request_metrics)


def create_app(
    settings: Settings,
    engine: Engine | None = None,
    bell: Callable[[Settings], bool] = ring,
    broker_answers: Callable[[Settings], bool] = health.broker_answers,
    clock: Callable[[], float] = time.time,
    pages_folder: Path = bundle.FOLDER,
) -> FastAPI:
    """The application for these settings; the other arguments are for tests.

    Raises:
        InvalidTokensFile: the tokens file cannot be used.
    """
    engine = engine or make_engine(settings.database)
    services = Services(
        settings=settings,
        engine=engine,
        artifacts=open_artifacts(settings),
        uploaded=open_uploaded(settings),
        storage=StorageGauge(settings, engine),
        bell=bell,
        broker_answers=broker_answers,
        request_metrics=RequestMetrics(),
        accounts=read_accounts(settings.tokens_file),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        notifier = Notifier(engine, settings)
        notifier.start()
        yield
        notifier.stop()
        services.engine.dispose()
        stop_tracing()

    # The pages of /docs would load scripts from elsewhere, and nothing but health is answered without a token.
    app = Api(
        title="GAN Clinic",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    errors.register(app)
    app.add_middleware(LimitBody, max_upload_bytes=settings.max_upload_bytes)
    token = settings.token or read_or_create_token(settings.home)
    hosts = KnownHosts.of(settings.host, settings.allowed_hosts)
    sessions = Sessions(token, services.accounts, clock)
    app.add_middleware(
        RequireToken,
        token=token,
        sessions=sessions,
        hosts=hosts,
        metrics_token=settings.metrics_token,
        accounts=services.accounts,
    )
    app.add_middleware(RequireHost, hosts=hosts)
    app.add_middleware(RequireOneLength)
    app.include_router(_router(), prefix="/v1")
    app.include_router(metrics.router)
    app.include_router(pages.make_router(bundle.read(pages_folder), sessions, settings.links, clock))
    return app


def _router() -> APIRouter:
    everything = APIRouter()
    for noun in NOUNS:
        everything.include_router(noun.router, dependencies=[Depends(bearer)], responses=errors.EVERYWHERE)
    everything.include_router(health.router)
    return everything
