"""The CDK CLI, without what jsii prints about versions of Node: ``python -m stacks synth -c stage=dev``.

``python -m stacks settings '{"stage": "dev", …}'`` prints, as JSON, the settings of a stage as cdk.json and these
overrides make them, where they don't carry the load that they declare, and what is wrong with them in themselves.
"""

import os
import sys

from stacks.settings import ROOT

if sys.argv[1:2] == ["settings"]:
    import dataclasses
    import json

    from stacks.settings import SettingsError, configured, overloads

    for_good = json.loads((ROOT / "cdk.json").read_text())["context"]
    found: dict[str, object]
    try:
        settings = configured(for_good | json.loads(sys.argv[2]))
        found = {"settings": dataclasses.asdict(settings), "overloads": list(overloads(settings)), "wrong": []}
    except SettingsError as error:
        found = {"settings": None, "overloads": [], "wrong": error.problems}
    sys.stdout.write(json.dumps(found) + "\n")
else:
    # Importing this package has set the variables that silence it.
    os.execv(ROOT / "node_modules" / ".bin" / "cdk", ["cdk", *sys.argv[1:]])  # noqa: S606 - no shell is the point
