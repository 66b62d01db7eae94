"""A bill of materials for each function's bundle, as CycloneDX has them: ``make sbom`` writes them into build/sbom.

They lie beside the bundles and not in them. Every file of a bundle belongs to exactly one component, or nothing is
written.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tomllib
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stacks.bundling import ROOT, Bundle, BundlingError
from stacks.settings import SettingsError
from supply.licences import LIBRARIES, licence_of

__all__ = ["SbomError", "bundles_of", "main", "sbom"]

_VOCABULARY = (
    "tagstream/vocabulary/tree.json",
    "tagstream/vocabulary/words.txt",
    "tagstream/vocabulary/LICENCE-WordNet.txt",
)
_NAMESPACE = uuid.UUID("a7b5a0c4-0bd5-4f5c-9d7d-2b0fba1f6a3e")
# Where no packages lie, a zip has no earlier time either. A bill says the same whenever it is written.
_TIME = datetime(1980, 1, 1, tzinfo=UTC)


class SbomError(Exception):
    """A bundle holds something of which nobody can say what it is; the message says which file or package."""


def bundles_of(stage: str) -> list[Bundle]:
    """The bundles that a stage deploys, sorted by name; none is built."""
    from stacks.application import application
    from stacks.functions import PythonFunction

    app = application(
        context={"stage": stage, "aws:cdk:bundling-stacks": []}, outdir=str(ROOT / "build/sbom/.assembly")
    )
    found = {part.bundle.name: part.bundle for part in app.node.find_all() if isinstance(part, PythonFunction)}
    return [found[name] for name in sorted(found)]


def sbom(bundle: Bundle) -> str:
    """The bill of materials of a bundle, which is built: CycloneDX 1.6 as JSON, checked against its schema.

    The same bundle gives the same text. Raises :class:`SbomError` and :class:`stacks.bundling.BundlingError`.
    """
    path = bundle.build()
    with zipfile.ZipFile(path) as archive:
        components = [*_packages(bundle, archive), *_data(archive)]
        rest = set(archive.namelist()) - {place for component in components for place in _places(component)}
        ours = _component(
            f"tagstream-{bundle.name}",
            _version(),
            "Apache-2.0",
            ComponentType.APPLICATION,
            places=rest & set(_own(bundle, archive.namelist())),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())],
            properties=[
                Property(name="tagstream:asset", value=bundle.digest),
                Property(name="tagstream:platform", value=bundle.target.label),
            ],
        )
        if strays := sorted(rest - set(_places(ours))):
            raise SbomError(f"the bundle of {bundle.name} has files of which nobody knows what they are: {strays[:5]}")
        bom = Bom(
            serial_number=uuid.uuid5(_NAMESPACE, bundle.digest),
            metadata=BomMetaData(component=ours, timestamp=_TIME),
            components=components,
        )
        _relate(bom, ours, {component.name: component for component in components}, _metadata(archive), bundle)
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library gives them in another order each time.
    for component in [written["metadata"]["component"], *written.get("components", [])]:
        component["evidence"]["occurrences"].sort(key=lambda occurrence: occurrence["location"])
    text = json.dumps(written, indent=2)
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SbomError(f"the bill of {bundle.name} is not CycloneDX 1.6: {problem}")
    return text + "\n"


def _packages(bundle: Bundle, archive: zipfile.ZipFile) -> Iterator[Component]:
    about = _metadata(archive)
    for package in bundle.installed():
        metadata = about.get(package.name)
        licence = licence_of(package.name, metadata) if metadata is not None else None
        # One whose every file is left out is not in the bundle.
        if not package.files:
            continue
        if licence is None:
            raise SbomError(f"nobody can tell the licence of {package.name}: look, and add it to supply/licences.py")
        yield _component(
            package.name,
            package.version,
            licence,
            ComponentType.LIBRARY,
            places=package.files,
            purl=PackageURL("pypi", name=package.name, version=package.version),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)],
            components=[
                _file(archive, place, _library_licence(place) or licence)
                for place in package.files
                if ".so" in Path(place).name
            ],
        )


def _library_licence(place: str) -> str | None:
    if not place.partition("/")[0].endswith(".libs"):
        return None
    name = Path(place).name
    found = next((licence for beginning, licence in LIBRARIES.items() if name.startswith(beginning)), None)
    if found is None:
        raise SbomError(f"nobody can tell the licence of {place}: look, and add it to LIBRARIES in supply/licences.py")
    return found


def _data(archive: zipfile.ZipFile) -> Iterator[Component]:
    """What is neither ours nor a package: the model, the vocabulary, the libraries of the gallery."""
    names = set(archive.namelist())
    if "model/model.json" in names:
        about = json.loads(archive.read("model/model.json"))
        places = sorted(place for place in names if place.startswith("model/"))
        source = str(about["source"])
        yield _component(
            str(about["name"]),
            str(about["tflite_sha256"])[:12],
            str(about["licence"]),
            ComponentType.MACHINE_LEARNING_MODEL,
            places=places,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=about["tflite_sha256"])],
            components=[_file(archive, place, str(about["licence"])) for place in places],
            external_references=[ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(source))],
            properties=[Property(name="tagstream:weights-sha256", value=str(about.get("weights_sha256")))],
        )
    if words := [place for place in _VOCABULARY if place in names]:
        licence = "LicenseRef-WordNet-3.0 AND CC-BY-SA-4.0"
        digest = hashlib.sha256(b"".join(archive.read(place) for place in words)).hexdigest()
        yield _component(
            "tagstream-vocabulary",
            f"3.0-{digest[:12]}",
            licence,
            ComponentType.DATA,
            places=words,
            components=[_file(archive, place, licence) for place in words],
        )
    if "gallery/vendor/vendor.json" in names:
        locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
        files: dict[str, list[str]] = {}
        versions: dict[str, str] = {}
        for name, entry in json.loads(archive.read("gallery/vendor/vendor.json")).items():
            files.setdefault(entry["package"], []).append(f"gallery/vendor/{name}")
            versions[entry["package"]] = entry["version"]
        for package, places in sorted(files.items()):
            licence = locked[f"node_modules/{package}"]["license"]
            group, _, name = package.rpartition("/")
            yield _component(
                package,
                versions[package],
                licence,
                ComponentType.LIBRARY,
                places=places,
                purl=PackageURL("npm", namespace=group or None, name=name, version=versions[package]),
                components=[_file(archive, place, licence) for place in places],
            )


def _own(bundle: Bundle, names: Sequence[str]) -> Iterator[str]:
    """The places of what ``lambdas``, ``tagstream`` and ``gallery`` have, and of the modules compiled from it."""
    sources = {place for place, _ in bundle.files()}
    for name in names:
        path = Path(name)
        source = path.parent.parent / f"{path.name.partition('.')[0]}.py" if path.parent.name == "__pycache__" else path
        if source.as_posix() in sources:
            yield name


def _component(
    name: str, version: str, licence: str, kind: ComponentType, *, places: Iterable[str], **more: Any
) -> Component:
    return Component(
        name=name,
        version=version,
        type=kind,
        bom_ref=f"{name}@{version}",
        licenses=[LicenseExpression(licence)],
        evidence=ComponentEvidence(occurrences=[Occurrence(location=place) for place in sorted(places)]),
        **more,
    )


def _file(archive: zipfile.ZipFile, place: str, licence: str) -> Component:
    return Component(
        name=place,
        type=ComponentType.FILE,
        bom_ref=f"file:{place}",
        licenses=[LicenseExpression(licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(archive.read(place)).hexdigest())],
    )


def _places(component: Component) -> list[str]:
    assert component.evidence is not None  # noqa: S101
    return [occurrence.location for occurrence in component.evidence.occurrences]


def _metadata(archive: zipfile.ZipFile) -> dict[str, Message]:
    found: dict[str, Message] = {}
    for place in archive.namelist():
        if place.endswith(".dist-info/METADATA") and place.count("/") == 1:
            message = BytesParser().parsebytes(archive.read(place), headersonly=True)
            found[canonicalize_name(str(message["Name"]))] = message
    return found


def _relate(
    bom: Bom, ours: Component, components: Mapping[str, Component], about: Mapping[str, Message], bundle: Bundle
) -> None:
    """Say which component needs which: a package those that it names and that are there; the function all of them."""
    bom.register_dependency(ours, components.values())
    environment = bundle.target.environment | {"extra": ""}
    for name, metadata in about.items():
        needed = map(Requirement, metadata.get_all("Requires-Dist", []))
        there = {
            canonicalize_name(entry.name)
            for entry in needed
            if entry.marker is None or entry.marker.evaluate(environment)
        }
        if name in components:
            bom.register_dependency(
                components[name], [components[other] for other in sorted(there & components.keys())]
            )


def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m supply.sbom", description="Write the bundles' bills of materials.")
    parser.add_argument("--stage", default="prod", help="whose functions (prod)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "sbom", help="where to (build/sbom)")
    given = parser.parse_args(arguments)
    try:
        given.output.mkdir(parents=True, exist_ok=True)
        bundles = bundles_of(given.stage)
        # Those of a function that is no more, or of another stage, would be taken for this one's.
        for old in given.output.glob("*.cdx.json*"):
            old.unlink()
        for bundle in bundles:
            path = given.output / f"{bundle.name}.cdx.json"
            text = sbom(bundle)
            unfinished = path.with_name(f"{path.name}.part")
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
            listed = json.loads(text)["components"]
            print(f"{path}: {len(listed)} components, the bundle {bundle.digest[:12]}")
    except SettingsError as error:
        print("\n".join(f"Error: {problem}" for problem in error.problems), file=sys.stderr)
        return 1
    except (SbomError, BundlingError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: not all bills are written.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
