"""The one way in which a queue is made here: with its dead-letter queue, encrypted, over TLS only."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.rules import accept
from stacks.settings import DEAD_LETTER_DAYS

__all__ = ["QueueWithDeadLetters"]


class QueueWithDeadLetters(Construct):
    """A queue and the queue of the messages that failed too often, both standard or both FIFO.

    - Encrypted with SQS' own key: S3 cannot notify a queue under the AWS-managed KMS key.
    - ``visibility_seconds``: for a function's queue, at least six times the function's timeout.
    - ``max_receives``: 5 or more where it feeds an event-source mapping, whose throttled calls count as receives.
    - FIFO queues are in high-throughput mode: deduplication and the rate limit are per message group.
    """

    queue: sqs.Queue
    dead_letters: sqs.Queue
    visibility_seconds: int

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        visibility_seconds: int,
        max_receives: int,
        fifo: bool = False,
        content_based_deduplication: bool = False,
        retention_days: int = 4,
        retain: bool = False,
        queue_name: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.visibility_seconds = visibility_seconds

        def queue(name: str, *, days: int, dead_letters: sqs.DeadLetterQueue | None = None) -> sqs.Queue:
            suffix = "-dead-letter" if dead_letters is None else ""
            return sqs.Queue(
                self,
                name,
                queue_name=queue_name and queue_name.removesuffix(".fifo") + suffix + (".fifo" if fifo else ""),
                fifo=True if fifo else None,
                content_based_deduplication=content_based_deduplication if fifo else None,
                deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if fifo else None,
                fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if fifo else None,
                encryption=sqs.QueueEncryption.SQS_MANAGED,
                enforce_ssl=True,
                retention_period=Duration.days(days),
                visibility_timeout=Duration.seconds(visibility_seconds),
                dead_letter_queue=dead_letters,
                removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if retain else RemovalPolicy.DESTROY,
            )

        self.dead_letters = queue("DeadLetters", days=DEAD_LETTER_DAYS)
        accept(self.dead_letters, "These are the dead letters.", "Serverless-SQSRedrivePolicy")
        self.queue = queue(
            "Queue",
            days=retention_days,
            dead_letters=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=max_receives),
        )
