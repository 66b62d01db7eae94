"""Topics into files: what is missing is told and waited for, what is there already is never harmed."""

from __future__ import annotations

import bz2
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagstream.errors import TopicError
from tagstream.topics import (
    DownloadIncomplete,
    DownloadRefused,
    Outgoing,
    ParcelSettings,
    Topics,
    download,
    outgoing,
    parcels_of,
    upload,
)
from tagstream.topics.testing import Chaos, MemorySqs, VirtualClock
from tests.transfers import Killer, make, parcel, put, written


def test_idle_time_that_no_float_can_show_to_have_passed_ends_as_well(tmp_path: Path) -> None:
    # 5.189953880041537 + 5 - 5.189953880041537 is less than 5, by so little that adding it changes nothing.
    clock = VirtualClock()
    clock.sleep(5.189953880041537)
    killer = Killer("ReceiveMessage")
    topics = Topics(MemorySqs(clock=clock, intercept=killer), clock=clock.now, sleep=clock.sleep)
    topics.create("smiles")
    killer.left = 50
    assert download(topics, "smiles", tmp_path / "out", idle=5).lines == 0


def test_gaps_are_listed_and_what_came_is_kept_for_the_next_try(tmp_path: Path) -> None:
    topics = make()
    put(topics, *(parcel(str(number), b"%d\n" % number) for number in (0, 1, 4, 7)))
    put(topics, parcel("0", b"x\n", "v"), parcel("2$", b"z\n", "v"))
    target = tmp_path / "out"
    with pytest.raises(DownloadIncomplete, match="download again") as caught:
        download(topics, "smiles", target, idle=1)
    assert caught.value.gaps == (
        "upload u: parcels 2 to 3 missing",
        "upload u: parcels 5 to 6 missing",
        "upload u: everything after parcel 7 missing",
        "upload v: parcel 1 missing",
    )
    assert not target.exists()
    assert topics.counts("smiles").total == 0
    put(topics, *(parcel(place, place[0].encode() + b"\n") for place in ("2", "3", "5", "6", "8$")))
    put(topics, parcel("1", b"y\n", "v"))
    result = download(topics, "smiles", target, idle=1)
    assert target.read_bytes() == b"0\n1\n2\n3\n4\n5\n6\n7\n8\nx\ny\nz\n"
    assert (result.uploads, result.messages, result.lines) == (2, 12, 12)
    assert list(tmp_path.iterdir()) == [target]


def test_a_partial_file_is_written_when_asked_for(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("1", b"1\n"), parcel("3", b"3\n"))
    result = download(topics, "smiles", tmp_path / "out", idle=1, partial=True)
    assert (tmp_path / "out").read_bytes() == b"1\n3\n"
    assert len(result.gaps) == 3


