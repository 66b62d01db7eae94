"""The workflows hold nothing but make targets that are there, actions by commit, and no more rights than they need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# What every job may use besides, from GitHub itself.
ACTIONS = {"actions/cache", "actions/checkout", "actions/setup-node", "actions/setup-python"}
# Those that make something, or ask for what CI does not have.
NOT_TESTS = {
    "help",
    "setup",
    "demo",
    "up",
    "down",
    "bootstrap",
    "delivery",
    "deploy",
    "diff",
    "rollback",
    "destroy",
    "test",
    "screenshots",
    "openapi",
    "bench",
    "dist",
    "vocabulary",
    "gallery",
    "lock",
    "clean",
}


def jobs(workflow: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from yaml.safe_load(workflow.read_text())["jobs"].items()


def commands(workflow: Path) -> Iterator[str]:
    """Every command, with the values of its job's matrix in their places."""
    for _, job in jobs(workflow):
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            run = step.get("run")
            if run is None:
                continue
            wanted = re.findall(r"\$\{\{ matrix\.(\w+) \}\}", run)
            values = matrix[wanted[0]] if wanted else [None]
            yield from (re.sub(r"\$\{\{ matrix\.\w+ \}\}", str(value), run) for value in values)


def test_there_are_some() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_is_a_target_of_make(workflow: Path) -> None:
    for command in commands(workflow):
        words = command.split()
        assert words[0] == "make", command
        assert words[1] in TARGETS, f"make has no {words[1]}"
        assert all(re.fullmatch(r"[A-Z_]+=\S+", word) for word in words[2:]), command


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_leave_no_credentials(workflow: Path) -> None:
    used = re.findall(r"uses: (\S+)@(\S+) # v[\d.]+$", workflow.read_text(), re.MULTILINE)
    assert len(used) == workflow.read_text().count("uses:")
    assert {name for name, _ in used} <= ACTIONS
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for _, commit in used)
    assert len(set(used)) == len({name for name, _ in used}), "one version of each"
    for _, job in jobs(workflow):
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_allowed_that_a_job_does_not_ask_for_and_all_end(workflow: Path) -> None:
    whole = yaml.safe_load(workflow.read_text())
    assert whole["permissions"] == {}
    assert whole["concurrency"]["group"]
    for _, job in jobs(workflow):
        assert job["permissions"] == {"contents": "read"}
        assert 0 < job["timeout-minutes"] <= 60


def test_ci_runs_everything_that_can_fail_on_every_python() -> None:
    (ci,) = WORKFLOWS
    assert {command.split()[1] for command in commands(ci)} == (TARGETS - NOT_TESTS) | {"setup"}
    matrix = dict(jobs(ci))["test"]["strategy"]["matrix"]
    project = (ROOT / "pyproject.toml").read_text()
    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", project)
    assert matrix["runner"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]
