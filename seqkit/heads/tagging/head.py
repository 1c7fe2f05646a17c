"""Many to many, aligned: a label for every token, with spans and probabilities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from seqkit.errors import DataError, ModelError, SettingsError
from seqkit.formats.schemes import convert, detect_scheme, is_label
from seqkit.formats.writers import clean, rows
from seqkit.heads.base import MOST_NAMED, Head, Loss, StepTargets, some
from seqkit.heads.tagging.labels import TagCodec
from seqkit.heads.tagging.module import MOST_TAGS, DecodedTags, TaggingHead, TagSegment
from seqkit.heads.tagging.settings import TagOptions
from seqkit.heads.tagging.stream import DEFAULT_LAG, LabelStream
from seqkit.inputs.base import Documents
from seqkit.metrics.tagging import tagging_report
from seqkit.nn.auxiliary import AuxiliaryLanguageModel
from seqkit.nn.encoder import Encoder
from seqkit.nn.network import Encoded
from seqkit.nn.parts import most_score
from seqkit.nn.sequences import to_device
from seqkit.records import Sentence, TaggedSentence, TaggedSpan
from seqkit.terminal import code, markdown

_MOST_SCORE = 1e12
"""a sum of scores from which on the rounding of float64, a part in 1e16 a step, shows in probabilities"""


class Tagging(Head):
    """A label for every token, by a CRF or a softmax.

    Args:
        settings: the settings of the model.
        codec: labels ↔ ids of tags.
        vocabulary_size: how many words the input knows, for the auxiliary loss.
        transitions: whether the model's files have a table of transitions between tags, though it may need none, as
            those of earlier versions do.
    """

    has_labels = True
    scores_steps = True
    training_only = "head.auxiliary."
    module: TaggingHead

    def __init__(self, settings: Any, codec: TagCodec, vocabulary_size: int, transitions: bool = False) -> None:
        self.settings = settings
        self.codec = codec
        self._vocabulary_size = vocabulary_size
        self._transitions = transitions

    @classmethod
    def build(cls, settings: Any, records: Sequence[Any], input: Any) -> Tagging:
        """See `Head.build`."""
        data = settings.data
        codec = TagCodec.build(_column(records, data.target), data.scheme, data.target)
        refuse_table(len(codec.tags), crf=settings.head.crf, spans=codec.encoding != "none")
        if settings.head.lm_loss and not hasattr(input, "indexer"):
            raise SettingsError("head.lm_loss: the input of this task has no words to predict, so it must be 0")
        return cls(settings, codec, len(input.indexer.words) if settings.head.lm_loss else 0)

    @classmethod
    def restore(cls, settings: Any, documents: Documents, input: Any) -> Tagging:
        """See `Head.restore`."""
        codec = TagCodec.from_json(documents["labels.json"])
        return cls(settings, codec, 0, cls._saved_transitions(settings, codec, documents))  # no auxiliary loss

    @staticmethod
    def _saved_transitions(settings: Any, codec: TagCodec, documents: Documents) -> bool:
        """Whether a model's files have a table of transitions; checked before so many legal ones are computed."""
        legal, size = documents.weight("head.crf.legal_transitions"), len(codec.tags)
        if legal is None and not settings.head.crf and codec.encoding == "none":
            return False
        if legal is None or list(legal.shape) != [size, size]:
            found = "none" if legal is None else f"{list(legal.shape)}"
            expected = f"expected {size} × {size} transitions between labels, found {found}"
            raise ModelError(f"{documents.place}: weights do not fit the model's settings: {expected}")
        return True

    def documents(self) -> dict[str, Any]:
        """See `Head.documents`."""
        return {"labels.json": self.codec.to_json()}

    def make_module(self, encoder: Encoder, inputs: nn.Module, *, training: bool) -> TaggingHead:
        """See `Head.make_module`."""
        head = self.settings.head
        auxiliary, weight = None, getattr(head, "lm_loss", 0.0)
        if training and weight:
            size = min(head.lm_loss_words, self._vocabulary_size)
            auxiliary = AuxiliaryLanguageModel(encoder.output_size, encoder.forward_size, size)
        legal = self.codec.legal_moves()
        self.module = TaggingHead(
            encoder.output_size,
            len(self.codec.tags.labels),
            crf=head.crf,
            moves=None if legal is None else tuple(map(torch.from_numpy, legal)),  # type: ignore[arg-type]
            auxiliary=auxiliary,
            auxiliary_weight=weight,
            transitions=self._transitions,
        )
        return self.module

    def targets(self, records: Sequence[Any]) -> StepTargets:
        """See `Head.targets`."""
        return StepTargets([self.codec.encode(row) for row in self._labels(records, self.codec.target)])

    def _labels(self, records: Sequence[Any], target: str, **options: Any) -> list[list[str]]:
        """The labels of records as they are in their file."""
        return _column(records, target)

    def loss(self, encoded: Encoded, targets: Tensor) -> Loss:
        """See `Head.loss`; the units are sentences."""
        words = encoded.batch.ids if self.module.auxiliary is not None else None  # [B, T]
        mean = self.module.loss(encoded.outputs, encoded.lengths, targets, words)
        return Loss(mean, len(encoded.lengths))

    def score(self, encoded: Encoded) -> Tensor:
        """See `Head.score` and `TaggingHead.score`, [B, T, K] or [B, T, D]."""
        return self.module.score(encoded.outputs)

    def sound(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """See `Head.sound`: the sum over a sentence is also so small that probabilities are left of it."""
        most = _MOST_SCORE / to_device(lengths, scores.device)  # [B]
        if self.module.late:
            return most_score(scores, self.module.emission) < most
        found = scores.flatten(1).abs().amax(1) < most
        return found if self.module.crf is None else found & (self.module.crf.largest_score() < most)

    def decode(self, scores: Tensor, lengths: Tensor, records: Sequence[Any], options: Any) -> list[Any]:
        """See `Head.decode`."""
        if options.model is not None:
            return self._searched(scores, lengths, records, options)
        decoded, rows = self._decoded(scores, lengths, options)
        sizes = lengths.tolist()
        marks_spans = self.codec.encoding != "none"
        results = [
            TaggedSentence(sentence, self.codec.decode(tags), marks_spans=marks_spans)
            for sentence, tags in zip(records, rows, strict=True)
        ]
        if decoded.marginals is not None or decoded.chosen is not None:
            values = self._token_probs(decoded)
            for result, row, size in zip(results, values, sizes, strict=True):
                result.probs = row[:size]
            self._divide_touching(results, rows, scores, lengths)
        if options.spans:
            self._add_spans(results, rows, scores, lengths, options.probs)
        if decoded.alternatives is not None and decoded.alternative_log_probs is not None:
            found, weights = decoded.alternatives.tolist(), decoded.alternative_log_probs.tolist()
            for result, paths, likelihood, size in zip(results, found, weights, sizes, strict=True):
                pairs = zip(paths, likelihood, strict=True)
                # For a long sentence the probability may underflow to zero, but the sequence is still legal.
                result.alternatives = [
                    (self.codec.decode(path[:size]), math.exp(value)) for path, value in pairs if value > -math.inf
                ]
        return results

    def _searched(
        self, scores: Tensor, lengths: Tensor, records: Sequence[Any], options: TagOptions
    ) -> list[TaggedSentence]:
        """The best labels of each sentence by a search with a language model; such labels mark no spans."""
        found = self.module.search(
            scores, lengths, options.model, weight=options.lm_weight, beam=options.width, nbest=options.nbest
        )
        results = []
        for sentence, best in zip(records, found, strict=True):
            result = TaggedSentence(sentence, self.codec.decode(best[0].labels))
            if options.nbest > 1:
                likely = [one for one in best if one.score > -math.inf]
                result.alternatives = [(self.codec.decode(one.labels), math.exp(one.log_prob)) for one in likely]
                result.scores = [(one.score, one.lm) for one in likely]
            results.append(result)
        return results

    def _decoded(self, scores: Tensor, lengths: Tensor, options: Any) -> tuple[DecodedTags, list[list[int]]]:
        """What is decided, and the tags of each record: at its end, or each after the lag."""
        lag = None if self.module.independent else options.lag
        if lag is not None:
            self._refuse_probs(options)
            classes = torch.from_numpy(self.codec.visible)
            decoded = DecodedTags(self.module.decode_lagged(scores, lengths, lag, classes))
        else:
            decoded = self.module.decode(
                scores, lengths, probabilities=options.probs, nbest=getattr(options, "nbest", 1)
            )
        sizes = lengths.tolist()
        rows = [tags[:size] for tags, size in zip(decoded.tags.tolist(), sizes, strict=True)]
        if lag is not None and self.codec.scheme != self.codec.encoding:
            # The labels are known; which tags of their classes they are, only now.
            rows = [self.codec.encode(self.codec.decode(tags)) for tags in rows]
        return decoded, rows

    def stream(self, options: Any) -> Any:
        """See `Head.stream` and `LabelStream`."""
        return self._label_stream(options)

    def _label_stream(self, options: Any) -> LabelStream:
        if getattr(options, "nbest", 1) > 1:
            raise SettingsError("nbest: the best sequences of labels are those of whole sentences, not of a stream")
        if getattr(options, "lm", ""):
            raise SettingsError("lm: a search with a language model needs the whole sentence, not a stream")
        self._refuse_probs(options)
        lag = DEFAULT_LAG if options.lag is None else options.lag
        return LabelStream(self.codec, self.module, lag=lag, probs=options.probs)

    def _refuse_probs(self, options: Any) -> None:
        """Refuse probabilities of labels that are decided before the sentence has ended, which they depend on."""
        if options.probs and not self.module.independent:
            kind = "a CRF" if self.module.learns_transitions else "tags of spans"
            raise SettingsError(
                f"probs: probabilities of labels by {kind} need the whole sentence, which neither a stream nor a lag "
                "waits for"
            )

    def empty(self, record: Any, options: Any) -> Any:
        """See `Head.empty`."""
        alternatives: list[tuple[list[str], float]] | None = [] if options.nbest > 1 else None
        marks_spans = self.codec.encoding != "none"
        return TaggedSentence(record, [], [] if options.probs else None, [], alternatives, marks_spans)

    def labels(self, answer: Any) -> Sequence[Hashable]:
        """See `Head.labels`."""
        labels: list[str] = answer.labels
        return labels

    def gold(self, records: Sequence[Any], **options: Any) -> list[list[str]]:
        """See `Head.gold`; labels in another scheme are converted to the model's, and those of none are a fault."""
        labels = self._labels(records, **{**options, "target": options.get("target") or self.codec.target})
        if self.codec.scheme == "none":
            return labels
        odd = {label for label in {label for row in labels for label in row} if not is_label(label, "bioes")}
        for record, row in zip(records, labels, strict=True) if odd else ():
            for place, label in enumerate(row):
                if label in odd:
                    what = repr(record.tokens[place]) if record.tokens else f"frame {place}"
                    learned = f"the model learned spans, and the label {label!r} of {what} marks none as B-… and I-… do"
                    raise DataError(f"{learned}; correct it", file=record.file, line=record.line)
        found = detect_scheme(labels)
        if found in ("none", self.codec.scheme):
            return labels
        return [convert(row, found, self.codec.scheme) for row in labels]

    def report(self, gold: Sequence[Sequence[str]], answers: Sequence[Any], baseline: Any = None) -> Any:
        """See `Head.report` and `seqkit.metrics.tagging.tagging_report`."""
        return tagging_report(gold, [answer.labels for answer in answers], self.codec.scheme)

    def dev_scores(self, report: Any) -> dict[str, float]:
        """See `Head.dev_scores`."""
        scores = {"accuracy": report.accuracy}
        return scores if report.default is None else {"f1": report.default.f1, **scores}

    def notes(self, records: Sequence[Any], targets: Any) -> list[str]:
        """See `Head.notes`: which column is learned, in which scheme."""
        labels, target = self.codec.tags.labels, self.settings.data.target
        column = _described(records, target)
        if self.codec.encoding != "none":
            kinds = sorted({label[2:] for label in labels if label != "O"})
            return [f"learning spans from {column}, marked by {self.codec.scheme}: {some(kinds)}"]
        notes = [f"learning a label for each token from {column}: {some(labels, 8)}"]
        odd = [label for label in labels if not is_label(label, "bioes")]
        if 0 < len(odd) < len(labels) / 2 and any(label[:2] in ("B-", "S-") for label in labels):
            notes.append(
                f"warning: {odd[0]!r} fits no span scheme, so the labels are learned one by one and not as spans; "
                "`seqkit data check` says where it occurs"
            )
        return notes

    def unknown(self, gold: Sequence[Sequence[str]]) -> list[str]:
        """See `Head.unknown`."""
        known = {label for tag in range(len(self.codec.tags.labels)) for label in self.codec.decode([tag])} | {"O"}
        known |= {label.replace("B-", "I-", 1) for label in known} | {label.replace("I-", "B-", 1) for label in known}
        return sorted({label for row in gold for label in row} - known)

    def error(self, gold: Sequence[str], answer: Any) -> str:
        """See `Head.error`: one token per line."""
        if list(gold) == answer.labels:
            return ""
        return clean(rows([answer.sentence.tokens, gold, answer.labels]))

    def description(self) -> list[str]:
        """See `Head.description`."""
        lines = [f"- Label column: {code(self.codec.target)}"] if self.codec.target else []
        labels = list(self.codec.tags.labels)
        if self.codec.encoding != "none":
            kinds = sorted({tag[2:] for tag in labels if tag != "O"})
            labels = [kind or "spans without a kind" for kind in kinds]  # bare prefixes, as in word segmentation
        return [*lines, f"- Labels: {some(list(map(markdown, labels)), MOST_NAMED)}"]

    # --- probabilities and spans --------------------------------------------------------------------------------------

    def _token_probs(self, decoded: DecodedTags) -> list[list[float]]:
        """The probability of each token's written label: the sum over all tags with the same written label."""
        found = decoded.chosen  # of independent tags each is written as it is
        if decoded.marginals is not None:
            classes = to_device(torch.from_numpy(self.codec.classes), decoded.tags.device)  # [K]
            alike = classes[decoded.tags].unsqueeze(2) == classes  # [B, T, K]
            found = (decoded.marginals * alike).sum(2)  # [B, T]
        assert found is not None
        values: list[list[float]] = found.clamp(max=1.0).tolist()
        return values

    def _divide_touching(
        self, results: list[TaggedSentence], rows: list[list[int]], emissions: Tensor, lengths: Tensor
    ) -> None:
        """The probability of a span's first label as written: in IOB1 it is ``B`` or ``I``, by the previous tag."""
        if self.codec.scheme != "iob1":
            return
        known = {tag: self.codec.touching(tag) for tag in set(chain.from_iterable(rows))}
        places: list[tuple[int, int]] = []
        segments: list[TagSegment] = []
        for number, tags in enumerate(rows):
            for last in range(1, len(tags)):
                places += [(number, last)] * len(known[tags[last]])
                segments += [TagSegment(number, last - 1, pair) for pair in known[tags[last]]]
        values = self.module.segment_probabilities(emissions, lengths, segments).tolist()
        touching: Counter[tuple[int, int]] = Counter()
        for place, value in zip(places, values, strict=True):
            touching[place] += value
        for (number, last), value in touching.items():
            result = results[number]
            assert result.probs is not None
            chosen = value if result.labels[last].startswith("B") else result.probs[last] - value
            result.probs[last] = min(max(chosen, 0.0), 1.0)

    def _add_spans(
        self, results: list[TaggedSentence], rows: list[list[int]], emissions: Tensor, lengths: Tensor, probs: bool
    ) -> None:
        segments: list[TagSegment] = []
        for number, (result, tags) in enumerate(zip(results, rows, strict=True)):
            sentence = result.sentence
            for first, last, label in self.codec.spans(tags):
                start, end = sentence.offsets[first][0], sentence.offsets[last - 1][1]
                result.spans.append(TaggedSpan(start, end, label, sentence.text[start:end], first, last))
                if probs:
                    segments.append(TagSegment(number, first, tags[first:last]))
        if segments:
            values = iter(self.module.segment_probabilities(emissions, lengths, segments).clamp(max=1.0).tolist())
            for result in results:
                for span in result.spans:
                    span.prob = next(values)


def refuse_table(tags: int, *, crf: bool, spans: bool) -> None:
    """Refuse a table of transitions between tags that would take more memory than there usually is.

    Args:
        tags: K.
        crf: whether transitions are learned.
        spans: whether the tags mark spans, so that not all transitions are legal.

    Raises:
        SettingsError: there are too many tags for that.
    """
    if tags <= MOST_TAGS or not (crf or spans):
        return
    what = "a CRF learns a score" if crf else "tags of spans need to know"
    use = "--no-crf, which chooses each label by itself"
    if spans:
        use = ("--no-crf --scheme none" if crf else "--scheme none") + (", which learns the labels one by one")
    size = f"{tags:,} tags give {tags * tags:,} transitions, {tags * tags * (48 if crf else 1) / 1e9:,.1f} GB"
    raise SettingsError(f"{what} for each transition between tags: {size}; at most {MOST_TAGS:,} tags; use {use}")


def _described(records: Sequence[Sentence], target: str) -> str:
    """What notes call the label column: by its name or, if it has none, its position from 0."""
    record = next((each for each in records if each.columns), None)
    if record is None:
        return f"column {target!r}" if target else "the last column"
    name, names = record.column_name(target), list(record.columns)
    if not all(each.isdigit() for each in names):
        return f"column {name!r}"
    return f"column {name}, the last" if name == names[-1] else f"column {name}"


def _column(records: Sequence[Sentence], target: str) -> list[list[str]]:
    """The labels of each sentence; one without tokens needs no columns."""
    return [record.column(target) if record.tokens else [] for record in records]
