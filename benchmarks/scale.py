"""A million uploads within an hour, simulated: ``python -m benchmarks.scale`` (or ``make scale``).

Writes the rows of its table in ``docs/scale.md`` anew, and draws ``docs/images/scale.svg``. What the simulation gets is
the settings of the stages, the figures of ``tagstream plan``, and the assumptions below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.measure import say
from benchmarks.simulation import Consumer, Lognormal, Outcome, Pipeline, Totals, poisson, simulate
from stacks.settings import STAGES, Settings, settings_for
from stacks.settings import Consumer as Deployed
from tagstream.plan.figures import instances, measured, price, quota, tiered
from tagstream.plan.sizing import GIB, VCPU_MB, batch_seconds, catalog_batch_seconds, copies

__all__ = ["SCENARIOS", "Scenario", "costs", "draw", "filled", "inputs", "pipeline", "row", "run"]

UPLOADS = 1_000_000
HOUR = 3600.0
PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
PICTURE = PAGE.parent / "images" / "scale.svg"
_SEED = 2026

# What nobody has measured on AWS. docs/scale.md says the same.
PHOTO_MB = 3.0
SPREAD = 0.4
"""Of the logarithm of what a photo takes."""
COLD_SECONDS = {"classify": 1.0, "catalog": 0.7}
NOTIFIED = Lognormal(wait=0.0, mean=0.8, sigma=0.7)
"""Seconds from an upload to its event. AWS says: usually seconds, at times a minute or longer."""
REJECTED, POISONOUS, FAILS = 0.01, 1e-5, 1e-4
"""Of all photos those that can't be classified, and those that end the function; of all tries those that fail."""
AGAIN = 0.02
"""Of all uploads those that replace an image from before."""


@dataclass(frozen=True)
class Scenario:
    """What is simulated: the stage's settings, ``seconds`` in which the uploads come, when the domain is away."""

    name: str
    settings: Settings
    seconds: float = HOUR
    outages: tuple[tuple[float, float], ...] = ()
    drawn: bool = False


_PROD = STAGES["prod"]
SCENARIOS = (
    Scenario("prod, within an hour", _PROD, drawn=True),
    Scenario("prod, within ten minutes", _PROD, seconds=600, drawn=True),
    Scenario(
        "prod with classify.max_concurrency=300, within ten minutes",
        settings_for({"stage": "prod", "classify.max_concurrency": 300}),
        seconds=600,
    ),
    Scenario("prod, within an hour, the domain away for ten minutes", _PROD, outages=((1200, 1800),), drawn=True),
    Scenario("prod, within an hour, the domain away for twenty minutes", _PROD, outages=((1200, 2400),)),
    Scenario("dev, within an hour", STAGES["dev"]),
)


