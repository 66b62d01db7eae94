"""From a load to the size of everything that carries it. Formulas: docs/scale.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tagstream.plan.figures import Instance, instances, measured, quota

__all__ = [
    "GIB",
    "OTHERS",
    "Size",
    "Workload",
    "batch_seconds",
    "catalog_batch_seconds",
    "copies",
    "disk_gb",
    "documents_an_image",
    "domain_vcpus",
    "managers_for",
    "photo_cpu_seconds",
    "shards_for",
    "size",
]

GIB = 1024**3
DAYS = 365 / 12
"""In a month."""
VCPU_MB = 1769
"""Memory for which Lambda gives one vCPU, and other amounts in proportion."""

BUSY = 0.7
"""The part of its time that a mapping, or the domain's processors, should work at the peak: the rest is for waves."""
_SLOWEST_PHOTO_SECONDS = 5
"""Hostile photos are stopped after that much CPU: a batch of them must be done within the function's time."""
_MOST_MB = 10_240
"""Memory that Lambda gives a function at most."""
_DISK_USED = 0.7
"""The part of the disks that the index fills: the alarm comes at 75 %, and OpenSearch refuses writes at 80 %."""
_PEAK_OF_DAY = 1 / 8
"""Of a day's photos in its busiest hour, where nothing else is said: three times the mean."""
_SHARD_GIB = 30
"""What shards are made for: the most that AWS advises where searches are to be fast."""
_LUCENE_ROOM = 0.8
"""Of Lucene's documents: deleted ones count until their segments are merged."""
_ZONES = 3
MODEL = "efficientnet-lite2-int8"
"""What stages on AWS classify with, unless they are told otherwise."""
OTHERS = 4
"""Functions at a time beside those two: the steps' has two at least, and what people ask takes two more."""


@dataclass(frozen=True)
class Workload:
    """A load: photos a day, MB of one, photos in the busiest hour, searches a day, and months that photos are kept.

    ``photo_milliseconds`` is what an invocation with one photo was measured to take, if it was; ``zones`` 1 is for one
    node that may be lost.
    """

    images_per_day: float
    photo_mb: float = 3.0
    peak_per_hour: float | None = None
    searches_per_day: float = 0.0
    months: float = 12.0
    model: str = MODEL
    photo_milliseconds: float | None = None
    zones: int = _ZONES

    @property
    def images_per_month(self) -> float:
        return self.images_per_day * DAYS

    @property
    def images(self) -> float:
        """In the catalog when as many go as come."""
        return self.images_per_month * self.months

    @property
    def peak_per_second(self) -> float:
        peak = self.images_per_day * _PEAK_OF_DAY if self.peak_per_hour is None else self.peak_per_hour
        return peak / 3600


@dataclass(frozen=True)
class Size:
    """What carries it, in the words of a stage's settings. ``managers`` are dedicated ones, which no stage has yet."""

    classify_memory_mb: int
    classify_batch_size: int
    classify_timeout_seconds: int
    classify_visibility_seconds: int
    classify_max_concurrency: int
    catalog_memory_mb: int
    catalog_batch_size: int
    catalog_timeout_seconds: int
    catalog_visibility_seconds: int
    catalog_max_concurrency: int
    account_concurrency: int
    shards: int
    instance_type: str
    data_nodes: int
    zones: int
    volume_gb: int
    managers: int
    classify_needed: float
    catalog_needed: float
    """Batches at a time that the peak takes: a mapping runs two at least, and not as many as one likes."""
    nodes_needed: float
    """Data nodes that disk and processors take: a domain has one at least, and one in each zone."""


def photo_cpu_seconds(photo_mb: float, model: str = MODEL) -> float:
    """Seconds of one of Lambda's vCPUs for a photo, on the line through what was measured.

    A model that was not measured is taken for the slowest that was.
    """
    (mb, ms), (more_mb, more_ms) = measured("photo_cpu_ms")
    slope = (more_ms - ms) / (more_mb - mb)
    models = measured("model_cpu_ms")
    return float((ms + slope * (photo_mb - mb) + models.get(model, max(models.values()))) * measured("graviton")) / 1000


def batch_seconds(
    photos: float,
    *,
    photo_mb: float,
    memory_mb: int = VCPU_MB,
    model: str = MODEL,
    photo_milliseconds: float | None = None,
) -> float:
    """Seconds of an invocation of classify: the CPU of each photo, and once the wait for S3 and SQS.

    Above one vCPU (1,769 MB) several photos are worked on at once. ``photo_milliseconds``: an invocation with one photo
    takes that on one vCPU, of which the wait is a part.

    >>> one = batch_seconds(1, photo_mb=3)
    >>> 9 * one < batch_seconds(10, photo_mb=3) + 10 * 0.06 < 11 * one
    True
    >>> batch_seconds(1, photo_mb=3, memory_mb=2 * VCPU_MB) == one
    True
    """
    wait = measured("classify_wait_ms") / 1000
    cpu = photo_cpu_seconds(photo_mb, model)
    if photo_milliseconds is not None:
        wait = min(wait, photo_milliseconds / 1000 / 2)
        cpu = photo_milliseconds / 1000 - wait
    # A photo has one thread, and no use of a second vCPU.
    cpu *= VCPU_MB / min(memory_mb, VCPU_MB * max(1, photos))
    return float(wait + photos * cpu)


