"""The templates of every stage, synthesised once for all workers, with references resolved across stacks."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from stacks.application import application
from stacks.settings import settings_for

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("local", "dev", "prod")


@dataclass(frozen=True)
class Resource:
    """A resource of a stage's template; ``id`` is unique in the stage."""

    id: str
    type: str
    properties: dict[str, Any]
    raw: dict[str, Any]

    @property
    def arn(self) -> str:
        """What :meth:`Stage.text` makes of a reference to its ARN."""
        return f"<{self.id}.Arn>"

    @property
    def ref(self) -> str:
        return f"<{self.id}>"


class Stage:
    """All resources of a stage; references become readable text: ``<stack.id>``, ``<stack.id.Arn>``."""

    def __init__(self, name: str, templates: dict[str, dict[str, Any]]) -> None:
        self.name = name
        self.templates = templates

    def of_type(self, kind: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == kind]

    def one(self, kind: str) -> Resource:
        (resource,) = self.of_type(kind)
        return resource

    @functools.cached_property
    def resources(self) -> list[Resource]:
        return [
            Resource(
                f"{stack}.{logical_id}",
                raw["Type"],
                {key: self.resolved(stack, value) for key, value in raw.get("Properties", {}).items()},
                raw,
            )
            for stack, template in self.templates.items()
            for logical_id, raw in template["Resources"].items()
        ]

    def bucket(self, name: str) -> Resource:
        """The bucket that its stack calls so: ``Photos``, ``Thumbnails``."""
        (resource,) = (b for b in self.of_type("AWS::S3::Bucket") if b.id.partition(".")[2].startswith(name))
        return resource

    def function(self, name: str) -> Resource:
        (resource,) = (f for f in self.of_type("AWS::Lambda::Function") if self.service(f) == name)
        return resource

    def alias(self, function: Resource) -> Resource | None:
        """The alias that others call instead of the function, where there is one."""
        found = [a for a in self.of_type("AWS::Lambda::Alias") if a.properties["FunctionName"] == function.ref]
        assert len(found) <= 1
        return found[0] if found else None

    def called_arn(self, name: str) -> str:
        """The ARN by which others call a function; an alias' reference is its ARN."""
        function = self.function(name)
        alias = self.alias(function)
        return alias.ref if alias else function.arn

    def called_name(self, name: str) -> str:
        """The name by which others call a function: with an alias, its seventh part and what comes behind."""
        function = self.function(name)
        alias = self.alias(function)
        return f"{alias.ref}[:6]:{alias.properties['Name']}" if alias else function.ref

    @staticmethod
    def service(function: Resource) -> str:
        name = function.properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
        assert isinstance(name, str)
        return name

    def by_arn(self, arn: str) -> Resource:
        (resource,) = (resource for resource in self.resources if resource.arn == arn)
        return resource

    def mapping_of(self, name: str) -> Resource:
        called = self.called_name(name)
        (mapping,) = (
            m for m in self.of_type("AWS::Lambda::EventSourceMapping") if m.properties["FunctionName"] == called
        )
        return mapping

    def statements(self, role: Resource) -> Iterator[dict[str, Any]]:
        """Every statement that applies to a role, with actions and resources as lists."""
        documents = [policy["PolicyDocument"] for policy in role.properties.get("Policies", [])]
        documents += [
            policy.properties["PolicyDocument"]
            for policy in self.of_type("AWS::IAM::Policy")
            if role.ref in policy.properties["Roles"]
        ]
        for document in documents:
            for statement in document["Statement"]:
                yield statement | {"Action": _list(statement["Action"]), "Resource": _list(statement["Resource"])}

    def allowed(self, role: Resource) -> set[tuple[str, str]]:
        """Pairs of action and resource."""
        return {
            (action, resource)
            for statement in self.statements(role)
            for action in statement["Action"]
            for resource in statement["Resource"]
        }

    def resolved(self, stack: str, value: Any) -> Any:  # noqa: PLR0911 - one for each way to refer
        """``value`` out of the template of ``stack``, with its references as text."""
        if isinstance(value, list):
            return [self.resolved(stack, item) for item in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Ref": str(name)}:
                return f"<{name}>" if name.startswith("AWS::") else f"<{stack}.{name}>"
            case {"Fn::GetAtt": [name, attribute]}:
                return f"<{stack}.{name}.{attribute}>"
            case {"Fn::Join": [separator, parts]}:
                return separator.join(self.resolved(stack, part) for part in parts)
            case {"Fn::Select": [index, {"Fn::Split": [separator, text]}]}:
                return f"{self.resolved(stack, text)}[{separator}{index}]"
            case {"Fn::GetStackOutput": {"StackName": name, "OutputName": output}}:
                other = name.rpartition("-")[2]
                return self.resolved(other, self.templates[other]["Outputs"][output]["Value"])
        return {key: self.resolved(stack, item) for key, item in value.items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@functools.cache
def synthesised(stage: str) -> Stage:
    return Stage(stage, synthesise({"stage": stage}))


def synthesise(context: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The templates by capability; nothing is bundled."""
    system = settings_for(context).system
    return {stack.name.removeprefix(f"tagstream-{system}-"): stack.template for stack in stacks_of(context)}


@dataclass(frozen=True)
class Synthesised:
    """A stack of an assembly; ``environment`` is such as aws://123456789012/eu-west-1."""

    name: str
    environment: str
    protected: bool
    template: dict[str, Any]


def stacks_of(context: dict[str, Any]) -> list[Synthesised]:
    """As the assembly's manifest has them.

    Not by ``cx_api.CloudAssembly``: two packages, aws-cdk-lib and aws-cdk.cloud-assembly-schema, bring the module that
    this takes its options from, and it works only where the former was installed last.
    """
    folder = assembly(context)
    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    return [
        Synthesised(
            one["properties"].get("stackName", name),
            one["environment"],
            one["properties"].get("terminationProtection", False),
            json.loads((folder / one["properties"]["templateFile"]).read_text()),
        )
        for name, one in artifacts.items()
        if one["type"] == "aws:cloudformation:stack"
    ]


class Assemblies:
    """Where the assemblies of this session are: a folder that its workers share."""

    folder: ClassVar[Path]


def assembly(context: dict[str, Any]) -> Path:
    """The folder of a cloud assembly with these settings, to be left as it is; nothing is bundled.

    It is made by whoever asks first, and the others wait for it: so it is not for a test that patches the stacks.
    """
    folder = Assemblies.folder / hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            begun = folder.with_suffix(".begun")
            shutil.rmtree(begun, ignore_errors=True)
            flags = json.loads((ROOT / "cdk.json").read_text())["context"]
            application(context={**flags, "aws:cdk:bundling-stacks": [], **context}, outdir=str(begun)).synth()
            begun.rename(folder)
    return folder