def test_what_is_dead_lettered_completes_the_file(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0", b"0\n"))
    topics.publish("smiles-dead-letter", outgoing(parcel("1$", b"1\n")))
    with pytest.raises(DownloadIncomplete, match="1 messages are in smiles-dead-letter"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    download(topics, "smiles-dead-letter", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"0\n1\n"


def test_missing_parcels_in_other_hands_are_waited_for(tmp_path: Path) -> None:
    topics = make()
    put(topics, *parcels_of("u", [b"0\n", b"1\n", b"2\n"]))
    topics.pull("smiles", max_messages=2, visibility_timeout=200)
    started = topics.now()
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"0\n1\n2\n"
    assert 200 <= topics.now() - started <= 210


def test_those_who_hold_parcels_for_ever_are_not(tmp_path: Path) -> None:
    topics = make()
    put(topics, *parcels_of("u", [b"0\n", b"1\n"]))
    topics.pull("smiles", max_messages=1, visibility_timeout=40_000)
    with pytest.raises(DownloadIncomplete, match="1 messages are in other hands"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert topics.now() <= 310


def test_parts_stand_for_their_parcel(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0.1~a$", b"b\n"), parcel("0.0~a", b"a\n"), parcel("1$.0.1$", b"d\n"), parcel("1$.0.0", b"c\n"))
    with pytest.raises(DownloadIncomplete) as caught:
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert caught.value.gaps == ("upload u: parcel 1: everything after part 0 missing",)
    put(topics, parcel("1$.1$", b""))
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"a\nb\nc\nd\n"


def test_of_two_runs_over_a_parcel_the_complete_one_is_taken_whole(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0.0~a", b"half a\n"), parcel("0.0~b", b"b0\n"), parcel("0.1~b$", b"b1\n"))
    put(topics, parcel("1$.0~d$", b"second\n"), parcel("1$.0~c$", b"first\n"))
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"b0\nb1\nfirst\n"
    assert result.alternatives == 2


def test_a_parcel_and_its_parts_are_not_doubled(tmp_path: Path) -> None:
    topics = make()
    whole = parcel("0$", b"a\nb\nc\n")
    put(topics, *whole.parts(2), whole)
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"a\nb\nc\n"
    assert result.alternatives == 2


@pytest.mark.parametrize("again", [[b"a\n", b"b\nc\n"], [b"a\nb\n"], [b"other\n", b"file\n", b"!\n"]])
def test_two_contents_under_one_id_are_never_mixed_silently(tmp_path: Path, again: list[bytes]) -> None:
    topics = make()
    put(topics, *parcels_of("u", [b"a\nb\n", b"c\n"]), *parcels_of("u", again))
    with pytest.raises(DownloadIncomplete, match="under the same id"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert not (tmp_path / "out").exists()
    result = download(topics, "smiles", tmp_path / "out", idle=1, partial=True)
    assert result.alternatives >= 1
    assert len(result.gaps) >= 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_right_after_the_file_was_written_the_same_download_is_done(tmp_path: Path, overwrite: bool) -> None:
    topics = make()
    put(topics, parcel("0$", b"old\n"))
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr("tagstream.topics.spool.Spool.remove", lambda _: None)
        first = download(topics, "smiles", tmp_path / "out", idle=1)
    assert len(list(tmp_path.iterdir())) == 2
    put(topics, parcel("0$", b"new\n", "v"))
    # Neither "exists" nor, worse, the complete file replaced by what came since.
    assert download(topics, "smiles", tmp_path / "out", idle=1, overwrite=overwrite) == first
    assert (tmp_path / "out").read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert topics.counts("smiles").visible == 1
    with pytest.raises(DownloadRefused, match="exists"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    download(topics, "smiles", tmp_path / "out", idle=1, overwrite=True)
    assert (tmp_path / "out").read_bytes() == b"new\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_what_another_topics_download_had_finished_is_no_part_of_this_one(tmp_path: Path) -> None:
    topics = make()
    topics.create("other")
    put(topics, parcel("0$", b"old\n"))
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr("tagstream.topics.spool.Spool.remove", lambda _: None)
        download(topics, "smiles", tmp_path / "out", idle=1)
    topics.publish("other", "new")
    with pytest.raises(DownloadRefused, match="exists"):
        download(topics, "other", tmp_path / "out", idle=1)
    download(topics, "other", tmp_path / "out", idle=1, overwrite=True)
    assert (tmp_path / "out").read_bytes() == b"new\n"


def test_many_damaged_parcels_are_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    topics = make()
    good = outgoing(parcel("0$", b"good\n"))
    topics.publish_all("smiles", [replace(good, body=f"bad {n}\n") for n in range(20)] + [good])
    assert download(topics, "smiles", tmp_path / "out", idle=1, partial=True).damaged == 20
    assert caplog.text.count("is damaged") == 1


def test_what_is_no_file_is_never_overwritten(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    with pytest.raises(DownloadRefused, match="no file that can be replaced"):
        download(make(), "smiles", tmp_path / "out", idle=1, overwrite=True)


def test_a_disk_that_takes_nothing_is_a_clear_error(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"C\n"))
    (tmp_path / ".out.tagstream-part").mkdir()
    with pytest.raises(TopicError, match="nothing is lost"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    (tmp_path / ".out.tagstream-part").rmdir()
    assert download(topics, "smiles", tmp_path / "out", idle=1).lines == 1


def test_damaged_parcels_stay_in_the_topic(tmp_path: Path) -> None:
    topics = make()
    good = outgoing(parcel("0$", b"CCO\n"))
    topics.publish("smiles", Outgoing("CCN\n", good.attributes))
    put(topics, parcel("0", b"x\n", "v"))
    with pytest.raises(DownloadIncomplete):
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert topics.counts("smiles").total == 1
    put(topics, parcel("1$", b"y\n", "v"))
    result = download(topics, "smiles", tmp_path / "out", idle=70)
    assert result.damaged == 1
    assert result.left == 0
    assert topics.counts("smiles").total == 1
    assert (tmp_path / "out").read_bytes() == b"x\ny\n"


def test_what_others_put_there_comes_last_a_line_each(tmp_path: Path) -> None:
    topics = make()
    topics.publish_all("smiles", [Outgoing("one"), Outgoing("two\n"), Outgoing("three\nfour")])
    put(topics, parcel("0$", b"no newline"))
    topics.publish("smiles", Outgoing("odd", {"parcel-upload": "u", "parcel-sequence": "?", "parcel-checksum": "0"}))
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    got = (tmp_path / "out").read_bytes()
    assert got.startswith(b"no newline\n")
    assert sorted(got.splitlines()[1:]) == [b"four", b"odd", b"one", b"three", b"two"]
    assert (result.foreign, result.newlines_added, result.lines) == (4, 1, 6)


def test_uploads_come_one_after_the_other_in_their_order(tmp_path: Path) -> None:
    topics = make(Chaos(reorder=True, duplicates=0.5))
    files = [written(tmp_path / f"{n:02d}", b"%d a\n%d b\n%d c" % (n, n, n)) for n in range(12)]
    first = upload(topics, "smiles", files[:11], settings=ParcelSettings(max_lines=1))
    upload(topics, "smiles", files[11:])
    assert len({uploaded.upload_id for uploaded in first.uploads}) == 11
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"\n".join(path.read_bytes() for path in files)
    assert (result.uploads, result.newlines_added) == (12, 11)


def test_an_existing_file_is_not_overwritten_unasked_and_nothing_is_taken(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"new\n"))
    target = written(tmp_path / "out", b"old\n")
    with pytest.raises(DownloadRefused, match="exists"):
        download(topics, "smiles", target, idle=0)
    with pytest.raises(DownloadRefused, match="existing folder"):
        download(topics, "smiles", tmp_path / "no" / "out", idle=0)
    assert topics.counts("smiles").visible == 1
    download(topics, "smiles", target, idle=0, overwrite=True)
    assert target.read_bytes() == b"new\n"


def test_two_downloads_do_not_write_the_same_file(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"x\n"))
    other = sqlite3.connect(tmp_path / ".out.tagstream-spool", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DownloadRefused, match="another download"):
        download(topics, "smiles", tmp_path / "out", idle=0)
    other.execute("ROLLBACK")
    other.close()
    download(topics, "smiles", tmp_path / "out", idle=0)


def test_the_unfinished_download_of_another_topic_is_not_mixed_in(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0", b"x\n"))
    with pytest.raises(DownloadIncomplete):
        download(topics, "smiles", tmp_path / "out", idle=0)
    topics.create("other")
    with pytest.raises(DownloadRefused, match="'smiles'"):
        download(topics, "other", tmp_path / "out", idle=0)
    (tmp_path / ".out.tagstream-spool").write_bytes(b"no database, whatever its name says" * 100)
    with pytest.raises(DownloadRefused, match="no spool"):
        download(topics, "smiles", tmp_path / "out", idle=0)


def test_a_spool_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    # A column that said 1 for bzip2 and 0 for nothing.
    topics = make()
    put(topics, parcel("0", b"C\n"))
    with pytest.raises(DownloadIncomplete):
        download(topics, "smiles", tmp_path / "out", idle=1)
    with sqlite3.connect(tmp_path / ".out.tagstream-spool") as spool:
        spool.execute("UPDATE parcels SET packed = ?, content = ?", (True, bz2.compress(b"C\n")))
    spool.close()
    put(topics, parcel("1$", b"N\n"))
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"C\nN\n"


def test_what_others_hold_is_no_end_though_nothing_is_known_to_be_missing(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"0\n"), parcel("0$", b"1\n", "v"))
    held = topics.pull("smiles", max_messages=1, visibility_timeout=1_000)
    with pytest.raises(DownloadIncomplete, match="About 1 messages are in other hands") as caught:
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert caught.value.gaps == ()
    assert not (tmp_path / "out").exists()
    topics.refresh_deadline("smiles", held, 0)
    assert download(topics, "smiles", tmp_path / "out", idle=1).left == 0
    assert (tmp_path / "out").read_bytes() == b"0\n1\n"


def test_an_empty_file_is_not_what_came_while_others_hold_everything(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"0\n"))
    topics.pull("smiles", visibility_timeout=40_000)
    with pytest.raises(DownloadIncomplete, match="in other hands"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    result = download(topics, "smiles", tmp_path / "out", idle=1, partial=True)
    assert (result.lines, result.left) == (0, 1)


def test_a_gap_says_where_a_steps_parcels_probably_are(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0.0~c09d6c7b$", b"0\n"), parcel("2$.0~c09d6c7b$", b"2\n"))
    with pytest.raises(DownloadIncomplete, match="dead letters of the step's input"):
        download(topics, "smiles", tmp_path / "out", idle=1)


def test_a_second_download_is_warned_before_it_takes_anything(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken: list[str] = []

    def intercept(operation: str, _: Mapping[str, Any]) -> None:
        if operation == "ReceiveMessage":
            taken.append(caplog.text)

    clock = VirtualClock()
    topics = Topics(MemorySqs(clock=clock, intercept=intercept), clock=clock.now, sleep=clock.sleep)
    topics.create("smiles")
    put(topics, parcel("0", b"0\n"), parcel("1$", b"1\n"))
    topics.pull("smiles", max_messages=1, visibility_timeout=40)
    taken.clear()
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert "about 1 messages are in other hands" in taken[0]
    caplog.clear()
    put(topics, parcel("0$", b"0\n", "v"))
    download(topics, "smiles", tmp_path / "alone", idle=1)
    assert caplog.text == ""