def catalog_batch_seconds(updates: float, *, memory_mb: int = 512) -> float:
    """Seconds of an invocation of catalog: one read and one write, whose number does not depend on the batch.

    >>> catalog_batch_seconds(10) < 2 * catalog_batch_seconds(1)
    True
    """
    cpu = measured("catalog_cpu_ms") * measured("graviton") * VCPU_MB / memory_mb
    return float((measured("catalog_wait_ms") + cpu * (0.5 + 0.5 * updates / 10)) / 1000)


def copies(data_nodes: int) -> int:
    """Of each shard: a replica where there is a second node (``auto_expand_replicas``)."""
    return 2 if data_nodes > 1 else 1


def documents_an_image() -> float:
    """Lucene documents: the image's, and one for each of its nested tags."""
    return 1.0 + float(measured("tags"))


def shards_for(images: float) -> int:
    """Primary shards that so many images should be in, as AWS advises and Lucene allows."""
    by_size = float(images * measured("image_bytes") / (_SHARD_GIB * GIB))
    by_documents = float(images * documents_an_image() / (_LUCENE_ROOM * quota("lucene_documents")))
    return max(1, math.ceil(max(by_size, by_documents)))


def disk_gb(images: float, data_nodes: int) -> float:
    """GB of all disks together: every copy, Linux' 5 %, and what stays free, for merges and before the alarm."""
    return float(images * measured("image_bytes") * copies(data_nodes) / 0.95 / _DISK_USED / GIB)


def domain_vcpus(peak_per_second: float, images: float, data_nodes: int) -> float:
    """vCPUs to write the peak, or two for each 100 GB of disk as AWS advises, whichever are more."""
    writing = peak_per_second * measured("domain_cpu_ms") * measured("graviton") / 1000 * copies(data_nodes) / BUSY
    return float(max(writing, disk_gb(images, data_nodes) / 100 * 2))


def size(load: Workload) -> Size:
    """The least that carries ``load`` with room to spare."""
    batch, most = 10, quota("mapping_concurrency")
    memory, whole, classify_needed = _classify(load, batch)
    timeout = max(batch * _SLOWEST_PHOTO_SECONDS + 10, math.ceil(2 * whole))
    catalog_memory, catalog_timeout = 512, 30
    update = catalog_batch_seconds(10, memory_mb=catalog_memory) / 10
    catalog_needed = load.peak_per_second * update / BUSY
    classify, catalog = (min(most, max(2, math.ceil(needed))) for needed in (classify_needed, catalog_needed))
    kind, nodes = _nodes(load)
    return Size(
        classify_memory_mb=memory,
        classify_batch_size=batch,
        classify_timeout_seconds=timeout,
        classify_visibility_seconds=6 * timeout,
        classify_max_concurrency=classify,
        catalog_memory_mb=catalog_memory,
        catalog_batch_size=10,
        catalog_timeout_seconds=catalog_timeout,
        catalog_visibility_seconds=6 * catalog_timeout,
        catalog_max_concurrency=catalog,
        account_concurrency=max(10, classify + catalog + OTHERS),
        shards=min(shards_for(load.images), int(quota("shards_an_index"))),
        instance_type=kind.name,
        data_nodes=nodes,
        zones=load.zones,
        volume_gb=max(10 if nodes == 1 else 20, math.ceil(disk_gb(load.images, nodes) / nodes)),
        managers=managers_for(nodes)[0],
        classify_needed=classify_needed,
        catalog_needed=catalog_needed,
        nodes_needed=_needed(load, kind, nodes),
    )


def _classify(load: Workload, batch: int) -> tuple[int, float, float]:
    """Memory, seconds of a batch, batches at a time: one vCPU, and more only where one mapping is not enough."""
    for memory in range(VCPU_MB, _MOST_MB, VCPU_MB):
        whole = batch_seconds(
            batch,
            photo_mb=load.photo_mb,
            memory_mb=memory,
            model=load.model,
            photo_milliseconds=load.photo_milliseconds,
        )
        needed = load.peak_per_second * whole / batch / BUSY
        if needed <= quota("mapping_concurrency"):
            break
    return memory, whole, needed


def managers_for(data_nodes: int) -> tuple[int, Instance]:
    """How many dedicated managers so many data nodes should have, and of which type."""
    kinds = quota("managers")
    kind = next(name for end, name in kinds if end is None or data_nodes <= end)
    return (3 if data_nodes > quota("nodes_without_managers") else 0), instances()[kind]


def _nodes(load: Workload) -> tuple[Instance, int]:
    """The cheapest nodes that suffice, with their managers; of those within the usual quota, if any are."""
    offers: list[tuple[bool, float, int, Instance]] = []
    most = quota("instances_a_domain")

    def offer(kind: Instance, nodes: int) -> None:
        managers, manager = managers_for(nodes)
        dollars = nodes * kind.dollars_an_hour + managers * manager.dollars_an_hour
        offers.append((nodes + managers > most, dollars, nodes, kind))

    for kind in instances().values():
        # AWS advises against t3 in production.
        if load.zones > 1 and kind.name.startswith("t3."):
            continue
        # One node alone has no copy to keep; all others come in multiples of the zones.
        if load.zones == 1 and _needed(load, kind, 1) <= 1:
            offer(kind, 1)
        step = load.zones if load.zones > 1 else 2
        offer(kind, max(1, math.ceil(_needed(load, kind, step) / step)) * step)
    _, _, nodes, kind = min(offers, key=lambda offer: offer[:3])
    return kind, nodes


def _needed(load: Workload, kind: Instance, nodes: int) -> float:
    """Nodes of a type that disk and processors take, in a domain of so many."""
    vcpus = domain_vcpus(load.peak_per_second, load.images, nodes)
    return max(disk_gb(load.images, nodes) / kind.volume_gb, vcpus / kind.vcpus)
