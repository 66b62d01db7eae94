"""Topics: PubSub over SQS, with parcels of many lines and exact transfer of files.

>>> from tagstream.topics import MemorySqs, Outgoing, Topics
>>> topics = Topics(MemorySqs())  # on AWS: Topics(boto3.client("sqs"))
>>> topics.create("smiles")
>>> topics.publish_all("smiles", [Outgoing("CCO")]).accepted
1
"""

from tagstream.topics.client import Topics, TopicSettings
from tagstream.topics.memory import Chaos, MemorySqs, VirtualClock
from tagstream.topics.messages import Counts, Failed, Message, Outgoing, PublishResult
from tagstream.topics.parcels import Parcel, ParcelSettings, Place, outgoing, parcels_of, unpack
from tagstream.topics.transfer import DownloadResult, UploadResult, download, upload

__all__ = [
    "Chaos",
    "Counts",
    "DownloadResult",
    "Failed",
    "MemorySqs",
    "Message",
    "Outgoing",
    "Parcel",
    "ParcelSettings",
    "Place",
    "PublishResult",
    "TopicSettings",
    "Topics",
    "UploadResult",
    "VirtualClock",
    "download",
    "outgoing",
    "parcels_of",
    "unpack",
    "upload",
]
