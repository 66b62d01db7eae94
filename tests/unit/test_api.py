"""The HTTP API's function, called with API Gateway's events: a catalog of dictionaries, and an S3 client that only
signs."""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore.session
import pytest
from botocore.config import Config

from tagstream.catalog.queries import Request
from tagstream.catalog.updates import document_id
from tagstream.errors import CatalogError
from tagstream.web import answers
from tagstream.web.links import GOOD_FOR, RENEWED, Links
from tagstream.web.service import Service, Settings
from tests.web import Answer, answered, event, token

ROOT = Path(__file__).parents[2]
BUCKET = "photos-of-ours"
NOW = 1_790_000_000.0
HOSTILE = (
    '"><img src=x onerror=alert(1)>.jpg',
    "two\nlines.jpg",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "%2e%2e/ä ö+&?#.jpg",
    "x" * 1020 + ".jpg",
    "日" * 341 + "j",
)


def image(key: str, **more: Any) -> dict[str, Any]:
    return {
        "id": document_id(BUCKET, key),
        "title": key.rpartition("/")[2],
        "bucket": BUCKET,
        "key": key,
        "s3_location": f"s3://{BUCKET}/{key}",
        "status": "classified",
        "tags": [{"tag": "dog", "score": 0.9, "kind": "leaf"}],
        "sequencer": "0A",
        "uploaded_at": "2026-11-26T00:00:00Z",
        **more,
    }


@dataclass
class FewImages:
    """A catalog that finds all it has, whatever is asked, in the order of keys."""

    stored: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    broken: Exception | None = None

    def search(self, request: Request) -> dict[str, Any]:
        if self.broken:
            raise self.broken
        self.asked.append(request)
        left = sorted((one for one in self.stored if one["status"] != "removed"), key=lambda one: one["key"])
        if request.after is not None:
            left = [one for one in left if one["key"] > str(request.after[-1])]
        shown = [dict(one) for one in left[: request.limit]]
        after = [0, shown[-1]["key"]] if len(left) > len(shown) else None
        return {"total": len(self.stored), "images": shown, "after": after, "terms": []}

    def similar(self, _: Mapping[str, Any], *, limit: int) -> dict[str, Any]:
        return {"images": [one | {"likeness": 1.0, "why": ["it is"]} for one in self.stored[:limit]]}

    def documents(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        return {one["id"]: one for one in self.stored if one["id"] in ids}

    def complete(self, _: str, *, limit: int) -> list[dict[str, Any]]:
        return [{"tag": "dog", "images": 2}, {"tag": "puppy", "images": 2, "means": ["dog"]}][:limit]


@dataclass(frozen=True)
class Context:
    function_name: str = "api"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:api"
    aws_request_id: str = "1"


@dataclass
class Api:
    """``api(method, path, query)`` calls the function as API Gateway would."""

    module: ModuleType
    catalog: FewImages

    def __call__(self, method: str, path: str, query: Mapping[str, Any] | str = "", **more: Any) -> Answer:
        return answered(self.module.handler(event(method, path, query, **more), Context()))


@pytest.fixture(scope="module")
def module() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "POWERTOOLS_SERVICE_NAME": "api",
            "POWERTOOLS_METRICS_NAMESPACE": "Tagstream",
        }.items():
            patch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("function_api", ROOT / "lambdas" / "api" / "handler.py")
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        patch.setitem(__import__("sys").modules, spec.name, made)
        spec.loader.exec_module(made)
        yield made


@pytest.fixture(scope="module")
def session() -> Any:
    """A session with credentials of nobody's."""
    made = botocore.session.get_session()
    made.set_credentials("AKIDEXAMPLE", "secret", "a token/+=")
    return made


@pytest.fixture(scope="module")
def signer(session: Any) -> Any:
    """An S3 client, for what needs no network."""
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return session.create_client("s3", region_name="eu-west-1", config=config)


@pytest.fixture
def api(module: ModuleType, monkeypatch: pytest.MonkeyPatch, signer: Any, session: Any) -> Api:
    catalog = FewImages()
    settings = Settings(BUCKET, "thumbnails-of-ours", "in/", "", 1000, 30)
    service = Service(catalog, signer, session.get_credentials(), settings, clock=lambda: NOW)
    monkeypatch.setattr(module, "service", lambda: service)
    return Api(module, catalog)


