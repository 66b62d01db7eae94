"""The workflows hold nothing but make targets that are there, actions by commit, and no more rights than they need."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# What jobs use besides, all from GitHub itself, from AWS and from PyPI, and the first version of each that runs on Node
# 24 or on none: runners have had no Node 20 since September 2026.
ACTIONS = {
    "actions/attest-build-provenance": 3,
    "actions/cache": 5,
    "actions/checkout": 5,
    "actions/download-artifact": 7,
    "actions/github-script": 8,
    "actions/setup-node": 5,
    "actions/setup-python": 6,
    "actions/upload-artifact": 6,
    "aws-actions/configure-aws-credentials": 6,
    "pypa/gh-action-pypi-publish": 1,
}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# What a job may besides reading the repository; a token (id-token) is what a role is given for.
MAY = {
    ("deploy", "staging"): {"id-token": "write"},
    ("deploy", "production"): {"id-token": "write"},
    ("diff", "compare"): {"id-token": "write"},
    ("diff", "comment"): {"pull-requests": "write"},
    ("release", "attest"): {"id-token": "write", "attestations": "write"},
    ("release", "publish"): {"contents": "write"},
    ("release", "pypi"): {"id-token": "write"},
}
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
    "scale",
    "dist",
    "notes",
    "release",
    "vocabulary",
    "gallery",
    "lock",
    "sbom",
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
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "deploy.yml", "diff.yml", "release.yml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_is_a_target_of_make(workflow: Path) -> None:
    for command in commands(workflow):
        words = command.split()
        assert words[0] == "make", command
        assert words[1] in TARGETS, f"make has no {words[1]}"
        assert all(re.fullmatch(r"[A-Z_]+=\S+", word) for word in words[2:]), command


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_leave_no_credentials(workflow: Path) -> None:
    used = re.findall(r"uses: (\S+)@(\S+) # v(\d+)\.\d+\.\d+$", workflow.read_text(), re.MULTILINE)
    assert len(used) == workflow.read_text().count("uses:")
    for name, commit, major in used:
        assert re.fullmatch(r"[0-9a-f]{40}", commit)
        assert int(major) >= ACTIONS[name], f"{name} runs on a Node that runners have no more"
    for _, job in jobs(workflow):
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_an_action_is_the_same_in_every_workflow() -> None:
    used = {found for path in WORKFLOWS for found in re.findall(r"uses: (\S+)@(\S+ # \S+)", path.read_text())}
    assert len(used) == len({name for name, _ in used}) == len(ACTIONS)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_allowed_that_a_job_does_not_ask_for_and_all_end(workflow: Path) -> None:
    whole = yaml.safe_load(workflow.read_text())
    assert whole["permissions"] == {}
    for name, job in jobs(workflow):
        assert job["permissions"] == {"contents": "read"} | MAY.get((workflow.stem, name), {}), name
        assert 0 < job["timeout-minutes"] <= 120
        # Two at a time would do the same twice, or undo one another.
        if "concurrency" not in whole and "environment" in job:
            assert job["concurrency"] == {"group": f"deploy-{job['environment']}", "cancel-in-progress": False}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_no_secret_is_used_and_nothing_of_others_gets_into_a_command(workflow: Path) -> None:
    text = workflow.read_text()
    # The run's own token, which GitHub makes, is no secret that is stored.
    assert "secrets." not in text
    assert "pull_request_target" not in text
    for _, job in jobs(workflow):
        for step in job["steps"]:
            told = step.get("run", "") + str(step.get("with", {}).get("script", ""))
            assert re.sub(r"\$\{\{ matrix\.\w+ \}\}", "", told).count("${{") == 0


@pytest.mark.parametrize("target", ["notes", "release"])
def test_nothing_that_is_in_the_name_of_a_tag_is_run(target: str, tmp_path: Path) -> None:
    """Who may push a tag may not run things with the rights of the jobs that it starts."""
    made = tmp_path / "made"
    tag = f'v1";{{touch,{made}}};"`{{touch,{made}}}`'
    subprocess.run(["git", "check-ref-format", f"refs/tags/{tag}"], check=True, timeout=60)
    (tmp_path / "gh").write_text("#!/bin/sh\n")
    (tmp_path / "gh").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["make", "--old-file=.venv/.installed", target],
        cwd=ROOT,
        env=os.environ | {"TAG": tag, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not made.exists(), done.stdout + done.stderr
    assert target == "release" or "is not of version" in done.stderr, done.stderr


def job_of(workflow: str, name: str) -> dict[str, Any]:
    return dict(jobs(ROOT / ".github" / "workflows" / f"{workflow}.yml"))[name]


def uses(job: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [step.get("with", {}) for step in job["steps"] if step.get("uses", "").startswith(f"{action}@")]


def test_what_staging_was_good_with_goes_to_production_as_it_is() -> None:
    made, staging, production = (job_of("deploy", name) for name in ("assembly", "staging", "production"))
    assert (staging["needs"], production["needs"]) == ("assembly", "staging")
    assert (staging["environment"], production["environment"]) == ("staging", "production")
    (kept,) = uses(made, "actions/upload-artifact")
    for job, stage in ((staging, "prod-staging"), (production, "prod")):
        assert f"make synth STAGE={stage}" in [step.get("run") for step in made["steps"]]
        (taken,) = uses(job, "actions/download-artifact")
        assert taken == {name: kept[name] for name in ("name", "path")}
        assert [step["run"] for step in job["steps"] if "run" in step] == [
            f"make deploy STAGE={stage} ASSEMBLY={kept['path']}/{stage} YES=1",
            f"make rollback STAGE={stage} YES=1",
        ]
        deploy, rollback = job["steps"][-2:]
        # What the job has left is enough for the way back.
        assert job["timeout-minutes"] - deploy["timeout-minutes"] >= 45
        assert rollback["if"] == f"failure() && steps.{deploy['id']}.outcome == 'failure'"
    # The same commit everywhere, in the tools as in the stacks.
    (commit,) = {checkout["ref"] for job in (made, staging, production) for checkout in uses(job, "actions/checkout")}
    assert commit == "${{ github.event.workflow_run.head_sha || github.sha }}"


def test_only_what_ci_found_good_on_main_is_deployed() -> None:
    whole = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())
    # YAML takes the key for a yes.
    started = whole[True]
    (ci,) = started["workflow_run"]["workflows"]
    assert (ROOT / ".github" / "workflows" / f"{ci}.yml").read_text().count(f"\nname: {ci}\n") == 1
    assert started["workflow_run"]["branches"] == ["main"]
    condition = " ".join(whole["jobs"]["assembly"]["if"].split())
    for part in (
        "vars.TAGSTREAM_SETTINGS != ''",
        "workflow_run.conclusion == 'success'",
        # A pull request from a fork's main branch has that name as well.
        "workflow_run.event == 'push'",
        "workflow_run.head_repository.full_name == github.repository",
    ):
        assert part in condition


def test_no_job_with_rights_runs_what_a_pull_request_proposes() -> None:
    workflow = ROOT / ".github" / "workflows" / "diff.yml"
    condition = dict(jobs(workflow))["proposed"]["if"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
    for name, job in jobs(workflow):
        (checkout,) = uses(job, "actions/checkout")
        if job["permissions"] != {"contents": "read"}:
            assert checkout["ref"] == "${{ github.event.pull_request.base.sha }}", name
            assert uses(job, "actions/cache") == [], "a cache may be filled by anybody who proposes something"
        else:
            assert "ref" not in checkout
    assert "environment" not in job_of("diff", "compare"), "the token says that it is of a pull request"


def test_what_is_released_was_built_once_and_attested_before() -> None:
    build, attest, publish, pypi = (job_of("release", name) for name in ("build", "attest", "publish", "pypi"))
    commands = [step["run"] for step in build["steps"] if "run" in step]
    assert commands == ["make notes", "make unit", "make dist"], "without a section in the changelog nothing is built"
    assert (attest["needs"], publish["needs"], pypi["needs"]) == ("build", "attest", "attest")
    packages, about = uses(build, "actions/upload-artifact")
    # PyPI takes no other files beside packages.
    assert packages["path"].split() == ["dist/*.whl", "dist/*.tar.gz"]
    assert about["path"].split() == ["dist/SHA256SUMS", "build/notes.md"]
    for job in (attest, publish, pypi):
        assert uses(job, "actions/download-artifact")[0] == {"name": "packages", "path": "dist"}
    (attested,) = uses(attest, "actions/attest-build-provenance")
    assert attested == {"subject-path": "dist/*"}
    assert [step["run"] for step in publish["steps"] if "run" in step] == ["make release"]
    assert not any("cache" in str(step.get("with", {})) for step in build["steps"]), "nothing is taken from other runs"
    assert pypi["environment"] == "pypi"
    assert uses(pypi, "pypa/gh-action-pypi-publish")


def test_the_comment_is_written_anew_rather_than_again(tmp_path: Path) -> None:
    """The script as the workflow calls it, with a GitHub that remembers what it was asked."""
    (tmp_path / "diff.md").write_text("### Differences\n")
    program = f"""
