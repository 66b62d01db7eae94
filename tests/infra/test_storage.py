"""The bucket and the domain: what they keep, and who may reach them."""

from __future__ import annotations

import pytest
from aws_cdk import aws_opensearchservice as opensearch

import lifecycle
from stacks.access import DOMAIN_ACCESS
from stacks.settings import STAGES
from tests.infra.templates import Stage, synthesise, synthesised

BUCKETS = ("Photos", "Thumbnails")


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_private_and_encrypted(stage: Stage, name: str) -> None:
    bucket = stage.bucket(name).properties
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "WebsiteConfiguration" not in bucket


def test_only_photos_are_kept_in_versions(stage: Stage) -> None:
    assert stage.bucket("Photos").properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "VersioningConfiguration" not in stage.bucket("Thumbnails").properties


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_refuses_what_is_not_tls_and_admits_nobody(stage: Stage, name: str) -> None:
    bucket = stage.bucket(name)
    (policy,) = (p for p in stage.of_type("AWS::S3::BucketPolicy") if p.properties["Bucket"] == bucket.ref)
    (statement,) = policy.properties["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert set(statement["Resource"]) == {bucket.arn, f"{bucket.arn}/*"}


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_clears_up_but_never_removes_what_is_current(stage: Stage, name: str) -> None:
    rules = stage.bucket(name).properties["LifecycleConfiguration"]["Rules"]
    for rule in rules:
        assert rule["Status"] == "Enabled"
        assert not {"ExpirationInDays", "ExpirationDate", "Transitions"} & rule.keys()
    assert any(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] >= 1 for rule in rules)
    if name == "Photos":
        assert any(rule["NoncurrentVersionExpiration"]["NoncurrentDays"] >= 1 for rule in rules)
        assert any(rule["ExpiredObjectDeleteMarker"] for rule in rules)


def test_nobody_is_told_of_thumbnails(stage: Stage) -> None:
    assert "NotificationConfiguration" not in stage.bucket("Thumbnails").properties


def test_those_who_write_and_remove_thumbnails_know_their_bucket(stage: Stage) -> None:
    for name in ("classify", "catalog", "purge"):
        environment = stage.function(name).properties["Environment"]["Variables"]
        assert environment["THUMBNAILS_BUCKET"] == stage.bucket("Thumbnails").ref


def test_the_bucket_tells_the_ingest_queue_of_all_that_comes_and_goes(stage: Stage) -> None:
    queue = stage.mapping_of("classify").properties["EventSourceArn"]
    told = stage.bucket("Photos").properties["NotificationConfiguration"]["QueueConfigurations"]
    assert {entry["Queue"] for entry in told} == {queue}
    assert sorted(entry["Event"] for entry in told) == [
        "s3:LifecycleExpiration:DeleteMarkerCreated",
        "s3:ObjectCreated:*",
        "s3:ObjectRemoved:*",
        "s3:ReducedRedundancyLostObject",
    ]
    assert not any("Filter" in entry for entry in told)


def test_the_queue_admits_this_bucket_only_and_before_it_is_made(stage: Stage) -> None:
    bucket = stage.bucket("Photos")
    queue = stage.by_arn(stage.mapping_of("classify").properties["EventSourceArn"])
    (policy,) = (p for p in stage.of_type("AWS::SQS::QueuePolicy") if queue.ref in p.properties["Queues"])
    (statement,) = (s for s in policy.properties["PolicyDocument"]["Statement"] if s["Effect"] == "Allow")
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Action"] == "sqs:SendMessage"
    assert statement["Resource"] == queue.arn
    # CloudFormation names the bucket after its stack; S3 tries the queue while the bucket is being made.
    assert "BucketName" not in bucket.properties
    assert statement["Condition"] == {
        "ArnLike": {"aws:SourceArn": f"arn:<AWS::Partition>:s3:::tagstream-{stage.name}-ingest-*"},
        "StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"},
    }
    assert policy.id.partition(".")[2] in bucket.raw["DependsOn"]


def test_a_prefix_and_a_suffix_choose_what_is_classified() -> None:
    templates = synthesise({"stage": "dev", "prefix": "photos/", "suffix": ".jpg"})
    (bucket,) = (r for r in templates["ingest"]["Resources"].values() if r["Type"] == "AWS::S3::Bucket")
    for entry in bucket["Properties"]["NotificationConfiguration"]["QueueConfigurations"]:
        rules = entry["Filter"]["S3Key"]["Rules"]
        assert {rule["Name"]: rule["Value"] for rule in rules} == {"prefix": "photos/", "suffix": ".jpg"}


@pytest.mark.parametrize("kind", ["AWS::S3::Bucket", "AWS::OpenSearchService::Domain", "AWS::SQS::Queue"])
def test_only_prod_keeps_its_data_when_its_stacks_go(stage: Stage, kind: str) -> None:
    resources = stage.of_type(kind)
    assert resources
    prod = stage.name == "prod"
    for resource in resources:
        # A first deploy that fails leaves nothing behind that the next one could not create again.
        assert resource.raw["DeletionPolicy"] == ("RetainExceptOnCreate" if prod else "Delete")
        assert resource.raw["UpdateReplacePolicy"] == ("Retain" if prod else "Delete")


def test_the_domain_is_encrypted_everywhere_and_of_the_newest_engine(stage: Stage) -> None:
    domain = stage.one("AWS::OpenSearchService::Domain").properties
    assert domain["EncryptionAtRestOptions"] == {"Enabled": True}
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert domain["DomainEndpointOptions"] == {
        "EnforceHTTPS": True,
        "TLSSecurityPolicy": "Policy-Min-TLS-1-2-PFS-2023-10",
    }
    names = [name for name in dir(opensearch.EngineVersion) if name.startswith("OPENSEARCH_")]
    newest = max(tuple(map(int, name.split("_")[1:])) for name in names)
    assert domain["EngineVersion"] == "OpenSearch_" + ".".join(map(str, newest))
    # make deploy asks what nodes of this engine take.
    assert domain["EngineVersion"] == lifecycle.ENGINE


def test_the_domain_admits_the_roles_that_use_it_and_nobody_else(stage: Stage) -> None:
    domain = stage.one("AWS::OpenSearchService::Domain").properties
    this = f"arn:<AWS::Partition>:es:<AWS::Region>:<AWS::AccountId>:domain/{domain['DomainName']}"
    statements = domain["AccessPolicies"]["Statement"]
    assert all(statement.keys() == {"Effect", "Principal", "Action", "Resource"} for statement in statements)
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    admitted: dict[str, set[tuple[str, str]]] = {}
    for statement in statements:
        role = admitted.setdefault(statement["Principal"]["AWS"], set())
        role |= {(statement["Action"], resource) for resource in statement["Resource"]}
    # That each of these requests is made, and no other, tests/integration/test_domain_policy.py sees.
    assert admitted == {
        stage.function(name).properties["Role"]: {
            (f"es:ESHttp{method}", f"{this}/{path}") for method, paths in allowed.items() for path in paths
        }
        for name, allowed in DOMAIN_ACCESS.items()
    }
    kept_out = ("_all", "_cat", "_cluster", "_nodes", "_plugins", "_security", "_snapshot", "_tasks")
    for _, resource in set().union(*admitted.values()):
        path = resource.removeprefix(f"{this}/")
        assert path.split("/")[0] in {"_alias", "_aliases", "_bulk", "_reindex"} or path.startswith("imagerepository")
        assert not set(path.split("/")) & set(kept_out)
    users = {
        function.properties["Role"]
        for function in stage.of_type("AWS::Lambda::Function")
        if "OPENSEARCH_ENDPOINT" in function.properties["Environment"]["Variables"]
    }
    assert admitted.keys() == users


def test_functions_reach_the_domain_over_tls_but_in_the_local_stage(stage: Stage) -> None:
    domain = stage.one("AWS::OpenSearchService::Domain")
    scheme = "http" if stage.name == "local" else "https"
    for name in ("api", "catalog", "purge", "search"):
        environment = stage.function(name).properties["Environment"]["Variables"]
        assert environment["OPENSEARCH_ENDPOINT"] == f"{scheme}://<{domain.id}.DomainEndpoint>"
        assert environment["OPENSEARCH_INDEX"] == "imagerepository"


def test_who_makes_indexes_knows_in_how_many_shards(stage: Stage) -> None:
    for name in ("catalog", "purge"):
        environment = stage.function(name).properties["Environment"]["Variables"]
        assert environment["OPENSEARCH_SHARDS"] == str(STAGES[stage.name].domain.shards)


def test_the_domain_is_one_small_node_in_dev_and_survives_a_zone_in_prod() -> None:
    dev = synthesised("dev").one("AWS::OpenSearchService::Domain").properties["ClusterConfig"]
    assert (dev["InstanceCount"], dev["ZoneAwarenessEnabled"]) == (1, False)
    domain = synthesised("prod").one("AWS::OpenSearchService::Domain").properties
    cluster = domain["ClusterConfig"]
    zones = cluster["ZoneAwarenessConfig"]["AvailabilityZoneCount"]
    assert cluster["ZoneAwarenessEnabled"] is True
    assert cluster["InstanceCount"] - cluster["InstanceCount"] // zones > cluster["InstanceCount"] / 2
    assert len(set(domain["VPCOptions"]["SubnetIds"])) == zones


def test_the_model_settings_reach_the_classifier() -> None:
    templates = synthesise({"stage": "dev", "max_pixels": "1000", "min_score": "0.5"})
    (function,) = (r for r in templates["ingest"]["Resources"].values() if r["Type"] == "AWS::Lambda::Function")
    environment = function["Properties"]["Environment"]["Variables"]
    assert (environment["MAX_PIXELS"], environment["MIN_SCORE"]) == ("1000", "0.5")


@pytest.mark.parametrize(
    ("context", "stored"),
    [
        ({"stage": "local"}, "true"),
        ({"stage": "dev"}, "false"),
        ({"stage": "prod", "alarm_email": "a@example.com"}, "false"),
        ({"stage": "prod", "alarm_email": "a@example.com", "store_location": "true"}, "true"),
    ],
)
def test_where_photos_were_taken_is_kept_by_a_setting_only(context: dict[str, str], stored: str) -> None:
    (function,) = (
        r for r in synthesise(context)["ingest"]["Resources"].values() if r["Type"] == "AWS::Lambda::Function"
    )
    assert function["Properties"]["Environment"]["Variables"]["STORE_LOCATION"] == stored


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_domain_logs_its_errors_and_slow_requests_and_may(name: str) -> None:
    stage = synthesised(name)
    domain = stage.one("AWS::OpenSearchService::Domain")
    published = domain.properties["LogPublishingOptions"]
    assert published.keys() == {"ES_APPLICATION_LOGS", "INDEX_SLOW_LOGS", "SEARCH_SLOW_LOGS"}
    assert all(option["Enabled"] for option in published.values())
    groups = {option["CloudWatchLogsLogGroupArn"] for option in published.values()}
    assert groups <= {group.arn for group in stage.of_type("AWS::Logs::LogGroup")}
    assert len(groups) == 3
    policy = stage.one("AWS::Logs::ResourcePolicy")
    # OpenSearch tries to write when it is made.
    assert policy.id.partition(".")[2] in domain.raw["DependsOn"]
    document = policy.properties["PolicyDocument"]
    for group in groups:
        assert group in document
    for said in ("es.amazonaws.com", "logs:PutLogEvents", "logs:CreateLogStream", "aws:SourceAccount"):
        assert said in document


def test_the_local_domain_has_no_logs() -> None:
    domain = synthesised("local").one("AWS::OpenSearchService::Domain")
    assert not domain.properties.get("LogPublishingOptions")
    assert not synthesised("local").of_type("AWS::Logs::ResourcePolicy")
