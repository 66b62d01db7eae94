"""The catalog: the FIFO queue of updates, the OpenSearch domain and the bucket of thumbnails, and the functions that
write to them and purge them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import (
    Annotations,
    Aws,
    CfnOutput,
    CfnParameter,
    CfnResource,
    Duration,
    Fn,
    RemovalPolicy,
    Stack,
)
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_opensearchservice as opensearch
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from stacks.access import DOMAIN_ACCESS, INDEX
from stacks.buckets import private_bucket
from stacks.functions import PythonFunction, function_role, log_group
from stacks.queues import QueueWithDeadLetters
from stacks.rules import accept
from stacks.settings import Settings

__all__ = ["Catalog"]


class Catalog(Stack):
    """Public attributes: what the other stacks read.

    ``thumbnails`` is here, and not with the photos: its objects come and go with the documents that name them.
    ``search_role`` and ``api_role`` are made here, not with their functions: the domain's policy names every role
    that may reach it.
    """

    alarm_email: str | None
    queue: QueueWithDeadLetters
    domain: opensearch.Domain
    domain_name: str
    endpoint: str
    search_role: iam.Role
    thumbnails: s3.Bucket
    api_role: iam.Role
    catalog: PythonFunction
    purge: PythonFunction
    vpc: ec2.Vpc | None
    client_security_group: ec2.SecurityGroup | None

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, **kwargs: Any) -> None:
        self._settings = settings
        super().__init__(scope, construct_id, **kwargs)
        self.alarm_email = self._alarm_email()
        self.queue = QueueWithDeadLetters(
            self,
            "Updates",
            fifo=True,
            visibility_seconds=settings.catalog.visibility,
            max_receives=settings.catalog.max_receives,
            retention_days=settings.queue_days,
            retain=settings.retain_data,
        )
        catalog_role = function_role(self, "CatalogRole", description="Of the function that writes the catalog")
        purge_role = function_role(self, "PurgeRole", description="Of the function that purges tombstones")
        self.search_role = function_role(self, "SearchRole", description="Of the function that answers searches")
        self.api_role = function_role(self, "ApiRole", description="Of the function behind the HTTP API")

        self.thumbnails = self._thumbnails(settings)
        self._network(settings)
        self.domain_name = f"tagstream-{settings.system}"
        self.domain = self._domain(settings)
        if not settings.local:
            self._publish_logs(settings)
        if settings.retain_data and self.vpc is not None and self.client_security_group is not None:
            self._keep(self.vpc, self.client_security_group, *self.domain.connections.security_groups)
        self._admit({"catalog": catalog_role, "purge": purge_role, "search": self.search_role, "api": self.api_role})
        scheme = "http" if settings.local else "https"
        self.endpoint = f"{scheme}://{self.domain.domain_endpoint}"
        environment = {
            "OPENSEARCH_ENDPOINT": self.endpoint,
            "OPENSEARCH_INDEX": INDEX,
            # Both functions make indexes: the first one, and those that the catalog moves to.
            "OPENSEARCH_SHARDS": str(settings.domain.shards),
            "THUMBNAILS_BUCKET": self.thumbnails.bucket_name,
        }

        self.catalog = PythonFunction(
            self,
            "Catalog",
            name="catalog",
            description="Writes updates of images to the catalog, in order for each image",
            size=settings.catalog,
            settings=settings,
            role=catalog_role,
            environment=environment,
            vpc=self.vpc,
            security_group=self.client_security_group,
        )
        self.catalog.consume(self.queue, settings.catalog)
        self.catalog.allow("s3:DeleteObject", on=[self.thumbnails.arn_for_objects("*")])

        self.purge = PythonFunction(
            self,
            "Purge",
            name="purge",
            description="Purges the tombstones of images that were removed long ago",
            size=settings.purge,
            settings=settings,
            role=purge_role,
            environment={**environment, "TOMBSTONE_DAYS": str(settings.tombstone_days)},
            vpc=self.vpc,
            security_group=self.client_security_group,
        )
        self.purge.allow("s3:DeleteObject", on=[self.thumbnails.arn_for_objects("*")])
        self.purge.allow("s3:ListBucket", on=[self.thumbnails.bucket_arn])
        # Late tries are of no use.
        self.purge.run_by(
            events.Schedule.cron(minute="17", hour="3"),
            "Daily",
            description="Purges tombstones once a day",
            retries=2,
            max_age=Duration.hours(6),
            reason="What one day's run leaves the next one purges, and an alarm is on the errors; the event says "
            "nothing but when.",
        )

        CfnOutput(self, "CatalogQueueUrl", value=self.queue.queue.queue_url)
        CfnOutput(self, "CatalogDeadLetterQueueUrl", value=self.queue.dead_letters.queue_url)
        CfnOutput(self, "CatalogFunctionName", value=self.catalog.called.function_name)
        CfnOutput(self, "PurgeFunctionName", value=self.purge.called.function_name)
        CfnOutput(self, "DomainEndpoint", value=self.endpoint)

    def _thumbnails(self, settings: Settings) -> s3.Bucket:
        """Private, encrypted, over TLS only. Not versioned: what can be made again from the photo needs no history."""
        unfinished = s3.LifecycleRule(id="unfinished-uploads", abort_incomplete_multipart_upload_after=Duration.days(7))
        return private_bucket(self, "Thumbnails", settings, lifecycle_rules=[unfinished])

    @property
    def availability_zones(self) -> list[str]:
        """Those of the network. The library's own answer asks AWS as soon as it knows the region."""
        domain = self._settings.domain
        return list(domain.zone_names) or [Fn.select(zone, Fn.get_azs()) for zone in range(domain.zones)]

    def _alarm_email(self) -> str | None:
        """Who gets the alarms: by the settings, or else asked for when deploying, where somebody must.

        It is for the operations stack, but asked for here: this stack is deployed first, and that one half an hour
        later.
        """
        settings = self._settings
        if settings.alarm_email is not None or not settings.alarms_reach_a_person:
            return settings.alarm_email
        Annotations.of(self).add_warning_v2(
            "tagstream:nobody-gets-the-alarms",
            "nobody is named who gets the alarms, and so this cannot be deployed: add "
            "-c alarm_email=someone@example.com.",
        )
        return CfnParameter(
            self,
            "AlarmEmail",
            description="Who gets the alarms; or deploy with -c alarm_email=someone@example.com.",
            allowed_pattern=r"[^@\s]+@[^@\s]+\.[^@\s]+",
            constraint_description="the mail address of who gets the alarms",
        ).value_as_string

    def _network(self, settings: Settings) -> None:
        """Subnets without any way out, one in each zone: the functions in them need the domain, and S3."""
        self.vpc = self.client_security_group = None
        if not settings.domain.in_vpc:
            return
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            availability_zones=self.availability_zones,
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24)
            ],
            # Nothing is in the default group; emptying it would take a custom resource.
            restrict_default_security_group=False,
        )
        if settings.domain.zone_names:
            accept(
                self.vpc,
                "The zones are named by a setting, because others lack the instance type.",
                "CloudFormation-Validate::W3010",
            )
        accept(
            self.vpc,
            "No way leads out of it, so that flow logs, at $0.50 a GB, would show the functions' own calls only.",
            "AwsSolutions-VPC7",
        )
        # A gateway endpoint costs nothing. It leads to S3 and nowhere else, and to no bucket of anybody else.
        way_to_s3 = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        way_to_s3.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["s3:*"],
                resources=["*"],
                conditions={"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        self.client_security_group = ec2.SecurityGroup(
            self,
            "Clients",
            vpc=self.vpc,
            description="Functions that use the OpenSearch domain",
            allow_all_outbound=False,
        )
        # S3's addresses are many, and no route leads to any others.
        self.client_security_group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "HTTPS, to S3")

    @staticmethod
    def _keep(*constructs: IConstruct) -> None:
        """Keep all of these when the stack goes: a domain that stays is in its network, and of its groups."""
        for construct in constructs:
            for child in construct.node.find_all():
                if isinstance(child, CfnResource):
                    child.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)

    def _domain(self, settings: Settings) -> opensearch.Domain:
        nodes = settings.domain
        security_group = None
        if self.vpc is not None and self.client_security_group is not None:
            security_group = ec2.SecurityGroup(
                self, "DomainGroup", vpc=self.vpc, description="The OpenSearch domain", allow_all_outbound=False
            )
            security_group.connections.allow_from(self.client_security_group, ec2.Port.tcp(443), "HTTPS")
        domain = opensearch.Domain(
            self,
            "Domain",
            domain_name=self.domain_name,
            version=opensearch.EngineVersion.OPENSEARCH_3_7,
            capacity=opensearch.CapacityConfig(
                data_node_instance_type=nodes.instance_type,
                data_nodes=nodes.data_nodes,
                multi_az_with_standby_enabled=False,
            ),
            zone_awareness=opensearch.ZoneAwarenessConfig(enabled=True, availability_zone_count=nodes.zones)
            if nodes.zones > 1
            else None,
            ebs=opensearch.EbsOptions(volume_size=nodes.volume_gb, volume_type=ec2.EbsDeviceVolumeType.GP3),
            encryption_at_rest=opensearch.EncryptionAtRestOptions(enabled=True),
            node_to_node_encryption=True,
            enforce_https=True,
            tls_security_policy=opensearch.TLSSecurityPolicy.TLS_1_2_PFS,
            enable_auto_software_update=True,
            vpc=self.vpc,
            vpc_subnets=[ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)] if self.vpc else None,
            security_groups=[security_group] if security_group else None,
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain_data else RemovalPolicy.DESTROY,
        )
        self._accept_of_domain(domain, settings)
        return domain

    def _accept_of_domain(self, domain: opensearch.Domain, settings: Settings) -> None:
        accept(
            domain,
            "Its policy admits roles, by name and by what they do; the addresses of functions change.",
            "AwsSolutions-OS3",
        )
        accept(
            domain,
            "Three dedicated managers cost as much as the data nodes, $149 a month, which are a quorum themselves."
            if settings.domain.data_nodes > 1
            else "One node has nothing to manage but itself.",
            "AwsSolutions-OS4",
        )
        if not settings.domain.in_vpc:
            accept(
                domain,
                "It is outside a network by setting: only the roles that its policy names get in, over TLS.",
                "AwsSolutions-OS1",
            )
        if settings.domain.zones == 1:
            accept(domain, "One zone by setting: what is lost with it is made again.", "AwsSolutions-OS7")
        if settings.local:
            accept(domain, "The emulator has no logs of a domain.", "AwsSolutions-OS9")

    def _publish_logs(self, settings: Settings) -> None:
        """The domain's errors and slow requests, as CloudWatch logs. The policy is the domain's right to write them."""
        groups = {
            "ES_APPLICATION_LOGS": log_group(self, "DomainErrorLog", settings),
            "SEARCH_SLOW_LOGS": log_group(self, "DomainSlowSearchLog", settings),
            "INDEX_SLOW_LOGS": log_group(self, "DomainSlowIndexLog", settings),
        }
        policy = logs.ResourcePolicy(
            self,
            "DomainLogs",
            # A region has room for ten of them: one for all three.
            resource_policy_name=self.domain_name,
            policy_statements=[
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal("es.amazonaws.com")],
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[group.log_group_arn for group in groups.values()],
                    conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
                )
            ],
        )
        domain = self.domain.node.default_child
        assert isinstance(domain, opensearch.CfnDomain)  # noqa: S101
        domain.log_publishing_options = {
            kind: opensearch.CfnDomain.LogPublishingOptionProperty(
                enabled=True, cloud_watch_logs_log_group_arn=group.log_group_arn
            )
            for kind, group in groups.items()
        }
        self.domain.node.add_dependency(policy)

    def _admit(self, roles: Mapping[str, iam.Role]) -> None:
        """Let the roles of these functions, and nobody else, make the requests of :data:`DOMAIN_ACCESS`.

        The policy is part of the domain: the library's own way sets it later, through a custom resource that
        may run before the roles are known everywhere. It names the domain, since it cannot refer to it.
        """
        arn = f"arn:{Aws.PARTITION}:es:{Aws.REGION}:{Aws.ACCOUNT_ID}:domain/{self.domain_name}"
        domain = self.domain.node.default_child
        assert isinstance(domain, opensearch.CfnDomain)  # noqa: S101
        domain.access_policies = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": role.role_arn},
                    "Action": f"es:ESHttp{method}",
                    "Resource": [f"{arn}/{path}" for path in paths],
                }
                for function, role in roles.items()
                for method, paths in DOMAIN_ACCESS[function].items()
            ],
        }
