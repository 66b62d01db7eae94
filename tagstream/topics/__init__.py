"""Topics: PubSub over SQS, with parcels of many lines and exact transfer of files.

>>> from tagstream.topics import MemorySqs, Outgoing, Topics
>>> topics = Topics(MemorySqs())  # on AWS: Topics(boto3.client("sqs"))
>>> topics.create("smiles")
>>> topics.publish_all("smiles", [Outgoing("CCO")]).accepted
1
"""

from tagstream.topics.client import Topics, TopicSettings
from tagstream.topics.errors import (
    DownloadIncomplete,
    DownloadRefused,
    InvalidTopic,
    MessageTooLarge,
    ParcelDamaged,
    PublishFailed,
    StepFailed,
    TopicBusy,
    TopicError,
    TopicExists,
    TopicNotFound,
)
from tagstream.topics.memory import Chaos, MemorySqs, VirtualClock
from tagstream.topics.messages import Counts, Failed, Message, Outgoing, PublishResult
from tagstream.topics.parcels import Parcel, ParcelSettings, Place, outgoing, parcels_of, unpack
from tagstream.topics.step import Step
from tagstream.topics.transfer import DownloadResult, UploadResult, download, upload
from tagstream.topics.worker import Totals, Worker, WorkerSettings, process

__all__ = [
    "Chaos",
    "Counts",
    "DownloadIncomplete",
    "DownloadRefused",
    "DownloadResult",
    "Failed",
    "InvalidTopic",
    "MemorySqs",
    "Message",
    "MessageTooLarge",
    "Outgoing",
    "Parcel",
    "ParcelDamaged",
    "ParcelSettings",
    "Place",
    "PublishFailed",
    "PublishResult",
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
    "VirtualClock",
    "Worker",
    "WorkerSettings",
    "download",
    "outgoing",
    "parcels_of",
    "process",
    "unpack",
    "upload",
]
