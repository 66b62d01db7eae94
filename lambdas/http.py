"""The frame around the routes of an HTTP function: who may, what is refused before a route sees it, how errors end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import (
    RequestUnsupportedContentType,
    RequestValidationError,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.frame import Event, Frame
from tagstream.errors import CatalogError
from tagstream.web.access import READ, check_body, check_scope
from tagstream.web.answers import Problem as Document
from tagstream.web.answers import Refusal
from tagstream.web.problems import MEDIA_TYPE, Problem, of_validation, reason

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["answer", "described", "openapi", "resolver", "serve"]

_SCHEME = "token"
_GATEWAYS = frozenset({401, 403, 404, 429})
"""What API Gateway may answer by itself, in its own way."""
_DESCRIPTION = (
    "Photos, found by what they show. Requests carry `Authorization: Bearer` with an access token of the stage's user "
    "pool. Errors are problem documents (RFC 9457) whose `detail` says what to change."
)

_COMPRESSED_FROM = 1400
"""Bytes: less fits in one packet anyhow."""


def answer(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response[str]:
    """An answer in JSON. It is private, and kept by nobody unless ``headers`` say how."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(
        status,
        "application/json",
        text,
        headers={"Cache-Control": "no-store", **(headers or {})},
        compress=len(text) >= _COMPRESSED_FROM,
    )


def resolver(frame: Frame) -> APIGatewayHttpResolver:
    """A resolver that checks requests and ends every error as a problem document."""
    app = APIGatewayHttpResolver(enable_validation=True)

    def invalid(error: RequestValidationError) -> Response[str]:
        return _problem(of_validation(error.errors()))

    def unsupported(_: RequestUnsupportedContentType) -> Response[str]:
        return _problem(Problem(415, "The body must be JSON, with 'Content-Type: application/json'."))

    def away(error: CatalogError) -> Response[str]:
        frame.logger.error("the catalog is away", extra={"error": str(error)})
        frame.count(Failures=1)
        frame.failed()
        return _problem(Problem(503, "The catalog does not answer: try again in some seconds."))

    def nowhere(_: NotFoundError) -> Response[str]:
        return _problem(Problem(404, "There is no such address: GET /openapi.json lists all."))

    def failed(error: Exception) -> Response[str]:
        # Answered, not raised: a raised error costs the warm worker, and its caller gets no document.
        frame.logger.error("the request failed", exc_info=error)
        frame.count(Failures=1)
        frame.failed()
        return _problem(Problem(500, "Something is wrong here, not with the request: its log says what."))

    app.exception_handler(Problem)(_problem)
    app.exception_handler(RequestValidationError)(invalid)
    app.exception_handler(RequestUnsupportedContentType)(unsupported)
    app.exception_handler(CatalogError)(away)
    app.exception_handler(NotFoundError)(nowhere)
    app.exception_handler(Exception)(failed)
    app.use([_only_known_parameters])
    return app


def described(
    model: type[BaseModel], says: str, *problems: int, status: int = 200, scope: str | None = READ
) -> dict[str, Any]:
    """Arguments of a route: what it answers, as the OpenAPI document has it, and the scope that it needs."""
    may = {400, 404, 429, 500, *problems, *((401, 403) if scope else ())}
    wrong: dict[int, Any] = {
        code: {"description": reason(code), "content": {MEDIA_TYPE: {"model": Document}}} for code in may
    }
    for code in may & _GATEWAYS:
        wrong[code]["content"]["application/json"] = {"model": Refusal}
    return {
        "responses": {status: {"description": says, "content": {"application/json": {"model": model}}}, **wrong},
        "openapi_extensions": {"security": [{_SCHEME: [scope]}] if scope else []},
    }


def openapi(app: APIGatewayHttpResolver) -> dict[str, Any]:
    """The OpenAPI document of the routes."""
    from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer

    made = json.loads(
        app.get_openapi_json_schema(
            title="Tagstream",
            version="1",
            description=_DESCRIPTION,
            security_schemes={_SCHEME: HTTPBearer(bearerFormat="JWT")},
        )
    )
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = operation["operationId"].removesuffix(re.sub(r"\W", "_", f"{path}_{method}"))
            # Powertools describes its own answer to what is invalid; here that is a problem document.
            operation["responses"].pop("422", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _given(parameter["schema"])
    for name in ("HTTPValidationError", "ValidationError", "ResponseValidationError"):
        made["components"]["schemas"].pop(name, None)
    made["paths"] = {path: made["paths"][path] for path in sorted(made["paths"])}
    return dict(made)


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a parameter that may be left out: what it is if it is there. It has no null."""
    one, *more = [kind for kind in schema.get("anyOf", [{}]) if kind != {"type": "null"}]
    kinds = {"anyOf": [one, *more]} if more else one
    return kinds | {name: value for name, value in schema.items() if name not in ("anyOf", "description")}


def serve(app: APIGatewayHttpResolver, event: Event, context: LambdaContext, free: frozenset[str]) -> Event:
    """Answer a request; ``free`` are the paths that need no token."""
    request = event["requestContext"]["http"]
    try:
        if request["path"] not in free:
            check_scope(request["method"], event["requestContext"].get("authorizer"))
        check_body(event)
    except Problem as problem:
        refused = _problem(problem)
        return {"statusCode": refused.status_code, "headers": refused.headers, "body": refused.body}
    return dict(app.resolve(event, context))


def _only_known_parameters(
    app: APIGatewayHttpResolver, next_middleware: Callable[[APIGatewayHttpResolver], Response[Any]]
) -> Response[Any]:
    known = [field.alias for field in app.context["_route"].dependant.query_params]
    unknown = sorted(set(app.current_event.query_string_parameters) - set(known))
    if unknown:
        there = f"there are {', '.join(known)}" if known else "this address has none"
        raise Problem(400, f"There is no parameter {unknown[0][:60]!r}; {there}.", parameter=unknown[0][:60])
    return next_middleware(app)


def _problem(problem: Problem) -> Response[str]:
    headers = {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}
    if problem.status == 503:
        headers["Retry-After"] = "5"
    # In ASCII: it repeats what was sent, and that may be no text.
    return Response(problem.status, MEDIA_TYPE, json.dumps(problem.document), headers=headers)
