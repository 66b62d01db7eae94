"""The CDK CLI, without what jsii prints about versions of Node: ``python -m stacks synth -c stage=dev``."""

import os
import sys

from stacks.settings import ROOT

# Importing this package has set the variables that silence it.
os.execv(ROOT / "node_modules" / ".bin" / "cdk", ["cdk", *sys.argv[1:]])  # noqa: S606 - no shell is the point
