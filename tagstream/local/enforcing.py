"""The AWS emulator with IAM enforced, as AWS names the permissions: run by the emulator's interpreter.

The emulator takes the name of an operation for that of its permission. Where AWS has it otherwise, :data:`PERMISSIONS`
says so: what a policy allows is then the same here and there, and no role needs an action more for the emulator's sake.
It also asks itself for a user pool's keys over plain HTTP, which it does not speak then: tokens would be refused.
"""

from __future__ import annotations

import re
import runpy
from importlib import import_module
from typing import Any

PERMISSIONS = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
"""Operation → permission: those of SQS that take ten messages at once have none of their own."""

_MAPPING = re.compile(r"/event-source-mappings/[^/]+/?$")
_OF_MAPPINGS = {"GET": "Get", "PUT": "Update", "DELETE": "Delete"}
"""What is done to one event-source mapping, by its HTTP method: the emulator lets everybody change them, and read the
account's limits."""


def main() -> None:
    actions: Any = import_module("ministack.core.iam_actions")
    named = actions.extract_iam_action

    def as_aws_names_it(*arguments: Any, **more: Any) -> str | None:
        service, method, path = arguments[:3]
        if service == "lambda" and method in _OF_MAPPINGS and _MAPPING.search(path):
            return f"lambda:{_OF_MAPPINGS[method]}EventSourceMapping"
        if service == "lambda" and path.rstrip("/").endswith("/account-settings"):
            return "lambda:GetAccountSettings"
        action: str | None = named(*arguments, **more)
        return None if action is None else PERMISSIONS.get(action, action)

    actions.extract_iam_action = as_aws_names_it

    gateway: Any = import_module("ministack.services.apigateway")
    where = gateway._resolve_jwks_url

    async def over_tls(authorizer: Any) -> str | None:
        """Where the keys of a user pool are: the emulator's own port, which has no plain HTTP."""
        url: str | None = await where(authorizer)
        return url and url.replace("http://", "https://", 1)

    gateway._resolve_jwks_url = over_tls
    runpy.run_module("ministack", run_name="__main__")


if __name__ == "__main__":
    main()
