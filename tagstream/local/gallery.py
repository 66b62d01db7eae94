"""The local cloud's gallery and HTTP API: where they are, who may sign in, and a token as the page itself gets one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tagstream.errors import LocalCloudError
from tagstream.local.connection import Connection

__all__ = ["PASSWORD", "USER", "Gallery", "make_user"]

USER = "demo@example.com"
PASSWORD = "Tagstream-demo-1"  # noqa: S105 - printed by 'tagstream local up': whoever uses this machine may have it
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_SECONDS = 30.0


@dataclass(frozen=True)
class Gallery:
    """``url`` is for browsers, which take names below ``localhost`` for this machine; ``api_url``, for programs, is the
    same API by a name that everybody knows. ``client_id`` is what the user pool calls the page; ``certificate`` is
    that of :class:`Connection`.
    """

    url: str
    api_url: str
    client_id: str
    certificate: str | None = None

    @classmethod
    def of(cls, connection: Connection) -> Gallery:
        """Raises :class:`LocalCloudError` if the stack with the gallery is not deployed."""
        from botocore.exceptions import ClientError

        try:
            outputs = connection.outputs("api")
            url, client_id = outputs["GalleryUrl"], outputs["GalleryClientId"]
        except (ClientError, KeyError):
            raise LocalCloudError(
                "the gallery is not deployed: run 'tagstream local up', with api.auth=cognito."
            ) from None
        api_id = (urlsplit(url).hostname or "").partition(".")[0]
        return cls(url, f"{connection.endpoint_url}/_aws/execute-api/{api_id}", client_id, connection.certificate)

    def token(
        self, scope: str = "tagstream/read tagstream/write", *, user: str = USER, password: str = PASSWORD
    ) -> str:
        """An access token with these scopes, by the page's own way: sign in, come back with a code, redeem it.

        Raises :class:`LocalCloudError` with what the sign-in says.
        """
        verifier = secrets.token_urlsafe(48)
        proof = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.url,
            "scope": scope,
            "code_challenge": proof,
            "code_challenge_method": "S256",
        }
        self._call("GET", f"/oauth2/authorize?{urlencode(asked)}")
        _, location = self._call("POST", "/login", asked | {"username": user, "password": password})
        code = parse_qs(urlsplit(location).query).get("code")
        if code is None:
            raise LocalCloudError(f"{user} could not sign in: is the password right?")
        given = {"grant_type": "authorization_code", "code": code[0], "code_verifier": verifier}
        body, _ = self._call("POST", "/oauth2/token", given | {"client_id": self.client_id, "redirect_uri": self.url})
        return str(json.loads(body)["access_token"])

    def _call(self, method: str, path: str, form: Mapping[str, Any] | None = None) -> tuple[bytes, str]:
        """The body, and where the answer leads to; redirections are not followed."""
        place = urlsplit(self.api_url)
        where = (place.hostname or "", place.port)
        if self.certificate is None:
            caller = http.client.HTTPConnection(*where, timeout=_SECONDS)
        else:
            trusted = ssl.create_default_context(cafile=self.certificate)
            caller = http.client.HTTPSConnection(*where, timeout=_SECONDS, context=trusted)
        try:
            caller.request(method, path, urlencode(form) if form else None, _FORM if form else {})
            answer = caller.getresponse()
            body, location = answer.read(), answer.getheader("Location", "")
        except OSError as error:
            raise LocalCloudError(f"the sign-in of the local cloud does not answer: {error}") from error
        finally:
            caller.close()
        refusal = parse_qs(urlsplit(location).query).get("error_description")
        if answer.status >= http.client.BAD_REQUEST or refusal:
            raise LocalCloudError(f"the sign-in refused: {refusal[0] if refusal else body.decode(errors='replace')}")
        return body, location


def make_user(connection: Connection) -> None:
    """The user who may sign in to the local cloud's gallery; one who is there already keeps all but the password.

    Nobody may where ``api.auth=iam`` is in the context of ``cdk.json``: there is no gallery then.
    """
    pools = connection.client("cognito-idp")
    try:
        pool = connection.outputs("web").get("UserPoolId")
        if pool is None:
            return
        with contextlib.suppress(pools.exceptions.UsernameExistsException):
            pools.admin_create_user(
                UserPoolId=pool,
                Username=USER,
                MessageAction="SUPPRESS",
                UserAttributes=[{"Name": "email", "Value": USER}, {"Name": "email_verified", "Value": "true"}],
            )
        pools.admin_set_user_password(UserPoolId=pool, Username=USER, Password=PASSWORD, Permanent=True)
    finally:
        pools.close()
