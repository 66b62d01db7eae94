"""Are photos found by the words that people use? ``python -m benchmarks.vocabulary --labelled FILE.npz``.

The file has ``scores`` (a row for each photo: a model's full probabilities), ``classes`` (WordNet ids, in the order of
the columns) and ``photo_class`` (the WordNet id of what each photo shows). Each photo is cut to the tags that the
catalog would store, and everyday nouns are looked up and ranked as a search does it. Right is a photo whose class is,
in WordNet's own tree, below what the noun means; the vocabulary's choice of ancestors has no say in that.

It measures ranking, and says nothing of how sure the scores are. Rank on photos that the model was not trained on.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import tagstream.vocabulary
from benchmarks.measure import interleaved
from benchmarks.report import Results, limited, median, noted
from tagstream.catalog.language import parse
from tagstream.catalog.ranking import understand
from tagstream.classifier import MIN_ANCESTOR_SCORE, best_tags
from tagstream.errors import ConfigurationError, TagstreamError
from tagstream.tags import Tag
from tagstream.vocabulary import load_tree
from tagstream.vocabulary.build import word_frequency
from tagstream.vocabulary.rule import VISIBLE
from tagstream.vocabulary.tree import parse_tree
from tagstream.vocabulary.wordnet import WordNet, find_wordnet
from tagstream.vocabulary.words import load_words

__all__ = ["NOUNS", "Answer", "average_precision", "common_nouns", "measured", "truth", "vocabulary"]

# Written down before any was looked up: what stands about, lives, is eaten, driven and worn.
NOUNS = (
    "animal dog cat bird fish insect snake lizard frog turtle monkey bear wolf fox horse sheep pig elephant whale "
    "shark spider butterfly beetle crab rabbit rodent mammal reptile duck goose owl eagle parrot penguin chicken "
    "lion tiger food fruit vegetable bread dessert drink pizza sandwich apple banana wine coffee soup flower "
    "plant mushroom mountain shore valley volcano vehicle car truck bus train bicycle motorcycle boat ship "
    "airplane aircraft ambulance furniture chair table bed sofa desk lamp clothing shoe hat coat skirt shirt tie "
    "sock glove helmet glasses bag building house church castle bridge tower fence roof store restaurant "
    "instrument guitar piano drum violin flute tool hammer knife weapon gun container bottle box bowl basket "
    "bucket pot pan computer laptop keyboard phone camera television clock watch machine ball toy pen umbrella "
    "candle curtain towel oven stove refrigerator wheel"
)

# A noun means the first of its meanings that a photo can show, but where people mean another, or two of them.
_MEANT: Mapping[str, tuple[str, ...]] = {
    "food": ("n00021265", "n07555863"),  # WordNet has one for what nourishes, and one for what is eaten
    "instrument": ("n03800933",),  # of music; WordNet's first is any device that needs skill
    "plant": ("n00017222",),  # that grows; WordNet's first is a factory
    "lamp": ("n03636248", "n04380533"),  # the light, and what stands on a table with it
}


LEAST_FREQUENCY, LEAST_PHOTOS, MOST_SENSE = 3.5, 2, 2
"""Nouns chosen by rule: how common (Zipf's scale), of how many photos, and among the first meanings of the word."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How good the answer to one noun is, of ``right`` photos; ``precision`` at the least score, if there are any."""

    noun: str
    right: int
    average_precision: float
    recall: float
    precision: float | None


def truth(wordnet: WordNet, noun: str, photo_class: Sequence[str]) -> list[bool]:
    """Which photos show what the noun means, by WordNet alone."""
    fields = {*VISIBLE, "03"}  # 03: the tops, which have the animals and plants
    meant = _MEANT.get(noun, ())
    for meaning in () if meant else wordnet.senses.get(noun, ()):
        # ImageNet has photos of some meanings only.
        if wordnet.meanings[meaning].field in fields and not {meaning, *wordnet.below(meaning)}.isdisjoint(photo_class):
            meant = (meaning,)
            break
    wanted = {one for meaning in meant for one in (meaning, *wordnet.below(meaning))}
    return [one in wanted for one in photo_class]


def common_nouns(wordnet: WordNet, frequency: Callable[[str], float], photo_class: Sequence[str]) -> list[str]:
    """Nouns that nobody chose: the common ones whose first meaning that can be seen is one of the word's first, and
    has photos; not those whose photos are half of all or more. The commonest come first."""
    present = Counter(photo_class)
    chosen = []
    for noun, senses in wordnet.senses.items():
        seen = [one for one in senses[:MOST_SENSE] if wordnet.meanings[one].field in VISIBLE]
        if not noun.isalpha() or not seen or frequency(noun) < LEAST_FREQUENCY:
            continue
        if LEAST_PHOTOS <= sum(present[one] for one in (seen[0], *wordnet.below(seen[0]))) < len(photo_class) / 2:
            chosen.append(noun)
    return sorted(chosen, key=lambda noun: (-frequency(noun), noun))


def average_precision(hits: Sequence[bool], right: int) -> float:
    """The mean, over all right photos, of the precision where each is found; one that is not found counts 0.

    >>> average_precision([True, False, True], 2)  # (1/1 + 2/3) / 2
    0.8333333333333333
    """
    found = 0
    total = 0.0
    for place, hit in enumerate(hits, 1):
        found += hit
        total += found / place if hit else 0.0
    return total / right


def measured(
    noun: str, photos: Sequence[Sequence[Tag]], shown: Sequence[bool], *, min_score: float, related: bool = True
) -> Answer:
    """The answer to a noun in a search's own order: ``photos`` by their stored tags, ``shown`` if they show it."""
    hits = [shown[number] for number in _found(noun, photos, related=related)]
    sure = [shown[number] for number in _found(noun, photos, related=related, min_score=min_score)]
    right = sum(shown)
    precision = sum(sure) / len(sure) if sure else None
    return Answer(noun, right, average_precision(hits, right), sum(hits) / right, precision)


def _found(noun: str, photos: Sequence[Sequence[Tag]], *, related: bool, min_score: float | None = None) -> list[int]:
    """The numbers of the photos that a search finds, best first."""
    search = understand(parse(noun), load_words(), min_score=min_score, related=related)
    found = []
    for number, tags in enumerate(photos):
        one = search.found({"tag": tag.tag, "score": tag.score} for tag in tags)
        if one.matches:
            found.append((-one.value, -one.matches[0].score, number))
    return [number for *_, number in sorted(found)]


def _stored(scores: Sequence[Sequence[float]], classes: Sequence[str], floor: float) -> list[tuple[Tag, ...]]:
    """What the catalog would keep of each photo."""
    tree = load_tree()
    roll_up = tree.roll_up(classes)
    names = [tree.by_wordnet_id[one].name for one in classes]
    photos = []
    for row in np.asarray(scores, np.float64):
        whole = row / row.sum()
        ancestors = dict(zip(roll_up.names, roll_up(whole).tolist(), strict=True))
        photos.append(
            best_tags(
                dict(zip(names, whole.tolist(), strict=True)),
                min_score=0.01,
                max_tags=10,
                ancestors=ancestors,
                min_ancestor_score=floor,
            )
        )
    return photos


def vocabulary(rounds: int) -> Results:
    """The group of ``make bench``: the size of the data, and the time to read it and to roll a photo's scores up."""
    folder = Path(tagstream.vocabulary.__file__).parent
    data = [
        path for path in folder.iterdir() if path.suffix in {".json", ".txt"} and path.name != "LICENCE-WordNet.txt"
    ]
    text = (folder / "tree.json").read_text(encoding="utf-8")
    tree = load_tree()
    roll_up = tree.roll_up([leaf.wordnet_id for leaf in tree.leaves])
    scores = np.random.default_rng(1).dirichlet(np.ones(1000))
    times = interleaved(
        {
            "tree": lambda _: _seconds(lambda: parse_tree(text)),
            "words": lambda _: _seconds(load_words.__wrapped__),
            "roll-up": lambda _: _seconds(lambda: [roll_up(scores) for _ in range(100)]) / 100,
        },
        rounds,
    )
    in_ms = {name: median(seconds) * 1e3 for name, seconds in times.items()}
    size = sum(path.stat().st_size for path in data) / 1e6
    loading = in_ms["tree"] + in_ms["words"]
    return Results(
        rows=[
            limited("vocabulary: data", size, 1.0, unit="MB", at_most=1.0),
            limited("vocabulary: reading tree and words", loading, 20.0, unit="ms", at_most=20.0),
            noted("vocabulary: reading the tree", in_ms["tree"], unit="ms"),
            noted("vocabulary: rolling up a photo", in_ms["roll-up"], unit="ms"),
        ]
    )


def _seconds(work: Callable[[], object]) -> float:
    # Of the processor: nothing here waits, and a busy machine is none of its business.
    started = time.thread_time()
    work()
    return time.thread_time() - started


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--labelled", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="NPZ")
@click.option("--wordnet", type=click.Path(file_okay=False, path_type=Path), help="Where WordNet's data.noun is.")
@click.option("--noun", "nouns", multiple=True, help="Instead of the usual ones; may be given repeatedly.")
@click.option(
    "--by-rule", is_flag=True, help="The common nouns that these photos show, instead of those chosen by hand."
)
@click.option("--min-score", default=0.5, show_default=True, type=click.FloatRange(0, 1), help="For the precision.")
@click.option("--floor", default=MIN_ANCESTOR_SCORE, show_default=True, help="Ancestors with less are not stored.")
@click.option("--related/--no-related", default=True, show_default=True, help="Count tags that are merely related.")
def main(
    labelled: Path,
    wordnet: Path | None,
    nouns: tuple[str, ...],
    *,
    by_rule: bool,
    min_score: float,
    floor: float,
    related: bool,
) -> None:
    """Look up everyday nouns among labelled photos; print each noun's figures, and their means last."""
    try:
        tree = WordNet(find_wordnet(wordnet))
        with np.load(labelled, allow_pickle=False) as file:
            scores, classes, shows = file["scores"], [*map(str, file["classes"])], [*map(str, file["photo_class"])]
        if scores.shape != (len(shows), len(classes)):
            raise ConfigurationError(f"{labelled}: scores are {scores.shape}, which is not photos by classes")
    except (TagstreamError, KeyError, ValueError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)
    photos = _stored(scores, classes, floor)
    answers, without = [], []
    usual = common_nouns(tree, word_frequency(), shows) if by_rule else NOUNS.split()
    for noun in nouns or usual:
        shown = truth(tree, noun, shows)
        if any(shown):
            answers.append(measured(noun, photos, shown, min_score=min_score, related=related))
        else:
            without.append(noun)
    for one in answers:
        precise = "-" if one.precision is None else f"{one.precision:.3f}"
        print(
            f"{one.noun:14} {one.right:4} photos  AP {one.average_precision:.3f}  recall {one.recall:.3f}  P {precise}"
        )
    if without:
        print(f"no photos of: {', '.join(without)}")
    if answers:
        precisions = [one.precision for one in answers if one.precision is not None]
        kept = _mean(len(tags) for tags in photos)
        print(f"\n{len(answers)} nouns, {len(photos)} photos with {kept:.1f} tags each, ancestors from {floor} on")
        print(f"mean average precision  {_mean(one.average_precision for one in answers):.3f}")
        print(f"recall                  {_mean(one.recall for one in answers):.3f}")
        print(f"precision from {min_score} on  {_mean(precisions):.3f}")


if __name__ == "__main__":
    main()
