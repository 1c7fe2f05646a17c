"""The sample of pairs: a sentence about a scene, and another one that follows from it, contradicts it, or neither."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from seqkit.records import TextRecord

_BEINGS = {
    "person": ("woman", "man", "singer", "sailor", "baker", "teacher", "gardener", "painter"),
    "child": ("girl", "boy", "schoolgirl", "schoolboy"),
    "animal": ("dog", "cat", "donkey", "goat", "hen", "rabbit", "pony"),
}
_VERBS = {
    "follows": "followed",
    "watches": "watched",
    "feeds": "fed",
    "chases": "chased",
    "washes": "washed",
    "finds": "found",
}
_OPPOSITES = {"wakes": "woken", "frightens": "frightened", "ignores": "ignored", "calms": "calmed"}
_PARTICIPLES = {**_VERBS, **_OPPOSITES}
_OPPOSITE = {"wakes": "ignores", "ignores": "wakes", "frightens": "calms", "calms": "frightens"}
_PLACES = ("in the yard", "near the river", "on the bridge", "behind the mill", "at the station", "under the trees")
_LOOKS = ("old", "tired", "small", "happy", "wet", "quiet")
_KIND = {being: kind for kind, beings in _BEINGS.items() for being in beings}
_LABELS = ("contradiction", "entailment", "neutral")


class _Scene(NamedTuple):
    """Who does what to whom and where; of a detail that is not told the empty string."""

    agent: str
    verb: str
    patient: str
    place: str
    look: str

    def told(self, *, passive: bool = False, denied: bool = False) -> str:
        """The scene as a sentence."""
        agent = " ".join(filter(None, (self.look, self.agent)))
        if passive:
            words = [_with_article(self.patient), "is", *["not"] * denied, _PARTICIPLES[self.verb], "by"]
            words.append(_with_article(agent))
        elif denied:
            words = ["No", self.agent, self.verb, _with_article(self.patient)]
        else:
            words = [_with_article(agent), self.verb, _with_article(self.patient)]
        text = " ".join([*words, *filter(None, [self.place])])
        return f"{text[0].upper()}{text[1:]}."


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def pairs(sizes: Mapping[str, int], seed: int) -> dict[str, list[TextRecord]]:
    """Write pairs of a premise and a hypothesis.

    What follows has fewer or more general details, in the active or the passive voice; what contradicts is denied or
    the opposite; what is neither has a detail that the premise does not tell, or the other way round who does it to
    whom. Which it is can be told neither from the hypothesis alone nor from the words that both have.

    Args:
        sizes: split → number of pairs.
        seed: seed of the generator.

    Returns:
        Split → records with fields ``premise``, ``hypothesis``, ``label`` (contradiction, entailment, neutral) and
        ``relatedness``, from 1 to 5 by how many of agent, verb, patient and place both have. A premise has one
        hypothesis of each label; no premise occurs twice.
    """
    seen: set[str] = set()
    corpus: dict[str, list[TextRecord]] = {}
    for split, size in sizes.items():
        drawn = random.Random(f"{seed} {split}")
        records: list[TextRecord] = []
        while len(records) < size:
            scene = _scene(drawn)
            premise = scene.told(passive=drawn.random() < 0.2)
            if premise in seen:
                continue
            seen.add(premise)
            for label in drawn.sample(_LABELS, len(_LABELS)):
                hypothesis, told = _hypothesis(scene, label, drawn)
                alike = sum(_same(one, other) for one, other in zip(scene[:4], told[:4], strict=True))
                fields = {"premise": premise, "hypothesis": hypothesis, "label": label, "relatedness": 1.0 + alike}
                records.append(TextRecord(premise, fields))
        corpus[split] = records[:size]
    return corpus


def _scene(drawn: random.Random) -> _Scene:
    agent = drawn.choice(sorted(_KIND))
    patient = drawn.choice([being for being in sorted(_KIND) if being != agent])
    look = drawn.choice(_LOOKS) if drawn.random() < 0.6 else ""
    return _Scene(agent, drawn.choice(sorted(_PARTICIPLES)), patient, drawn.choice(_PLACES), look)


def _same(one: str, other: str) -> bool:
    return one == other or _KIND.get(one) == other != ""


def _hypothesis(scene: _Scene, label: str, drawn: random.Random) -> tuple[str, _Scene]:
    """A sentence, and the scene that it is about."""
    told = scene
    if drawn.random() < 0.5:
        told = told._replace(agent=_KIND[told.agent])
    if drawn.random() < 0.3:
        told = told._replace(patient=_KIND[told.patient])
    if drawn.random() < 0.5:
        told = told._replace(place="")
    if drawn.random() < 0.7:
        told = told._replace(look="")
    passive = drawn.random() < 0.3
    if label == "entailment":
        return told.told(passive=passive), told
    if label == "contradiction":
        if told.verb in _OPPOSITE and drawn.random() < 0.6:
            told = told._replace(verb=_OPPOSITE[told.verb])
            return told.told(passive=passive), told
        denied = told._replace(look="")
        return denied.told(passive=passive, denied=True), denied
    change = drawn.choice(("turn", "turn", "turn", "place", "agent", "look"))
    if change == "turn":
        told = scene._replace(agent=scene.patient, patient=scene.agent, look="")
    elif change == "place":
        told = told._replace(place=drawn.choice([place for place in _PLACES if place != scene.place]))
    elif change == "agent":
        told = told._replace(agent=drawn.choice([being for being in sorted(_KIND) if being != scene.agent]))
    else:
        told = told._replace(look=drawn.choice([look for look in _LOOKS if look != scene.look]))
    return told.told(passive=passive), told