def problem(answer: Answer, status: int, parameter: str | None = None) -> str:
    """The sentence of an answer, which must be a problem document of this status."""
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.body
    answers.Problem.model_validate(body)
    assert answer.text.isascii()
    assert body["status"] == status
    assert body.get("parameter") == parameter
    assert body["detail"].endswith(".")
    return str(body["detail"])


def test_the_description_in_the_docs_is_what_the_function_generates(api: Api) -> None:
    answer = api("GET", "/openapi.json", authorizer=None)
    assert answer.status == 200
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert answer.body == kept, "make openapi writes it anew"


def test_images_carry_urls_that_expire(api: Api) -> None:
    made = {"key": "abc/1", "sizes": {"320": [320, 240], "1024": [1024, 768]}}
    api.catalog.stored = [image("cat.jpg", thumbnails=made, status="classified")]
    answer = api("GET", "/images")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    answers.Page.model_validate(answer.body)
    (one,) = answer.body["images"]
    assert one["picture_url"].startswith(f"https://{BUCKET}.s3.eu-west-1.amazonaws.com/cat.jpg?")
    assert dict(parse_qsl(urlsplit(one["picture_url"]).query))["response-content-type"] == "image/jpeg"
    assert one["thumbnails"]["320"].startswith("https://thumbnails-of-ours.s3.eu-west-1.amazonaws.com/abc/1/320.jpg?")
    assert one["thumbnail_sizes"] == made["sizes"]
    assert one["urls_expire_at"] > "2026-09-21T14:13:20"


def test_without_a_query_the_newest_come_first(api: Api) -> None:
    for asked in ({}, {"q": "  "}):
        assert api("GET", "/images", asked).status == 200
        assert api.catalog.asked[-1].newest
        assert api.catalog.asked[-1].parsed is None
    api("GET", "/images", {"q": "dog", "min_score": 0.5})
    assert not api.catalog.asked[-1].newest
    assert api.catalog.asked[-1].min_score == 0.5


def test_what_is_wrong_is_said_with_the_parameter(api: Api) -> None:
    assert "less than or equal to 100, and is '1000'" in problem(api("GET", "/images", "limit=1000"), 400, "limit")
    assert "no parameter 'lim'; there are q" in problem(api("GET", "/images", "lim=1"), 400, "lim")
    assert "no parameter 'q'" in problem(api("GET", "/stats", "q=1"), 400, "q")
    problem(api("GET", "/images", "min_score=nan"), 400, "min_score")
    problem(api("GET", "/images", "limit=1&limit=2"), 400, "limit")
    problem(api("GET", "/images", "exact=maybe"), 400, "exact")
    problem(api("GET", "/images", "sort=worst"), 400, "sort")
    problem(api("GET", "/images", {"q": "x" * 10_000}), 400, "q")
    answer = api("GET", "/images", {"q": "dog ("})
    assert "brackets" in problem(answer, 400, "q")
    assert answer.body["position"] == 5


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_names_are_carried_as_they_are(api: Api, key: str) -> None:
    api.catalog.stored = [image(key)]
    answer = api("GET", f"/images/{document_id(BUCKET, key)}")
    assert answer.status == 200
    answers.ImageInFull.model_validate(answer.body)
    assert answer.body["key"] == key
    assert answer.headers["Content-Type"] == "application/json"
    url = answer.body["picture_url"]
    assert url.isascii()
    assert not set(url) & set("<>\"' \n\\")


@pytest.mark.parametrize(
    "path", ["/images/abc", f"/images/{'A' * 64}", f"/images/{'a' * 65}", "/images/..%2f..", "/no"]
)
def test_ids_that_are_none_are_not_found(api: Api, path: str) -> None:
    answer = api("GET", path)
    problem(answer, 404, answer.body.get("parameter"))


def test_an_image_that_was_removed_is_not_found(api: Api) -> None:
    api.catalog.stored = [image("cat.jpg", status="removed")]
    problem(api("GET", f"/images/{document_id(BUCKET, 'cat.jpg')}"), 404)
    problem(api("GET", f"/images/{'a' * 64}/similar"), 404)


def test_a_catalog_that_is_away_is_no_fault_of_the_request(api: Api) -> None:
    api.catalog.broken = CatalogError("refused")
    answer = api("GET", "/images")
    assert "try again" in problem(answer, 503)
    assert answer.headers["Retry-After"] == "5"


