"""How to reach a running local cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tagstream.local.deployment import STAGE

__all__ = ["Connection"]

_REGION = "us-east-1"


@dataclass(frozen=True)
class Connection:
    """How to reach a running local cloud."""

    port: int
    search_port: int
    certificate: str | None = None
    """The file with the certificate that AWS shows, in the least-privilege profile; without it, AWS is over HTTP."""

    @property
    def endpoint_url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def search_url(self) -> str:
        """The OpenSearch API behind every domain of this cloud."""
        return f"http://127.0.0.1:{self.search_port}"

    def client_settings(self) -> dict[str, str]:
        """Keyword arguments for ``boto3.client``."""
        return {
            "endpoint_url": self.endpoint_url,
            "region_name": _REGION,
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            **({"verify": self.certificate} if self.certificate else {}),
        }

    def environment(self) -> dict[str, str]:
        """Environment variables that point the AWS CLI, the SDKs and the CDK CLI here."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": _REGION,
            "AWS_DEFAULT_REGION": _REGION,
            # The CDK CLI reads the second one.
            **(dict.fromkeys(("AWS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), self.certificate) if self.certificate else {}),
        }

    def client(self, service: str, **settings: Any) -> Any:
        """A boto3 client of this cloud; ``settings`` are those of botocore's ``Config``."""
        import boto3
        from botocore.config import Config

        config = Config(retries={"mode": "standard", "max_attempts": 5}, **settings)
        return boto3.Session().client(service, config=config, **self.client_settings())

    def outputs(self, capability: str) -> dict[str, str]:
        """The outputs of the stack ``tagstream-local-<capability>``, by their names."""
        answer = self.client("cloudformation").describe_stacks(StackName=f"tagstream-{STAGE}-{capability}")
        return {output["OutputKey"]: output["OutputValue"] for output in answer["Stacks"][0].get("Outputs", [])}
