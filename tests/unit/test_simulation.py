"""The simulation of the pipeline: what must hold for any, and what is known of some without simulating."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulation import Consumer, Lognormal, Message, Outcome, Pipeline, evenly, poisson, simulate

PROMPT = Lognormal(wait=0.0, mean=1e-6)


def consumer(seconds: Any = PROMPT, **about: Any) -> Consumer:
    return Consumer(seconds, **({"most": 1000, "first": 1000} | about))


def quick(classify: Consumer, **about: Any) -> Pipeline:
    """Only what classify takes counts."""
    return Pipeline(classify, consumer(fifo=True), **about)


@st.composite
def consumers(draw: st.DrawFn, *, fifo: bool) -> Consumer:
    most = draw(st.integers(1, 30))
    return Consumer(
        Lognormal(draw(st.floats(0, 0.5)), draw(st.floats(0.001, 0.5)), draw(st.floats(0, 1))),
        most=most,
        first=draw(st.integers(1, 5)),
        more_a_minute=draw(st.sampled_from([0.0, 30, 300])),
        batch_size=draw(st.integers(1, 10)),
        window_seconds=0.0 if fifo else draw(st.sampled_from([0.0, 0.5])),
        visibility_seconds=draw(st.integers(20, 90)),
        max_receives=draw(st.integers(5, 10)),
        timeout_seconds=10,
        fifo=fifo,
        cold_seconds=draw(st.floats(0, 3)),
        idle_seconds=draw(st.integers(1, 60)),
        poll_seconds=draw(st.sampled_from([0.0, 0.02])),
        calls_a_second=draw(st.sampled_from([5.0, 300.0])),
        reserved=draw(st.none() | st.integers(1, 30)),
        fails=draw(st.sampled_from([0.0, 0.1, 0.9])),
    )


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    slow = Lognormal(0.0, draw(st.floats(0.001, 2)), 1.0)
    return Pipeline(
        draw(consumers(fifo=False)),
        draw(consumers(fifo=True)),
        account_concurrency=draw(st.integers(1, 60)),
        notified=lambda random: slow(random, 1),
        rejected=draw(st.sampled_from([0.0, 0.1])),
        poisonous=draw(st.sampled_from([0.0, 0.05])),
        writes_a_second=draw(st.sampled_from([2.0, 1000.0])),
        outages=draw(st.sampled_from([(), ((5.0, 60.0),), ((0.0, 2000.0),)])),
    )


@settings(max_examples=40, deadline=None)
@given(pipelines(), st.integers(0, 150), st.integers(1, 40), st.integers(0, 2**32))
def test_whatever_happens_each_upload_ends_once_and_images_keep_their_order(
    pipeline: Pipeline, number: int, images: int, seed: int
) -> None:
    sent: dict[int, list[int]] = defaultdict(list)
    ended: dict[int, list[int]] = defaultdict(list)
    ends: dict[int, str] = {}

    def trace(what: str, second: float, message: Message) -> None:
        assert second >= message.uploaded
        if what == "sent":
            sent[message.group].append(message.number)
        elif what != "uploaded":
            assert message.number not in ends
            ends[message.number] = what
            if message.number in sent[message.group]:
                ended[message.group].append(message.number)

    out = simulate(pipeline, evenly(number, 30, groups=images), seed=seed, trace=trace)

    assert out.uploads == number == len(ends) == out.ends.total()
    assert out.ends["dead"] == out.classify.dead + out.catalog.dead
    assert len(out.latency) == out.ends["indexed"]
    # What was sent to the catalog's queue first has ended first, of each image.
    assert ended == {image: numbers for image, numbers in sent.items() if numbers}
    # Little's law: how many there are on average is how many come, times how long they stay.
    assert out.area == pytest.approx(out.stayed, rel=1e-9, abs=1e-9)
    last = out.samples[-1]
    assert (last.events, last.updates, last.classify, last.catalog) == (0, 0, 0, 0)
    assert last.uploaded == last.ended == number
    for totals, most in ((out.classify, pipeline.classify), (out.catalog, pipeline.catalog)):
        assert totals.most_at_once <= min(most.most, most.reserved or most.most, pipeline.account_concurrency)
        assert totals.messages >= totals.invocations
    assert sum(totals.invocations for totals in (out.classify, out.catalog)) <= 20 * number


def summary(out: Outcome) -> Any:
    return out.ends, out.samples, out.classify, out.catalog, out.stayed, out.latency.percentile(95)


def test_the_seed_decides_everything() -> None:
    pipeline = Pipeline(
        consumer(Lognormal(0.1, 0.2, 0.5), most=20, first=5, cold_seconds=1, fails=0.01),
        consumer(Lognormal(0.1, 0.01, 0.5), most=5, fifo=True, fails=0.01),
        poisonous=0.001,
    )

    def run(seed: int) -> Any:
        return summary(simulate(pipeline, poisson(3000, 60, seed=1, again=0.1), seed=seed))

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_one_server_makes_wait_what_queueing_theory_says() -> None:
    """M/D/1: at a load of 0.8, two service times on average (Pollaczek and Khinchine)."""
    pipeline = quick(consumer(Lognormal(1.0, 1e-9), most=1, first=1, batch_size=1, visibility_seconds=1e9))
    out = simulate(pipeline, poisson(40_000, 50_000, seed=5), every=10_000)
    assert out.stayed / out.uploads == pytest.approx(1 + 0.8 / (2 * (1 - 0.8)), rel=0.05)


def test_a_mapping_begins_with_five_and_adds_three_hundred_a_minute_up_to_its_most() -> None:
    forever = consumer(Lognormal(10_000, 1e-9), most=1250, first=5, more_a_minute=300, batch_size=1)
    samples = simulate(quick(forever, account_concurrency=5000), evenly(2000, 0.001), every=1).samples
    at = {round(sample.second): sample.classify for sample in samples[:400]}
    assert [at[second] for second in (0, 1, 2, 60, 120, 248, 249, 300)] == [0, 10, 15, 305, 605, 1245, 1250, 1250]


def test_a_mapping_goes_back_when_a_minute_has_needed_less() -> None:
    pipeline = quick(consumer(Lognormal(1.0, 1e-9), most=100, first=5, more_a_minute=300, batch_size=1))
    burst = [(0.0, index) for index in range(1000)]
    later = [(400.0, index) for index in range(1000, 1100)]
    out = simulate(pipeline, [*burst, *later], every=1)
    at = {round(sample.second): sample.classify for sample in out.samples}
    assert at[15] > 50
    assert at[401] <= 10


def test_a_call_that_is_throttled_has_been_received() -> None:
    pipeline = quick(
        consumer(Lognormal(50, 1e-9), most=10, batch_size=1, visibility_seconds=60, max_receives=5),
        account_concurrency=1,
    )
    out = simulate(pipeline, evenly(100, 0.01))
    assert out.classify.throttled > 100
    assert out.classify.most_at_once == 1
    assert out.classify.dead > 0
    assert out.ends["indexed"] + out.classify.dead == 100


def test_what_always_fails_is_dead_after_its_receives() -> None:
    pipeline = quick(consumer(fails=1.0, visibility_seconds=60, max_receives=5))
    out = simulate(pipeline, evenly(20, 1))
    assert (out.ends["dead"], out.classify.messages) == (20, 100)
    assert out.last_end == pytest.approx(300, abs=1)


def test_a_photo_that_ends_the_function_is_rejected_and_those_beside_it_are_found() -> None:
    pipeline = quick(consumer(max_receives=10, visibility_seconds=360, timeout_seconds=60), poisonous=0.02)
    out = simulate(pipeline, evenly(1000, 0.1), seed=3)
    assert out.ends["rejected"] > 5
    assert out.ends["rejected"] + out.ends["indexed"] == 1000


def test_updates_of_one_image_run_one_batch_at_a_time_and_those_of_many_side_by_side() -> None:
    pipeline = Pipeline(consumer(), consumer(Lognormal(1.0, 1e-9), fifo=True, batch_size=10))
    assert simulate(pipeline, evenly(1000, 0.01, groups=1)).catalog.most_at_once == 1
    assert simulate(pipeline, evenly(1000, 0.01, groups=3)).catalog.most_at_once <= 3
    assert simulate(pipeline, evenly(1000, 0.01)).catalog.most_at_once >= 100


def test_a_fifo_queue_in_normal_mode_takes_three_hundred_calls_a_second() -> None:
    slow = Pipeline(
        consumer(batch_size=1),
        consumer(fifo=True, calls_a_second=300, patience_seconds=1e9),
        account_concurrency=10_000,
    )
    out = simulate(slow, evenly(6000, 2))
    assert out.last_end == pytest.approx(6000 / 300, rel=0.05)
    full = replace(slow, classify=consumer(Lognormal(1.0, 1e-9), most=200, first=200))
    assert simulate(full, [(0.0, index) for index in range(6000)]).last_end < 8


def test_calls_that_wait_too_long_for_their_turn_come_again() -> None:
    pipeline = Pipeline(consumer(batch_size=1, max_receives=10), consumer(fifo=True, calls_a_second=100))
    out = simulate(pipeline, evenly(2000, 1))
    assert out.classify.returned > 0
    assert out.ends["indexed"] + out.ends["dead"] == 2000


def test_updates_survive_a_domain_that_is_away_for_less_than_their_receives_take() -> None:
    catalog = consumer(fifo=True, visibility_seconds=180, max_receives=5)
    short = simulate(Pipeline(consumer(), catalog, outages=((0, 600),)), evenly(100, 1))
    long = simulate(Pipeline(consumer(), catalog, outages=((0, 1000),)), evenly(100, 1))
    assert (short.ends["indexed"], short.ends["dead"]) == (100, 0)
    assert (long.ends["indexed"], long.ends["dead"]) == (0, 100)


def test_a_window_fills_batches() -> None:
    def batches(window: float) -> float:
        out = simulate(quick(consumer(window_seconds=window)), evenly(1000, 100))
        return out.classify.messages / out.classify.invocations

    assert batches(0) == 1
    assert batches(0.5) == pytest.approx(5, abs=1)
    assert batches(30) == pytest.approx(10, abs=0.1)


def test_functions_are_kept_for_a_while() -> None:
    def cold(every: float, *, warm: int = 0) -> int:
        pipeline = quick(consumer(cold_seconds=1, idle_seconds=300, warm=warm))
        return simulate(pipeline, evenly(10, 10 * every), every=1000).classify.cold_starts

    assert (cold(60), cold(60, warm=1), cold(400)) == (1, 0, 10)


def test_memory_is_that_of_what_waits_not_of_what_has_passed() -> None:
    pipeline = Pipeline(
        consumer(Lognormal(0.05, 0.2, 0.5), most=100, cold_seconds=1),
        consumer(Lognormal(0.02, 0.001, 0.3), most=20, fifo=True),
    )

    def peak(number: int) -> int:
        tracemalloc.start()
        simulate(pipeline, evenly(number, number / 100), every=100)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(5000) < peak(1000) + 200_000


@given(st.integers(1, 6), st.integers(1, 10), st.integers(0, 10**6))
def test_cores_share_a_batch(cores: int, messages: int, seed: int) -> None:
    """No sooner than the work allows, or its longest message; and no later than one core, or a core left idle."""
    took = Lognormal(0.5, 0.1, 0.6, cores)(Random(seed), messages)
    alone = Lognormal(0.0, 0.1, 0.6)
    draws = [alone(chance, 1) for chance in [Random(seed)] for _ in range(messages)]
    assert took - 0.5 >= max(*draws, sum(draws) / cores) - 1e-9
    assert took - 0.5 <= sum(draws) / cores + max(draws) * (1 - 1 / cores) + 1e-9
