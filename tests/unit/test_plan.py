"""What a load needs, costs, and runs against: arithmetic that must hold together, for any load."""

from __future__ import annotations

import doctest
import json
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sizes import PAGE, filled
from stacks.settings import MODELS, STAGES, SettingsError, settings_for
from tagstream.catalog import mapping
from tagstream.cli import main
from tagstream.plan import (
    Declared,
    Size,
    Workload,
    costs,
    figures,
    limits,
    problems,
    rekognition,
    size,
    sizing,
)
from tests.documents import ROOT, commands, undocumented

FIGURES = json.loads((ROOT / "tagstream" / "plan" / "figures.json").read_text())
SECTIONS = ("prices", "quotas", "measured")
LOADS = st.builds(
    Workload,
    st.floats(0.1, 5e6),
    photo_mb=st.floats(0.05, 60),
    months=st.floats(0.1, 120),
    searches_per_day=st.floats(0, 1e6),
    zones=st.sampled_from([1, 3]),
    model=st.sampled_from(["efficientnet-lite0", "efficientnet-lite2", "inception-v3", "./mine"]),
)


def declared(load: Workload, planned: Size) -> Declared:
    """A stage that is as the plan says."""
    return Declared(
        peak_images_per_hour=int(load.peak_per_second * 3600),
        images=int(load.images),
        photo_mb=load.photo_mb,
        model=load.model,
        region=None,
        high_throughput=True,
        account_concurrency=planned.account_concurrency,
        classify_memory_mb=planned.classify_memory_mb,
        classify_timeout_seconds=planned.classify_timeout_seconds,
        classify_batch_size=planned.classify_batch_size,
        classify_max_concurrency=planned.classify_max_concurrency,
        catalog_memory_mb=planned.catalog_memory_mb,
        catalog_batch_size=planned.catalog_batch_size,
        catalog_max_concurrency=planned.catalog_max_concurrency,
        other_concurrency=4,
        instance_type=planned.instance_type,
        data_nodes=planned.data_nodes,
        volume_gb=planned.volume_gb,
        shards=planned.shards,
    )


@pytest.mark.parametrize("module", [figures, sizing], ids=lambda module: module.__name__)
def test_the_examples_in_the_code_hold(module: Any) -> None:
    result = doctest.testmod(module)
    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_figure_says_where_it_is_from_and_of_when(section: str) -> None:
    for name, about in FIGURES[section].items():
        assert about["source"].startswith(("https://", "docs/", "python -m benchmarks", "an assumption", "the ")), name
        assert date(2026, 1, 1) <= date.fromisoformat(about["read"]), name
        assert about["unit"], name
        assert isinstance(about["certain"], bool), name
        assert about["certain"] or about.get("note"), f"{name} is uncertain: say why"
        if about["source"] == "an assumption":
            assert not about["certain"], name


def test_what_is_cited_from_here_is_there() -> None:
    for section in SECTIONS:
        for name, about in FIGURES[section].items():
            if about["source"].startswith("docs/"):
                page = " ".join((ROOT / about["source"]).read_text().split())
                assert about["says"], name
                assert [one for one in about["says"] if one not in page] == [], name
            if about["source"].startswith("python -m benchmarks"):
                from benchmarks.__main__ import GROUPS

                assert about["source"].split()[-1] in GROUPS, name


def test_what_models_take_is_what_the_page_says() -> None:
    """Differences of the nets alone; what an int8 Lite2 takes more than an fp16 Lite0 is within the noise."""
    about = FIGURES["measured"]["model_cpu_ms"]
    nets = re.match(r"\D+0 ([\d.]+) ms in fp16 and ([\d.]+) in int8, Lite2 ([\d.]+) and ([\d.]+)", about["says"][0])
    assert nets is not None
    base, *others = map(float, nets.groups())
    found = [about["value"][f"efficientnet-{name}"] for name in ("lite0-int8", "lite2", "lite2-int8")]
    assert found == pytest.approx([other - base for other in others], abs=0.41)
    ours, inception = (int(one.rpartition("| ")[2].removesuffix(" ms")) for one in about["says"][1:])
    assert about["value"]["inception-v3"] == inception - ours


