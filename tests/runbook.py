"""Which alarms' causes are made in the local cloud, where their entries of docs/runbook.md are then followed."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["NOT_TRIED", "TRIED"]

TRIED: Mapping[str, str] = {
    "DeadLetters": "test_operations.py::test_a_dead_letter_says_why_and_goes_back",
    "QueueAge": "test_operations.py::test_paused_messages_wait_and_resumed_nothing_is_lost",
    "GivenBack": "test_runbook.py::test_writes_are_blocked",
    "DomainWritesBlocked": "test_runbook.py::test_writes_are_blocked",
    "Rejections": "test_runbook.py::test_many_photos_are_rejected",
    "Differences": "test_runbook.py::test_notifications_get_lost",
    "PurgeMissing": "test_runbook.py::test_the_purge_has_not_run",
    "FunctionErrors": "test_runbook.py::test_a_function_fails",
    "DomainRed": "test_runbook.py::test_the_index_is_lost",
    "ApiServerErrors": "test_runbook.py::test_opensearch_does_not_answer",
    "ApiLatency": "test_runbook.py::test_opensearch_does_not_answer",
    "ApiClientErrors": "test_runbook.py::test_somebody_tries_doors",
}
"""Kind of alarm → the test in ``tests/e2e``."""

_ONE_PROCESS = "OpenSearch is one process on this machine, that keeps everything in memory"
NOT_TRIED: Mapping[str, str] = {
    "Latency": "its causes are load and slow functions; its entry says what to look at, and has nothing to type",
    "FunctionThrottles": "the emulator runs as many functions at a time as it is asked to",
    "NewVersion": "the emulator has no CodeDeploy, and its aliases have no weights",
    "DomainYellow": f"{_ONE_PROCESS}: there are no copies of shards",
    "DomainNodes": f"{_ONE_PROCESS}: there are no other nodes",
    "DomainStorage": f"{_ONE_PROCESS}: there is no disk to fill",
    "DomainMemory": f"{_ONE_PROCESS}, and has no JVM",
    "DomainOldMemory": f"{_ONE_PROCESS}, and has no JVM",
    "DomainCpu": f"{_ONE_PROCESS}: what helps, other instances, is AWS'",
    "DomainSnapshots": "AWS takes them, and tries to again; tests/integration/test_snapshots.py restores one",
    "DomainKey": "nothing is encrypted with a key of KMS there",
    "DomainKeyGone": "nothing is encrypted with a key of KMS there; what the entry ends with, DomainRed tries",
}
"""Kind of alarm → why its cause can't be made there."""
