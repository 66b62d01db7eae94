"""The infrastructure: one file per capability, and the builders of what they share."""

import os

# Importing aws_cdk starts Node, and jsii prints a page about some versions of it at every synth. It listens only
# to lists of the versions to be silent about.
for _reason in ("DEPRECATED", "END_OF_LIFE", "KNOWN_BROKEN", "UNTESTED"):
    os.environ[f"JSII_SILENCE_WARNING_{_reason}_NODE_VERSION"] = ",".join(map(str, range(18, 60)))
