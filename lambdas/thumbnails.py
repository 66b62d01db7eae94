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

    # Six seconds at most, in whatever state S3 is: a photo is given twelve, and the catalog waits for nobody else.
    config = Config(retries={"mode": "standard", "max_attempts": 2}, connect_timeout=1, read_timeout=2)
    return session().create_client("s3", config=config)


@cache
def session() -> Any:
    """One for all clients: what it reads of the services is read once."""
    import botocore.session

    return botocore.session.get_session()
