"""Gallery: by setting, a CloudFront distribution in front of the API, close to whoever looks."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from constructs import Construct

from stacks.rules import accept
from stacks.settings import Settings
from stacks.web import Web

__all__ = ["Gallery"]


class Gallery(Stack):
    """Serves what the API serves, over HTTPS only; keeps copies of nothing but the files under ``/assets``.

    Those have the hash of their content in their names. All else is asked of the API each time, with the caller's
    token: what one may see is never shown to another.
    """

    address: str
    """``https://`` and the distribution's domain."""

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, web: Web, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        origin = origins.HttpOrigin(
            web.host,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
            origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
        )
        # The page's Content-Security-Policy comes with the page, which knows what it needs.
        headers = cloudfront.ResponseHeadersPolicy(
            self,
            "Headers",
            comment=f"Tagstream {settings.system}",
            security_headers_behavior=cloudfront.ResponseSecurityHeadersBehavior(
                strict_transport_security=cloudfront.ResponseHeadersStrictTransportSecurity(
                    access_control_max_age=Duration.days(365), include_subdomains=True, override=True
                ),
                content_type_options=cloudfront.ResponseHeadersContentTypeOptions(override=True),
                frame_options=cloudfront.ResponseHeadersFrameOptions(
                    frame_option=cloudfront.HeadersFrameOption.DENY, override=True
                ),
                referrer_policy=cloudfront.ResponseHeadersReferrerPolicy(
                    referrer_policy=cloudfront.HeadersReferrerPolicy.NO_REFERRER, override=True
                ),
            ),
        )

        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"Tagstream {settings.system}: the gallery and its API",
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            price_class=cloudfront.PriceClass.PRICE_CLASS_100,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origin,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                response_headers_policy=headers,
                compress=True,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                # With Authorization; the API answers to its own host name only.
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            ),
            additional_behaviors={
                "/assets/*": cloudfront.BehaviorOptions(
                    origin=origin,
                    viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                    response_headers_policy=headers,
                    compress=True,
                    allowed_methods=cloudfront.AllowedMethods.ALLOW_GET_HEAD,
                    cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
                )
            },
        )
        accept(
            distribution,
            "Whoever has an account may look at their photos from anywhere.",
            "AwsSolutions-CFR1",
        )
        accept(
            distribution,
            "A web ACL costs $5 a month and more for its rules; the HTTP API bounds its rate, and checks every token.",
            "AwsSolutions-CFR2",
        )
        accept(
            distribution,
            "The HTTP API's access log has every request for data; what never comes there are the page's own files.",
            "AwsSolutions-CFR3",
        )
        accept(
            distribution,
            "It has CloudFront's own name and certificate, with which AWS sets the oldest TLS; a name of one's own is "
            "not part of this.",
            "AwsSolutions-CFR4",
        )
        self.address = f"https://{distribution.distribution_domain_name}"
        CfnOutput(self, "DistributionDomainName", value=distribution.distribution_domain_name)
