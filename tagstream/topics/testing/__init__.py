"""Topics without AWS: an SQS in memory, the trouble that SQS may make, and a clock that a test turns.

>>> from tagstream.topics import Outgoing, Topics
>>> topics = Topics(MemorySqs())
>>> topics.create("smiles")
>>> topics.publish_all("smiles", [Outgoing("CCO")]).accepted
1
"""

from __future__ import annotations

from tagstream.topics.testing.clock import Clock, VirtualClock
from tagstream.topics.testing.memory import Chaos, MemorySqs

__all__ = ["Chaos", "Clock", "MemorySqs", "VirtualClock"]
