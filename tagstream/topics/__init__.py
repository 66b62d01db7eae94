"""Topics: PubSub over SQS, with parcels of many lines and exact transfer of files.

>>> from tagstream.topics import Outgoing, Topics
>>> from tagstream.topics.testing import MemorySqs
>>> topics = Topics(MemorySqs())  # on AWS: Topics(boto3.client("sqs"))
>>> topics.create("smiles")
>>> topics.publish_all("smiles", [Outgoing("CCO")]).accepted
1
"""

from tagstream.errors import needs as _needs

with _needs("topics"):
    from tagstream.topics.calls import TopicSettings
    from tagstream.topics.client import Topics
    from tagstream.topics.downloads import download
    from tagstream.topics.errors import (
        DownloadIncomplete,
        DownloadRefused,
        InvalidTopic,
        LookCounts,
        MessageTooLarge,
        Misuse,
        ParcelDamaged,
        PublishFailed,
        StepFailed,
        TopicBusy,
        TopicError,
        TopicExists,
        TopicNotFound,
    )
    from tagstream.topics.functions import FunctionStep, by_line
    from tagstream.topics.messages import Counts, Failed, Message, Outgoing, PublishResult
    from tagstream.topics.parcels import Parcel, ParcelSettings, Place, outgoing, parcels_of, unpack
    from tagstream.topics.redrive import RedriveResult, redrive
    from tagstream.topics.spool import DownloadResult
    from tagstream.topics.step import Step
    from tagstream.topics.uploads import UploadResult, upload
    from tagstream.topics.worker import Totals, Worker, WorkerSettings, process

__all__ = [
    "Counts",
    "DownloadIncomplete",
    "DownloadRefused",
    "DownloadResult",
    "Failed",
    "FunctionStep",
    "InvalidTopic",
    "LookCounts",
    "Message",
    "MessageTooLarge",
    "Misuse",
    "Outgoing",
    "Parcel",
    "ParcelDamaged",
    "ParcelSettings",
    "Place",
    "PublishFailed",
    "PublishResult",
    "RedriveResult",
    "Step",
    "StepFailed",
    "TopicBusy",
    "TopicError",
    "TopicExists",
    "TopicNotFound",
    "TopicSettings",
    "Topics",
    "Totals",
    "UploadResult",
    "Worker",
    "WorkerSettings",
    "by_line",
    "download",
    "outgoing",
    "parcels_of",
    "process",
    "redrive",
    "unpack",
    "upload",
]
