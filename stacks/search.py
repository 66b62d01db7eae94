"""Search: the function that answers the questions of the command line and of other programs."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stacks.access import INDEX
from stacks.catalog import Catalog
from stacks.functions import PythonFunction
from stacks.settings import Settings

__all__ = ["Search"]


class Search(Stack):
    """Invoked directly: whoever may ``lambda:InvokeFunction`` it may search, and nobody reaches the domain."""

    search: PythonFunction

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, catalog: Catalog, **kwargs: Any
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.search = PythonFunction(
            self,
            "Search",
            name="search",
            description="Answers searches in the catalog",
            size=settings.search,
            settings=settings,
            role=catalog.search_role,
            environment={"OPENSEARCH_ENDPOINT": catalog.endpoint, "OPENSEARCH_INDEX": INDEX},
            vpc=catalog.vpc,
            security_group=catalog.client_security_group,
        )
        CfnOutput(self, "SearchFunctionName", value=self.search.called.function_name)
