"""The audit sees what is wrong with locks, licences, imports and advisories, and never takes silence for an answer."""

from __future__ import annotations

import json
import sys
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from stacks.locks import Pin
from supply import audit
from supply.licences import allowed, licence_of

ROOT = Path(__file__).resolve().parents[2]
HASH = "a" * 64
PINNED = (("dep", "1.0"), ("in-turn", "2.0"))


def pin(name: str, version: str = "1.0") -> Pin:
    return Pin(name, version, "", (HASH,))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "constraints.txt": "dep==1.0  # via -r requirements.txt\nin-turn==2.0\n",
        "requirements.txt": "-c constraints.txt\ndep==1.0   # a reason\n",
        "requirements.lock": f"dep==1.0 --hash=sha256:{HASH}\nin-turn==2.0 --hash=sha256:{HASH}\n",
        "package.json": json.dumps({"devDependencies": {"preact": "1.0.0"}}),
        "package-lock.json": json.dumps(
            {
                "packages": {
                    "": {},
                    "node_modules/preact": {"version": "1.0.0", "license": "MIT", "integrity": "sha512-abc"},
                }
            }
        ),
        "app.py": "import os\nimport dep.part\nfrom stacks import x\n",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_is_here_is_well() -> None:
    found = audit.locks(ROOT)
    assert found.problems == []
    assert found.looked_at > 300
    assert audit.npm(ROOT).problems == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("requirements.lock", None, "requirements.lock is missing"),
        ("requirements.lock", f"dep==2.0 --hash=sha256:{HASH}\n", "does not have dep==1.0"),
        ("requirements.lock", f"dep==1.0\nin-turn==2.0 --hash=sha256:{HASH}\n", "has no hashes of dep"),
        ("requirements.lock", "dep\n", "not one version of a package"),
        ("requirements.txt", "dep==1.0\nanother==1.0\n", "does not have another==1.0"),
        ("constraints.txt", "dep==1.0\nin-turn==2.1\n", "has in-turn 2.0, and constraints.txt another"),
    ],
)
def test_a_lock_that_is_not_whole_is_found(project: Path, file: str, text: str | None, said: str) -> None:
    assert audit.locks(project).problems == []
    if text is None:
        (project / file).unlink()
    else:
        (project / file).write_text(text)
    assert any(said in problem for problem in audit.locks(project).problems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"integrity": None}, "no hash of preact"),
        ({"integrity": "sha1-abc"}, "no hash of preact"),
        ({"license": "AGPL-3.0-only"}, "preact is under AGPL-3.0-only"),
        ({"license": None}, "preact is under None"),
        ({"version": "1.0.1"}, "does not have preact 1.0.0"),
    ],
)
def test_what_npm_may_not_install_is_found(project: Path, change: dict[str, Any], said: str) -> None:
    assert audit.npm(project).problems == []
    path = project / "package-lock.json"
    locked = json.loads(path.read_text())
    locked["packages"]["node_modules/preact"] |= change
    path.write_text(json.dumps(locked))
    assert any(said in problem for problem in audit.npm(project).problems)


def test_an_import_that_nothing_pins_is_found(project: Path) -> None:
    brings = {"dep": ["Dep"]}
    assert audit.imports(project, [pin("dep")], brings).problems == []
    assert audit.imports(project, [pin("other")], brings).problems == ["app.py imports dep, which no lock has"]


def test_licences_are_read_and_what_is_not_installed_counts_as_not_read() -> None:
    there = {("a", "1.0"): "MIT", ("b", "1.0"): "GPL-3.0-only", ("c", "1.0"): None}
    found = audit.licences([pin("a"), pin("b"), pin("c"), pin("d"), pin("a", "2.0")], there)
    assert found.looked_at == 3
    assert found.unknown == ["a 2.0", "d 1.0"]
    assert [text.split()[0] for text in found.problems] == ["b", "nobody"]


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MIT OR Apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License": "Apache License 2.0"}, "Apache-2.0"),
        ({"License": "BSD 3-Clause License\n\nCopyright and so on"}, "BSD-3-Clause"),
        ({"License": "MPL-2.0 AND MIT"}, "MPL-2.0 AND MIT"),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        (
            {"License": "MIT", "Classifier": "License :: OSI Approved :: MIT No Attribution License (MIT-0)"},
            "MIT AND MIT-0",
        ),
        (
            {"License": "Apache-2.0 OR MIT", "Classifier": "License :: OSI Approved :: MIT License"},
            "(Apache-2.0 OR MIT) AND MIT",
        ),
        ({"License": "BSD"}, None),
        ({"License": "see the file"}, None),
        ({}, None),
    ],
)
def test_a_licence_is_what_the_metadata_says(fields: dict[str, str], licence: str | None) -> None:
    about = Message()
    for name, value in fields.items():
        about[name] = value
    assert licence_of("anything", about) == licence


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True),
        ("MIT AND Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("(MIT OR GPL-3.0-only) AND AGPL-3.0-only", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("GPL-3.0-or-later", False),
        ("GPL-3.0-or-later WITH Classpath-exception-2.0", False),
        ("", False),
        ("None", False),
        ("MIT AND", False),
    ],
)
def test_of_an_or_one_part_is_enough_and_of_an_and_none_may_lack(expression: str, fine: bool) -> None:
    assert allowed(expression) is fine


