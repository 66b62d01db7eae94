"""All stacks of a stage, and how they hang together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App, Environment, Stack, Tags

from stacks.api import Api
from stacks.bounds import bound
from stacks.bundling import discard_torn
from stacks.canary import Canary
from stacks.catalog import Catalog
from stacks.gallery import Gallery
from stacks.ingest import Ingest
from stacks.operations import Operations
from stacks.people import People
from stacks.reconcile import Reconciliation
from stacks.search import Search
from stacks.settings import settings_for
from stacks.steps import Steps
from stacks.web import Web

__all__ = ["application"]


def application(*, context: Mapping[str, Any] | None = None, outdir: str | None = None) -> App:
    """The app with the stacks of the stage that the context names; the CDK CLI gives both by itself.

    Raises :class:`stacks.settings.SettingsError` and :class:`stacks.bundling.BundlingError`.
    """
    app = App(context=context, outdir=outdir)
    settings = settings_for(app.node.get_all_context())
    discard_torn(Path(app.outdir))

    def common(capability: str) -> dict[str, Any]:
        return {
            "construct_id": f"tagstream-{settings.system}-{capability}",
            "settings": settings,
            # The CDK CLI refuses to go elsewhere, before it makes anything.
            "env": Environment(account=settings.account, region=settings.region),
            "termination_protection": settings.retain_data,
        }

    wanted = settings.optional_stacks
    catalog = Catalog(app, **common("catalog"))
    web = Web(app, **common("web"))
    gallery = Gallery(app, **common("gallery"), web=web) if wanted["gallery"] else None
    address = gallery.address if gallery else web.api.api_endpoint
    ingest = Ingest(
        app, **common("ingest"), catalog=catalog, gallery_address=address if settings.api.has_gallery else None
    )
    search = Search(app, **common("search"), catalog=catalog)
    api = Api(app, **common("api"), web=web, catalog=catalog, ingest=ingest, address=address)
    # A further capability goes here, with its queues and functions among those that are watched.
    steps = Steps(app, **common("steps"), ingest=ingest)
    People(app, **common("people"), catalog=catalog, ingest=ingest, search=search, steps=steps)
    queues = {"Ingest": ingest.queue, "Catalog": catalog.queue, "Steps": steps.input}
    functions = {
        "Classify": ingest.classify,
        "Catalog": catalog.catalog,
        "Purge": catalog.purge,
        "Search": search.search,
        "Api": api.api,
        "Step": steps.step,
    }
    if api.gallery is not None:
        functions["Gallery"] = api.gallery
    if wanted["canary"]:
        functions["Canary"] = Canary(app, **common("canary"), ingest=ingest, search=search).canary
    if wanted["reconcile"]:
        functions["Reconcile"] = Reconciliation(app, **common("reconcile"), ingest=ingest, search=search).reconcile
    results = {"StepsOutput": steps.output}
    Operations(
        app,
        **common("operations"),
        catalog=catalog,
        web=web,
        queues=queues,
        results=results,
        functions=functions,
    )

    for stack in app.node.children:
        # The catalog comes first: what is missing to deploy a stage (who gets its alarms) is asked for there.
        if isinstance(stack, Stack) and stack is not catalog:
            stack.add_stack_dependency(catalog)
        if isinstance(stack, Stack) and settings.bounded:
            bound(stack)
    Tags.of(app).add("project", "tagstream")
    Tags.of(app).add("stage", settings.stage)
    if settings.name is not None:
        Tags.of(app).add("name", settings.name)
    return app