def test_what_nobody_thought_of_is_a_problem_too(api: Api) -> None:
    api.catalog.broken = RuntimeError("a secret")
    answer = api("GET", "/images")
    problem(answer, 500)
    assert "secret" not in answer.text


def test_tags_are_completed(api: Api) -> None:
    answer = api("GET", "/tags", {"prefix": "pu"})
    assert answer.body == {"tags": [{"tag": "dog", "count": 2}, {"tag": "puppy", "count": 2, "means": ["dog"]}]}
    answers.Tags.model_validate(answer.body)
    problem(api("GET", "/tags", {"prefix": "x" * 1000}), 400, "prefix")


READ, WRITE = token("tagstream/read"), token("tagstream/write")
IMAGE = f"/images/{'a' * 64}"
ROUTES = [
    ("GET", "/images", READ),
    ("GET", IMAGE, READ),
    ("GET", f"{IMAGE}/similar", READ),
    ("GET", "/tags", READ),
    ("GET", "/stats", READ),
    ("GET", "/uploads/20260101T000000Z-0123456789ab", READ),
    ("POST", "/uploads", WRITE),
    ("DELETE", IMAGE, WRITE),
    ("POST", f"{IMAGE}/restore", WRITE),
]


@pytest.mark.parametrize(("method", "path", "right"), ROUTES)
def test_every_route_looks_at_the_scope_itself(api: Api, method: str, path: str, right: Any) -> None:
    assert api(method, path, authorizer=right).status not in (401, 403)
    assert api(method, path, authorizer={"iam": {"userId": "machine"}}).status not in (401, 403)
    problem(api(method, path, authorizer=None), 401)
    problem(api(method, path, authorizer={}), 401)
    wrong = (
        WRITE if right is READ else READ,
        token(""),
        token("tagstream/readers xtagstream/write"),
        {"jwt": {"claims": {}}},
    )
    for authorizer in wrong:
        problem(api(method, path, authorizer=authorizer), 403)


def test_every_route_is_tried_above(api: Api) -> None:
    described = {
        (method.upper(), path)
        for path, operations in api("GET", "/openapi.json").body["paths"].items()
        for method in operations
    }
    tried = {(method, path.replace("a" * 64, "{id}")) for method, path, _ in ROUTES} - {ROUTES[5][:2]}
    assert described == tried | {("GET", "/openapi.json"), ("GET", "/uploads/{id}")}


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ('"x"', None, 400),
        ("[" * 4000, "application/json", 400),
        ('{"upload": 3}', "application/json; charset=utf-8", 400),
        ('{"upload": "../../etc"}', "application/json", 400),
        ('{"upload": "\\ud800"}', "application/json", 400),
        ('{"photo": "x"}', "application/json", 400),
        ('{"\\ud800": 1}', "application/json", 400),
        ("x" * 5000, "application/json", 413),
        ("upload=1", "application/x-www-form-urlencoded", 415),
        ("--x", "multipart/form-data", 415),
    ],
)
def test_bodies_that_are_none(api: Api, body: str, kind: str | None, status: int) -> None:
    answer = api("POST", "/uploads", body=body, headers={"Content-Type": kind} if kind else {})
    problem(answer, status, answer.body.get("parameter"))


def test_a_body_that_is_no_text(api: Api) -> None:
    for body in ("//79", "no base 64!"):
        request = event("POST", "/uploads", body=body) | {"isBase64Encoded": True}
        problem(answered(api.module.handler(request, Context())), 400)


def test_an_upload_is_a_form_that_allows_no_more_than_it_says(api: Api) -> None:
    answer = api("POST", "/uploads", body="{}")
    assert answer.status == 201
    answers.Upload.model_validate(answer.body)
    prefix = answer.body["prefix"]
    assert prefix == f"in/uploads/{answer.body['upload']}/"
    assert "key" not in answer.body["fields"]
    policy = json.loads(base64.b64decode(answer.body["fields"]["policy"]))
    assert ["content-length-range", 1, 1000] in policy["conditions"]
    assert ["starts-with", "$Content-Type", "image/"] in policy["conditions"]
    assert ["starts-with", "$key", prefix] in policy["conditions"]
    assert {"bucket": BUCKET} in policy["conditions"]


