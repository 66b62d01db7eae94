"""The bucket of thumbnails, for the functions that write to it and remove from it."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from tagstream.thumbnails.bucket import Thumbnails

__all__ = ["thumbnails"]


@cache
def thumbnails() -> Thumbnails:
    return Thumbnails(_s3, os.environ["THUMBNAILS_BUCKET"])


@cache
def _s3() -> Any:
    """Made when it is first needed: most batches of the catalog function remove nothing."""
    import botocore.session
    from botocore.config import Config

    # Six seconds at most, in whatever state S3 is: a photo is given twelve, and the catalog waits for nobody else.
    config = Config(
        retries={"mode": "standard", "max_attempts": 2}, connect_timeout=1, read_timeout=2, max_pool_connections=10
    )
    return botocore.session.get_session().create_client("s3", config=config)
