"""A deployed stage from outside: its stacks' outputs, clients of AWS, and functions to call."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tagstream.errors import AwsError, CatalogError, ConfigurationError, TagstreamError, needs

__all__ = ["Aws", "errors_in_words", "in_words", "told"]


@dataclass(frozen=True)
class Aws:
    """A stage's stacks, over the user's credentials or the local cloud's."""

    stage: str
    endpoint_url: str | None
    region: str | None
    profile: str | None

    @property
    def is_local(self) -> bool:
        """Whether this leads to the cloud that ``tagstream local up`` started."""
        return self.endpoint_url is None and self.stage == "local" and self.profile is None

    @functools.cached_property
    def _session(self) -> Any:
        with needs("catalog"):
            import boto3

        return boto3.Session(profile_name=self.profile, region_name=self.region)

    @functools.cached_property
    def _known(self) -> dict[Any, Any]:
        """Clients and outputs that were asked for before: both take requests, or some tenths of a second."""
        return {}

    def client(self, service: str, **settings: Any) -> Any:
        """A boto3 client; in stage ``local``, of the running local cloud."""
        asked = (service, *sorted(settings.items()))
        if asked not in self._known:
            self._known[asked] = self._client(service, settings)
        return self._known[asked]

    def _client(self, service: str, settings: Mapping[str, Any]) -> Any:
        with needs("catalog"):
            from botocore.config import Config

        # botocore would wait a minute for each connection, too.
        bounds = {"connect_timeout": 10, "read_timeout": 60} | dict(settings)
        config = Config(retries={"mode": "standard", "max_attempts": 5}, **bounds)
        if self.is_local:
            from tagstream.local.cloud import connection

            return self._session.client(service, config=config, **connection().client_settings())
        try:
            return self._session.client(service, endpoint_url=self.endpoint_url, config=config)
        except ValueError as error:
            if self.endpoint_url is None:
                raise
            raise ConfigurationError(
                f"the endpoint {self.endpoint_url!r} is no address: give one such as http://127.0.0.1:4566, or none."
            ) from error

    def outputs(self, capability: str) -> dict[str, str]:
        """The outputs of the stack ``tagstream-<stage>-<capability>``, by their names."""
        if ("outputs", capability) not in self._known:
            self._known["outputs", capability] = self._outputs(capability)
        found: dict[str, str] = self._known["outputs", capability]
        return found

    def _outputs(self, capability: str) -> dict[str, str]:
        with needs("catalog"):
            from botocore.exceptions import ClientError

        name = f"tagstream-{self.stage}-{capability}"
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise ConfigurationError(
                f"stack {name} is not deployed here: run 'npx cdk deploy --all -c stage={self.stage}', "
                "or name another --stage."
            ) from error
        return {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}

    def output(self, capability: str, name: str) -> str:
        """One of these outputs; raises :class:`ConfigurationError` if the stack is of a version that has it not."""
        outputs = self.outputs(capability)
        if name not in outputs:
            raise ConfigurationError(
                f"stack tagstream-{self.stage}-{capability} has no output {name}: deploy it again with this version"
            )
        return outputs[name]

    def invoke(self, capability: str, output: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Call the function that an output names; raises :class:`CatalogError` with its error if it failed."""
        name = self.output(capability, output)
        # Longer than the functions may run, so that it is they who say what went wrong.
        client = self.client("lambda", read_timeout=330)
        response = client.invoke(FunctionName=name, Payload=json.dumps(request).encode())
        answer = json.loads(response["Payload"].read() or b"null")
        if "FunctionError" in response:
            reason = answer.get("errorMessage") if isinstance(answer, dict) else answer
            raise CatalogError(f"function {name} failed: {reason}")
        if not isinstance(answer, dict):
            raise CatalogError(f"function {name} answered nothing of use: {answer!r}")
        return answer

    def manage(self, action: str, says: str, **more: Any) -> dict[str, Any]:
        """Have the purge function do ``action``; its answer, which ``says`` must be a field of.

        Raises :class:`ConfigurationError` where the function is of a version that does not know the action (the first
        ones purged then), and :class:`CatalogError` if it failed.
        """
        answer = self.invoke("catalog", "PurgeFunctionName", {"action": action, **more})
        if says not in answer or "tombstones" in answer:
            deploy = "tagstream local up" if self.is_local else f"make deploy STAGE={self.stage}"
            raise ConfigurationError(
                f"the purge function of stage {self.stage} is older than this version and knows no {action!r}: deploy "
                f"the stage again ('{deploy}')."
            )
        return answer


def in_words(error: Exception) -> str | None:
    """An error of boto3's as a sentence that says what to do; None for any other error."""
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError):
        return "no AWS credentials: run 'aws configure', give --profile, or use the local cloud ('tagstream local up')."
    if isinstance(error, exceptions.NoRegionError):
        return "no AWS region: give --region or set AWS_REGION."
    if isinstance(error, exceptions.EndpointConnectionError):
        if ".amazonaws.com" in str(error):
            return f"{error} Is --region the name of one, such as eu-west-1, and is there a network?"
        return f"{error} Is the local cloud running ('tagstream local status')?"
    if isinstance(error, exceptions.BotoCoreError | exceptions.ClientError):
        return str(error)
    return None


def told(error: Exception) -> str | None:
    """What to tell people of an error, this product's own included, where they go on after it; None for any other."""
    return str(error) if isinstance(error, TagstreamError) else in_words(error)


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turns errors of boto3's into :class:`AwsError`; the original one is its cause."""
    try:
        yield
    except TagstreamError:
        raise
    except Exception as error:
        message = in_words(error)
        if message is None:
            raise
        raise AwsError(message) from error
