"""The settings of every stage: typed, checked before anything is built, overridable by CDK context.

A context value overrides the setting of its name: ``-c model=inception-v3 -c classify.memory_mb=3008``.
Every problem is collected, so that one synth tells them all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from tagstream.machine import DEFAULT_MODELS, default_model
from tagstream.plan import Declared, problems

__all__ = [
    "MODELS",
    "STAGES",
    "Api",
    "Consumer",
    "Domain",
    "Function",
    "Settings",
    "SettingsError",
    "configured",
    "model_folder",
    "overloads",
    "own_context",
    "settings_for",
]

MODELS = (
    "efficientnet-lite0",
    "efficientnet-lite0-int8",
    "efficientnet-lite2",
    "efficientnet-lite2-int8",
    "inception-v3",
)
# As fast as efficientnet-lite0 and more often right, on processors that multiply bytes: AWS' Graviton does. Stage local
# runs on any, and asks which it is (tagstream/machine.py).
_ON_GRAVITON = DEFAULT_MODELS[0]
ROOT = Path(__file__).resolve().parent.parent
DEAD_LETTER_DAYS = 14
"""The longest that SQS keeps a message."""

# A photo beside n others that end its function may be delivered 3 + n times (tagstream/pipeline/deliveries.py): so many
# that it takes eight to make a dead letter of it.
_PHOTO_RECEIVES = 10
_LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
# For searches, purges and whatever else is invoked by people and schedules, beside what the queues take.
_CONCURRENCY_LEFT = 2
_DOMAIN_NAME_LENGTH = 28
# AWS CodeDeploy's own configurations for Lambda, "LambdaCanary10Percent…Minutes".
_GRADUAL_MINUTES = (0, 5, 10, 15, 30)
_API_AUTH = ("cognito", "iam")
# Amazon Cognito developer guide, "Using the Amazon Cognito prefix domain".
_NOT_IN_SIGN_IN = ("amazon", "aws", "cognito")
_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(Exception):
    """The settings are wrong; ``problems`` has one sentence for each, which says what to change."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Function:
    """A function's size. Lambda gives one full vCPU at 1,769 MB, and CPU in proportion to memory."""

    memory_mb: int
    timeout_seconds: int


@dataclass(frozen=True)
class Consumer(Function):
    """A function behind a queue.

    ``visibility_seconds`` is how long a message stays hidden while it is worked on, and so also how long
    a failed one waits for its next try; without a value it is the least that AWS advises, six timeouts.
    """

    max_concurrency: int
    batch_size: int = 10
    batch_window_seconds: int = 0
    max_receives: int = 5
    visibility_seconds: int | None = None

    @property
    def visibility(self) -> int:
        return self.visibility_seconds or 6 * self.timeout_seconds


@dataclass(frozen=True)
class Domain:
    """The OpenSearch domain: its nodes, the availability zones they are spread over, their disks; and the primary
    shards of the catalog's index, as it is made next.

    ``zone_names`` chooses the zones, in a VPC; without it they are the region's first. Whether it is ``in_vpc`` cannot
    be changed while it lives.
    """

    instance_type: str
    data_nodes: int
    zones: int
    volume_gb: int
    in_vpc: bool
    shards: int = 1
    zone_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Api:
    """The HTTP API: its function's size, and who gets in how fast.

    ``auth``: ``cognito``, people who sign in, with a gallery to look at; ``iam``, machines that sign their requests,
    without one. ``rate`` and ``burst`` are what API Gateway lets through: requests a second in the long run, and at
    once; the rest is answered with 429. ``sign_up_open``: whoever likes may make an account, otherwise an
    administrator makes them. ``cloudfront``: a distribution stands in front of it, and is the gallery's address.
    Alarms: so many requests refused in 5 minutes; answers that take longer (95 % of them, for 15 minutes).
    """

    memory_mb: int
    timeout_seconds: int
    rate: int
    burst: int
    auth: str = "cognito"
    sign_up_open: bool = False
    cloudfront: bool = False
    client_errors_alarm: int = 1000
    latency_alarm_milliseconds: int = 2000

    @property
    def function(self) -> Function:
        return Function(self.memory_mb, self.timeout_seconds)

    @property
    def has_gallery(self) -> bool:
        return self.auth == "cognito"