import {{ comment }} from {json.dumps((ROOT / ".github" / "comment.mjs").as_uri())};
const said = [];
const issues = {{
  listComments: "list",
  createComment: async (given) => said.push(["create", given]),
  updateComment: async (given) => said.push(["update", given]),
}};
const context = {{ repo: {{ owner: "acme", repo: "tagstream" }}, payload: {{ pull_request: {{ number: 7 }} }} }};
const mark = "<!-- tagstream: diff -->";
const others = [
  {{ id: 1, user: {{ type: "User" }}, body: mark + " not mine" }},
  {{ id: 2, user: {{ type: "Bot" }}, body: "of another" }},
  {{ id: 3, user: null, body: mark }},
];
for (const all of [others, [...others, {{ id: 4, user: {{ type: "Bot" }}, body: mark + " old" }}]])
  await comment({{ rest: {{ issues }}, paginate: async () => all }}, context, "diff.md");
console.log(JSON.stringify(said));
"""
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    created, updated = json.loads(done.stdout)
    body = "<!-- tagstream: diff -->\n### Differences\n"
    assert created == ["create", {"owner": "acme", "repo": "tagstream", "issue_number": 7, "body": body}]
    assert updated == ["update", {"owner": "acme", "repo": "tagstream", "comment_id": 4, "body": body}]


def test_ci_runs_everything_that_can_fail_on_every_python() -> None:
    ci = ROOT / ".github" / "workflows" / "ci.yml"
    assert {command.split()[1] for command in commands(ci)} == (TARGETS - NOT_TESTS) | {"setup"}
    matrix = dict(jobs(ci))["test"]["strategy"]["matrix"]
    project = (ROOT / "pyproject.toml").read_text()
    assert matrix["python"] == re.findall(r"Python :: (3\.\d+)", project)
    assert matrix["runner"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]


def test_the_example_for_gitlab_does_the_same_by_the_same_targets() -> None:
    whole = yaml.safe_load((ROOT / "docs" / "examples" / "gitlab-ci.yml").read_text())
    known = {"stages", "workflow", "default", "variables"}
    found = {name: job for name, job in whole.items() if name not in known}
    typed: dict[str, str] = {}
    for name, job in found.items():
        extended = job.get("extends", [])
        for base in [extended] if isinstance(extended, str) else extended:
            assert base in found, f"{name} extends {base}, which is not there"
        assert name.startswith(".") or job["stage"] in whole["stages"]
        for command in job.get("script", ()):
            for part in re.findall(r"\bmake [^;|}]+", command):
                words = part.split()
                assert all(re.fullmatch(r"[A-Z_]+=\S+", word) for word in words[2:]), command
                typed[part.strip()] = name
            assert re.sub(r"\bmake [^;|}]+", "", command).split() in ([], ["||", "{", ";", "exit", "1;", "}"]), command
    (matrix,) = found["test"]["parallel"]["matrix"]
    ci = {command.split()[1] for command in commands(ROOT / ".github" / "workflows" / "ci.yml")}
    # Stages are synthesised by a job of their own, setting up is part of each, and a service is GitHub's own matter.
    assert set(matrix["TARGET"]) == ci - {"synth", "setup", "contract"}
    assert typed.pop("make $TARGET") == "test"
    assert set(typed) == {
        "make synth STAGE=prod-staging",
        "make synth STAGE=prod",
        "make diff STAGE=prod ASSEMBLY=build/synth/prod OUTPUT=build/diff/prod.md",
        "make deploy STAGE=$SYSTEM ASSEMBLY=build/synth/$SYSTEM YES=1",
        "make rollback STAGE=$SYSTEM YES=1",
    }
    assert {found[f"deploy-{name}"]["environment"] for name in ("staging", "production")} == {"staging", "production"}
    assert found["deploy-production"]["rules"][0]["when"] == "manual"
    for token in found[".with-a-role"]["id_tokens"].values():
        assert f'audience="{token["aud"]}"' in (ROOT / "stacks" / "delivery.py").read_text()


@pytest.mark.parametrize(
    "workflow", [*WORKFLOWS, ROOT / "docs" / "examples" / "gitlab-ci.yml"], ids=lambda path: path.name
)
def test_caches_are_renewed_by_files_that_are_there(workflow: Path) -> None:
    """An action fails where its pattern finds nothing, and a key of nothing is never renewed."""
    text = workflow.read_text()
    patterns = re.findall(r"cache-dependency-path: \"?([^\s\"]+)", text)
    patterns += [
        one for inside in re.findall(r"hashFiles\(([^)]*)\)", text) for one in re.findall(r"'([^']+)'", inside)
    ]
    patterns += [
        one.strip() for inside in re.findall(r"^ +files: \[(.*)\]", text, re.MULTILINE) for one in inside.split(",")
    ]
    for pattern in patterns:
        # "**/" is any folder, this one among them.
        assert any(ROOT.glob(pattern.removeprefix("**/"))), pattern
