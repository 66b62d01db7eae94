"""A file through a topic and back, over botocore alone."""

import os
from pathlib import Path

import botocore.session  # type: ignore[import-untyped]

from tagstream.topics import DownloadResult, Message, Topics, UploadResult, download, process, upload

sqs = botocore.session.get_session().create_client("sqs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
topics = Topics(sqs)
name = f"lines-{os.getpid()}"
for topic in (name, f"{name}-upper"):
    topics.create(topic)

Path("lines.txt").write_text("".join(f"line {number}\n" for number in range(5000)))
sent: UploadResult = upload(topics, name, "lines.txt")
process(topics, name, f"{name}-upper", bytes.upper, idle_timeout=1)
got: DownloadResult = download(topics, f"{name}-upper", "upper.txt", idle=1)
assert Path("upper.txt").read_text() == Path("lines.txt").read_text().upper(), (sent, got)

assert topics.publish(name, "CCO")
messages: list[Message] = list(topics.pull(name, max_messages=1, timeout=5))
assert [message.body for message in messages] == ["CCO"]
assert not topics.acknowledge(name, messages)