@dataclass(frozen=True)
class Settings:
    """A stage. Days are whole days; ``prefix`` and ``suffix`` choose the keys that are classified.

    ``name`` tells copies of a stage in one account and region from one another. ``account`` and ``region`` are where
    it goes; without them, where the credentials lead. ``account_concurrency`` is how many functions that account lets
    run at a time in the region: new accounts get 10, and more when they ask.
    ``bounded``: every role has the permissions boundary that ``make delivery`` has put into the account.
    ``model`` is the name of a model that ``tagstream models build`` made, or the path (with a ``/``) of a
    directory that holds one's own ``model.tflite``, ``labels.txt`` and ``model.json``. Stage ``local`` has the default
    of this machine, which :func:`configured` asks for.
    ``step`` is what the step function runs: a step of ``tagstream/steps``, or the name of a program that lies
    beside its handler, in ``lambdas/step``.
    ``log_personal``: keys of photos, words of searches and what steps print stand in the logs; otherwise hashes do.
    ``store_location``: keep in the catalog where a photo was taken, if the photo tells; that is personal.
    The load that the stage is for, 0 where nothing is said of it: ``peak_images_per_hour`` photos in its busiest hour,
    of ``photo_mb`` MB each, and ``images`` in the catalog at last. What does not carry it fails the synth.
    ``gradual_minutes``: how long a new version of a function gets a tenth of the calls before it gets all; 0: none.
    ``canary_minutes``: how often the pipeline is tried with a photo of its own; 0 for never.
    ``reconcile_days``: how often catalog and bucket are held against one another, and repaired; 0 for never.
    Alarms: ``queue_age_alarm_seconds`` that the oldest message waits beyond two failed tries; the part of the disk that
    is free, of calls that fail, of photos that are rejected; ``latency_objective_seconds`` from an upload to a photo
    that is found, which 95 % must keep. ``runbook_url`` is where people are sent for what to do.
    ``alarms_reach_a_person``: the deploy demands an address when ``alarm_email`` gives none.
    """

    stage: str
    classify: Consumer
    catalog: Consumer
    purge: Function
    search: Function
    api: Api
    steps: Consumer
    domain: Domain
    retain_data: bool
    alarms_reach_a_person: bool
    log_days: int
    model: str = "efficientnet-lite0"
    step: str = "classify"
    prefix: str = ""
    suffix: str = ""
    alarm_email: str | None = None
    log_level: str = "INFO"
    log_personal: bool = True
    queue_days: int = 4
    tombstone_days: int = 40
    noncurrent_version_days: int = 30
    max_pixels: int = 64_000_000
    max_bytes: int = 64 * 1024 * 1024
    max_scans: int = 32
    max_tags: int = 10
    min_score: float = 0.01
    min_ancestor_score: float = 0.01
    store_location: bool = False
    peak_images_per_hour: int = 0
    images: int = 0
    photo_mb: float = 3.0
    queue_age_alarm_seconds: int = 900
    free_storage_alarm_percent: int = 25
    failures_alarm_percent: int = 5
    rejections_alarm_percent: int = 20
    latency_objective_seconds: int = 60
    runbook_url: str = "docs/runbook.md"
    gradual_minutes: int = 0
    canary_minutes: int = 0
    reconcile_days: int = 0
    name: str | None = None
    account: str | None = None
    region: str | None = None
    account_concurrency: int = 1000
    bounded: bool = False
    local: bool = field(default=False)

    @property
    def system(self) -> str:
        """The stage, or the copy of it: what its stacks are called by, and what ``tagstream --stage`` takes."""
        return f"{self.stage}-{self.name}" if self.name else self.stage

    @property
    def consumers(self) -> Mapping[str, Consumer]:
        """Every function that a queue feeds, by the name of its settings."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Consumer)}

    @property
    def has_versions(self) -> bool:
        """Everywhere on AWS, so that :attr:`gradual_minutes` changes no name that others call; the emulator follows
        an alias, and does not shift."""
        return not self.local or self.gradual_minutes > 0

    @property
    def optional_stacks(self) -> dict[str, bool]:
        """The stacks that are there if a setting says so, and whether it does."""
        return {
            "canary": self.canary_minutes > 0,
            # Nobody is far from the emulator, and no browser finds what it calls its distributions.
            "gallery": self.api.cloudfront and not self.local,
            "reconcile": self.reconcile_days > 0,
        }

    @property
    def is_own_model(self) -> bool:
        return "/" in self.model


STAGES = {
    # On one machine, in the emulator: as little as will do, and short timeouts so that retries are seen soon; but ten
    # photos of the slowest kind, 5 s each, must be done within one invocation everywhere.
    "local": Settings(
        stage="local",
        local=True,
        classify=Consumer(memory_mb=1769, timeout_seconds=60, max_concurrency=2, max_receives=_PHOTO_RECEIVES),
        catalog=Consumer(memory_mb=256, timeout_seconds=10, max_concurrency=2),
        purge=Function(memory_mb=256, timeout_seconds=60),
        search=Function(memory_mb=256, timeout_seconds=15),
        api=Api(memory_mb=512, timeout_seconds=15, rate=1000, burst=2000),
        steps=Consumer(memory_mb=1769, timeout_seconds=30, max_concurrency=2, batch_size=1),
        domain=Domain(instance_type="t3.small.search", data_nodes=1, zones=1, volume_gb=10, in_vpc=False),
        retain_data=False,
        alarms_reach_a_person=False,
        log_days=1,
        store_location=True,
    ),
    # Cheap: one small node, and nothing that is billed by the hour but that. It fits into a new account.
    "dev": Settings(
        stage="dev",
        model=_ON_GRAVITON,
        classify=Consumer(memory_mb=1769, timeout_seconds=60, max_concurrency=4, max_receives=_PHOTO_RECEIVES),
        catalog=Consumer(memory_mb=512, timeout_seconds=30, max_concurrency=2),
        purge=Function(memory_mb=512, timeout_seconds=300),
        search=Function(memory_mb=512, timeout_seconds=30),
        # Nothing in front of the API: a distribution takes minutes to deploy, and few look at it from afar.
        api=Api(memory_mb=1024, timeout_seconds=15, rate=50, burst=200),
        steps=Consumer(memory_mb=1769, timeout_seconds=300, max_concurrency=2, batch_size=1),
        domain=Domain(instance_type="t3.small.search", data_nodes=1, zones=1, volume_gb=10, in_vpc=False),
        retain_data=False,
        alarms_reach_a_person=False,
        log_days=7,
        account_concurrency=10,
    ),
    # Three nodes over three zones stay a quorum when one zone is lost.
    "prod": Settings(
        stage="prod",
        model=_ON_GRAVITON,
        classify=Consumer(memory_mb=1769, timeout_seconds=60, max_concurrency=100, max_receives=_PHOTO_RECEIVES),
        catalog=Consumer(memory_mb=512, timeout_seconds=30, max_concurrency=20),
        purge=Function(memory_mb=512, timeout_seconds=300),
        search=Function(memory_mb=512, timeout_seconds=30),
        api=Api(memory_mb=1769, timeout_seconds=15, rate=500, burst=1000, cloudfront=True),
        steps=Consumer(memory_mb=1769, timeout_seconds=900, max_concurrency=100, batch_size=1),
        domain=Domain(instance_type="m7g.medium.search", data_nodes=3, zones=3, volume_gb=20, in_vpc=True),
        retain_data=True,
        alarms_reach_a_person=True,
        log_days=90,
        log_level="INFO",
        log_personal=False,
        # The shortest that there is: two failing minutes ring within it, also when their metrics come late, and stacks
        # shift one after another, each of them so long.
        gradual_minutes=5,
    ),
}

# GiB of gp3 that a node takes at most, by family and size, where AWS says so:
# https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#ebsresource, as of January 2023 in
# https://github.com/awsdocs/amazon-opensearch-service-developer-guide (doc_source/limits.md). Newer families are not
# in it; `make deploy` asks AWS itself, for any of them.
_SIZES = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge")
_MOST_GB = {
    "t3": {"small": 100, "medium": 200},
    "m5": {"large": 1024, "xlarge": 2048, "2xlarge": 3072, "4xlarge": 6144, "12xlarge": 18_432},
    "m6g": dict(zip(_SIZES, (1024, 2048, 3072, 6144, 12_288, 18_432), strict=True)),
    "c5": {"large": 256, "xlarge": 512, "2xlarge": 1024, "4xlarge": 1536, "9xlarge": 3584, "18xlarge": 7168},
    "c6g": dict(zip(_SIZES, (256, 512, 1024, 1536, 3072, 4608), strict=True)),
    "r5": {"large": 2048, "xlarge": 3072, "2xlarge": 6144, "4xlarge": 12_288, "12xlarge": 24_576},
    "r6g": dict(zip(_SIZES, (2048, 3072, 6144, 12_288, 16_384, 24_576), strict=True)),
}
# These have disks of their own and take none besides.
_OWN_DISKS = ("i3", "i4g", "i4i", "im4gn", "i8g", "r6gd", "r7gd", "r8gd")

# What the CDK CLI keeps in the context under names without ":" or "/".
_OF_CDK = {"cli-telemetry", "acknowledged-issue-numbers"}

# What defines a stage rather than tunes it: another value would make it another stage.
_FIXED = {"stage", "local"}


def model_folder(name: str) -> Path:
    """Where the model of a stage is: where models are built, or the directory with this path."""
    return Path(name).expanduser() if "/" in name else ROOT / "build" / "models" / name


def own_context(context: Mapping[str, Any]) -> dict[str, Any]:
    """What of the CDK's context is a setting: its own keys hold ``:`` or ``/``, and are none of our business."""
    return {key: value for key, value in context.items() if ":" not in key and "/" not in key and key not in _OF_CDK}


