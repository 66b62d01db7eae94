"""Copy the gallery's libraries out of node_modules, as npm has them: ``make gallery`` runs this after ``npm ci``.

package.json pins their versions and package-lock.json what npm may deliver; ``vendor/vendor.json`` records the
integrity of each file here, and a test holds all of them together.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = HERE.parent / "node_modules"

# The name here → the package, and the file in it.
FILES = {
    "preact.mjs": ("preact", "dist/preact.mjs"),
    "hooks.mjs": ("preact", "hooks/dist/hooks.mjs"),
    "htm.mjs": ("htm", "dist/htm.mjs"),
    "signals-core.mjs": ("@preact/signals-core", "dist/signals-core.mjs"),
    "signals.mjs": ("@preact/signals", "dist/signals.mjs"),
    "photoswipe.mjs": ("photoswipe", "dist/photoswipe.esm.min.js"),
    "photoswipe.css": ("photoswipe", "dist/photoswipe.css"),
    "justified-layout.js": ("justified-layout", "dist/justified-layout.min.js"),
}


def main() -> None:
    folder = HERE / "vendor"
    folder.mkdir(exist_ok=True)
    listed, licences = {}, {}
    for name, (package, path) in sorted(FILES.items()):
        body = (PACKAGES / package / path).read_bytes()
        (folder / name).write_bytes(body)
        about = json.loads((PACKAGES / package / "package.json").read_text(encoding="utf-8"))
        integrity = f"sha384-{base64.b64encode(hashlib.sha384(body).digest()).decode()}"
        listed[name] = {"package": package, "version": about["version"], "path": path, "integrity": integrity}
        licences[package] = (PACKAGES / package / "LICENSE").read_text(encoding="utf-8").strip()
    (folder / "vendor.json").write_text(json.dumps(listed, indent=2) + "\n")
    texts = (f"{package}\n{'=' * len(package)}\n\n{text}\n" for package, text in sorted(licences.items()))
    (folder / "LICENCES.txt").write_text("\n\n".join(texts))


if __name__ == "__main__":
    main()
