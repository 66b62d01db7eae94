"""The stacks that are there if a setting says so."""

from __future__ import annotations

import pytest

from stacks.settings import settings_for
from tests.infra.templates import synthesise


@pytest.mark.parametrize("wanted", [True, False])
def test_the_settings_know_which_stacks_are_optional(wanted: bool) -> None:
    """``make deploy`` and ``make destroy`` go by it."""
    context = {"stage": "dev", "reconcile_days": "7", "canary_minutes": "5", "api.cloudfront": "true"}
    always = {"catalog", "web", "ingest", "search", "api", "steps", "people", "operations"}
    context = context if wanted else {"stage": "dev"}
    optional = settings_for(context).optional_stacks
    assert set(optional.values()) == {wanted}
    assert set(synthesise(context)) == always | (set(optional) if wanted else set())
