"""A stage's settings: what is wrong with them is said in sentences, all at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stacks.settings import STAGES, SettingsError, settings_for
from tagstream.classifier import Limits
from tagstream.pipeline.deliveries import LAST_TRY


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_right_as_it_is(stage: str) -> None:
    settings = settings_for({"stage": stage})
    assert replace(settings, model=STAGES[stage].model) == STAGES[stage]


def test_context_overrides_settings_with_their_own_types() -> None:
    context = {
        "stage": "dev",
        "model": "inception-v3",
        "alarm_email": "someone@example.com",
        "classify.memory_mb": "3008",
        "domain.in_vpc": "true",
        "domain.zone_names": "eu-west-1b",
        "min_score": "0.25",
        "max_tags": 5,
        "catalog.visibility_seconds": "600",
        "prefix": "photos/",
        "@aws-cdk/aws-iam:minimizePolicies": True,
        "aws:cdk:bundling-stacks": [],
    }
    settings = settings_for(context)
    assert (settings.model, settings.alarm_email, settings.prefix) == ("inception-v3", "someone@example.com", "photos/")
    assert (settings.classify.memory_mb, settings.max_tags, settings.min_score) == (3008, 5, 0.25)
    assert settings.domain.in_vpc is True
    assert settings.domain.zone_names == ("eu-west-1b",)
    assert settings.catalog.visibility == 600
    assert settings.catalog.timeout_seconds == STAGES["dev"].catalog.timeout_seconds


@pytest.mark.parametrize("stage", [None, "production", "DEV", ""])
def test_a_stage_must_be_named_and_known(stage: str | None) -> None:
    with pytest.raises(SettingsError, match="local, dev, prod"):
        settings_for({} if stage is None else {"stage": stage})


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("max_bytes", "-1", "use 1 or more"),
        ("max_pixels", "0", "use 1 or more"),
        ("max_tags", "many", "a whole number"),
        ("max_tags", "2.5", "a whole number"),
        ("domain.in_vpc", "yes", "true or false"),
        ("min_score", "1.5", "from 0 to below 1"),
        ("min_score", "high", "a number"),
        ("model", "resnet", "efficientnet-lite0, efficientnet-lite0-int8, efficientnet-lite2, "),
        ("modle", "inception-v3", "did you mean 'model'?"),
        ("classify.memory", "512", "did you mean 'classify.memory_mb'?"),
        ("local", "true", "is not known"),
        ("classify.memory_mb", "64", "128 to 10,240"),
        ("classify.timeout_seconds", "901", "1 to 900"),
        ("classify.max_concurrency", "1", "2 to 1,000"),
        ("classify.max_receives", "4", "5 to 1,000"),
        ("classify.batch_size", "50", "set classify.batch_window_seconds to 1 or more"),
        ("classify.visibility_seconds", "359", "raise it to 360 or more, or lower classify.timeout_seconds to 59"),
        ("catalog.visibility_seconds", "-5", "raise it to 180 or more"),
        ("catalog.visibility_seconds", "50000", "43,200"),
        ("catalog.batch_size", "11", "1 to 10"),
        ("catalog.batch_window_seconds", "5", "a FIFO queue has no batching window"),
        ("classify.max_receives", "1000", "raise queue_days"),
        ("tombstone_days", "35", "raise it to 36 or more, or lower queue_days"),
        ("queue_days", "15", "1 to 14"),
        ("log_days", "8", "use one of 1, 3, 5, 7, 14"),
        ("log_level", "VERBOSE", "DEBUG, INFO"),
        ("domain.data_nodes", "0", "1 to 80"),
        ("domain.zones", "4", "1 to 3"),
        ("domain.zones", "2", "domain.data_nodes 1 can't be spread evenly"),
        ("domain.volume_gb", "5", "10 to 100"),
        ("domain.volume_gb", "101", "a t3.small.search takes: use 100 or less"),
        ("domain.instance_type", "r6gd.large.search", "takes no EBS volume"),
        ("domain.zone_names", "eu-west-1a", "set domain.in_vpc to true"),
        ("name", "Mine", "up to 14 small letters"),
        ("name", "fifteen-letters", "up to 14 small letters"),
        ("name", "ends-in-", "hyphens between them"),
        ("account", "1234", "12 digits"),
        ("account", "123456789012", "add -c region="),
        ("region", "Ireland", "eu-west-1"),
        ("account_concurrency", "9", "10 to 1,000,000"),
        ("classify.max_concurrency", "5", "is 9, and 2 more are for what people ask, but account_concurrency 10"),
        ("domain.instance_type", "t3.small", "t3.small.search"),
        ("prefix", "p" * 1025, "shorten"),
        ("name", "paws", "holds 'aws', which Cognito allows in no address"),
        ("api.auth", "password", "use one of cognito, iam"),
        ("api.timeout_seconds", "30", "1 to 29"),
        ("api.rate", "0", "1 to 10,000"),
        ("api.burst", "5001", "1 to 5,000"),
        ("api.sign_up_open", "yes", "true or false"),
        ("api.latency_alarm_milliseconds", "0", "use 1 or more"),
        ("api.client_errors_alarm", "0", "use 1 or more"),
        ("api.cloud_front", "true", "did you mean 'api.cloudfront'?"),
        ("alarm_email", "nobody", "someone@example.com"),
        ("free_storage_alarm_percent", "20", "21 to 90"),
        ("rejections_alarm_percent", "0", "1 to 100"),
        ("latency_objective_seconds", "0", "use 1 or more"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_change(name: str, value: str, advice: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_for({"stage": "dev", name: value})
    assert any(name in problem and advice in problem for problem in caught.value.problems), caught.value.problems


def test_what_is_for_people_is_refused_where_only_machines_get_in() -> None:
    with pytest.raises(SettingsError) as caught:
        settings_for({"stage": "prod", "api.auth": "iam", "api.sign_up_open": "true"})
    sign_up, cloudfront = sorted(caught.value.problems, reverse=True)
    assert "use api.auth=cognito" in sign_up
    assert "set api.cloudfront=false too" in cloudfront
    alone = {"stage": "prod", "api.auth": "iam", "api.cloudfront": "false"}
    assert not settings_for(alone).api.has_gallery


def test_every_problem_is_told_at_once() -> None:
    wrong = {"model": "resnet", "max_bytes": "-1", "nonsense": "1", "classify.visibility_seconds": "1", "log_days": "8"}
    with pytest.raises(SettingsError) as caught:
        settings_for({"stage": "prod", **wrong})
    told = caught.value.problems
    assert all(any(name in problem for problem in told) for name in wrong)
    assert len(told) == len(wrong)
    assert all(problem.endswith(".") and "\n" not in problem for problem in told)


def test_a_model_of_ones_own_is_a_path() -> None:
    assert settings_for({"stage": "dev", "model": "./my-model"}).is_own_model
    assert not settings_for({"stage": "dev", "model": "inception-v3"}).is_own_model


def test_tombstones_outlive_every_late_event() -> None:
    with pytest.raises(SettingsError, match="tombstone_days 40"):
        settings_for({"stage": "dev", "queue_days": "7"})
    assert settings_for({"stage": "dev", "queue_days": "7", "tombstone_days": "42"}).tombstone_days == 42


@pytest.mark.parametrize("stage", STAGES)
def test_ten_of_the_slowest_photos_are_done_within_one_invocation(stage: str) -> None:
    classify = settings_for({"stage": stage}).classify
    assert classify.batch_size * Limits().max_seconds < classify.timeout_seconds


@pytest.mark.parametrize("stage", STAGES)
def test_it_takes_eight_photos_that_end_their_function_to_make_a_dead_letter_of_a_good_one(stage: str) -> None:
    assert settings_for({"stage": stage}).classify.max_receives == LAST_TRY + 7


def test_a_copy_of_a_stage_is_called_as_the_command_line_calls_it() -> None:
    assert settings_for({"stage": "dev"}).system == "dev"
    assert settings_for({"stage": "dev", "name": "a-branch"}).system == "dev-a-branch"
    assert settings_for({"stage": "dev-a-branch"}) == settings_for({"stage": "dev", "name": "a-branch"})
    with pytest.raises(SettingsError, match="stage 'dev-x' is not known"):
        settings_for({"stage": "dev-x", "name": "y"})
    with pytest.raises(SettingsError, match="leave them out for stage local"):
        settings_for({"stage": "local", "name": "x"})


def test_zones_are_as_many_as_the_domain_has_and_of_its_region() -> None:
    context = {"stage": "prod", "domain.zone_names": "eu-west-1a, eu-west-1b,eu-west-1d"}
    assert settings_for(context).domain.zone_names == ("eu-west-1a", "eu-west-1b", "eu-west-1d")
    for names, advice in (("eu-west-1a,eu-west-1a,eu-west-1b", "3 different zones"), ("eu-west-1a", "3 different")):
        with pytest.raises(SettingsError, match=advice):
            settings_for({"stage": "prod", "domain.zone_names": names})
    with pytest.raises(SettingsError, match="'eu-west-1d' is no zone of us-east-1"):
        settings_for(context | {"region": "us-east-1"})


def test_a_volume_is_within_what_its_node_takes() -> None:
    context = {"stage": "dev", "domain.instance_type": "m6g.large.search"}
    assert settings_for(context | {"domain.volume_gb": "1024"}).domain.volume_gb == 1024
    with pytest.raises(SettingsError, match="1,024 or less"):
        settings_for(context | {"domain.volume_gb": "1025"})


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_queues_take_fits_into_the_account(stage: str) -> None:
    settings = settings_for({"stage": stage})
    assert {"classify", "catalog", "steps"} <= settings.consumers.keys()
    assert sum(consumer.max_concurrency for consumer in settings.consumers.values()) < settings.account_concurrency


def test_dev_fits_into_a_new_account() -> None:
    assert settings_for({"stage": "dev"}).account_concurrency == 10
