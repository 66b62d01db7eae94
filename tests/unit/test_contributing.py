"""The example of a further analyser in CONTRIBUTING.md, done as it says, in a copy."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.documents import ROOT

_IMPORT = re.compile(r"^from tagstream\.analysis import (.*)$", re.M)


def test_a_further_analyser_is_made_as_the_example_says(tmp_path: Path) -> None:
    example = (ROOT / "CONTRIBUTING.md").read_text().partition("## An example: a further analyser")[2]
    module, test = (
        textwrap.dedent(block) for block in re.findall(r"^   ```python\n(.*?)^   ```$", example, re.M | re.S)
    )
    for folder in ("tagstream", "tests/unit"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    analysis, tests = tmp_path / "tagstream" / "analysis", tmp_path / "tests" / "unit" / "test_analysis.py"

    (analysis / "shape.py").write_text(module)
    tests.write_text(_with_import(tests.read_text()) + f"\n\n{test}")
    analyse = _with_import((analysis / "analyse.py").read_text())
    (analysis / "analyse.py").write_text(re.sub(r"^(ANALYSERS.*)$", r"\1\n    shape,", analyse, flags=re.M))

    chosen = ["-k", "a_panorama_is_wide or no_two_analysers_say"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(tests), *chosen],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    mapped = subprocess.run(
        [sys.executable, "-c", "from tagstream.catalog.mapping import settings_and_mappings as made; print(made())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "aspect_ratio" in mapped.stdout


def _with_import(source: str) -> str:
    """``shape`` beside what is imported from ``tagstream.analysis`` already."""
    assert len(_IMPORT.findall(source)) == 1
    return _IMPORT.sub(r"from tagstream.analysis import \1, shape", source)
