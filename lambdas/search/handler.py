"""The search function: invoked directly, answers questions about the catalog (tagstream.catalog.queries)."""

from __future__ import annotations

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.frame import Event, Frame
from lambdas.opensearch import Connection
from tagstream.catalog.queries import parse_request
from tagstream.errors import QueryError

frame = Frame()
_SECONDS = 10.0


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:  # noqa: ARG001 - AWS passes two
    """Answers as :func:`tagstream.catalog.queries.answer` says, or ``{"error": sentence}`` to what makes no sense.

    Raises :class:`tagstream.errors.CatalogError` when OpenSearch does not answer.
    """
    frame.count(Searches=1)
    try:
        request = parse_request(event)
        found = Connection.from_environment(timeout=_SECONDS).catalog.search(request)
    except QueryError as error:
        frame.logger.info("bad request", extra={"error": str(error)})
        frame.count(BadRequests=1)
        return {"error": str(error)}
    frame.logger.info("searched", extra={"query": request.kind, "text": request.text, "total": found.get("total")})
    return found
