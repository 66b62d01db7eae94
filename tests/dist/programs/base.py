"""Without any extra: what there is, and what each part says that it lacks."""

import importlib
import importlib.metadata
from collections.abc import Callable

import tagstream


def told(use: Callable[[], object]) -> str:
    try:
        use()
    except tagstream.MissingPackage as error:
        assert isinstance(error, ImportError)
        return str(error)
    raise SystemExit("that should have been missing")


assert tagstream.__version__ == importlib.metadata.version("tagstream")
assert "run pip install 'tagstream[topics]'" in told(lambda: importlib.import_module("tagstream.topics"))
assert "run pip install 'tagstream[classify]'" in told(lambda: importlib.import_module("tagstream.classifier"))
assert "run pip install 'tagstream[classify]'" in told(lambda: tagstream.run_image_recognition("drum.jpg"))
assert "run pip install 'tagstream[catalog]'" in told(lambda: tagstream.Catalog(stage="dev").search("dog"))
assert "run pip install 'tagstream[cli]'" in told(lambda: importlib.import_module("tagstream.cli"))
