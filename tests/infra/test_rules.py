"""Every stage against cdk-nag's rules and cfn-lint's: no finding that is not accepted, with a reason, where it is."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from stacks.application import application
from stacks.delivery import delivery
from tests.infra.templates import ROOT

# What settings switch on is looked at as well.
CONTEXTS: Mapping[str, Mapping[str, str]] = {
    "local": {"stage": "local"},
    "dev": {"stage": "dev"},
    "dev with everything": {
        "stage": "dev",
        "name": "all",
        "canary_minutes": "5",
        "reconcile_days": "7",
        "gradual_minutes": "30",
        "api.cloudfront": "true",
        "bounded": "true",
        "alarm_email": "someone@example.com",
    },
    "dev for machines": {"stage": "dev", "api.auth": "iam"},
    "prod": {"stage": "prod"},
    "delivery": {"repository": "acme/tagstream"},
}
REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2", "ap-northeast-1", "sa-east-1")
# A stage may be synthesised before it is said who gets its alarms, and warns of it.
EXPECTED = {"Annotation::tagstream:nobody-gets-the-alarms"}
# The library lists a dependency that a reference makes as well.
IGNORED = ["W3005"]
# The emulator takes a part of another stack's output, which CloudFormation does not; nothing else of it is forgiven.
LOCALLY_IGNORED = ["E1022"]


@functools.cache
def checked(name: str) -> tuple[set[str], dict[str, dict[str, Any]]]:
    """What the rules find and nothing accepts, and the templates by their files' names."""
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    with tempfile.TemporaryDirectory() as folder:
        make = delivery if "repository" in CONTEXTS[name] else application
        app = make(context={**flags, "aws:cdk:bundling-stacks": [], **CONTEXTS[name]}, outdir=folder)
        Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
        # A finding ends the synthesis with an error; the report has them all, one by one.
        with contextlib.suppress(RuntimeError):
            app.synth()
        report = Path(folder, "validation-report.json")
        plugins = json.loads(report.read_text())["pluginReports"] if report.exists() else []
        templates = {path.name: json.loads(path.read_text()) for path in Path(folder).glob("*.template.json")}
    findings = {
        f"{violation['ruleName']} on {construct['constructPath']}: {violation['description']}"
        for plugin in plugins
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
        if violation["ruleName"] not in EXPECTED
        and not accepted(app, construct["constructPath"], violation["ruleName"])
    }
    return findings, templates


def accepted(app: App, path: str, rule: str) -> bool:
    """Whether the construct at ``path``, or one that it is in, accepts a rule of which this is one of many findings.

    cdk-nag has a finding of its own for each wildcard, with an id that is made of the template's references.
    """
    rule, _, one_of_many = rule.partition("[")
    construct: Any = app
    for name in path.split("/") if one_of_many else ():
        construct = construct.node.find_child(name)
        for entry in construct.node.metadata:
            if entry.type == "aws:cdk:acknowledged-rules" and f"Annotation::{rule}" in entry.data:
                return True
    return False


@functools.cache
def linted(template: str, ignored: tuple[str, ...]) -> tuple[str, ...]:
    """What cfn-lint says of a template; stages have some that are the same."""
    matches = lint(template, config=ManualArgs(regions=[*REGIONS], ignore_checks=[*ignored]))
    return tuple(f"{match.rule.id} {match.message} at {match.path}" for match in matches)


@pytest.mark.parametrize("name", CONTEXTS)
def test_no_finding_is_left_without_a_reason(name: str) -> None:
    findings, _ = checked(name)
    assert findings == set()


def test_the_rules_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what accepts them there are findings of both packs, where they are known to be."""
    for name, module in list(sys.modules.items()):
        if name.startswith("stacks.") and hasattr(module, "accept"):
            monkeypatch.setattr(module, "accept", lambda *_: None)
    findings, _ = checked.__wrapped__("dev")
    found = {finding.partition(" on ")[0] for finding in findings}
    assert {"AwsSolutions-S1", "AwsSolutions-OS4", "Serverless-LambdaDLQ", "Serverless-SQSRedrivePolicy"} <= found
    assert any(rule.startswith("AwsSolutions-IAM5[") for rule in found)
    assert not any(rule.startswith("AwsSolutions-OS9") for rule in found), "slow requests are logged"


@pytest.mark.parametrize("name", CONTEXTS)
def test_cloudformation_takes_the_templates_in_every_region(name: str) -> None:
    _, templates = checked(name)
    assert templates
    ignored = IGNORED + (LOCALLY_IGNORED if name == "local" else [])
    for file, template in templates.items():
        assert (file, linted(json.dumps(template), tuple(ignored))) == (file, ())