def test_tiers_rise_and_end_open() -> None:
    found = [about["value"] for about in FIGURES["prices"].values() if isinstance(about["value"], list)]
    assert found
    for tiers in found:
        ends = [end for end, _ in tiers]
        assert ends[-1] is None
        assert ends[:-1] == sorted(ends[:-1])
        assert [dollars for _, dollars in tiers] == sorted((dollars for _, dollars in tiers), reverse=True)


def test_each_part_is_paid_for_by_its_tier() -> None:
    assert rekognition(Workload(12e6 / 365)) == pytest.approx(1_000)
    assert rekognition(Workload(12e6 / 365 * 6)) == pytest.approx(1_000 + 4 * 800 + 600)


def test_it_is_the_tags_that_make_a_document_many() -> None:
    fields = mapping.settings_and_mappings()["mappings"]["properties"]
    assert [name for name, about in fields.items() if about.get("type") == "nested"] == ["tags"]
    assert sizing.documents_an_image() == 1 + FIGURES["measured"]["tags"]["value"]


@given(LOADS)
def test_what_is_planned_carries_the_load(load: Workload) -> None:
    planned = size(load)
    if max(planned.classify_needed, planned.catalog_needed) <= FIGURES["quotas"]["mapping_concurrency"]["value"]:
        assert list(problems(declared(load, planned))) == []
    assert planned.classify_visibility_seconds == 6 * planned.classify_timeout_seconds
    assert planned.catalog_visibility_seconds == 6 * planned.catalog_timeout_seconds
    assert planned.data_nodes % planned.zones == 0
    assert planned.volume_gb <= sizing.instances()[planned.instance_type].volume_gb


@given(LOADS, st.floats(1.01, 100))
def test_more_photos_take_no_less_and_cost_no_less(load: Workload, times: float) -> None:
    more = replace(load, images_per_day=load.images_per_day * times)
    few, many = size(load), size(more)
    for name in ("classify_needed", "catalog_needed", "shards", "account_concurrency"):
        if many.classify_memory_mb == few.classify_memory_mb:
            assert getattr(many, name) >= getattr(few, name)
    bill, larger = costs(load, few), costs(more, many)
    assert all(line.dollars >= 0 for line in bill)
    assert sum(line.dollars for line in larger) >= sum(line.dollars for line in bill)
    assert rekognition(more) >= rekognition(load)


@given(LOADS)
def test_what_binds_first_stands_first(load: Workload) -> None:
    shares = [limit.share for limit in limits(load, size(load))]
    assert shares == sorted(shares, reverse=True)


def test_a_stage_that_is_planned_is_one_that_can_be_deployed() -> None:
    """The plan's names are settings, and its values ones that the stacks take."""
    done = run("--images-per-day", "1e6", "--peak-per-hour", "1e6", "--months", "3", "--json")
    settings = json.loads(done.output)["settings"]
    load = {"peak_images_per_hour": 1_000_000, "images": 91_250_000}
    made = settings_for({"stage": "prod"} | load | {name: str(value) for name, value in settings.items()} | SMALLER)
    assert made.domain.shards == settings["domain.shards"]
    assert made.classify.visibility == settings["classify.visibility_seconds"]


# Steps take a hundred of the account's functions in prod.
SMALLER = {"steps.max_concurrency": "2"}
MILLION_AN_HOUR = {"peak_images_per_hour": "1000000"}
HUNDRED_MILLION = {
    "images": "100000000",
    "domain.shards": "6",
    "domain.volume_gb": "600",
    "domain.instance_type": "m6g.large.search",
}


