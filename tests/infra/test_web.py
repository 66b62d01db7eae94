"""The HTTP API's door: who may come in, how fast, what is written down; and the distribution in front of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stacks.api import PAGE, ROUTES
from tests.infra.templates import ROOT, Resource, Stage, synthesise, synthesised


def address(stage: Stage) -> str:
    """Where the gallery is: the API's own address, or that of the distribution in front of it."""
    distributions = stage.of_type("AWS::CloudFront::Distribution")
    if distributions:
        return f"https://<{distributions[0].id}.DomainName>"
    return f"<{stage.one('AWS::ApiGatewayV2::Api').id}.ApiEndpoint>"


def routes(stage: Stage) -> dict[str, Resource]:
    return {route.properties["RouteKey"]: route for route in stage.of_type("AWS::ApiGatewayV2::Route")}


@pytest.fixture(scope="module")
def machines() -> Stage:
    """A stage for machines, which sign their requests."""
    return Stage("dev", synthesise({"stage": "dev", "api.auth": "iam"}))


def test_only_the_page_may_be_read_by_everybody_and_every_other_route_asks_for_a_token(stage: Stage) -> None:
    (authorizer,) = stage.of_type("AWS::ApiGatewayV2::Authorizer")
    free = {"GET /", "GET /assets/{file}", "GET /config.json", "GET /openapi.json"}
    made = routes(stage)
    assert free < made.keys()
    for key, route in made.items():
        if key in free:
            assert route.properties["AuthorizationType"] == "NONE"
            continue
        assert route.properties["AuthorizationType"] == "JWT", key
        assert route.properties["AuthorizerId"] == authorizer.ref
        (scope,) = route.properties["AuthorizationScopes"]
        assert scope.rpartition("/")[2] == ("read" if key.startswith("GET ") else "write"), key


def test_there_is_a_route_for_each_of_the_table_and_none_that_takes_everything(stage: Stage) -> None:
    made = routes(stage)
    assert made.keys() == {f"{route.method} {route.path}" for route in (*ROUTES, *PAGE)}
    assert not any("+" in key or key.startswith(("ANY", "$")) for key in made)
    integrations = {integration.ref: integration for integration in stage.of_type("AWS::ApiGatewayV2::Integration")}
    for listed, name in ((ROUTES, "api"), (PAGE, "gallery")):
        for route in listed:
            target = made[f"{route.method} {route.path}"].properties["Target"].removeprefix("integrations/")
            integration = integrations[target].properties
            assert integration["IntegrationUri"] == stage.called_arn(name)
            assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")


def test_the_routes_are_those_that_are_described_with_the_scopes_that_are() -> None:
    described = {
        (method.upper(), path, scheme["token"][0].rpartition("/")[2] if scheme else None)
        for path, operations in json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"].items()
        for method, operation in operations.items()
        for scheme in (operation["security"] or [None])
    }
    assert described == {(route.method, route.path, route.scope) for route in ROUTES}


def test_the_authorizer_takes_tokens_of_this_pool_for_the_gallery_only(stage: Stage) -> None:
    authorizer = stage.one("AWS::ApiGatewayV2::Authorizer").properties
    pool, client = stage.one("AWS::Cognito::UserPool"), stage.one("AWS::Cognito::UserPoolClient")
    assert authorizer["AuthorizerType"] == "JWT"
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]
    assert authorizer["JwtConfiguration"] == {
        "Audience": [client.ref],
        "Issuer": f"https://cognito-idp.<AWS::Region>.<AWS::URLSuffix>/{pool.ref}",
    }
    assert client.properties["UserPoolId"] == pool.ref


def test_the_api_lets_in_so_many_and_no_other_page(stage: Stage) -> None:
    api = stage.one("AWS::ApiGatewayV2::Api").properties
    assert api["ProtocolType"] == "HTTP"
    assert "CorsConfiguration" not in api
    settings = stage.one("AWS::ApiGatewayV2::Stage").properties
    assert (settings["StageName"], settings["AutoDeploy"]) == ("$default", True)
    throttling = settings["DefaultRouteSettings"]
    assert 0 < throttling["ThrottlingRateLimit"] <= throttling["ThrottlingBurstLimit"]


def test_the_access_log_says_who_and_what_but_neither_tokens_nor_queries(stage: Stage) -> None:
    settings = stage.one("AWS::ApiGatewayV2::Stage").properties["AccessLogSettings"]
    (group,) = (group for group in stage.of_type("AWS::Logs::LogGroup") if group.id.startswith("web."))
    assert group.properties["RetentionInDays"] > 0
    assert settings["DestinationArn"].endswith(f":log-group:{group.ref}")
    line = json.loads(settings["Format"])
    assert {"$context.requestId", "$context.status", "$context.routeKey"} < set(line.values())
    assert all(value.startswith("$context.") for value in line.values())
    assert not [value for value in line.values() if "query" in value.lower() or "token" in value.lower()]


