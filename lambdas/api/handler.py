"""The API function: the HTTP API of the catalog (tagstream.web), behind API Gateway."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import botocore.session
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from lambdas.frame import Event, Frame
from lambdas.http import answer, described, openapi, resolver, serve
from lambdas.opensearch import Connection
from tagstream.web import answers
from tagstream.web.access import WRITE
from tagstream.web.answers import UPLOAD_ID
from tagstream.web.cursors import MAX_CURSOR
from tagstream.web.service import Service, Settings, is_current

frame = Frame()
app = resolver(frame)
_SECONDS = 5.0


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    days = environment.get("UNDO_DAYS")
    return Settings(
        environment["PHOTOS_BUCKET"],
        environment.get("THUMBNAILS_BUCKET"),
        environment.get("PREFIX", ""),
        environment.get("SUFFIX", ""),
        int(environment.get("MAX_BYTES", Settings.max_bytes)),
        int(days) if days else None,
    )


@cache
def service() -> Service:
    # Virtual-hosted, so that URLs name the bucket's own region and no redirect stands between a browser and a picture.
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
        retries={"mode": "standard", "max_attempts": 3},
        connect_timeout=3,
        read_timeout=5,
    )
    session = botocore.session.get_session()
    s3 = session.create_client("s3", config=config)
    return Service(Connection.from_environment(timeout=_SECONDS).catalog, s3, session.get_credentials(), settings())


Id = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="The image's id.")]
UploadId = Annotated[str, Path(pattern=UPLOAD_ID, description="The upload's id.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many are listed, at most.")]
Cursor = Annotated[
    str | None,
    Query(
        pattern="^[A-Za-z0-9_-]+$",
        max_length=MAX_CURSOR,
        description="The 'cursor' of the answer before, for the next page.",
    ),
]
Score = Annotated[float | None, Query(ge=0, le=1, allow_inf_nan=False)]


@app.get("/images", summary="Find images", **described(answers.Page, "A page of images.", 503))
def find_images(
    *,
    q: Annotated[
        str | None, Query(max_length=2048, description="A query (docs/search.md); without it, all images.")
    ] = None,
    min_score: Score = None,
    exact: Annotated[bool | None, Query(description="Only the tag of this name.")] = None,
    related: Annotated[
        bool | None, Query(description="Also what is merely related to a word; by default true.")
    ] = None,
    weak_below: Score = None,
    sort: Annotated[
        Literal["best", "newest"] | None, Query(description="By default the best first, and without 'q' the newest.")
    ] = None,
    facets: Annotated[
        bool | None, Query(description="Count tags, colours, cameras and years of all that was found.")
    ] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response[Any]:
    query = {
        "q": q,
        "min_score": min_score,
        "exact": exact,
        "related": related,
        "weak_below": weak_below,
        "sort": sort,
        "facets": facets,
    }
    return answer(service().images(query, limit=limit, cursor_text=cursor))


@app.get("/images/<id>", summary="Show an image", **described(answers.ImageInFull, "The image.", 404, 503))
def show_image(id: Id) -> Response[Any]:
    return answer(service().image(id))


@app.get("/images/<id>/similar", summary="Find similar images", **described(answers.Similar, "Images.", 404, 503))
def find_similar(id: Id, limit: Limit = 20) -> Response[Any]:
    return answer(service().similar(id, limit=limit))


@app.delete(
    "/images/<id>",
    summary="Remove an image",
    **described(answers.Removed, "It goes within moments.", 404, 409, 503, status=202, scope=WRITE),
)
def remove_image(id: Id) -> Response[Any]:
    return answer(service().remove(id), 202)


@app.post(
    "/images/<id>/restore",
    summary="Restore a removed image",
    **described(answers.Restored, "It is back within moments.", 404, 409, 503, status=202, scope=WRITE),
)
def restore_image(id: Id) -> Response[Any]:
    return answer(service().restore(id), 202)


@app.get("/tags", summary="Complete a word", **described(answers.Tags, "Tags, and words that mean one.", 503))
def complete_tags(
    prefix: Annotated[str, Query(max_length=100, description="What they begin with.")] = "",
    limit: Limit = 20,
) -> Response[Any]:
    return answer(service().tags(prefix, limit=limit))


@app.get("/stats", summary="Count everything", **described(answers.Stats, "What there is.", 503))
def count_all() -> Response[Any]:
    return answer(service().stats())


@app.post(
    "/uploads",
    summary="Begin an upload",
    **described(answers.Upload, "A form for S3.", 404, 413, 415, status=201, scope=WRITE),
)
def begin_upload(wanted: Annotated[answers.UploadRequest | None, Body()] = None) -> Response[Any]:
    return answer(service().upload(wanted.upload if wanted else None), 201)


@app.get("/uploads/<id>", summary="See what became of an upload", **described(answers.Arrivals, "So far.", 503))
def follow_upload(
    id: UploadId,
    limit: Limit = 100,
    cursor: Cursor = None,
    if_none_match: Annotated[str | None, Header(description="The ETag of the answer before.")] = None,
) -> Response[Any]:
    seen, etag = service().arrivals(id, limit=limit, cursor_text=cursor)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if is_current(if_none_match, etag):
        # Not None: the local cloud's API Gateway wants a text.
        return Response(304, body="", headers=headers)
    return answer(seen, headers=headers)


@app.get("/openapi.json", summary="Describe the API", **described(answers.OpenApi, "This document.", scope=None))
def describe() -> Response[Any]:
    return answer(document(), headers={"Cache-Control": "public, max-age=300"})


@cache
def document() -> dict[str, Any]:
    return openapi(app)


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:
    """Answers a request of API Gateway's HTTP API, payload version 2.0."""
    frame.count(Requests=1)
    return serve(app, event, context, free=frozenset({"/openapi.json"}))