@pytest.mark.parametrize(
    ("context", "problem"),
    [
        # Mapping's concurrency, by the batches that the peak takes.
        (MILLION_AN_HOUR | {"classify.max_concurrency": "20"}, "classify.max_concurrency 20 works off"),
        (
            MILLION_AN_HOUR | {"catalog.max_concurrency": "2", "catalog.batch_size": "1"},
            "catalog.max_concurrency 2 works",
        ),
        ({"peak_images_per_hour": "100000000"}, "one mapping runs 1,000 at most"),
        # A batch within the function's time.
        (
            {
                "peak_images_per_hour": "1000",
                "classify.timeout_seconds": "30",
                "classify.batch_size": "500",
                "classify.batch_window_seconds": "5",
            },
            "classify.batch_size 500 photos of photo_mb 3 take about",
        ),
        ({"peak_images_per_hour": "1000", "photo_mb": "60", "classify.timeout_seconds": "10"}, "take about"),
        # The account's concurrency.
        (
            {"stage": "dev", "peak_images_per_hour": "500000"},
            "and account_concurrency 10 is all that the account lets run",
        ),
        # The FIFO queue's calls.
        (
            {
                "peak_images_per_hour": "10000000",
                "region": "eu-south-1",
                "classify.batch_size": "1",
                "classify.max_concurrency": "800",
                "catalog.max_concurrency": "50",
                "steps.max_concurrency": "2",
            },
            "a FIFO queue in high-throughput mode takes 2,400: raise classify.batch_size",
        ),
        # One shard for what takes several: by size, and by Lucene's documents.
        (HUNDRED_MILLION | {"domain.shards": "2"}, "domain.shards 2 would grow to 83 GiB each"),
        (HUNDRED_MILLION | {"images": "200000000", "domain.shards": "1"}, "and a shard takes 2,147,483,519: use"),
        # The disks.
        (HUNDRED_MILLION | {"domain.volume_gb": "100"}, "domain.volume_gb 100 is too small for images 100,000,000"),
        # The domain's processors.
        (
            {
                "peak_images_per_hour": "10000000",
                "classify.max_concurrency": "800",
                "steps.max_concurrency": "2",
            },
            "domain.data_nodes 3 of m7g.medium.search have 3 vCPUs",
        ),
        ({"peak_images_per_hour": "-1"}, "peak_images_per_hour -1 is too small"),
        ({"photo_mb": "100"}, "photo_mb 100 must be above 0 and within max_bytes"),
        ({"photo_mb": "nan"}, "photo_mb nan must be"),
    ],
)
def test_settings_that_do_not_carry_what_they_declare_fail_the_synth(context: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_for({"stage": "prod"} | context)
    assert any(problem in found for found in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    "context",
    [
        {"stage": "prod"} | MILLION_AN_HOUR,
        {"stage": "prod"} | HUNDRED_MILLION,
        {"stage": "dev", "peak_images_per_hour": "10000", "images": "1000000"},
    ],
)
def test_settings_that_carry_what_they_declare_do_not(context: dict[str, str]) -> None:
    settings_for(context)


def test_a_load_is_classified_by_what_prod_has() -> None:
    assert Workload(1).model == STAGES["prod"].model
    assert set(FIGURES["measured"]["model_cpu_ms"]["value"]) >= set(MODELS)


def test_without_a_declared_load_nothing_is_said_of_it() -> None:
    least = declared(Workload(1), size(Workload(1)))
    bare = replace(least, peak_images_per_hour=0, images=0, classify_max_concurrency=2, volume_gb=10)
    assert list(problems(bare)) == []


def test_a_fifo_queue_without_high_throughput_takes_three_hundred_calls() -> None:
    load = Workload(24e6, peak_per_hour=12e6)
    stage = replace(declared(load, size(load)), high_throughput=False)
    (problem,) = problems(stage)
    assert "takes 333 calls a second" in problem
    assert "takes 300: switch it on" in problem


def test_what_was_measured_of_an_invocation_takes_the_place_of_the_estimate() -> None:
    load = Workload(1e6, photo_milliseconds=400)
    (line,) = (line for line in costs(load, size(load)) if (line.service, line.what) == ("Lambda", "classify"))
    assert line.quantity == pytest.approx(load.images_per_month * 0.4 * 1769 / 1024)
    assert size(load).classify_needed > size(Workload(1e6)).classify_needed


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plan", *arguments])


def test_json_has_all_that_is_shown_in_words_that_are_explained() -> None:
    done = run("--images-per-day", "10000", "--searches-per-day", "100", "--json")
    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)
    assert undocumented([{**row, "settings": None, "uncertain": None}]) == set()
    assert row["dollars"] == pytest.approx(sum(cost["dollars"] for cost in row["costs"]))
    assert {cost["service"] for cost in row["costs"]} >= {
        "S3", "SQS", "Lambda", "OpenSearch", "CloudWatch", "X-Ray", "API Gateway", "CloudFront", "Transfer",
    }  # fmt: skip
    assert row["rekognition"] == pytest.approx(10_000 * 365 / 12 / 1_000)
    assert "graviton" in row["uncertain"]