@pytest.mark.parametrize("at", range(0, 40, 3))
def test_a_cursor_that_was_changed_is_refused(api: Api, at: int) -> None:
    api.catalog.stored = [image(f"{n}.jpg") for n in range(3)]
    whole = api("GET", "/images", {"q": "dog", "limit": 1}).body["cursor"]
    assert api("GET", "/images", {"q": "dog", "cursor": whole}).status == 200
    at %= len(whole)
    changed = whole[:at] + ("A" if whole[at] != "A" else "B") + whole[at + 1 :]
    for cursor in (changed, whole[:at], whole + "A", "", "%00", "x" * 9000, "ä"):
        problem(api("GET", "/images", {"q": "dog", "cursor": cursor}), 400, "cursor")


@pytest.mark.parametrize("letter", ["\1", '"', "日", "\N{PILE OF POO}"])
def test_the_longest_key_is_a_place_to_go_on_from(api: Api, letter: str) -> None:
    key = letter * (1024 // len(letter.encode()))
    api.catalog.stored = [image(key), image("\U0010ffff")]
    first = api("GET", "/images", {"q": "dog", "limit": 1}).body
    rest = api("GET", "/images", {"q": "dog", "cursor": first["cursor"]}).body
    assert [page["images"][0]["key"] for page in (first, rest)] == [key, "\U0010ffff"]


def test_pages_end(api: Api) -> None:
    api.catalog.stored = [image(f"{n}.jpg") for n in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api("GET", "/images", {"q": "dog", "limit": 2} | ({"cursor": cursor} if cursor else {})).body
        seen += [one["key"] for one in page["images"]]
        cursor = page["cursor"]
    assert seen == [f"{n}.jpg" for n in range(5)]


def test_urls_stay_the_same_for_a_while_and_work_as_long_as_is_said(signer: Any, session: Any) -> None:
    now = [NOW]
    links = Links(signer, session.get_credentials(), clock=lambda: now[0])
    first = links.get(BUCKET, "a.jpg", "image/jpeg")
    now[0] = NOW + RENEWED - NOW % RENEWED - 1
    assert links.get(BUCKET, "a.jpg", "image/jpeg") == first
    until = datetime.fromisoformat(links.expire_at).timestamp()
    assert until - now[0] >= GOOD_FOR
    said = dict(parse_qsl(urlsplit(first).query))
    signed_at = datetime.strptime(said["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    assert signed_at <= NOW
    assert signed_at + int(said["X-Amz-Expires"]) == until
    now[0] += 2
    assert links.get(BUCKET, "a.jpg", "image/jpeg") != first
    assert datetime.fromisoformat(links.expire_at).timestamp() > until


@pytest.mark.parametrize("key", [*HOSTILE, "a/b~c-d_e.f/(g)!*'.jpg", "a//b/./c", " ", "100%25.png"])
@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:4566"])
def test_urls_are_signed_as_botocore_signs_them(
    session: Any, monkeypatch: pytest.MonkeyPatch, key: str, endpoint: str | None
) -> None:
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    client = session.create_client("s3", region_name="eu-west-1", endpoint_url=endpoint, config=config)
    ours = Links(client, session.get_credentials(), clock=lambda: NOW).get(BUCKET, key, "image/jpeg")
    signed_at = datetime.fromtimestamp(NOW // RENEWED * RENEWED, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: signed_at.replace(tzinfo=None))
    wanted = {"Bucket": BUCKET, "Key": key, "ResponseContentType": "image/jpeg"}
    theirs = client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=GOOD_FOR + RENEWED)
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3]
    assert dict(parse_qsl(urlsplit(ours).query)) == dict(parse_qsl(urlsplit(theirs).query))


def test_large_answers_are_compressed_for_who_can_read_them(api: Api) -> None:
    api.catalog.stored = [image(f"{n}.jpg") for n in range(50)]
    plain = api("GET", "/images", "limit=50")
    packed = api("GET", "/images", "limit=50", headers={"accept-encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.body == plain.body


def test_addresses_name_the_region_in_the_oldest_region_too(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gallery's policy lets its page go to the buckets' regional addresses and nowhere else."""
    for name, value in {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PHOTOS_BUCKET": BUCKET,
        "OPENSEARCH_INDEX": "imagerepository",
        "OPENSEARCH_ENDPOINT": "https://search-it.us-east-1.es.amazonaws.com",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    module.service.cache_clear()
    try:
        form = module.service().upload(None)
    finally:
        module.service.cache_clear()
    assert form["url"] == f"https://{BUCKET}.s3.us-east-1.amazonaws.com/"
