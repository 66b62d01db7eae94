"""The bills of materials of what prod deploys: every file of every bundle is in one, and the schema holds."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from stacks.bundling import ROOT, Bundle
from supply.audit import bills
from supply.licences import allowed
from supply.sbom import SbomError, bundles_of, sbom

# The first one builds what no other test has built yet.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def bundles() -> dict[str, Bundle]:
    return {bundle.name: bundle for bundle in bundles_of("prod")}


@pytest.fixture(scope="module")
def written(bundles: dict[str, Bundle]) -> dict[str, dict[str, Any]]:
    return {name: json.loads(sbom(bundle)) for name, bundle in bundles.items()}


def places(component: dict[str, Any]) -> list[str]:
    return [entry["location"] for entry in component["evidence"]["occurrences"]]


def named(bill: dict[str, Any], name: str) -> dict[str, Any]:
    (component,) = [entry for entry in bill["components"] if entry["name"] == name]
    return dict(component)


def test_each_file_of_each_bundle_belongs_to_one_component(
    bundles: dict[str, Bundle], written: dict[str, dict[str, Any]]
) -> None:
    assert {"api", "catalog", "classify", "gallery", "purge", "search", "step"} <= written.keys()
    for name, bill in written.items():
        components = [bill["metadata"]["component"], *bill["components"]]
        counted = Counter(place for component in components for place in places(component))
        with zipfile.ZipFile(bundles[name].build()) as archive:
            assert counted == Counter(archive.namelist())


def test_they_are_cyclonedx_1_6_and_say_licences_and_checksums(written: dict[str, dict[str, Any]]) -> None:
    for name, bill in written.items():
        assert bill["specVersion"] == "1.6"
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
        for component in [bill["metadata"]["component"], *bill["components"]]:
            (licence,) = component["licenses"]
            expression = licence.get("expression") or licence["license"]["id"]
            assert allowed(expression), f"{component['name']} of {name}: {expression}"
            below = component.get("components", [])
            assert component.get("hashes") or all(entry["hashes"] for entry in below), component["name"]
            for entry in below:
                assert allowed(entry["licenses"][0].get("expression") or entry["licenses"][0]["license"]["id"])
    # What holds of anything would hold of a bill that is broken, too.
    broken = json.dumps(written["api"] | {"components": [{"name": "no type"}]})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_libraries_in_native_code_are_files_of_their_packages(
    bundles: dict[str, Bundle], written: dict[str, dict[str, Any]]
) -> None:
    heif = named(written["classify"], "pi-heif")
    below = {entry["name"]: entry for entry in heif["components"]}
    (library,) = [place for place in below if "libheif" in place]
    assert below[library]["licenses"] == [{"license": {"id": "LGPL-3.0-or-later"}}] or below[library]["licenses"] == [
        {"expression": "LGPL-3.0-or-later"}
    ]
    with zipfile.ZipFile(bundles["classify"].build()) as archive:
        assert below[library]["hashes"] == [
            {"alg": "SHA-256", "content": hashlib.sha256(archive.read(library)).hexdigest()}
        ]
        native = {place for place in archive.namelist() if ".so" in Path(place).name}
    listed = {
        entry["name"]
        for component in written["classify"]["components"]
        for entry in component.get("components", [])
        if ".so" in entry["name"]
    }
    assert listed == native


def test_model_and_vocabulary_are_components(bundles: dict[str, Bundle], written: dict[str, dict[str, Any]]) -> None:
    for name in ("classify", "step"):
        about = json.loads(bundles[name].data["model/model.json"].read_text())
        model = named(written[name], about["name"])
        assert model["type"] == "machine-learning-model"
        assert model["hashes"] == [{"alg": "SHA-256", "content": about["tflite_sha256"]}]
        assert about["labels_sha256"] in {entry["hashes"][0]["content"] for entry in model["components"]}
    vocabulary = named(written["search"], "tagstream-vocabulary")
    assert vocabulary["type"] == "data"
    assert vocabulary["licenses"] == [{"expression": "LicenseRef-WordNet-3.0 AND CC-BY-SA-4.0"}]
    words = ROOT / "tagstream/vocabulary/words.txt"
    digests = {entry["name"]: entry["hashes"][0]["content"] for entry in vocabulary["components"]}
    assert digests[str(words.relative_to(ROOT))] == hashlib.sha256(words.read_bytes()).hexdigest()


def test_the_gallerys_libraries_are_those_of_npm(written: dict[str, dict[str, Any]]) -> None:
    asked = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    found = {
        entry["name"]: entry["version"]
        for entry in written["gallery"]["components"]
        if entry.get("purl", "").startswith("pkg:npm/")
    }
    assert found["preact"] == asked["preact"]
    assert found.items() <= asked.items()


def test_a_package_needs_what_it_names(written: dict[str, dict[str, Any]]) -> None:
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in written["catalog"]["dependencies"]}
    (botocore,) = [ref for ref in needs if ref.startswith("botocore@")]
    assert {ref.partition("@")[0] for ref in needs[botocore]} == {"jmespath", "python-dateutil", "urllib3"}
    (ours,) = [ref for ref in needs if ref.startswith("tagstream-catalog@")]
    assert len(needs[ours]) == len(written["catalog"]["components"])


def test_they_agree_with_the_locks_and_the_audit_sees_when_not(
    written: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    for name, bill in written.items():
        (tmp_path / f"{name}.cdx.json").write_text(json.dumps(bill))
    found = bills(ROOT, tmp_path)
    assert (found.problems, found.unknown) == ([], [])
    assert found.looked_at > 50
    other = json.loads(json.dumps(written["catalog"]))
    named(other, "urllib3")["hashes"][0]["content"] = "0" * 64
    other["components"] = [entry for entry in other["components"] if entry["name"] != "six"]
    (tmp_path / "catalog.cdx.json").write_text(json.dumps(other))
    assert bills(ROOT, tmp_path).problems == [
        "six is only in one of catalog.cdx.json and lambdas/catalog/requirements.lock",
        "catalog.cdx.json has another urllib3 than lambdas/catalog/requirements.lock",
    ]


def test_the_same_bundle_has_the_same_bill(bundles: dict[str, Bundle]) -> None:
    assert sbom(bundles["gallery"]) == sbom(bundles["gallery"])


def test_a_file_that_belongs_to_nothing_is_told(bundles: dict[str, Bundle], tmp_path: Path) -> None:
    gallery = bundles["gallery"]
    shutil.copytree(ROOT / "lambdas", tmp_path / "lambdas", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tagstream", tmp_path / "tagstream", ignore=shutil.ignore_patterns("__pycache__"))
    copy = replace(gallery, root=tmp_path)
    with zipfile.ZipFile(copy.build(), "a") as archive:
        archive.writestr("smuggled.py", "")
    with pytest.raises(SbomError, match=r"smuggled\.py"):
        sbom(copy)
