"""The HTTP API as programs use it: a photo from the form to the trash and back, through the deployed stacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tagstream.local.gallery import Gallery
from tests.documents import ROOT
from tests.e2e.conftest import Pipeline, eventually

HOSTILE = '"><img src=x onerror=alert(1)>.jpg'
EXAMPLES = 40


@dataclass
class Web:
    """The API at ``url``, called with a token of the local user's."""

    url: str
    token: str
    session: requests.Session

    def __call__(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return self.session.request(method, self.url + path, headers=headers, timeout=30, **more)

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self("GET", path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, form: dict[str, Any], name: str, content: bytes, kind: str = "image/jpeg") -> requests.Response:
        """Upload a file with a form, as a browser would."""
        fields = form["fields"] | {"key": form["prefix"] + name, "Content-Type": kind}
        return self.session.post(form["url"], data=fields, files={"file": ("x", content)}, timeout=30)


@pytest.fixture(scope="module")
def web(pipeline: Pipeline) -> Iterator[Web]:
    gallery = Gallery.of(pipeline.connection)
    with requests.Session() as session:
        session.verify = gallery.certificate or True
        # Otherwise a variable of the environment names other certificates.
        session.trust_env = False
        yield Web(gallery.api_url, gallery.token(), session)


def test_a_photo_from_the_form_to_the_trash_and_back(web: Web, pipeline: Pipeline, photos: dict[str, Path]) -> None:
    form = web("POST", "/uploads").json()
    content = photos["chelsea.png"].read_bytes()
    for name in (HOSTILE, "a folder/chelsea.png"):
        assert web.send(form, name, content, "image/png").status_code == 204
    assert web.send(form, "notes.jpg", b"no photo").status_code == 204

    path, etag = f"/uploads/{form['upload']}", ""

    def all_there() -> list[dict[str, Any]] | None:
        nonlocal etag
        answer = web("GET", path, headers={"If-None-Match": etag})
        assert answer.status_code in (200, 304)
        if answer.status_code == 304:
            assert answer.content == b""
            return None
        etag = answer.headers["ETag"]
        images: list[dict[str, Any]] = answer.json()["images"]
        return images if len(images) == 3 else None

    told = {image["name"]: image for image in eventually(all_there, "all of the upload is there")}
    assert told.keys() == {HOSTILE, "a folder/chelsea.png", "notes.jpg"}
    assert told["notes.jpg"]["status"] == "rejected"
    assert told["notes.jpg"]["reason"]
    assert "cat" in told[HOSTILE]["tags"][0]["tag"]
    assert told["notes.jpg"]["thumbnails"] == {}

    image = next(one for one in web.get("/images", q="cat")["images"] if one["key"].endswith(HOSTILE))
    assert web.session.get(image["picture_url"], timeout=30).content == content
    for size, url in image["thumbnails"].items():
        thumbnail = web.session.get(url, timeout=30).content
        assert thumbnail.startswith(b"\xff\xd8\xff")
        assert max(image["thumbnail_sizes"][size]) <= int(size)
    assert image["thumbnails"].keys() == {"320", "1024"}
    similar = web.get(f"/images/{image['id']}/similar")["images"]
    assert "the same picture" in similar[0]["why"]

    place = f"/images/{image['id']}"
    removed = web("DELETE", place)
    assert removed.status_code == 202
    assert removed.json()["undo_until"]
    eventually(lambda: web("GET", place).status_code == 404, "the image is gone")
    assert web("POST", f"{place}/restore").status_code == 202
    eventually(lambda: web("GET", place).status_code == 200, "the image is back")
    assert web.get(place)["tags"][0]["parents"]


def test_a_form_is_good_for_its_own_upload_only(web: Web) -> None:
    form = web("POST", "/uploads").json()
    assert web.send(form | {"prefix": "uploads/"}, "x.jpg", b"x").status_code == 403
    assert web.send(form, "x.html", b"x", "text/html").status_code == 403
    assert web.send(form | {"fields": form["fields"] | {"policy": "e30="}}, "x.jpg", b"x").status_code in (400, 403)
    assert web.get(f"/uploads/{form['upload']}")["images"] == []


def test_the_description_is_the_one_in_the_docs(web: Web) -> None:
    served = web.session.get(f"{web.url}/openapi.json", timeout=30)
    assert served.status_code == 200
    assert served.json() == json.loads((ROOT / "docs" / "openapi.json").read_text())


OPERATIONS = [
    found.ok() for found in schemathesis.openapi.from_path(ROOT / "docs" / "openapi.json").get_all_operations()
]


# The description itself takes nothing that could be wrong.
ASKED = [
    pytest.param(operation, mode, id=f"{operation.label}, {mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or operation.path != "/openapi.json"
]


@pytest.mark.long
@pytest.mark.parametrize(("operation", "mode"), ASKED)
def test_it_keeps_to_its_description_whatever_it_is_asked(
    web: Web, operation: schemathesis.APIOperation, mode: GenerationMode
) -> None:
    """What the description allows is answered as it says; what it does not allow is refused."""
    checked = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.negative_data_rejection,
    ]
    if "cursor" not in {parameter.name for parameter in operation.iter_parameters()}:
        # No grammar says which queries make sense, and which cursors an answer has had.
        checked.append(checks.positive_data_acceptance)

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(
            base_url=web.url, session=web.session, headers={"Authorization": f"Bearer {web.token}"}, checks=checked
        )

    ask()
