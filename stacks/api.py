"""Api: what the HTTP API answers, by which function, and what a caller must be allowed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Duration, Fn, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.access import INDEX
from stacks.bundling import ROOT
from stacks.catalog import Catalog
from stacks.functions import PythonFunction
from stacks.ingest import Ingest
from stacks.rules import accept
from stacks.settings import Function, Settings
from stacks.web import Web

__all__ = ["PAGE", "ROUTES", "Api", "Route"]


@dataclass(frozen=True)
class Route:
    """A route of the HTTP API; ``scope`` is one of :data:`stacks.web.SCOPES`, or nothing for what everybody may see."""

    method: str
    path: str
    scope: str | None


ROUTES = (
    Route("GET", "/images", "read"),
    Route("GET", "/images/{id}", "read"),
    Route("GET", "/images/{id}/similar", "read"),
    Route("GET", "/tags", "read"),
    Route("GET", "/stats", "read"),
    Route("GET", "/uploads/{id}", "read"),
    Route("POST", "/uploads", "write"),
    Route("DELETE", "/images/{id}", "write"),
    Route("POST", "/images/{id}/restore", "write"),
    Route("GET", "/openapi.json", None),
)
"""What the api function answers. There is no route for anything else: API Gateway answers 404 by itself."""

PAGE = (
    Route("GET", "/", None),
    Route("GET", "/assets/{file}", None),
    Route("GET", "/config.json", None),
)
"""What the gallery function answers: files that hold no secret, and where to sign in."""

_GALLERY = Function(memory_mb=512, timeout_seconds=10)
_TOKEN_MINUTES = 60
_SIGNED_IN_DAYS = 7


class Api(Stack):
    """Public attributes: what the operations stack watches."""

    api: PythonFunction
    gallery: PythonFunction | None

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        web: Web,
        catalog: Catalog,
        ingest: Ingest,
        address: str,
        **kwargs: Any,
    ) -> None:
        """``address``: where people and programs find it, without a slash at its end."""
        super().__init__(scope, construct_id, **kwargs)
        self.api = PythonFunction(
            self,
            "Api",
            name="api",
            description="Answers the HTTP API",
            size=settings.api.function,
            settings=settings,
            role=catalog.api_role,
            environment={
                "OPENSEARCH_ENDPOINT": catalog.endpoint,
                "OPENSEARCH_INDEX": INDEX,
                "PHOTOS_BUCKET": ingest.bucket.bucket_name,
                "THUMBNAILS_BUCKET": catalog.thumbnails.bucket_name,
                "PREFIX": settings.prefix,
                "SUFFIX": settings.suffix,
                "MAX_BYTES": str(settings.max_bytes),
                "UNDO_DAYS": str(settings.noncurrent_version_days),
            },
            vpc=catalog.vpc,
            security_group=catalog.client_security_group,
        )
        photos = ingest.bucket
        watched = photos.arn_for_objects(f"{settings.prefix}*")
        # Addresses that it signs allow what it may do itself, and no more.
        self.api.allow("s3:GetObject", on=[photos.arn_for_objects("*"), catalog.thumbnails.arn_for_objects("*")])
        self.api.allow("s3:PutObject", on=[photos.arn_for_objects(f"{settings.prefix}uploads/*")])
        self.api.allow("s3:DeleteObject", on=[watched])
        # To take a delete marker away, which undoes a deletion. IAM knows no difference between a marker and the
        # version of a photo: that it is a marker, the function itself makes sure of.
        self.api.allow("s3:DeleteObjectVersion", on=[watched])
        self.api.allow("s3:ListBucketVersions", on=[photos.bucket_arn])

        self.gallery = None
        if web.users is not None:
            client = self._client(web, web.users, address)
            authorizer = self._token_authorizer(web, client)
            self.gallery = self._gallery(settings, web, catalog, ingest, client)
            CfnOutput(self, "GalleryUrl", value=f"{address}/")
            CfnOutput(self, "GalleryClientId", value=client.user_pool_client_id)
        else:
            authorizer = authorizers.HttpIamAuthorizer()
        self._attach(web, self.api, ROUTES, authorizer)
        if self.gallery is not None:
            self._attach(web, self.gallery, PAGE, authorizer)
        CfnOutput(self, "ApiUrl", value=address)
        CfnOutput(self, "ApiFunctionName", value=self.api.called.function_name)

    def _client(self, web: Web, users: cognito.UserPool, address: str) -> cognito.UserPoolClient:
        """The gallery, as the pool knows it: a page can keep no secret, so it proves itself by PKCE."""
        page = f"{address}/"
        client = cognito.UserPoolClient(
            self,
            "GalleryClient",
            user_pool=users,
            generate_secret=False,
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID, *web.scopes.values()],
                callback_urls=[page],
                logout_urls=[page],
            ),
            supported_identity_providers=[cognito.UserPoolClientIdentityProvider.COGNITO],
            access_token_validity=Duration.minutes(_TOKEN_MINUTES),
            id_token_validity=Duration.minutes(_TOKEN_MINUTES),
            refresh_token_validity=Duration.days(_SIGNED_IN_DAYS),
            enable_token_revocation=True,
            prevent_user_existence_errors=True,
        )
        resource = client.node.default_child
        assert isinstance(resource, cognito.CfnUserPoolClient)  # noqa: S101
        # Nobody signs in but on the pool's own page.
        resource.explicit_auth_flows = ["ALLOW_REFRESH_TOKEN_AUTH"]
        return client

    def _token_authorizer(self, web: Web, client: cognito.UserPoolClient) -> apigatewayv2.IHttpRouteAuthorizer:
        """Lets in who shows a token of this pool, made for this client; a route says what the token must allow."""
        made = apigatewayv2.HttpAuthorizer(
            self,
            "Tokens",
            http_api=web.api,
            authorizer_name="tokens",
            type=apigatewayv2.HttpAuthorizerType.JWT,
            identity_source=["$request.header.Authorization"],
            jwt_issuer=web.issuer,
            jwt_audience=[client.user_pool_client_id],
        )
        return apigatewayv2.HttpAuthorizer.from_http_authorizer_attributes(
            self, "TokensOfRoutes", authorizer_id=made.authorizer_id, authorizer_type="JWT"
        )

    def _gallery(
        self, settings: Settings, web: Web, catalog: Catalog, ingest: Ingest, client: cognito.UserPoolClient
    ) -> PythonFunction:
        """Serves the page and its files; it may do nothing but that."""
        config = {
            "stage": settings.stage,
            "auth": {
                "kind": "cognito",
                "authorize_url": f"{web.sign_in_url}/oauth2/authorize",
                "token_url": f"{web.sign_in_url}/oauth2/token",
                "logout_url": f"{web.sign_in_url}/logout",
                "client_id": client.user_pool_client_id,
                "scope": " ".join(["openid", *(scope.scope_name for scope in web.scopes.values())]),
            },
            "max_bytes": settings.max_bytes,
            "uploads_origin": _origin(ingest.bucket, web, settings),
            "pictures_origins": [_origin(bucket, web, settings) for bucket in (ingest.bucket, catalog.thumbnails)],
        }
        return PythonFunction(
            self,
            "Gallery",
            name="gallery",
            description="Serves the gallery's files",
            size=_GALLERY,
            settings=settings,
            data=gallery_files(ROOT / "gallery"),
            environment={"GALLERY_CONFIG": self.to_json_string(config)},
        )

    def _attach(
        self,
        web: Web,
        function: PythonFunction,
        routes: Sequence[Route],
        authorizer: apigatewayv2.IHttpRouteAuthorizer,
    ) -> None:
        # One permission for all of the function's routes.
        integration = integrations.HttpLambdaIntegration(
            f"{function.node.id}Integration", function.called, scope_permission_to_route=False
        )
        for route in routes:
            scopes = [web.scopes[route.scope].scope_name] if route.scope and web.scopes else None
            made = apigatewayv2.HttpRoute(
                self,
                f"{route.method} {route.path}",
                http_api=web.api,
                route_key=apigatewayv2.HttpRouteKey.with_(route.path, apigatewayv2.HttpMethod[route.method]),
                integration=integration,
                authorizer=authorizer if route.scope else None,
                authorization_scopes=scopes,
            )
            if not route.scope:
                accept(
                    made,
                    "The page, its files and the API's description hold nothing secret: they come before signing in.",
                    "AwsSolutions-APIG4",
                )


def _origin(bucket: s3.Bucket, web: Web, settings: Settings) -> str:
    """Where the addresses of photos and uploads lead to: the page must be allowed to go there."""
    if settings.local:
        # The emulator's address, as functions know it; what CloudFormation tells of it is the scheme and the port.
        parts = Fn.split(":", web.api.api_endpoint)
        return f"{Fn.select(0, parts)}://127.0.0.1:{Fn.select(2, parts)}"
    return f"https://{bucket.bucket_regional_domain_name}"


def gallery_files(folder: Path) -> dict[str, Path]:
    """The files of the page: their place in the bundle → where they are now."""
    return {
        f"gallery/{path.relative_to(folder)}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix != ".py"
        and not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(folder).parts)
    }