def test_nobody_makes_an_account_for_himself_unless_a_setting_lets_him(stage: Stage) -> None:
    pool = stage.one("AWS::Cognito::UserPool")
    assert pool.properties["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is True


def test_a_setting_opens_sign_up() -> None:
    opened = synthesise({"stage": "dev", "api.sign_up_open": "true"})["web"]["Resources"].values()
    (open_pool,) = (resource for resource in opened if resource["Type"] == "AWS::Cognito::UserPool")
    assert open_pool["Properties"]["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is False


def test_passwords_are_strong_and_people_are_kept_in_prod(stage: Stage) -> None:
    pool = stage.one("AWS::Cognito::UserPool")
    policy = pool.properties["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] >= 12
    assert all(policy[f"Require{kind}"] for kind in ("Lowercase", "Uppercase", "Numbers", "Symbols"))
    assert pool.properties["UsernameConfiguration"] == {"CaseSensitive": False}
    assert pool.properties["UsernameAttributes"] == ["email"]
    prod = stage.name == "prod"
    assert pool.raw["DeletionPolicy"] == ("RetainExceptOnCreate" if prod else "Delete")
    assert pool.properties.get("DeletionProtection", "INACTIVE") == ("ACTIVE" if prod else "INACTIVE")


def test_the_gallery_signs_in_by_code_and_proof_and_comes_back_to_itself_only(stage: Stage) -> None:
    client = stage.one("AWS::Cognito::UserPoolClient").properties
    assert client["GenerateSecret"] is False
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert client["CallbackURLs"] == client["LogoutURLs"] == [f"{address(stage)}/"]
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert client["EnableTokenRevocation"] is True
    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]["AccessToken"]) == (60, "minutes")
    server = stage.one("AWS::Cognito::UserPoolResourceServer")
    assert server.properties["Identifier"] == "tagstream"
    assert [scope["ScopeName"] for scope in server.properties["Scopes"]] == ["read", "write"]
    assert client["AllowedOAuthScopes"] == ["openid", f"{server.ref}/read", f"{server.ref}/write"]


def test_the_page_is_told_where_to_sign_in_and_where_uploads_go(stage: Stage) -> None:
    told = json.loads(stage.function("gallery").properties["Environment"]["Variables"]["GALLERY_CONFIG"])
    domain = stage.one("AWS::Cognito::UserPoolDomain")
    assert domain.properties["Domain"] == f"tagstream-{stage.name}-<AWS::AccountId>"
    api = f"<{stage.one('AWS::ApiGatewayV2::Api').id}.ApiEndpoint>"
    local = stage.name == "local"
    sign_in = api if local else f"https://{domain.ref}.auth.<AWS::Region>.amazoncognito.com"

    def origin(bucket: str) -> str:
        return (
            f"{api}[:0]://127.0.0.1:{api}[:2]" if local else f"https://<{stage.bucket(bucket).id}.RegionalDomainName>"
        )

    assert told == {
        "stage": stage.name,
        "auth": {
            "kind": "cognito",
            "authorize_url": f"{sign_in}/oauth2/authorize",
            "token_url": f"{sign_in}/oauth2/token",
            "logout_url": f"{sign_in}/logout",
            "client_id": stage.one("AWS::Cognito::UserPoolClient").ref,
            "scope": f"openid {server_scope(stage, 'read')} {server_scope(stage, 'write')}",
        },
        "max_bytes": 64 * 1024 * 1024,
        "uploads_origin": origin("Photos"),
        "pictures_origins": [origin("Photos"), origin("Thumbnails")],
    }


def server_scope(stage: Stage, name: str) -> str:
    return f"{stage.one('AWS::Cognito::UserPoolResourceServer').ref}/{name}"


def test_the_bucket_lets_the_gallery_s_page_read_and_upload_and_no_other(stage: Stage) -> None:
    (rule,) = stage.bucket("Photos").properties["CorsConfiguration"]["CorsRules"]
    assert rule["AllowedOrigins"] == [address(stage)]
    assert sorted(rule["AllowedMethods"]) == ["GET", "HEAD", "POST"]
    assert "*" not in json.dumps(rule)
    # Thumbnails are shown as pictures, which takes no permission of theirs.
    assert "CorsConfiguration" not in stage.bucket("Thumbnails").properties


def test_each_function_may_be_invoked_by_this_api_only(stage: Stage) -> None:
    api = stage.one("AWS::ApiGatewayV2::Api")
    for name in ("api", "gallery"):
        (permission,) = (
            p
            for p in stage.of_type("AWS::Lambda::Permission")
            if p.properties["FunctionName"] == stage.called_arn(name)
        )
        assert permission.properties["Principal"] == "apigateway.amazonaws.com"
        source = f"arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:{api.ref}/*/*/*"
        assert permission.properties["SourceArn"] == source


def test_programs_and_people_find_the_addresses_in_the_outputs(stage: Stage) -> None:
    def said(template: str) -> dict[str, Any]:
        outputs = stage.templates[template]["Outputs"]
        return {name: stage.resolved(template, output["Value"]) for name, output in outputs.items()}

    assert said("api")["ApiUrl"] == address(stage)
    assert said("api")["GalleryUrl"] == f"{address(stage)}/"
    assert said("api")["GalleryClientId"] == stage.one("AWS::Cognito::UserPoolClient").ref
    assert said("web")["UserPoolId"] == stage.one("AWS::Cognito::UserPool").ref


def test_machines_sign_their_requests_and_there_is_nothing_to_sign_in_to(machines: Stage) -> None:
    assert not [resource.id for resource in machines.resources if "Cognito" in resource.type]
    assert not machines.of_type("AWS::ApiGatewayV2::Authorizer")
    made = routes(machines)
    assert made.keys() == {f"{route.method} {route.path}" for route in ROUTES}
    for key, route in made.items():
        assert route.properties["AuthorizationType"] == ("NONE" if key == "GET /openapi.json" else "AWS_IAM")
        assert "AuthorizationScopes" not in route.properties
    assert {machines.service(f) for f in machines.of_type("AWS::Lambda::Function")} >= {"api"}
    assert "gallery" not in {machines.service(f) for f in machines.of_type("AWS::Lambda::Function")}
    assert "CorsConfiguration" not in machines.bucket("Photos").properties


def test_a_distribution_stands_in_front_where_the_settings_say_so() -> None:
    for name, expected in (("local", 0), ("dev", 0), ("prod", 1)):
        assert len(synthesised(name).of_type("AWS::CloudFront::Distribution")) == expected
    assert "gallery" in synthesise({"stage": "dev", "api.cloudfront": "true"})
    # In the context of cdk.json it would be for all stages.
    assert "gallery" not in synthesise({"stage": "local", "api.cloudfront": "true"})


def test_the_distribution_speaks_https_only_and_asks_the_api_each_time(prod: Stage) -> None:
    config = prod.one("AWS::CloudFront::Distribution").properties["DistributionConfig"]
    (origin,) = config["Origins"]
    api = prod.one("AWS::ApiGatewayV2::Api").ref
    assert origin["DomainName"] == f"{api}.execute-api.<AWS::Region>.<AWS::URLSuffix>"
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]
    everything = config["DefaultCacheBehavior"]
    (assets,) = config["CacheBehaviors"]
    for behavior in (everything, assets):
        assert behavior["ViewerProtocolPolicy"] == "https-only"
        assert behavior["ResponseHeadersPolicyId"] == prod.one("AWS::CloudFront::ResponseHeadersPolicy").ref
        assert behavior["TargetOriginId"] == origin["Id"]
    # AWS' own policies: CachingDisabled; AllViewerExceptHostHeader, the one that Authorization passes; and
    # CachingOptimized, which asks for nothing of the viewer but the encodings that it takes.
    assert everything["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert everything["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    assert {"GET", "POST", "DELETE"} < set(everything["AllowedMethods"])
    assert assets["PathPattern"] == "/assets/*"
    assert assets["CachePolicyId"] == "658327ea-f89d-4fab-a63d-7e88639e58f6"
    assert "OriginRequestPolicyId" not in assets
    assert assets["AllowedMethods"] == ["GET", "HEAD"]


def test_the_distribution_adds_the_headers_that_keep_a_page_to_itself(prod: Stage) -> None:
    config = prod.one("AWS::CloudFront::ResponseHeadersPolicy").properties["ResponseHeadersPolicyConfig"]
    headers = config["SecurityHeadersConfig"]
    assert headers["StrictTransportSecurity"]["AccessControlMaxAgeSec"] >= 365 * 86_400
    assert headers["ContentTypeOptions"]["Override"] is True
    assert headers["FrameOptions"]["FrameOption"] == "DENY"
    assert headers["ReferrerPolicy"]["ReferrerPolicy"] == "no-referrer"
    # The page brings its own.
    assert "ContentSecurityPolicy" not in headers
    assert "CorsConfig" not in config
