"""What the site has besides docs/: the documents at the top level, the API reference, and Mermaid out of node_modules.

Links keep working in both places. What leads to a file that is no page goes to the repository if its address is known
(``REPOSITORY_URL``), and is plain text otherwise.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# Where each document of the top level is in the site.
TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
}

_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<to>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_IMAGE = re.compile(r'src="docs/')
_ELSEWHERE = re.compile(r"[a-z]+:")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages and files that are not in docs/."""
    for source, page in TOP.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    here = ROOT / "website"
    for path in (*sorted((here / "reference").glob("*.md")), here / "extra.css"):
        files.append(File.generated(config, path.relative_to(here).as_posix(), abs_src_path=str(path)))
    mermaid = ROOT / "node_modules" / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js"
    files.append(File.generated(config, "mermaid.js", abs_src_path=str(mermaid)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Makes links of the repository into links of the site."""
    at = page.file.src_uri
    if at.startswith("reference/"):
        return markdown
    source = next((source for source, target in TOP.items() if target == at), f"docs/{at}")

    def moved(link: re.Match[str]) -> str:
        to, anchor = link["to"], link["anchor"] or ""
        if _ELSEWHERE.match(to):
            return link[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), to))
        target = TOP.get(file, file.removeprefix("docs/"))
        if (file in TOP or file.startswith("docs/")) and files.get_file_from_path(target):
            return f"[{link['text']}]({target}{anchor})"
        if not (ROOT / file).exists():
            return link[0]  # which MkDocs then complains about
        repository = config.repo_url or os.environ.get("REPOSITORY_URL")
        return f"[{link['text']}]({repository.rstrip('/')}/blob/main/{file})" if repository else link["text"]

    return _IMAGE.sub('src="', _LINK.sub(moved, markdown))


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Nothing that a page loads may come from elsewhere."""
    loaded = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="(https?:)?//[^"]*"')
    for path in Path(config.site_dir).rglob("*.html"):
        for found in loaded.finditer(path.read_text()):
            if 'rel="canonical"' not in found[0]:
                raise SystemExit(f"{path}: loads something from elsewhere: {found[0]}\n")
