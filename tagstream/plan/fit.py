"""Whether a stage's settings carry the load that they declare: sentences that say what to change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tagstream.plan.figures import instances, measured, quota
from tagstream.plan.sizing import (
    GIB,
    batch_seconds,
    catalog_batch_seconds,
    disk_gb,
    documents_an_image,
    domain_vcpus,
    shards_for,
)

__all__ = ["Declared", "problems"]


@dataclass(frozen=True)
class Declared:
    """The load that a stage declares, 0 where it declares none, and those of its settings that must carry it."""

    peak_images_per_hour: int
    images: int
    photo_mb: float
    model: str
    region: str | None
    high_throughput: bool
    account_concurrency: int
    classify_memory_mb: int
    classify_timeout_seconds: int
    classify_batch_size: int
    classify_max_concurrency: int
    catalog_memory_mb: int
    catalog_batch_size: int
    catalog_max_concurrency: int
    other_concurrency: int
    """Of the account's, what the steps' function and people may take."""
    instance_type: str
    data_nodes: int
    volume_gb: int
    shards: int


def problems(stage: Declared) -> Iterator[str]:
    """What does not suffice, each in a sentence; nothing where all does."""
    if stage.peak_images_per_hour > 0:
        yield from _peak_problems(stage)
    if stage.images > 0:
        yield from _index_problems(stage)
    if stage.peak_images_per_hour > 0 and stage.instance_type in instances():
        has = instances()[stage.instance_type].vcpus * stage.data_nodes
        needs = domain_vcpus(stage.peak_images_per_hour / 3600, 0, stage.data_nodes)
        if needs > has:
            yield (
                f"domain.data_nodes {stage.data_nodes} of {stage.instance_type} have {has} vCPUs, and to write "
                f"peak_images_per_hour {stage.peak_images_per_hour:,} takes {math.ceil(needs):,}: use more or larger "
                "ones."
            )


def _peak_problems(stage: Declared) -> Iterator[str]:
    peak = stage.peak_images_per_hour
    whole = batch_seconds(
        stage.classify_batch_size, photo_mb=stage.photo_mb, memory_mb=stage.classify_memory_mb, model=stage.model
    )
    if whole > stage.classify_timeout_seconds:
        yield (
            f"classify.batch_size {stage.classify_batch_size} photos of photo_mb {stage.photo_mb:g} take about "
            f"{whole:.0f} s, more than classify.timeout_seconds {stage.classify_timeout_seconds}: lower the former, or "
            "raise the latter or classify.memory_mb."
        )
    wanted = {
        "classify": (whole / stage.classify_batch_size, stage.classify_max_concurrency),
        "catalog": (
            catalog_batch_seconds(stage.catalog_batch_size, memory_mb=stage.catalog_memory_mb)
            / stage.catalog_batch_size,
            stage.catalog_max_concurrency,
        ),
    }
    needs = {name: math.ceil(peak / 3600 * each) for name, (each, _) in wanted.items()}
    most = quota("mapping_concurrency")
    for name, (each, has) in wanted.items():
        if needs[name] > most:
            yield (
                f"peak_images_per_hour {peak:,} takes {needs[name]:,} batches at a time of {name}, and one mapping "
                f"runs {most:,} at most: raise {name}.memory_mb, or give a part of the keys to a second stage (prefix)."
            )
        elif needs[name] > has:
            yield (
                f"{name}.max_concurrency {has} works off {int(has / each * 3600):,} images an hour, fewer than "
                f"peak_images_per_hour {peak:,}: raise it to {needs[name]} or more."
            )
    total = sum(needs.values()) + stage.other_concurrency
    if total > stage.account_concurrency:
        yield (
            f"peak_images_per_hour {peak:,} takes {total:,} functions at a time, and account_concurrency "
            f"{stage.account_concurrency:,} is all that the account lets run: ask AWS for more (quota L-B99A9384 of "
            "Lambda) and then raise it."
        )
    by_region = quota("fifo_calls")
    allowed = (
        by_region.get(stage.region or "us-east-1", by_region["elsewhere"])
        if stage.high_throughput
        else quota("fifo_calls_plain")
    )
    calls = peak / 3600 / min(stage.classify_batch_size, stage.catalog_batch_size)
    if calls > allowed:
        mode = "in high-throughput mode" if stage.high_throughput else "that is not in high-throughput mode"
        yield (
            f"peak_images_per_hour {peak:,} takes {calls:,.0f} calls a second to the catalog's queue, and a FIFO queue "
            f"{mode} takes {allowed:,}: "
            + (
                "raise classify.batch_size, or give a part of the keys to a second stage (prefix)."
                if stage.high_throughput
                else "switch it on."
            )
        )


def _index_problems(stage: Declared) -> Iterator[str]:
    documents = stage.images * documents_an_image() / stage.shards
    gib = stage.images * measured("image_bytes") / GIB / stage.shards
    if documents > quota("lucene_documents"):
        yield (
            f"domain.shards {stage.shards} would hold {documents:,.0f} Lucene documents each for images "
            f"{stage.images:,}, and a shard takes {quota('lucene_documents'):,}: use {shards_for(stage.images):,}."
        )
    elif gib > quota("shard_gib"):
        yield (
            f"domain.shards {stage.shards} would grow to {gib:,.0f} GiB each for images {stage.images:,}, and AWS "
            f"advises {quota('shard_gib')} at most: use {shards_for(stage.images):,}."
        )
    # It is the stage's own nodes that copies are kept on.
    needs = disk_gb(stage.images, stage.data_nodes) / stage.data_nodes
    if needs > stage.volume_gb:
        yield (
            f"domain.volume_gb {stage.volume_gb} is too small for images {stage.images:,} on domain.data_nodes "
            f"{stage.data_nodes}: use {math.ceil(needs):,} or more, or more nodes."
        )