def saying(answer: Any, code: int = 0, error: str = "") -> list[str]:
    """A program that answers as pip-audit or npm does; what follows on its command line it passes over."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return [sys.executable, "-c", f"import sys; print({text!r}); sys.exit({error!r} or {code})"]


def test_vulnerabilities_are_told_with_where_they_are_mended() -> None:
    vulnerable = {"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}
    answer = {"dependencies": [{"name": "A_b", "version": "1.0", "vulns": [vulnerable]}]}
    found = audit.advisories([pin("a-b")], saying(answer, 1))
    assert found.problems == ["a-b 1.0 has PYSEC-1, mended in 1.1, 2.0"]
    assert (found.looked_at, found.unknown) == (1, [])


def test_what_pip_audit_passes_over_is_not_audited() -> None:
    answer = {
        "dependencies": [
            {"name": "a", "version": "1.0", "vulns": []},
            {"name": "b", "skip_reason": "Dependency not found on PyPI"},
        ]
    }
    found = audit.advisories([pin("a"), pin("b"), pin("c")], saying(answer))
    assert found.unknown == ["vulnerabilities of b 1.0", "vulnerabilities of c 1.0"]
    assert found.looked_at == 1
    (told,) = audit.advisories([pin("b")], saying({"dependencies": [answer["dependencies"][1]]})).unknown
    assert told == (
        "vulnerabilities of 1 Python packages: pip-audit passed over all of them, one with: "
        "Dependency not found on PyPI"
    )


@pytest.mark.parametrize("answer", ["", "no json", "[]", "{}", "null"])
def test_no_answer_is_no_good_answer(answer: str, tmp_path: Path) -> None:
    for command in (saying(answer), saying(answer, error="no network"), ["/no/such/program"]):
        for found in (audit.advisories([pin("a")], command), audit.npm_advisories(command, tmp_path)):
            assert (found.problems, found.looked_at, len(found.unknown)) == ([], 0, 1)


def test_two_versions_of_a_package_are_both_asked_for(tmp_path: Path) -> None:
    echo = (
        "import sys, json; lines = open(sys.argv[2]).read().split('\\n')[:-1]\n"
        "pairs = [line.split()[0].split('==') for line in lines]\n"
        "assert len(dict(pairs)) == len(pairs)\n"
        "print(json.dumps({'dependencies': [{'name': n, 'version': v, 'vulns': []} for n, v in pairs]}))"
    )
    found = audit.advisories([pin("a"), pin("a", "2.0"), pin("b")], [sys.executable, "-c", echo])
    assert (found.looked_at, found.unknown) == (3, [])


def test_npm_tells_its_own(tmp_path: Path) -> None:
    answer = {
        "vulnerabilities": {"preact": {"severity": "high", "range": "<1.1"}},
        "metadata": {"dependencies": {"total": 9}},
    }
    found = audit.npm_advisories(saying(answer, 1), tmp_path)
    assert found.problems == ["preact <1.1 has a vulnerability (high)"]
    assert found.looked_at == 9
    refused = audit.npm_advisories(saying({"message": "405 Method Not Allowed", "error": {"summary": ""}}, 1), tmp_path)
    assert refused.unknown == ["vulnerabilities of the npm packages: npm audit gave no answer (405 Method Not Allowed)"]


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        ({"dependencies": []}, (3, "not looked at")),
        ({"dependencies": [{"name": "dep", "version": "1.0", "vulns": [{"id": "X"}]}]}, (1, "to mend")),
        (
            {"dependencies": [{"name": name, "version": version, "vulns": []} for name, version in PINNED]},
            (0, "audit: nothing found"),
        ),
    ],
)
def test_the_exit_code_and_the_last_line_say_what_became_of_it(
    answer: dict[str, Any],
    ends: tuple[int, str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "ROOT", project)
    assert audit.main(["--offline"]) == 3
    assert "there are none, run 'make sbom'" in capsys.readouterr().err
    (project / "build/sbom").mkdir(parents=True)
    (project / "build/sbom/f.cdx.json").write_text(json.dumps({"metadata": {"component": {}}, "components": []}))
    (project / "lambdas/f").mkdir(parents=True)
    for name in ("requirements.txt", "requirements.lock"):
        (project / "lambdas/f" / name).write_text("")
    assert audit.main(["--offline"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "audit: nothing found; licences not read: 2; known vulnerabilities were not asked for"
    monkeypatch.setenv("PATH", str(project / ".venv-audit/bin"))
    for name, text in (("pip-audit", answer), ("npm", {"vulnerabilities": {}})):
        program = project / ".venv-audit/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!{sys.executable}\nprint({json.dumps(text)!r})\n")
        program.chmod(0o755)
    code, last = ends
    assert audit.main([]) == code
    captured = capsys.readouterr()
    assert last in (captured.err or captured.out).splitlines()[-1]
