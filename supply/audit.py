"""Whether what is pinned may be used: ``make audit``.

Without the network: that locks are whole, that licences are allowed, that every import is pinned, that the bundles'
bills say what the locks say. With it: what is known of vulnerabilities in any of it. Exit codes: 0 all is well,
1 something was found, 3 nothing was found, but not everything could be asked for.
"""

from __future__ import annotations

import argparse
import ast
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stacks.bundling import ROOT, aws, this_machine
from stacks.locks import LockError, Pin, read_lock
from supply.licences import allowed, licence_of

__all__ = ["Findings", "advisories", "bills", "imports", "licences", "locks", "main", "npm", "npm_advisories"]

FOUND, NOT_ASKED = 1, 3
_OURS = ("tagstream", "lambdas", "stacks", "supply", "benchmarks", "release", "tests", "gallery", "app", "lifecycle")
_TIMEOUT = 600


@dataclass
class Findings:
    """What an audit found. ``problems`` have to be mended; ``unknown`` is what could not be looked at, with why."""

    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    looked_at: int = 0

    def __iadd__(self, other: Findings) -> Findings:
        self.problems += other.problems
        self.unknown += other.unknown
        self.looked_at += other.looked_at
        return self


def requirements_files(root: Path) -> list[Path]:
    """Everything that `make lock` locks: each has a ``.lock`` beside it."""
    return sorted(
        [
            *root.glob("requirements*.txt"),
            *root.glob("lambdas/*/requirements.txt"),
            *root.glob("tagstream/local/requirements.txt"),
        ]
    )


