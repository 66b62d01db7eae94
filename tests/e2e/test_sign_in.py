"""Nobody gets in who doesn't belong: every route without a token, with an old one, another pool's, too small a one."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from stacks.api import PAGE, ROUTES, Route
from tagstream.errors import LocalCloudError
from tagstream.local.gallery import PASSWORD, USER, Gallery
from tests.e2e.conftest import Pipeline

GUARDED = [route for route in ROUTES if route.scope]
FREE = [route for route in (*ROUTES, *PAGE) if not route.scope]


@dataclass(frozen=True)
class Door:
    """The deployed HTTP API from the outside; ``keys`` is where the emulator keeps what its pools sign with."""

    pipeline: Pipeline
    gallery: Gallery
    keys: Path

    def knock(self, route: Route, token: str | None) -> tuple[int, Any]:
        """The status and the answer of a request to a route, as browsers send it: to the gallery's own address."""
        path = route.path.replace("{id}", "0" * 64).replace("{file}", "nothing.js")
        where = ("127.0.0.1", self.pipeline.connection.port)
        certificate = self.pipeline.connection.certificate
        caller = (
            http.client.HTTPSConnection(*where, timeout=60, context=ssl.create_default_context(cafile=certificate))
            if certificate
            else http.client.HTTPConnection(*where, timeout=60)
        )
        headers = {"Host": self.gallery.url.split("/")[2]}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            caller.request(route.method, path, headers=headers)
            answer = caller.getresponse()
            return answer.status, answer.read()
        finally:
            caller.close()

    def forged(self, token: str, *, key: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        """``token`` with other claims, signed anew: with the pool's own key, if no other is given."""
        head, body, _ = token.split(".")
        if key is None:
            pool = _decoded(body)["iss"].rpartition("/")[2]
            loaded = serialization.load_pem_private_key((self.keys / f"{pool}-access.pem").read_bytes(), None)
            assert isinstance(loaded, rsa.RSAPrivateKey)
            key = loaded
        said = f"{head}.{_encoded(_decoded(body) | claims)}"
        signature = key.sign(said.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{said}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _decoded(part: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return claims


def _encoded(claims: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def door(pipeline: Pipeline) -> Door:
    return Door(pipeline, Gallery.of(pipeline.connection), pipeline.private / "state" / "cognito-pool-keys")


@pytest.fixture(scope="module")
def token(door: Door) -> str:
    return door.gallery.token()


@pytest.fixture(scope="module")
def strangers(door: Door) -> Iterator[str]:
    """A token of a pool that is set up just like ours, for a client of the same name with the same scopes."""
    pools = door.pipeline.connection.client("cognito-idp")
    pool = pools.create_user_pool(PoolName="strangers")["UserPool"]["Id"]
    scopes = [{"ScopeName": name, "ScopeDescription": name} for name in ("read", "write")]
    pools.create_resource_server(UserPoolId=pool, Identifier="tagstream", Name="tagstream", Scopes=scopes)
    client = pools.create_user_pool_client(
        UserPoolId=pool,
        ClientName="gallery",
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthFlows=["code"],
        AllowedOAuthScopes=["openid", "tagstream/read", "tagstream/write"],
        CallbackURLs=[door.gallery.url],
        SupportedIdentityProviders=["COGNITO"],
    )["UserPoolClient"]["ClientId"]
    pools.admin_create_user(UserPoolId=pool, Username=USER, MessageAction="SUPPRESS")
    pools.admin_set_user_password(UserPoolId=pool, Username=USER, Password=PASSWORD, Permanent=True)
    yield replace(door.gallery, client_id=client).token()
    pools.delete_user_pool(UserPoolId=pool)
    pools.close()


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.mark.parametrize("route", GUARDED, ids=named)
def test_a_route_opens_for_its_scope_only(door: Door, token: str, strangers: str, route: Route) -> None:
    now = int(time.time())
    head, body, signature = token.split(".")
    refused = {
        "none": None,
        "no token at all": "x",
        "expired": door.forged(token, exp=now - 1),
        "not yet": door.forged(token, nbf=now + 600),
        "another pool's": strangers,
        "another pool's, for our client": door.forged(strangers, client_id=door.gallery.client_id),
        "for another client": door.forged(token, client_id="another"),
        "by another issuer": door.forged(token, iss="https://example.com/pool"),
        "changed": f"{head}.{_encoded(_decoded(body) | {'sub': '0'})}.{signature}",
        "signed by somebody else": door.forged(token, key=rsa.generate_private_key(65537, 2048)),
        "not signed": f"{_encoded({'alg': 'none'})}.{body}.",
    }
    answers = {why: door.knock(route, shown) for why, shown in refused.items()}
    assert {why: status for why, (status, _) in answers.items() if status != 401} == {}
    assert {said for _, said in answers.values()} == {b'{"message": "Unauthorized"}'}
    # The pool's own key, and none of the changes above: what is refused there is refused for what was changed.
    assert door.knock(route, door.forged(token, exp=now + 600))[0] not in (401, 403)
    assert door.knock(route, token)[0] not in (401, 403, 500, 502, 503)


def test_a_token_that_only_reads_writes_nothing_and_one_that_only_writes_reads_nothing(door: Door) -> None:
    for scope in ("read", "write"):
        shown = door.gallery.token(f"tagstream/{scope}")
        for route in GUARDED:
            status, body = door.knock(route, shown)
            if route.scope == scope:
                assert status not in (401, 403), named(route)
            else:
                assert (status, body) == (403, b'{"message": "Forbidden"}'), named(route)


def test_who_one_is_is_not_what_one_may(door: Door, token: str) -> None:
    """A token that says who somebody is, without a scope, opens nothing."""
    for shown in (door.gallery.token("openid"), door.forged(token, scope="")):
        assert {door.knock(route, shown)[0] for route in GUARDED} == {403}


def test_the_page_is_for_everybody(door: Door) -> None:
    answers = {named(route): door.knock(route, None) for route in FREE}
    assert {route: status for route, (status, _) in answers.items() if status not in (200, 404)} == {}
    assert [route for route, (status, _) in answers.items() if status == 404] == ["GET /assets/{file}"]
    config = json.loads(answers["GET /config.json"][1])
    assert config["auth"]["client_id"] == door.gallery.client_id
    assert config["auth"]["token_url"] == f"{door.gallery.url}oauth2/token"


def test_what_is_no_route_is_not_found_whoever_asks(door: Door, token: str) -> None:
    for method, path in (("GET", "/nothing"), ("PUT", "/images"), ("POST", "/images"), ("GET", "/images/a/b/c")):
        assert door.knock(Route(method, path, None), token)[0] == 404


def test_only_who_knows_the_password_signs_in(door: Door) -> None:
    with pytest.raises(LocalCloudError, match="could not sign in: is the password right"):
        door.gallery.token(password=PASSWORD.upper())
    with pytest.raises(LocalCloudError, match="could not sign in"):
        door.gallery.token(user="nobody@example.com")
    with pytest.raises(LocalCloudError, match="invalid_scope"):
        door.gallery.token("aws.cognito.signin.user.admin")
    with pytest.raises(LocalCloudError, match="redirect_uri is not allowed"):
        replace(door.gallery, url="http://evil.example/").token()
