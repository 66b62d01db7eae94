"""The bucket of thumbnails, for the functions that write to it and remove from it."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from tagstream.thumbnails.bucket import Thumbnails

__all__ = ["client", "session", "thumbnails"]


@cache
def thumbnails() -> Thumbnails:
    """Its client is made when it is first needed: most batches of the catalog function remove nothing."""
    return Thumbnails(client, os.environ["THUMBNAILS_BUCKET"])


@cache
def client() -> Any:
    from botocore.config import Config
    from botocore.handlers import add_expect_header

    # Six seconds at most, in whatever state S3 is: a photo is given twelve, and the catalog waits for nobody else.
    config = Config(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=1, read_timeout=2)
    s3 = session().create_client("s3", config=config)
    # It would ask before it sends: a way to S3 and back for each thumbnail, and half the CPU of writing it.
    s3.meta.events.unregister("before-call.s3", add_expect_header)
    return s3


@cache
def session() -> Any:
    """One for all clients: what it reads of the services is read once."""
    import botocore.session

    return botocore.session.get_session()
