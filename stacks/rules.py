"""Where the stacks leave a rule of cdk-nag or CloudFormation as it is, each with its reason, beside what it is about.

``tests/infra/test_rules.py`` holds every stage against the rules: what is not accepted here fails.
"""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

__all__ = ["accept"]


def accept(construct: IConstruct, reason: str, *rules: str) -> None:
    """Accept the findings of ``rules`` on ``construct`` and what is in it, for a reason that is true of them."""
    Validations.of(construct).acknowledge(*(Acknowledgment(id=rule, reason=reason) for rule in rules))
