"""The answers of the HTTP API as its OpenAPI document describes them.

They are not made of these models: answers come from the catalog as they are, and tests hold them to this.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Arrivals",
    "Image",
    "ImageInFull",
    "OpenApi",
    "Page",
    "Problem",
    "Removed",
    "Restored",
    "Similar",
    "Stats",
    "Tags",
]
__all__ += ["UPLOAD_ID", "Upload", "UploadRequest"]


UPLOAD_ID = r"^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}$"


class Answer(BaseModel):
    # Most are only for the description: a cold start does without them.
    model_config = ConfigDict(defer_build=True)


Score = Annotated[float, Field(ge=0, le=1)]


class Problem(Answer):
    """RFC 9457."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str = Field(description="A sentence that says what to change.")
    parameter: str | None = Field(None, description="The parameter, or the member of the body, that it is about.")
    position: int | None = Field(None, description="Where in the query, in characters from 0.")


class Refusal(Answer):
    """What API Gateway says when a request does not get as far as the function."""

    message: str


class Tag(Answer):
    tag: str
    score: Score
    kind: Literal["leaf", "ancestor"] = Field(
        "leaf", description="A class of the model, or the sum of the classes below."
    )


class TagInFull(Tag):
    parents: list[str] = Field(description="What it is all in all, the nearest first.")
    aliases: list[str]


class Match(Answer):
    """Why an image was found: the tag for a term of the query."""

    term: str
    tag: str
    score: Score
    how: str = Field(description="name, alias, below, head, modifier, spelling or related: see docs/search.md.")
    said: str
    similarity: float


class Color(Answer):
    color: str
    share: Score


class Location(Answer):
    lat: float
    lon: float


class Image(Answer):
    """What is not known of an image is left out."""

    # What analysers say besides has its own checks on the way into the catalog (tagstream.analysis).
    model_config = ConfigDict(extra="allow")

    id: str = Field(pattern="^[0-9a-f]{64}$")
    title: str = Field(description="The file name. It may hold anything: show it as text.")
    key: str
    s3_location: str | None = None
    status: Literal["classified", "rejected"]
    reason: str | None = Field(None, description="Why it was rejected.")
    width: int | None = None
    height: int | None = None
    size: int | None = Field(None, description="Bytes.")
    etag: str | None = None
    uploaded_at: str | None = None
    classified_at: str | None = None
    model: str | None = None
    vocabulary: str | None = None
    tags: list[Tag]
    colors: list[Color] | None = None
    brightness: float | None = None
    sharpness: float | None = None
    phash: str | None = None
    taken_at: str | None = None
    camera: str | None = None
    location: Location | None = None
    score: Score | None = Field(None, description="That of the term that fits it least.")
    tag: str | None = Field(None, description="The tag that has this score.")
    weak: bool | None = Field(None, description="Hardly what was looked for, if at all: these come last.")
    matches: list[Match] | None = None
    likeness: float | None = Field(None, description="How like the other image; comparable within an answer.")
    why: list[str] | None = Field(None, description="Why it is like the other image, in words.")
    picture_url: str | None = Field(None, description="GET it without a token, until 'urls_expire_at'.")
    thumbnails: dict[str, str] = Field(description="URLs of JPEG pictures, by the pixels of their longer side.")
    thumbnail_sizes: dict[str, list[int]] = Field(description="Width and height of each thumbnail.")
    urls_expire_at: str


class ImageInFull(Image):
    tags: list[TagInFull]  # type: ignore[assignment]


class Meaning(Answer):
    tag: str
    how: str
    said: str
    similarity: float


class Term(Answer):
    """What a word or phrase of the query was taken for."""

    term: str
    means: list[Meaning]
    note: str | None = Field(None, description="What became of it, if it was not looked for as it stands.")


class Page(Answer):
    """A page of images; ``cursor`` is null on the last one."""

    model_config = ConfigDict(extra="allow")

    total: int = Field(description="Images on all pages.")
    images: list[Image]
    cursor: str | None = Field(description="For the next page, with the same question.")
    terms: list[Term]
    facets: dict[str, list[dict[str, Any]]] | None = Field(
        None, description="On the first page, if asked for: how many of all found images show or have what."
    )
    suggestions: dict[str, Any] | None = Field(None, description="Where nothing was found: what may have been meant.")


class Similar(Answer):
    images: list[Image]


class Completion(Answer):
    tag: str = Field(description="A tag, or a word that means one.")
    count: int = Field(description="Images that show it.")
    means: list[str] | None = Field(None, description="The tags that the word means, the commonest first.")


class Tags(Answer):
    tags: list[Completion]


class Stats(Answer):
    classified: int
    rejected: int
    bytes: int
    tags: int
    models: dict[str, int]
    vocabularies: dict[str, int]
    first_taken: str | None
    last_taken: str | None
    last_change: str | None


class UploadRequest(Answer):
    model_config = ConfigDict(extra="forbid")

    upload: str | None = Field(None, pattern=UPLOAD_ID, description="An upload to go on with; without it, a new one.")


class Upload(Answer):
    """A form for S3: for each file, POST ``fields``, ``key``, ``Content-Type`` and last the ``file`` to ``url``."""

    upload: str
    prefix: str = Field(description="What each key must begin with; the file's name comes after it.")
    suffix: str = Field(description="What each key must end with to be noticed; empty if that is all one.")
    url: str
    fields: dict[str, str]
    expires_at: str
    max_bytes: int


class Arrival(Answer):
    id: str
    key: str
    name: str
    status: Literal["classified", "rejected"]
    reason: str | None = None
    tags: list[Tag] = Field(description="The best of them.")
    thumbnails: dict[str, str]


class Arrivals(Answer):
    """What became of the files of an upload; those that are not listed are on their way."""

    upload: str
    images: list[Arrival]
    cursor: str | None


class Removed(Answer):
    id: str
    undo_until: str | None = Field(description="Until when it can be restored.")


class Restored(Answer):
    id: str


class OpenApi(Answer):
    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
