"""The frame around the work of every function: its log, its metrics, and its answer to a queue.

Lambda traces each invocation itself, and botocore passes the trace on. Powertools' tracer would add what the log has
already; the X-Ray SDK that it needs takes 30 ms of every cold start, and its support ends in February 2027.
"""

from __future__ import annotations

import gc

# Importing makes next to no garbage, and looking for it takes a sixth of a cold start: on again after the first event.
gc.disable()

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.discretion import Discreet, is_discreet

__all__ = ["Event", "Frame", "Handler"]

Event: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Event, LambdaContext], Event]


class Frame:
    """Made once in a handler's module: ``frame = Frame()``, then ``@frame.handler`` above the handler."""

    def __init__(self) -> None:
        self.logger = Logger(logger_formatter=Discreet()) if is_discreet() else Logger()
        self._metrics = Metrics()
        # Beside the service, which Powertools adds: copies of a stage in one account are told apart.
        self._metrics.set_default_dimensions(stage=os.environ.get("STAGE", "local"))

    def handler(self, work: Handler) -> Handler:
        """``work`` as Lambda calls it: the log names the request, metrics are written at the end."""
        framed: Handler = self.logger.inject_lambda_context(self._metrics.log_metrics(_collecting(work)))
        return framed

    def count(self, **counts: int) -> None:
        """Add to the metrics of these names."""
        for name, value in counts.items():
            self._metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)

    def failed(self, count: int = 1) -> None:
        """Count, by the function's version, what failed and was answered: a new version that does it is taken back."""
        with single_metric(
            name="Failures",
            unit=MetricUnit.Count,
            value=count,
            default_dimensions={
                "stage": os.environ.get("STAGE", "local"),
                "version": os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            },
        ):
            pass

    def took(self, name: str, milliseconds: Iterable[float | None]) -> None:
        """Add the times that are known to the metric of this name, which has percentiles."""
        for value in milliseconds:
            if value is not None:
                self._metrics.add_metric(name=name, unit=MetricUnit.Milliseconds, value=value)

    def answer(
        self, event: Event, context: LambdaContext, errors: Mapping[str, Exception], *, fifo: bool = False
    ) -> Event:
        """The answer to a queue: which messages are to be delivered again, with ``errors`` by message id.

        From a FIFO queue, the later messages of the same group come again as well. A raised error would fail the
        innocent messages of the batch too, and cost the warm worker: alarms are on the failures that are counted.
        """
        if not errors:
            # What says which messages failed takes 15 ms to import, for a cold start that has none.
            return {"batchItemFailures": []}
        from aws_lambda_powertools.utilities.batch import (
            BatchProcessor,
            EventType,
            SqsFifoPartialProcessor,
            process_partial_response,
        )
        from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

        self.failed(len(errors))

        def settle(record: SQSRecord) -> None:
            if record.message_id in errors:
                raise errors[record.message_id]

        processor = SqsFifoPartialProcessor(skip_group_on_error=True) if fifo else BatchProcessor(EventType.SQS)
        processor.raise_on_entire_batch_failure = False
        return dict(process_partial_response(event, settle, processor, context))


def _collecting(work: Handler) -> Handler:
    """``work``, after whose first event garbage is collected again.

    What was made before it stays anyhow, and is never looked through: that would take 20 ms of the first answer.
    """

    @functools.wraps(work)
    def collecting(event: Event, context: LambdaContext) -> Event:
        if not gc.isenabled():
            gc.freeze()
        try:
            return work(event, context)
        finally:
            gc.enable()

    return collecting