def settings_for(context: Mapping[str, Any]) -> Settings:
    """The settings of the stage that ``context`` names, with its overrides applied.

    Raises :class:`SettingsError` with every problem found.
    """
    settings = configured(context)
    found = list(overloads(settings))
    if found:
        raise SettingsError(found)
    return settings


def configured(context: Mapping[str, Any]) -> Settings:
    """The same, whether or not the settings carry the load that they declare."""
    ours = own_context(context)
    stage = ours.pop("stage", None)
    if stage is None:
        raise SettingsError([f"no stage is named: add -c stage= with one of {_listed(STAGES)}."])
    if str(stage).partition("-")[0] in STAGES and "-" in str(stage) and "name" not in ours:
        # As `tagstream --stage` says it.
        stage, _, ours["name"] = str(stage).partition("-")
    if stage not in STAGES:
        raise SettingsError([f"stage {stage!r} is not known: use one of {_listed(STAGES)}."])
    settings = STAGES[stage]
    if settings.local:
        settings = replace(settings, model=default_model(lambda name: (model_folder(name) / "model.json").is_file()))
    known = {name: kind for name, kind in _names(settings) if name not in _FIXED}
    found: list[str] = []
    for name, value in sorted(ours.items()):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"the settings are {_listed(sorted(known))}."
            found.append(f"setting {name!r} is not known: {advice}")
            continue
        try:
            settings = _with(settings, name.split("."), _converted(value, known[name]))
        except ValueError as error:
            found.append(f"setting {name} must be {error}, not {value!r}: change -c {name}=... .")
    found.extend(_problems(settings))
    if found:
        raise SettingsError(found)
    return settings