def _requirements(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pins_of(root: Path) -> set[Pin]:
    """Every pin of every lock."""
    return {
        pin
        for path in requirements_files(root)
        for pin in read_lock(path.with_suffix(".lock").read_text(encoding="utf-8"))
    }


def locks(root: Path) -> Findings:
    """Each lock has what is asked for, in the version that constraints.txt says, and hashes for all of it."""
    found = Findings()
    versions: dict[str, set[str]] = {}
    for requirement in _requirements(root / "constraints.txt"):
        versions.setdefault(canonicalize_name(requirement.name), set()).update(
            specifier.version for specifier in requirement.specifier
        )
    for path in requirements_files(root):
        lock, where = path.with_suffix(".lock"), path.with_suffix(".lock").relative_to(root)
        try:
            pins = read_lock(lock.read_text(encoding="utf-8"))
        except FileNotFoundError:
            found.problems.append(f"{where} is missing: run 'make lock'")
            continue
        except LockError as error:
            found.problems.append(f"{where}: {error}")
            continue
        found.looked_at += len(pins)
        found.problems += [f"{where} has no hashes of {pin.name}: run 'make lock'" for pin in pins if not pin.hashes]
        for requirement in _requirements(path):
            name = canonicalize_name(requirement.name)
            if not any(pin.name == name and requirement.specifier.contains(pin.version) for pin in pins):
                found.problems.append(f"{where} does not have {requirement}: run 'make lock'")
        # The local cloud's environment is apart, and the vocabulary's model is pinned where it is asked for.
        if "local" not in where.parts and path.stem != "requirements-vocabulary-model":
            found.problems += [
                f"{where} has {pin.name} {pin.version}, and constraints.txt another: run 'make lock'"
                for pin in pins
                if pin.version not in versions.get(pin.name, ())
            ]
    return found


def npm(root: Path) -> Findings:
    """package-lock.json has the integrity and the licence of every package, and what package.json asks for."""
    found = Findings()
    asked = json.loads((root / "package.json").read_text(encoding="utf-8"))
    packages = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, version in {**asked.get("dependencies", {}), **asked.get("devDependencies", {})}.items():
        if packages.get(f"node_modules/{name}", {}).get("version") != version:
            found.problems.append(f"package-lock.json does not have {name} {version}: run 'npm install'")
    for place, entry in packages.items():
        if not place:
            continue
        name = place.rpartition("node_modules/")[2]
        found.looked_at += 1
        if not str(entry.get("integrity", "")).startswith("sha512-"):
            found.problems.append(f"package-lock.json has no hash of {name}: run 'npm install'")
        if not allowed(str(entry.get("license", ""))):
            found.problems.append(f"{name} is under {entry.get('license')}, which supply/licences.py does not allow")
    return found


def installed(environments: Iterable[Path]) -> dict[tuple[str, str], str | None]:
    """Name and version of what is installed in these environments → its licence, or None where nobody can tell."""
    paths = [str(path) for environment in environments for path in environment.glob("lib/python*/site-packages")]
    result: dict[tuple[str, str], str | None] = {}
    for distribution in importlib.metadata.distributions(path=paths):
        name = canonicalize_name(distribution.metadata["Name"])
        result[name, distribution.version] = licence_of(name, distribution.metadata)  # type: ignore[arg-type]
    return result


def licences(pins: Iterable[Pin], there: Mapping[tuple[str, str], str | None]) -> Findings:
    """Every pinned package is under a licence that is allowed; what is installed nowhere here can't be looked at."""
    found = Findings()
    for name, version in sorted({(pin.name, pin.version) for pin in pins}):
        if (name, version) not in there:
            found.unknown.append(f"{name} {version}")
            continue
        found.looked_at += 1
        licence = there[name, version]
        if licence is None:
            found.problems.append(
                f"nobody can tell the licence of {name} {version}: look, and add it to supply/licences.py"
            )
        elif not allowed(licence):
            found.problems.append(f"{name} {version} is under {licence}, which supply/licences.py does not allow")
    return found


def imports(root: Path, pins: Iterable[Pin], packages: Mapping[str, Sequence[str]]) -> Findings:
    """Every module that our code imports is of a pinned package. ``packages``: top-level module → who brings it."""
    found = Findings()
    names = {pin.name for pin in pins}
    wanted: dict[str, Path] = {}
    tops = (
        "app.py",
        "lifecycle.py",
        "gallery",
        "tagstream",
        "lambdas",
        "stacks",
        "supply",
        "benchmarks",
        "release",
        "tests",
    )
    for top in tops:
        for path in [root / top] if top.endswith(".py") else sorted((root / top).rglob("*.py")):
            if path.is_file():
                wanted |= dict.fromkeys(_imported(path), path)
    for module, path in sorted(wanted.items()):
        if module in sys.stdlib_module_names or module in _OURS:
            continue
        found.looked_at += 1
        brought_by = {canonicalize_name(name) for name in packages.get(module, [])} or {canonicalize_name(module)}
        if not brought_by & names:
            found.problems.append(f"{path.relative_to(root)} imports {module}, which no lock has")
    return found


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def bills(root: Path, folder: Path) -> Findings:
    """The bundles' bills have the packages of the functions' locks, no other ones, from files that these have."""
    found = Findings()
    written = sorted(folder.glob("*.cdx.json"))
    if not written:
        found.unknown.append("the bundles' bills of materials: there are none, run 'make sbom'")
    for path in written:
        name = path.name.removesuffix(".cdx.json")
        lock = root / "lambdas" / name / "requirements.lock"
        if not lock.exists():
            found.problems.append(f"{path.name} is of a function that is not there: run 'make sbom'")
            continue
        bill = json.loads(path.read_text(encoding="utf-8"))
        properties = {entry["name"]: entry["value"] for entry in bill["metadata"]["component"].get("properties", [])}
        target = next(
            (made() for made in (aws, this_machine) if made().label == properties.get("tagstream:platform")), aws()
        )
        locked = {pin.name: pin for pin in target.pins(lock.read_text(encoding="utf-8"))}
        there = {entry["name"]: entry for entry in bill["components"] if entry.get("purl", "").startswith("pkg:pypi/")}
        found.looked_at += len(there)
        for package in sorted(there.keys() ^ locked.keys()):
            found.problems.append(f"{package} is only in one of {path.name} and lambdas/{name}/requirements.lock")
        for package in sorted(there.keys() & locked.keys()):
            digests = {entry["content"] for entry in there[package].get("hashes", [])}
            if there[package]["version"] != locked[package].version or not digests & set(locked[package].hashes):
                found.problems.append(f"{path.name} has another {package} than lambdas/{name}/requirements.lock")
    return found


def advisories(pins: Iterable[Pin], command: Sequence[str]) -> Findings:
    """What is known of vulnerabilities in these. ``command``: pip-audit; what it passes over counts as unknown."""
    # It takes a package once: where there are two versions, it is called for each.
    rounds: list[dict[tuple[str, str], Pin]] = []
    for pin in sorted({(pin.name, pin.version): pin for pin in pins}.values(), key=lambda pin: (pin.name, pin.version)):
        free = next((entry for entry in rounds if not any(name == pin.name for name, _ in entry)), None)
        if free is None:
            rounds.append(free := {})
        free[pin.name, pin.version] = pin
    found = Findings()
    for asked in rounds:
        found += _advisories(asked, command)
    return found


def _advisories(asked: Mapping[tuple[str, str], Pin], command: Sequence[str]) -> Findings:
    found = Findings()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requirements.txt")
        path.write_text("".join(f"{pin.requirement}\n" for pin in asked.values()), encoding="utf-8")
        answer, said = _json_of([*command, "--requirement", str(path)])
    if not isinstance(answer, dict) or "dependencies" not in answer:
        found.unknown.append(f"vulnerabilities of {len(asked)} Python packages: pip-audit gave no answer ({said})")
        return found
    answered, skipped = set(), "no reason"
    for entry in answer["dependencies"]:
        if "skip_reason" in entry or "version" not in entry:
            skipped = str(entry.get("skip_reason"))
            continue
        name = canonicalize_name(entry["name"])
        answered.add((name, entry["version"]))
        for vulnerability in entry.get("vulns", []):
            mended = ", ".join(vulnerability.get("fix_versions") or []) or "no version yet"
            found.problems.append(f"{name} {entry['version']} has {vulnerability['id']}, mended in {mended}")
    found.looked_at = len(answered & asked.keys())
    # pip-audit says that all is well also when it could ask for nothing.
    left = [f"{name} {version}" for name, version in asked if (name, version) not in answered]
    if left and not answered:
        reason = f"pip-audit passed over all of them, one with: {skipped[:200]}"
        found.unknown.append(f"vulnerabilities of {len(left)} Python packages: {reason}")
    else:
        found.unknown += [f"vulnerabilities of {text}" for text in left]
    return found


def npm_advisories(command: Sequence[str], root: Path) -> Findings:
    """What is known of vulnerabilities in package-lock.json. ``command``: npm audit."""
    found = Findings()
    answer, said = _json_of(command, cwd=root)
    if not isinstance(answer, dict) or "vulnerabilities" not in answer:
        error = answer.get("message") or answer.get("error") if isinstance(answer, dict) else None
        found.unknown.append(f"vulnerabilities of the npm packages: npm audit gave no answer ({error or said})")
        return found
    for name, entry in answer["vulnerabilities"].items():
        found.problems.append(
            f"{name} {entry.get('range', '')} has a vulnerability ({entry.get('severity', 'of unknown weight')})"
        )
    found.looked_at = int(answer.get("metadata", {}).get("dependencies", {}).get("total", 0))
    return found


def _json_of(command: Sequence[str], cwd: Path | None = None) -> tuple[Any, str]:
    """What a command says on stdout, as JSON or None, and its last words."""
    try:
        run = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    said = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1][:200]
    try:
        return json.loads(run.stdout), said
    except json.JSONDecodeError:
        return None, said


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m supply.audit",
        description="Look at everything pinned. Exit codes: 0 well, 1 something found, 3 not all could be asked.",
    )
    parser.add_argument("--offline", action="store_true", help="only what needs no network")
    given = parser.parse_args(arguments)
    try:
        return _audit(offline=given.offline)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _audit(*, offline: bool) -> int:
    problems, unknown = [], []

    def tell(what: str, found: Findings, *, must: bool = True) -> None:
        for problem in found.problems:
            print(f"Error: {problem}", file=sys.stderr)
        left = f", {len(found.unknown)} not looked at" if found.unknown else ""
        print(f"{what}: {found.looked_at} looked at, {len(found.problems)} found{left}", flush=True)
        problems.extend(found.problems)
        if must:
            unknown.extend(found.unknown)

    tell("locks (packages with hashes)", locks(ROOT))
    tell("package-lock.json", npm(ROOT))
    # What follows reads the locks.
    if problems:
        print(f"audit: {len(problems)} to mend", file=sys.stderr)
        return FOUND
    pins = pins_of(ROOT)
    environments = [ROOT / name for name in (".venv", ".venv-local", ".venv-audit")]
    licensed = licences(pins, installed(environments))
    tell("licences", licensed, must=False)
    if licensed.unknown:
        print(f"  not installed here, so that their licences were not read: {', '.join(licensed.unknown)}")
    tell("imports", imports(ROOT, pins, importlib.metadata.packages_distributions()))
    tell("bills of materials", bills(ROOT, ROOT / "build" / "sbom"))
    if not offline:
        print("Asking for known vulnerabilities (a minute) …", flush=True)
        command = [
            str(ROOT / ".venv-audit/bin/pip-audit"),
            "--require-hashes",
            "--disable-pip",
            "--format=json",
        ]
        tell("known vulnerabilities, Python", advisories(pins, [*command, "--progress-spinner=off", "--timeout=30"]))
        tell("known vulnerabilities, npm", npm_advisories(["npm", "audit", "--package-lock-only", "--json"], ROOT))
    for text in unknown[:20]:
        print(f"Not looked at: {text}", file=sys.stderr)
    if len(unknown) > 20:
        print(f"Not looked at: {len(unknown) - 20} more", file=sys.stderr)
    rest = f"; licences not read: {len(licensed.unknown)}" if licensed.unknown else ""
    rest += "; known vulnerabilities were not asked for" if offline else ""
    if problems:
        print(f"audit: {len(problems)} to mend, {len(unknown)} not looked at{rest}", file=sys.stderr)
        return FOUND
    if unknown:
        print(f"audit: nothing found, but {len(unknown)} not looked at{rest}", file=sys.stderr)
        return NOT_ASKED
    print(f"audit: nothing found{rest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