def pipeline(settings: Settings, outages: tuple[tuple[float, float], ...] = ()) -> Pipeline:
    """A stage as the simulation knows it. What a batch takes, and the domain, is as in ``tagstream plan``."""

    def consumer(
        name: str, seconds: Callable[[float], float], deployed: Deployed, cores: int = 1, **more: Any
    ) -> Consumer:
        wait = seconds(0)
        return Consumer(
            Lognormal(wait, seconds(1) - wait, SPREAD, cores),
            most=min(deployed.max_concurrency, quota("mapping_concurrency")),
            first=quota("mapping_start"),
            more_a_minute=quota("mapping_growth"),
            batch_size=deployed.batch_size,
            window_seconds=deployed.batch_window_seconds,
            visibility_seconds=deployed.visibility,
            max_receives=deployed.max_receives,
            timeout_seconds=deployed.timeout_seconds,
            cold_seconds=COLD_SECONDS[name],
            fails=FAILS,
            **more,
        )

    domain = settings.domain
    write = measured("domain_cpu_ms") * measured("graviton") / 1000 * copies(domain.data_nodes)
    return Pipeline(
        consumer(
            "classify",
            lambda photos: batch_seconds(
                photos, photo_mb=PHOTO_MB, memory_mb=settings.classify.memory_mb, model=settings.model
            ),
            settings.classify,
            # A photo has one thread.
            cores=max(1, settings.classify.memory_mb // VCPU_MB),
        ),
        consumer(
            "catalog",
            lambda updates: catalog_batch_seconds(updates, memory_mb=settings.catalog.memory_mb),
            settings.catalog,
            fifo=True,
            calls_a_second=quota("fifo_calls")["us-east-1"],
        ),
        account_concurrency=settings.account_concurrency,
        notified=lambda random: NOTIFIED(random, 1),
        rejected=REJECTED,
        poisonous=POISONOUS,
        writes_a_second=instances()[domain.instance_type].vcpus * domain.data_nodes / write,
        outages=outages,
    )


def run(scenario: Scenario, uploads: int = UPLOADS) -> Outcome:
    """The scenario's uploads through its stage."""
    return simulate(
        pipeline(scenario.settings, scenario.outages),
        poisson(uploads, scenario.seconds * uploads / UPLOADS, seed=_SEED, again=AGAIN),
        seed=_SEED,
    )


def costs(outcome: Outcome, settings: Settings) -> dict[str, float]:
    """Dollars for what the uploads took, by service; nothing that is paid by the month, and no storage."""
    classify, catalog = outcome.classify, outcome.catalog
    gb_seconds = sum(
        totals.seconds * consumer.memory_mb / 1024
        for totals, consumer in ((classify, settings.classify), (catalog, settings.catalog))
    )
    events = outcome.uploads + classify.receives + classify.deletes
    updates = classify.sends + catalog.receives + catalog.deletes
    return {
        "S3": outcome.uploads * 3 * price("s3_put") + classify.messages * price("s3_get"),
        "SQS": events * price("sqs_standard") + updates * price("sqs_fifo"),
        "Lambda": tiered(gb_seconds, price("lambda_gb_second"))
        + (classify.invocations + catalog.invocations) * price("lambda_request"),
        "CloudWatch": outcome.uploads * measured("log_bytes") / GIB * price("logs_ingested"),
    }


def row(scenario: Scenario, outcome: Outcome) -> str:
    """The row of docs/scale.md."""

    def batches(totals: Totals) -> str:
        return f"{totals.most_at_once}, of {totals.messages / totals.invocations:.1f} on average"

    ends = outcome.ends
    cells = [
        scenario.name,
        *(f"{ends[end]:,}" for end in ("indexed", "rejected", "dead")),
        *(_time(outcome.latency.percentile(percent)) for percent in (50, 95, 99.9)),
        f"{max(sample.events for sample in outcome.samples):,}",
        f"{max(sample.updates for sample in outcome.samples):,}",
        batches(outcome.classify),
        batches(outcome.catalog),
        _time(outcome.last_end - outcome.last_upload),
        f"${sum(costs(outcome, scenario.settings).values()):,.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def inputs() -> str:
    """What prod is simulated with, as the page says it: another sentence means that the rows are those of yesterday."""
    found = pipeline(_PROD)
    times = []
    for consumer in (found.classify, found.catalog):
        batch = consumer.seconds
        assert isinstance(batch, Lognormal)  # noqa: S101
        times.append(f"{1000 * batch.wait:.1f} ms and {1000 * batch.mean:.2f} for each")
    return (
        f"Simulated with {_PROD.model}: a batch takes classify {times[0]} photo, and catalog {times[1]} update; the "
        f"domain of `prod` takes {found.writes_a_second:,.0f} updates a second."
    )


def filled(page: str, rows: Iterable[str]) -> str:
    """The page with these rows in place of those that begin alike, and with today's inputs."""
    named = {new.split(" | ")[0]: new for new in rows}
    lines = [named.get(line.split(" | ")[0], line) for line in page.splitlines()]
    return "\n".join(inputs() if line.startswith("Simulated with ") else line for line in lines) + "\n"


def _time(seconds: float) -> str:
    """Two figures, in a unit that suits.

    >>> [_time(seconds) for seconds in (0.876, 1.25, 42.4, 372, 5000)]
    ['0.88 s', '1.2 s', '42 s', '6.2 min', '1.4 h']
    """
    for limit, unit, one in ((100, "s", 1), (3600, "min", 60), (float("inf"), "h", 3600)):
        if seconds < limit:
            value = seconds / one
            return (
                f"{value:.2f} {unit}" if value < 1 else f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
            )
    raise ValueError(f"{seconds} is no time")


def draw(outcomes: Iterable[tuple[Scenario, Outcome]], path: Path) -> None:
    """Backlog, batches at a time and latency over time, a column for each scenario, and what each costs, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    # The same picture from the same numbers, byte for byte.
    matplotlib.rcParams |= {"svg.hashsalt": "tagstream", "svg.fonttype": "none", "font.size": 8}
    from matplotlib import pyplot

    found = list(outcomes)
    blue, red, green, orange, violet = "#2a6f9d", "#d1495b", "#2a9d5c", "#e9a23b", "#7d4e9e"
    figure, axes = pyplot.subplots(
        4,
        len(found),
        figsize=(4.2 * len(found), 9),
        height_ratios=[2, 2, 2, 0.7],
        squeeze=False,
        layout="constrained",
    )
    bills = [costs(outcome, scenario.settings) for scenario, outcome in found]
    for (scenario, outcome), bill, column in zip(found, bills, axes.T, strict=True):
        waiting, running, latency, money = column
        minutes = [sample.second / 60 for sample in outcome.samples]
        for axis, names in ((waiting, ("events", "updates")), (running, ("classify", "catalog"))):
            for name, colour in zip(names, (blue, red), strict=True):
                axis.plot(minutes, [getattr(sample, name) for sample in outcome.samples], label=name, color=colour)
        waiting.set_yscale("symlog", linthresh=10)
        waiting.set_ylim(bottom=0)
        running.set_ylim(0, 1.1 * scenario.settings.classify.max_concurrency)
        shown = sorted(outcome.by_minute)
        for percent, colour in ((50, green), (95, orange), (99.9, violet)):
            values = [outcome.by_minute[minute].percentile(percent) for minute in shown]
            latency.plot([minute + 0.5 for minute in shown], values, label=f"{percent} %", color=colour)
        latency.set_yscale("log")
        latency.set_ylim(0.5, 5000)
        latency.set_yticks([1, 10, 60, 600, 3600], ["1 s", "10 s", "1 min", "10 min", "1 h"], minor=False)
        latency.minorticks_off()
        latency.set_xlabel("minutes")
        left = 0.0
        for (service, dollars), colour in zip(bill.items(), (blue, orange, green, violet), strict=True):
            money.barh([0], [dollars], left=left, label=f"{service} ${dollars:.2f}", color=colour)
            left += dollars
        money.set_xlim(0, max(sum(bill.values()) for bill in bills))
        money.set_yticks([])
        money.set_xlabel("dollars")
        for axis in (waiting, running, latency):
            axis.set_xlim(0, max(minutes))
            for start, end in scenario.outages:
                axis.axvspan(start / 60, end / 60, color="grey", alpha=0.15, linewidth=0)
        for axis in column:
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(
                frameon=False,
                ncols=3 if axis is latency else 2,
                fontsize=7,
                loc="lower center",
                bbox_to_anchor=(0.5, 1.0),
            )
        waiting.set_title(scenario.name.replace(", the", ",\nthe"), fontsize=9, fontweight="bold", pad=18)
    for axis, name in zip(
        axes[:3, 0], ("messages in the queues", "batches at a time", "until found, by upload"), strict=True
    ):
        axis.set_ylabel(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    # As the tools that watch over white space like it.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulate a million uploads in each scenario of docs/scale.md; write its rows, draw its picture.

    It takes some minutes. To be run when settings of a stage, or figures of the plan, have changed.
    """
    done = []
    for number, scenario in enumerate(SCENARIOS, 1):
        say(f"{number} of {len(SCENARIOS)}: {UPLOADS:,} uploads, {scenario.name} …")
        done.append((scenario, run(scenario)))
    rows = [row(scenario, outcome) for scenario, outcome in done]
    say("\n".join(rows))
    PAGE.write_text(filled(PAGE.read_text(), rows))
    draw([(scenario, outcome) for scenario, outcome in done if scenario.drawn], PICTURE)
    say(f"Written: {PAGE}, {PICTURE}")


if __name__ == "__main__":
    main()