def test_the_page_on_scale_has_the_numbers_of_today() -> None:
    page = PAGE.read_text()
    assert page == filled(page), "python -m benchmarks.sizes writes them anew"
    plans = [typed for typed in commands(PAGE) if " plan " in typed.command or " synth " in typed.command]
    assert [len(typed.printed) >= 3 for typed in plans] == [True] * 3
    # A number that is another one is noticed, in each of the places.
    for number in ("Together $", "| 1 billion | ", "Error: domain.shards 1 would grow to ", "domain.data_nodes     3"):
        place = page.find(number)
        assert place > 0, number
        wrong = page[:place] + page[place:].replace("0", "9", 1)
        assert filled(wrong) == page, number


def test_what_traces_cost_is_what_a_plan_says() -> None:
    load = Workload(32_900_000)
    (traces,) = (cost for cost in costs(load, size(load)) if cost.service == "X-Ray")
    told = f"{traces.quantity / 1e6:.0f} million traces at most, ${traces.dollars:.0f} of "
    assert told in " ".join(PAGE.read_text().split())


def test_photos_take_the_time_that_was_measured_last() -> None:
    text = " ".join((ROOT / "docs" / "performance.md").read_text().partition("## Thumbnails")[2].split())
    told = re.search(r"in CPU ([\d.]+) instead of [\d.]+, and ([\d.]+) instead of", text)
    assert told is not None
    assert [ms for _, ms in FIGURES["measured"]["photo_cpu_ms"]["value"]] == [float(told[1]), float(told[2])]


def test_the_costs_that_documents_tell_are_those_of_a_plan() -> None:
    table = (ROOT / "docs" / "infrastructure.md").read_text().partition("## What it costs")[2]
    told = [int(dollars) for dollars in re.findall(r"\*\*about \$(\d+)\*\*", table)]

    def bill(load: Workload) -> float:
        kept = ("photos kept", "thumbnails kept")
        return sum(line.dollars for line in costs(load, size(load)) if line.what not in kept)

    nothing = Workload(0.001)
    million = replace(nothing, images_per_day=12e6 / 365)
    dev, prod = bill(replace(nothing, zones=1)), bill(nothing)
    assert [dev, prod, bill(million) - prod] == pytest.approx(told, abs=0.6)


def test_people_see_what_binds_first_and_what_it_costs() -> None:
    done = run("--images-per-day", "1e6")
    assert done.exit_code == 0
    assert "What binds first: size of the index in one shard, 50 GiB; it takes 1,214 % of that." in done.stdout
    assert "domain.shards=21" in done.stdout
    total = next(line for line in done.stdout.splitlines() if line.startswith("Together $"))
    bill = json.loads(run("--images-per-day", "1e6", "--json").stdout)
    assert f"${bill['dollars']:,.2f}" in total


