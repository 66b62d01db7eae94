"""Web: the HTTP API's front door, and who may come in. What is behind it is attached by :mod:`stacks.api`."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import ArnFormat, Aws, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from stacks.functions import log_group
from stacks.rules import accept
from stacks.settings import Settings

__all__ = ["SCOPES", "Web"]

_RESOURCE_SERVER = "tagstream"
SCOPES = {"read": "find images and look at them", "write": "upload, delete and restore images"}
"""What a token may allow, as ``tagstream/read`` and ``tagstream/write``."""

# Neither what was asked for nor the token: who called what, how it ended, how long it took.
_ACCESS_LOG = {
    "time": "$context.requestTime",
    "request_id": "$context.requestId",
    "ip": "$context.identity.sourceIp",
    "user": "$context.authorizer.claims.sub",
    "caller": "$context.identity.caller",
    "route": "$context.routeKey",
    "path": "$context.path",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "milliseconds": "$context.responseLatency",
    "function_milliseconds": "$context.integrationLatency",
    "error": "$context.error.message",
    "authorizer_error": "$context.authorizer.error",
    "function_error": "$context.integrationErrorMessage",
    "agent": "$context.identity.userAgent",
}


class Web(Stack):
    """Public attributes: what the other stacks attach to.

    ``users`` and ``scopes`` (by their names in :data:`SCOPES`) are there if people sign in. ``issuer`` is where their
    tokens say that they are from; below ``sign_in_url`` are ``/oauth2/authorize``, ``/oauth2/token`` and ``/logout``.
    """

    api: apigatewayv2.HttpApi
    users: cognito.UserPool | None
    scopes: dict[str, cognito.OAuthScope]
    issuer: str
    sign_in_url: str

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        # No CORS: the gallery comes from this very address, and no other page has any business here.
        self.api = apigatewayv2.HttpApi(
            self,
            "Api",
            api_name=self.stack_name,
            description=f"Tagstream {settings.system}: the catalog over HTTP",
            create_default_stage=False,
        )
        self._stage(settings)
        self.users, self.scopes, self.issuer, self.sign_in_url = None, {}, "", ""
        if settings.api.has_gallery:
            self._people(settings)

    @property
    def host(self) -> str:
        """The host name of the API's address on AWS: CloudFormation cannot cut another stack's output."""
        return f"{self.api.api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}"

    def _stage(self, settings: Settings) -> None:
        stage = apigatewayv2.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigatewayv2.ThrottleSettings(rate_limit=settings.api.rate, burst_limit=settings.api.burst),
        )
        group = log_group(self, "AccessLog", settings)
        resource = stage.node.default_child
        assert isinstance(resource, apigatewayv2.CfnStage)  # noqa: S101
        resource.access_log_settings = apigatewayv2.CfnStage.AccessLogSettingsProperty(
            # The attribute of a log group ends with ":*", which is not the ARN of one.
            destination_arn=self.format_arn(
                service="logs",
                resource="log-group",
                resource_name=group.log_group_name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            ),
            format=json.dumps(_ACCESS_LOG),
        )

    def _people(self, settings: Settings) -> None:
        """Who may sign in, and where: accounts are made by an administrator, unless a setting opens sign-up."""
        self.users = cognito.UserPool(
            self,
            "Users",
            self_sign_up_enabled=settings.api.sign_up_open,
            sign_in_aliases=cognito.SignInAliases(email=True),
            sign_in_case_sensitive=False,
            auto_verify=cognito.AutoVerifiedAttrs(email=True),
            password_policy=cognito.PasswordPolicy(
                min_length=12,
                require_lowercase=True,
                require_uppercase=True,
                require_digits=True,
                require_symbols=True,
                temp_password_validity=Duration.days(3),
            ),
            mfa=cognito.Mfa.OPTIONAL,
            mfa_second_factor=cognito.MfaSecondFactor(sms=False, otp=True),
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=settings.retain_data,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain_data else RemovalPolicy.DESTROY,
        )
        accept(
            self.users,
            "Who signs in may set up a second factor, and need not: the gallery shows photos, and moves no money.",
            "AwsSolutions-COG2",
        )
        accept(
            self.users,
            "The plus plan costs $0.02 a month for each who signs in; behind invitations, essentials are enough.",
            "AwsSolutions-COG8",
        )
        scopes = {
            name: cognito.ResourceServerScope(scope_name=name, scope_description=meaning)
            for name, meaning in SCOPES.items()
        }
        server = cognito.UserPoolResourceServer(
            self, "Scopes", user_pool=self.users, identifier=_RESOURCE_SERVER, scopes=list(scopes.values())
        )
        self.scopes = {name: cognito.OAuthScope.resource_server(server, made) for name, made in scopes.items()}
        # A domain's prefix can be had once in a region, by whoever comes first: so the account is part of it.
        domain = cognito.UserPoolDomain(
            self,
            "SignIn",
            user_pool=self.users,
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"{self.stack_name.removesuffix('-web')}-{Aws.ACCOUNT_ID}"
            ),
        )
        self.issuer = f"https://cognito-idp.{Aws.REGION}.{Aws.URL_SUFFIX}/{self.users.user_pool_id}"
        # The emulator signs people in at every address of its own.
        self.sign_in_url = self.api.api_endpoint if settings.local else domain.base_url()
        CfnOutput(self, "UserPoolId", value=self.users.user_pool_id)
