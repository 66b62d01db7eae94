"""``tagstream plan``."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import FAILED, emit, json_option

if TYPE_CHECKING:
    from tagstream.deployed.settings import StageSettings
    from tagstream.plan import Cost, Limit, Size, Workload

__all__ = ["plan"]

_SHOWN_LIMITS = 4
_MOST = 1e10
"""Photos or searches a day; beyond it the numbers say nothing any more."""


class _Amount(click.FloatRange):
    """A number within a range, which "nan" is not, and which help does not tell: no sensible number is outside."""

    def _describe_range(self) -> str:
        return ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


@click.command(short_help="Size and price a stage for a number of photos.")
@click.option("--images-per-day", type=_Amount(1e-3, _MOST), required=True, metavar="N", help="Photos uploaded.")
@click.option(
    "--photo-mb", type=_Amount(1e-3, 1024), default=3.0, show_default=True, metavar="N", help="MB of a photo."
)
@click.option(
    "--peak-per-hour",
    type=_Amount(0, _MOST),
    metavar="N",
    help="Photos in the busiest hour.  [default: an eighth of the day's]",
)
@click.option("--searches-per-day", type=_Amount(0, _MOST), default=0.0, metavar="N", help="Over the HTTP API.")
@click.option(
    "--months", type=_Amount(1e-3, 1200), default=12.0, show_default=True, metavar="N", help="How long photos are kept."
)
@click.option("--model", help="What classifies.  [default: the stage's, or what prod has]")
@click.option(
    "--photo-milliseconds",
    type=_Amount(1, 900_000),
    metavar="N",
    help="Of an invocation with one photo, as the REPORT lines of your logs have it, instead of an estimate.",
)
@click.option(
    "--zones", type=click.Choice(["1", "3"]), help="1: one node, which may be lost.  [default: the stage's, or 3]"
)
@click.option("--stage", metavar="STAGE", help="Hold the settings of this stage against the load.")
@click.option("-c", "given", multiple=True, metavar="NAME=VALUE", help="A setting of the stage, as for its deploy.")
@json_option
def plan(
    *,
    stage: str | None,
    given: tuple[str, ...],
    as_json: bool,
    zones: str | None,
    model: str | None,
    images_per_day: float,
    peak_per_hour: float | None,
    **load: Any,
) -> None:
    """What so many photos need of AWS: the settings, the quota that binds first, dollars a month.

    Reckons with list prices of us-east-1 and with what was measured here; docs/scale.md has the formulas, and what is
    uncertain. Asks nobody, and changes nothing.

    Exit code 1 if the settings of --stage don't suffice; the last lines say what to change.

    \b
    Examples:
      tagstream plan --images-per-day 10000
      tagstream plan --images-per-day 1e6 --photo-mb 5 --peak-per-hour 1e6 --searches-per-day 50000
      tagstream plan --images-per-day 330000 --stage prod -c domain.shards=7
      tagstream plan --images-per-day 10000 --json | jq '.costs[] | select(.service == "Lambda")'
    """
    from tagstream.plan import Workload

    if peak_per_hour is not None and not images_per_day / 24 <= peak_per_hour * 1.000001 <= images_per_day * 1.00001:
        raise click.UsageError("--peak-per-hour must be within a 24th of --images-per-day and all of them.")
    if given and stage is None:
        raise click.UsageError("-c is a setting of a stage: name it with --stage.")
    work = Workload(
        images_per_day,
        zones=int(zones or 3),
        peak_per_hour=peak_per_hour,
        # As a setting of a stage has it.
        **load | ({} if model is None else {"model": model.strip()}),
    )
    held = None
    if stage is not None:
        held = _held(stage, given, work, model_given=model is not None, zones_given=zones is not None)
        work = held.work
    found = _Plan.of(work, held)
    if as_json:
        emit([found.as_json()], as_json=True)
    else:
        found.show()
    if held is not None and held.has.overloads:
        sys.exit(FAILED)


@dataclass(frozen=True)
class _Held:
    """A stage whose settings are held against a load; ``context`` are those that were given, and the load."""

    stage: str
    context: Mapping[str, str]
    has: StageSettings
    work: Workload


def _held(stage: str, given: tuple[str, ...], work: Workload, *, model_given: bool, zones_given: bool) -> _Held:
    from dataclasses import replace

    from tagstream.deployed.settings import settings_of

    context = {
        "peak_images_per_hour": str(math.ceil(work.peak_per_second * 3600)),
        "images": str(math.ceil(work.images)),
        "photo_mb": f"{work.photo_mb:g}",
    } | ({"model": work.model} if model_given else {})
    for one in given:
        name, sign, value = one.partition("=")
        if not sign:
            raise click.UsageError(f"-c {one!r} is no setting: give NAME=VALUE.")
        if name.strip() in context:
            raise click.UsageError(
                f"-c {name.strip()} is said by the options of the load already: leave one of them out."
            )
        context[name.strip()] = value
    has = settings_of(stage, context)
    zones = work.zones if zones_given else has.values["domain.zones"]
    return _Held(stage, context, has, replace(work, model=has.values["model"], zones=zones))


@dataclass(frozen=True)
class _Plan:
    """All that is told of a load."""

    work: Workload
    size: Size
    limits: list[Limit]
    bill: list[Cost]
    held: _Held | None

    @classmethod
    def of(cls, work: Workload, held: _Held | None) -> _Plan:
        from tagstream.plan import costs, limits, size

        planned = size(work)
        region = (held.has.values["region"] if held else None) or "us-east-1"
        return cls(work, planned, limits(work, planned, region=region), costs(work, planned), held)

    def settings(self) -> Iterator[tuple[str, Any]]:
        """As a stage has them, by name."""
        size = self.size
        yield "classify.memory_mb", size.classify_memory_mb
        yield "classify.batch_size", size.classify_batch_size
        yield "classify.timeout_seconds", size.classify_timeout_seconds
        yield "classify.visibility_seconds", size.classify_visibility_seconds
        yield "classify.max_concurrency", size.classify_max_concurrency
        yield "catalog.memory_mb", size.catalog_memory_mb
        yield "catalog.batch_size", size.catalog_batch_size
        yield "catalog.timeout_seconds", size.catalog_timeout_seconds
        yield "catalog.visibility_seconds", size.catalog_visibility_seconds
        yield "catalog.max_concurrency", size.catalog_max_concurrency
        yield "domain.instance_type", size.instance_type
        yield "domain.data_nodes", size.data_nodes
        yield "domain.zones", size.zones
        yield "domain.volume_gb", size.volume_gb
        yield "domain.shards", size.shards
        yield "account_concurrency", size.account_concurrency

    def changes(self) -> dict[str, dict[str, Any]]:
        """Settings of the stage to change, ``{name: {"has": …, "plan": …}}``: what it has more of is well."""
        if self.held is None:
            return {}
        has, plan = self.held.has, dict(self.settings())
        more = ("classify.max_concurrency", "catalog.max_concurrency", "domain.shards", "account_concurrency")
        wanted = [name for name in more if has.values[name] < plan[name]]
        if any("domain.volume_gb" in problem or "domain.data_nodes" in problem for problem in has.overloads):
            wanted += ["domain.instance_type", "domain.data_nodes", "domain.zones", "domain.volume_gb"]
        return {
            name: {"has": has.values[name], "plan": plan[name]} for name in wanted if has.values[name] != plan[name]
        }

    def as_json(self) -> dict[str, Any]:
        from tagstream.plan import rekognition, uncertain

        stage = {} if self.held is None else {"changes": self.changes(), "problems": list(self.held.has.overloads)}
        return {
            "images": round(self.work.images),
            "settings": dict(self.settings()),
            "managers": self.size.managers,
            "limits": [
                {
                    "limit": one.name,
                    "needs": one.needs,
                    "allows": one.allows,
                    "unit": one.unit,
                    "share": one.share,
                    "then": one.then,
                }
                for one in self.limits
            ],
            "costs": [asdict(one) for one in self.bill],
            "dollars": sum(one.dollars for one in self.bill),
            "rekognition": rekognition(self.work),
            "uncertain": dict(uncertain()),
            **stage,
        }

    def show(self) -> None:
        work = self.work
        click.echo(
            f"{_amount(work.images_per_day)} photos a day of {work.photo_mb:g} MB, "
            f"{_amount(work.peak_per_second * 3600)} in the busiest hour, kept for {work.months:g} months: "
            f"{_amount(work.images)} in the catalog.\n"
        )
        emit([{"setting": name, "value": str(value)} for name, value in self.settings()], as_json=False)
        if self.size.managers:
            click.echo(f"Besides, {self.size.managers} dedicated managers for the domain, which no setting makes yet.")
        self._show_limits()
        self._show_bill()
        if self.held is not None:
            self._show_stage(self.held)

    def _show_limits(self) -> None:
        first = self.limits[0]
        reached = f"it takes {_share(first.share)} of that" if first.share > 1 else f"{_share(first.share)} are used"
        click.echo(f"\nWhat binds first: {first.name}, {_amount(first.allows)} {first.unit}; {reached}.")
        rows = [
            {
                "limit": one.name,
                "needs": f"{_amount(one.needs)} {one.unit}",
                "of": _amount(one.allows),
                "share": _share(one.share),
            }
            for one in self.limits
            if one.share > 1 or one in self.limits[:_SHOWN_LIMITS]
        ]
        emit(rows, as_json=False)
        for one in self.limits:
            if one.share > 1:
                click.echo(f"{one.name}\n  → {one.then}")

    def _show_bill(self) -> None:
        from tagstream.plan import rekognition, uncertain

        click.echo("\nDollars a month:")
        rows = [
            {"service": one.service, "for": one.what, "amount": f"{_amount(one.quantity)} {one.unit}", "dollars": cents}
            for one in self.bill
            if (cents := f"{one.dollars:12,.2f}").strip() != "0.00"
        ]
        emit(rows, as_json=False)
        by_service: dict[str, float] = {}
        for one in self.bill:
            by_service[one.service] = by_service.get(one.service, 0.0) + one.dollars
        told = [f"{name} ${dollars:,.2f}" for name, dollars in by_service.items() if dollars >= 0.005]
        kept = sum(one.dollars for one in self.bill if one.what == "photos kept")
        click.echo(", ".join(told) + ".")
        click.echo(
            f"Together ${sum(one.dollars for one in self.bill):,.2f}, of which ${kept:,.2f} are for keeping the photos "
            "themselves."
        )
        click.echo(f"Amazon Rekognition's DetectLabels, for labels alone, would take ${rekognition(self.work):,.2f}.")
        click.echo(
            f"List prices of us-east-1; {len(list(uncertain()))} figures are uncertain, which --json names.", err=True
        )

    def _show_stage(self, held: _Held) -> None:
        changes, problems = self.changes(), held.has.overloads
        if changes:
            click.echo(f"\nWhat stage {held.stage} has less of, or otherwise:")
            emit(
                [
                    {"setting": name, "has": str(both["has"]), "plan": str(both["plan"])}
                    for name, both in changes.items()
                ],
                as_json=False,
            )
        click.echo()
        for problem in problems:
            click.echo(problem, err=True)
        if not problems:
            click.echo(f"Stage {held.stage} carries that." + (" The plan leaves it more room." if changes else ""))
            return
        wanted = {**held.context} | {name: both["plan"] for name, both in changes.items()}
        typed = " ".join(f"{name}={value}" for name, value in wanted.items())
        advice = f" To go to the plan: make deploy STAGE={shlex.quote(held.stage)} SET={shlex.quote(typed)}"
        click.echo(f"Stage {held.stage} does not carry that." + (advice if changes else ""), err=True)


def _share(share: float) -> str:
    return f"{100 * share:,.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