def test_a_stage_is_held_against_the_load_and_what_to_type_is_the_last_line() -> None:
    done = run("--images-per-day", "1e6", "--stage", "prod", "-c", "catalog.max_concurrency=30")
    assert done.exit_code == 1
    assert "domain.shards 1 would hold" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert "make deploy STAGE=prod SET='" in last
    assert "domain.shards=21" in last
    assert "catalog.max_concurrency=30" in last
    # What it says to type is right.
    context = dict(one.partition("=")[::2] for one in last.partition("SET='")[2].rstrip("'").split())
    assert settings_for({"stage": "prod"} | context).domain.shards == 21
    row = json.loads(run("--images-per-day", "1e6", "--stage", "prod", "--json").stdout)
    assert row["changes"]["domain.shards"] == {"has": 1, "plan": 21}
    assert undocumented([{**row, "settings": None, "uncertain": None, "changes": None}]) == set()
    assert any("domain.shards 1" in problem for problem in row["problems"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_small_load_is_carried_by_every_stage(stage: str) -> None:
    done = run("--images-per-day", "1000", "--zones", "1", "--stage", stage)
    assert done.exit_code == 0, done.output
    assert f"Stage {stage} carries that." in done.stdout.splitlines()[-1]


def test_the_model_is_the_stages_unless_another_is_named() -> None:
    slow = ("--images-per-day", "1e5", "--stage", "prod", "-c", "model=inception-v3", "--months", "1", "--json")
    fast = ("--images-per-day", "1e5", "--stage", "prod", "--months", "1", "--json")

    def seconds(*arguments: str) -> float:
        found = json.loads(run(*arguments).stdout)["costs"]
        return next(float(one["quantity"]) for one in found if one["what"] == "classify")

    assert seconds(*slow) > 1.3 * seconds(*fast)
    assert seconds(*fast, "--model", "inception-v3") == seconds(*slow)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "--images-per-day"),
        (("--images-per-day", "0"), 2, "not in the range"),
        (("--images-per-day", "-5"), 2, "not in the range"),
        (("--images-per-day", "nan"), 2, "no number"),
        (("--images-per-day", "inf"), 2, "not in the range"),
        (("--images-per-day", "many"), 2, "not a valid float"),
        (("--images-per-day", "100", "--photo-mb", "0"), 2, "not in the range"),
        (("--images-per-day", "100", "--photo-mb", "nan"), 2, "no number"),
        (("--images-per-day", "100", "--peak-per-hour", "200"), 2, "must be within a 24th"),
        (("--images-per-day", "100", "--peak-per-hour", "1"), 2, "must be within a 24th"),
        (("--images-per-day", "100", "-c", "domain.shards=2"), 2, "name it with --stage"),
        (("--images-per-day", "100", "--stage", "prod", "-c", "domain.shards"), 2, "give NAME=VALUE"),
        (("--images-per-day", "100", "--stage", "prod", "-c", "images=5"), 2, "said by the options"),
        (("--images-per-day", "100", "--stage", "production"), 1, "stage 'production' is not known"),
        (("--images-per-day", "100", "--stage", "prod", "-c", "domain.shard=2"), 1, "did you mean 'domain.shards'"),
        (("--images-per-day", "100", "--stage", "prod", "-c", "domain.shards=x"), 1, "a whole number"),
    ],
)
def test_what_makes_no_sense_is_said_to(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr


@given(LOADS.map(lambda load: replace(load, images_per_day=load.images_per_day * 1000)))
def test_loads_beyond_all_quotas_are_planned_too(load: Workload) -> None:
    planned = size(load)
    assert all(limit.needs >= 0 for limit in limits(load, planned))
    assert sum(line.dollars for line in costs(load, planned)) > 0


def test_a_stage_is_reckoned_with_its_own_zones() -> None:
    done = CliRunner().invoke(main, ["plan", "--images-per-day", "300", "--stage", "dev", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["settings"]["domain.zones"], told["settings"]["domain.data_nodes"]) == (1, 1)


def test_no_more_shards_are_advised_than_an_index_may_have() -> None:
    load = Workload(60_000_000)
    assert size(load).shards == figures.quota("shards_an_index")
    (of_index,) = (one for one in limits(load, size(load)) if one.name == "shards of one index")
    assert of_index.share > 1
