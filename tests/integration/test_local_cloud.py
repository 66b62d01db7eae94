"""The local cloud without the stacks: start, stop, ports, state."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tagstream.errors import LocalCloudError
from tagstream.local.cloud import LocalCloud, connection, down, status, up
from tagstream.local.deployment import _Command
from tagstream.local.gallery import Gallery, make_user


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_it_answers_on_this_machine_only_and_leaves_nothing(tmp_path: Path) -> None:
    with LocalCloud(tmp_path) as cloud:
        client = cloud.connection.client("sqs")
        client.create_queue(QueueName="one")
        assert len(client.list_queues()["QueueUrls"]) == 1
        client.close()
        processes = [psutil.Process(pid) for pid in cloud.pids.values()]
        listening = {c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        assert "AWS_PROFILE" not in processes[1].environ()
    assert not any(process.is_running() for process in processes)
    assert not (tmp_path / "private").exists()


def test_two_run_side_by_side(tmp_path: Path) -> None:
    with LocalCloud(tmp_path / "a") as one, LocalCloud(tmp_path / "b") as other:
        assert one.connection.port != other.connection.port
        assert one.connection.search_port != other.connection.search_port


def test_where_only_machines_get_in_there_is_no_gallery_and_nobody_to_sign_in(tmp_path: Path) -> None:
    """As with ``api.auth=iam`` in the context of cdk.json: no pool, and a stack without the gallery's outputs."""
    with LocalCloud(tmp_path) as cloud:
        with pytest.raises(LocalCloudError, match="the gallery is not deployed"):
            Gallery.of(cloud.connection)
        stacks = cloud.connection.client("cloudformation")
        template = {
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {"ApiUrl": {"Value": "http://12345678.execute-api.localhost"}},
        }
        for name in ("web", "api"):
            stacks.create_stack(StackName=f"tagstream-local-{name}", TemplateBody=json.dumps(template))
            stacks.get_waiter("stack_create_complete").wait(StackName=f"tagstream-local-{name}")
        stacks.close()
        make_user(cloud.connection)
        pools = cloud.connection.client("cognito-idp")
        assert pools.list_user_pools(MaxResults=10)["UserPools"] == []
        pools.close()
        with pytest.raises(LocalCloudError, match=r"with api\.auth=cognito"):
            Gallery.of(cloud.connection)


def test_a_taken_port_is_named_and_so_is_who_has_it(tmp_path: Path, taken: int) -> None:
    with pytest.raises(LocalCloudError, match=rf"port {taken} is taken by process {os.getpid()} \(.*python"):
        up(port=taken, directory=tmp_path)
    assert not (tmp_path / "private").exists()
    assert status(tmp_path).state == "stopped"


def test_the_end_of_its_owner_is_its_end(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tagstream.local.cloud import LocalCloud\n"
        "cloud = LocalCloud(Path(sys.argv[1]), logs=Path(sys.argv[2])); cloud.start()\n"
        "print(*cloud.pids.values(), flush=True); time.sleep(60)"
    )
    folder = tmp_path / "its own"
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "logs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        processes = [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]
        assert len(processes) == 3
        owner.kill()
    _, left = psutil.wait_procs(processes, timeout=15)
    assert left == []
    assert not folder.exists()


def test_a_supervisor_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagstream.local.cloud._STOP_SECONDS", 0.1)
    with LocalCloud(tmp_path) as cloud:
        processes = [psutil.Process(pid) for pid in cloud.pids.values()]
        processes[0].suspend()
    _, left = psutil.wait_procs(processes, timeout=15)
    assert left == []
    assert not (tmp_path / "private").exists()


def test_a_command_of_the_cdk_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagstream.local.deployment._LONGEST_SECONDS", 0.1)
    command = _Command("deploy", ["sleep", "600"], cwd=tmp_path, env=os.environ, log=tmp_path / "deploy.log")
    try:
        with pytest.raises(
            LocalCloudError, match=r"cdk deploy did not end within 0.1 s, .*deploy\.log has what it said"
        ):
            list(command.lines())
        with pytest.raises(LocalCloudError, match="did not end"):
            command.finish()
    finally:
        command.end()
    assert not psutil.pid_exists(command.pid)


def test_without_a_cloud_commands_say_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="tagstream local up"):
        connection(tmp_path)
    assert not down(directory=tmp_path)


def test_a_pid_that_is_another_s_by_now_is_left_alone(tmp_path: Path) -> None:
    """After a reboot, say: the processes of the state file are strangers."""
    me = f'{{"pid": {os.getpid()}, "started": 1.0}}'
    state = f'{{"connection": {{"port": 1, "search_port": 2}}, "supervisor": {me}, "cloud": {me}, "search": {me}}}'
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(LocalCloudError, match="crashed"):
        connection(tmp_path)
    assert down(directory=tmp_path)
    assert status(tmp_path).state == "stopped"


def test_a_damaged_state_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"connection"')
    with pytest.raises(LocalCloudError, match="damaged"):
        connection(tmp_path)


def test_only_one_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tagstream.local import cloud\n"
        "with cloud._lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LocalCloudError, match="another"):
            down(directory=tmp_path)
        holder.kill()
    assert not down(directory=tmp_path)