def _names(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(type(settings))
    for item in fields(settings):
        value = getattr(settings, item.name)
        if is_dataclass(value):
            yield from _names(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, hints[item.name]


def _with(settings: Any, path: list[str], value: Any) -> Any:
    if len(path) == 1:
        return replace(settings, **{path[0]: value})
    return replace(settings, **{path[0]: _with(getattr(settings, path[0]), path[1:], value)})


def _converted(value: Any, kind: Any) -> Any:
    """``value`` as ``kind``; the command line gives strings, cdk.json may give JSON's own types."""
    text = str(value).strip()
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("true or false")
        return text.lower() == "true"
    if kind in (int, int | None):
        if not re.fullmatch(r"[+-]?\d+", text):
            raise ValueError("a whole number")
        return int(text)
    if kind == tuple[str, ...]:
        return tuple(filter(None, map(str.strip, text.split(","))))
    if kind is float:
        try:
            return float(text)
        except ValueError:
            raise ValueError("a number") from None
    return text


def _problems(s: Settings) -> Iterator[str]:
    yield from _place_problems(s)
    yield from _consumer_problems("classify", s.classify, s.queue_days, largest_batch=10_000)
    yield from _consumer_problems("catalog", s.catalog, s.queue_days, largest_batch=10)
    yield from _consumer_problems("steps", s.steps, s.queue_days, largest_batch=10_000)
    if s.catalog.batch_window_seconds:
        yield "catalog.batch_window_seconds must be 0: a FIFO queue has no batching window."
    yield from _function_problems("purge", s.purge)
    yield from _function_problems("search", s.search)
    yield from _concurrency_problems(s)
    yield from _declared_problems(s)
    yield from _domain_problems(s.domain, s.region)
    yield from _api_problems(s.api)
    if not s.is_own_model and s.model not in MODELS and not (model_folder(s.model) / "model.json").is_file():
        yield (
            f"model {s.model!r} is not known: use one of {_listed(MODELS)}, or the path of a directory with your own "
            "model.tflite, labels.txt and model.json, such as ./my-model."
        )
    yield from _step_problems(s.step)
    if s.log_level not in _LOG_LEVELS:
        yield f"log_level {s.log_level!r} is not known: use one of {_listed(_LOG_LEVELS)}."
    if s.log_days not in _LOG_DAYS:
        yield f"log_days {s.log_days} is not a retention that CloudWatch offers: use one of {_listed(_LOG_DAYS)}."
    yield from _range_problems("queue_days", s.queue_days, 1, 14)
    # An event may wait in the ingest queue and its dead letters, be sent on, and wait in the catalog's as well.
    longest = 2 * (s.queue_days + DEAD_LETTER_DAYS)
    if s.tombstone_days < longest:
        yield (
            f"tombstone_days {s.tombstone_days} is shorter than an event may wait in the two queues and their "
            f"dead-letter queues, {longest} days, so that a deleted image could come back: raise it to {longest} "
            "or more, or lower queue_days."
        )
    yield from _schedule_problems(s)
    for name in ("noncurrent_version_days", "max_pixels", "max_bytes", "max_scans", "max_tags"):
        if getattr(s, name) < 1:
            yield f"{name} {getattr(s, name)} is too small: use 1 or more."
    yield from _alarm_problems(s)
    for name in ("min_score", "min_ancestor_score"):
        if not 0 <= getattr(s, name) < 1:
            yield f"{name} {getattr(s, name)} is no probability: use a number from 0 to below 1."
    if len(s.prefix.encode()) + len(s.suffix.encode()) > 1024:
        yield "prefix and suffix together are longer than an S3 key, 1,024 bytes: shorten them."
    if s.alarm_email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", s.alarm_email):
        yield f"alarm_email {s.alarm_email!r} is no mail address: use one such as someone@example.com."


def _schedule_problems(s: Settings) -> Iterator[str]:
    if s.gradual_minutes not in _GRADUAL_MINUTES:
        offered = _listed(_GRADUAL_MINUTES)
        yield f"gradual_minutes {s.gradual_minutes} is nothing that CodeDeploy offers: use one of {offered}."
    for name, shortest, longest in (("canary_minutes", 2, 1440), ("reconcile_days", 1, 365)):
        if getattr(s, name) != 0:
            yield from _range_problems(name, getattr(s, name), shortest, longest)


def _alarm_problems(s: Settings) -> Iterator[str]:
    for name in ("queue_age_alarm_seconds", "latency_objective_seconds"):
        if getattr(s, name) < 1:
            yield f"{name} {getattr(s, name)} is too small: use 1 or more."
    # OpenSearch Service refuses writes at a fifth: an alarm that comes then comes too late.
    yield from _range_problems("free_storage_alarm_percent", s.free_storage_alarm_percent, 21, 90)
    for name in ("failures_alarm_percent", "rejections_alarm_percent"):
        yield from _range_problems(name, getattr(s, name), 1, 100)


def _place_problems(s: Settings) -> Iterator[str]:
    # The domain's name is the longest that there is of it: AWS takes 28 characters.
    longest = _DOMAIN_NAME_LENGTH - len(f"tagstream-{s.stage}-")
    if s.name is not None and not re.fullmatch(rf"[a-z0-9]([a-z0-9-]{{0,{longest - 2}}}[a-z0-9])?", s.name):
        yield (
            f"name {s.name!r} cannot be part of a domain's name: use up to {longest} small letters, digits and "
            "hyphens between them."
        )
    if s.name is not None and s.api.has_gallery:
        yield from (
            f"name {s.name!r} holds {word!r}, which Cognito allows in no address to sign in at: use another."
            for word in _NOT_IN_SIGN_IN
            if word in s.name
        )
    if s.local and (s.account or s.region or s.name):
        yield "account, region and name are for AWS: leave them out for stage local."
    if s.account is not None and not re.fullmatch(r"\d{12}", s.account):
        yield f"account {s.account!r} is no account of AWS: use its number, 12 digits."
    if s.region is not None and not re.fullmatch(r"[a-z]{2,3}(-[a-z]+)+-\d", s.region):
        yield f"region {s.region!r} is none of AWS: use one such as eu-west-1."
    if s.account is not None and s.region is None:
        yield "account needs a region beside it: add -c region=eu-west-1, say."


def _concurrency_problems(s: Settings) -> Iterator[str]:
    yield from _range_problems("account_concurrency", s.account_concurrency, 10, 1_000_000)
    taken = sum(consumer.max_concurrency for consumer in s.consumers.values())
    if taken + _CONCURRENCY_LEFT > s.account_concurrency >= 10:
        parts = " + ".join(
            f"{name}.max_concurrency {consumer.max_concurrency}" for name, consumer in s.consumers.items()
        )
        yield (
            f"{parts} is {taken}, and {_CONCURRENCY_LEFT} more are for what people ask, but account_concurrency "
            f"{s.account_concurrency} is all that the account lets run at a time: lower them, or ask AWS for more "
            "(quota L-B99A9384 of Lambda) and then raise account_concurrency."
        )


def _declared_problems(s: Settings) -> Iterator[str]:
    for name in ("peak_images_per_hour", "images"):
        yield from _range_problems(name, getattr(s, name), 0, 10**12)
    if s.max_bytes >= 1 and not 0 < s.photo_mb * 1024 * 1024 <= s.max_bytes:
        yield f"photo_mb {s.photo_mb:g} must be above 0 and within max_bytes {s.max_bytes:,}: change one of them."


def overloads(s: Settings) -> Iterator[str]:
    """Where settings that are well in themselves don't carry the load that they declare (docs/scale.md)."""
    yield from problems(
        Declared(
            peak_images_per_hour=s.peak_images_per_hour,
            images=s.images,
            photo_mb=s.photo_mb,
            model=s.model,
            region=s.region,
            # stacks/queues.py makes no others.
            high_throughput=True,
            account_concurrency=s.account_concurrency,
            classify_memory_mb=s.classify.memory_mb,
            classify_timeout_seconds=s.classify.timeout_seconds,
            classify_batch_size=s.classify.batch_size,
            classify_max_concurrency=s.classify.max_concurrency,
            catalog_memory_mb=s.catalog.memory_mb,
            catalog_batch_size=s.catalog.batch_size,
            catalog_max_concurrency=s.catalog.max_concurrency,
            other_concurrency=s.steps.max_concurrency + _CONCURRENCY_LEFT,
            instance_type=s.domain.instance_type,
            data_nodes=s.domain.data_nodes,
            volume_gb=s.domain.volume_gb,
            shards=s.domain.shards,
        )
    )


def _step_problems(step: str) -> Iterator[str]:
    places = (ROOT / "tagstream" / "steps" / f"{step}.py", ROOT / "lambdas" / "step" / step)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", step) or not any(place.is_file() for place in places):
        yield f"step {step!r} is not known: name a step of tagstream/steps, or put a program into lambdas/step."


def _function_problems(name: str, function: Function) -> Iterator[str]:
    yield from _range_problems(f"{name}.memory_mb", function.memory_mb, 128, 10_240)
    yield from _range_problems(f"{name}.timeout_seconds", function.timeout_seconds, 1, 900)


def _api_problems(api: Api) -> Iterator[str]:
    yield from _range_problems("api.memory_mb", api.memory_mb, 128, 10_240)
    # API Gateway waits for 30 s: a function that takes as long is cut off before it can say why.
    yield from _range_problems("api.timeout_seconds", api.timeout_seconds, 1, 29)
    yield from _range_problems("api.rate", api.rate, 1, 10_000)
    yield from _range_problems("api.burst", api.burst, 1, 5_000)
    for name in ("client_errors_alarm", "latency_alarm_milliseconds"):
        if getattr(api, name) < 1:
            yield f"api.{name} {getattr(api, name)} is too small: use 1 or more."
    if api.auth not in _API_AUTH:
        yield f"api.auth {api.auth!r} is not known: use one of {_listed(_API_AUTH)}."
    if api.auth == "iam" and api.sign_up_open:
        yield "api.sign_up_open is for people who sign in: use api.auth=cognito, or leave it out."
    if api.auth == "iam" and api.cloudfront:
        yield (
            "api.cloudfront cannot stand before api.auth=iam, whose requests are signed for the API's own address: "
            "set api.cloudfront=false too."
        )


def _consumer_problems(name: str, consumer: Consumer, queue_days: int, *, largest_batch: int) -> Iterator[str]:
    yield from _function_problems(name, consumer)
    yield from _range_problems(f"{name}.batch_size", consumer.batch_size, 1, largest_batch)
    yield from _range_problems(f"{name}.batch_window_seconds", consumer.batch_window_seconds, 0, 300)
    if consumer.batch_size > 10 and largest_batch > 10 and consumer.batch_window_seconds < 1:
        yield f"{name}.batch_size {consumer.batch_size} is above 10: set {name}.batch_window_seconds to 1 or more too."
    yield from _range_problems(f"{name}.max_concurrency", consumer.max_concurrency, 2, 1000)
    # Throttled invocations count as receives: with fewer, a busy hour would send good messages to the dead letters.
    yield from _range_problems(f"{name}.max_receives", consumer.max_receives, 5, 1000)
    least = 6 * consumer.timeout_seconds
    if consumer.visibility_seconds is not None and consumer.visibility_seconds < least:
        yield (
            f"{name}.visibility_seconds {consumer.visibility_seconds} is below six timeouts of the function: "
            f"raise it to {least} or more, or lower {name}.timeout_seconds to {consumer.visibility_seconds // 6}."
        )
    if consumer.visibility > 43_200:
        yield f"{name}.visibility_seconds {consumer.visibility} is above SQS' 43,200: lower it."
    if consumer.visibility * consumer.max_receives >= queue_days * 86_400:
        yield (
            f"{name}.max_receives {consumer.max_receives} times {name}.visibility_seconds {consumer.visibility} is "
            f"longer than queue_days {queue_days}, so that messages would expire before they are dead-lettered: "
            "lower one of the first two or raise queue_days."
        )


def _domain_problems(domain: Domain, region: str | None) -> Iterator[str]:
    if not re.fullmatch(r"[a-z0-9]+\.[a-z0-9]+\.search", domain.instance_type):
        yield f"domain.instance_type {domain.instance_type!r} is none of OpenSearch: use one such as t3.small.search."
    yield from _range_problems("domain.zones", domain.zones, 1, 3)
    yield from _range_problems("domain.data_nodes", domain.data_nodes, 1, 80)
    # More than 1,024 are refused when the index is made.
    yield from _range_problems("domain.shards", domain.shards, 1, 1024)
    family, _, rest = domain.instance_type.partition(".")
    size = rest.partition(".")[0]
    most = _MOST_GB.get(family, {}).get(size, 24_576)
    if family in _OWN_DISKS:
        yield f"domain.instance_type {domain.instance_type} takes no EBS volume: use one of another family."
    elif 24_576 >= domain.volume_gb > most:
        yield f"domain.volume_gb {domain.volume_gb} is more than a {domain.instance_type} takes: use {most:,} or less."
    else:
        yield from _range_problems("domain.volume_gb", domain.volume_gb, 10, most)
    if 1 <= domain.zones <= 3 and domain.data_nodes % domain.zones:
        yield (
            f"domain.data_nodes {domain.data_nodes} can't be spread evenly over domain.zones {domain.zones}: "
            "use a multiple of it."
        )
    names = domain.zone_names
    if names and not domain.in_vpc:
        yield "domain.zone_names chooses a VPC's zones: set domain.in_vpc to true, or leave it out."
    elif names and len(set(names)) != domain.zones:
        yield f"domain.zone_names {','.join(names)} does not name domain.zones {domain.zones} different zones."
    for name in names:
        if not re.fullmatch(rf"{region or r'[a-z]{2,3}(-[a-z]+)+-[0-9]'}[a-z]", name):
            yield f"domain.zone_names {name!r} is no zone of {region or 'any region'}: use names such as eu-west-1a."


def _range_problems(name: str, value: int, least: int, most: int) -> Iterator[str]:
    if value < least:
        yield f"{name} {value} is too small: use {least:,} to {most:,}."
    elif value > most:
        yield f"{name} {value} is too large: use {least:,} to {most:,}."


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)
