"""What a load needs, what that costs, and what limits it: arithmetic, without AWS (docs/scale.md)."""

from tagstream.plan.figures import uncertain
from tagstream.plan.fit import Declared, problems
from tagstream.plan.limits import Limit, limits
from tagstream.plan.money import Cost, costs, rekognition
from tagstream.plan.sizing import Size, Workload, size

__all__ = [
    "Cost",
    "Declared",
    "Limit",
    "Size",
    "Workload",
    "costs",
    "limits",
    "problems",
    "rekognition",
    "size",
    "uncertain",
]
