"""The table of tasks: what each reads and predicts, and its command. Nothing else lists the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from seqkit.errors import SettingsError, shown
from seqkit.resources import imported

if TYPE_CHECKING:
    from seqkit.config.sections import Options, Settings

Place = str
"""``package.module:name``, imported when it is needed, so that help needs neither torch nor numpy"""


class Task(NamedTuple):
    """One task: a shape of input and output, with the command of its name.

    Args:
        name: what the command, recipes, cards and saved models call it.
        summary: its line in the listing of commands.
        help: what the command's help says, with examples.
        settings: the class of its settings.
        input: the class of what it reads, a `seqkit.inputs.base.Input`.
        head: the class of what it predicts, a `seqkit.heads.base.Head`.
        heads: classes of other things that it may predict, by `Settings.predicts`.
        models: kind (`Settings.kind`) → the class of such models. One with a network that learns from ``lines`` needs a
            method `of_counts`, as `seqkit.model.language_model.LanguageModel` has.
        records: what its data sets hold: ``sentences`` with labels for tokens, ``texts`` with labels, ``pairs`` of
            texts with labels, texts with other ``fields``, ``lines`` of running text, or ``frames``, sequences of
            vectors.
        record: what messages call one of them.
        unit: what they call one of its parts, of which speeds are told.
        train: the first sentence of the help of ``train``.
        evaluate: the same of ``evaluate``.
        flags: flags of ``train`` that only this task has → settings.
        verbs: what a model is used for, each verb with the place of its click command, or ``predict``, which is made
            from the next fields; the command of a task has those of all its rows.
        options: the settings class of the options of prediction, of which flags are made.
        evaluation: the same of evaluation.
        predict: the help of the verb that predicts.
        reads: its usual input formats; a single one is the only one.
        writes: its output formats, the default first.
        written: what these are.
        errors: what ``evaluate --errors`` writes, by `error` of the head; empty where predictions are not right or
            wrong.
        learned: the document of a model that says what it learned, which every model of the task has; empty for none.
        learner: what learns from records, a `seqkit.training.learner.RecordLearner`.
        also: the same task over other inputs, each a row with the same name; see `Task.of`.
    """

    name: str
    summary: str
    settings: Place
    input: Place
    head: Place
    heads: Mapping[str, Place] = MappingProxyType({})
    models: Mapping[str, Place] = MappingProxyType({"": "seqkit.model.base:Model"})
    records: Literal["sentences", "texts", "pairs", "fields", "lines", "frames"] = "texts"
    record: str = "text"
    unit: str = "token"
    help: str = ""
    train: str = "Train a model on DATA and report on dev and test."
    evaluate: str = "Score a model on DATA."
    flags: Mapping[str, str] = MappingProxyType({})
    verbs: Mapping[str, Place] = MappingProxyType({"predict": ""})
    options: Place = "seqkit.config.sections:Options"
    evaluation: Place = "seqkit.inputs.settings:EvaluationOptions"
    predict: str = "Predict the records of files or of standard input, in order."
    reads: tuple[str, ...] = ("text", "tokens", "jsonl")
    writes: tuple[str, ...] = ("jsonl",)
    written: str = "JSON objects"
    errors: str = ""
    learned: str = ""
    learner: Place = "seqkit.training.learner:RecordLearner"
    also: tuple[Any, ...] = ()

    @property
    def input_name(self) -> str:
        """What it reads, ``words``, ``pair`` or ``frames``, as settings have it under ``input``."""
        return {"frames": "frames", "pairs": "pair"}.get(self.records, "words")

    @property
    def content(self) -> str:
        """What it reads, as messages call it."""
        return {"frames": "sequences of vectors", "pairs": "pairs of texts"}.get(self.records, "words")

    @property
    def step(self) -> str:
        """What messages call one step of the encoder, which several frames may become: what fills batches."""
        return "step" if self.records == "frames" else self.unit

    @property
    def rows(self) -> tuple[Task, ...]:
        """This task over each of its inputs, this one first."""
        return (self, *self.also)

    def of(self, input: object, source: str = "settings") -> Task:
        """This task over an input.

        Args:
            input: ``words``, ``pair`` or ``frames``.
            source: what error messages call where this is from.

        Returns:
            The row.

        Raises:
            SettingsError: the task does not read it.
        """
        found = next((row for row in self.rows if row.input_name == input), None)
        if found is None:
            known = " or ".join(row.input_name for row in self.rows)
            raise SettingsError(f"{source}: input: `seqkit {self.name}` reads {known}, found {shown(input)}")
        return found

    def settings_class(self) -> type[Settings]:
        """The class of its settings."""
        return cast("type[Settings]", imported(self.settings))

    def options_class(self) -> type[Options]:
        """The class of the options of prediction."""
        return cast("type[Options]", imported(self.options))

    def evaluation_class(self) -> type[Options]:
        """The class of the options of evaluation."""
        return cast("type[Options]", imported(self.evaluation))

    def head_class(self, settings: Settings) -> Any:
        """The class of what some settings predict, a `seqkit.heads.base.Head`."""
        return imported(self.heads.get(settings.predicts, self.head))

    def model_class(self, settings: Settings) -> Any:
        """The class of the models that some settings describe, a `seqkit.model.base.Predictor`."""
        return imported(self.models[settings.kind])


_FRAME_FLAGS = {
    "--frames": "data.frames",
    "--normalize": "frames.normalize",
    "--stack": "frames.stack",
    "--features": "audio.features",
}
"""flags of ``train`` that tasks over sequences of vectors have"""
_OVER_FRAMES = Task(
    name="",
    summary="",
    settings="",
    input="seqkit.inputs.frames:FrameInput",
    head="",
    records="frames",
    record="sequence",
    unit="frame",
    reads=("jsonl", "csv", "npy", "npz", "audio"),
)
"""what the rows of all tasks over sequences of vectors have in common"""
_CLASSIFY_FLAGS = {
    "--label": "data.label",
    "--pool": "head.pool",
    "--multi-label": "head.multi_label",
    "--regression": "head.regression",
}
"""flags of ``classify train`` over any input"""
_REGRESSION = {"regression": "seqkit.heads.classification.regression:Regression"}

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="tag",
            summary="Label every token or frame: parts of speech, entities, phones, gestures.",
            help="""Label every token of a text, or every frame of a recording or an array.

            \b
            seqkit tag train conll2000 -o chunker         train on a data set, a folder or a file
            seqkit tag evaluate conll2000 -m chunker      score on the test split
            seqkit tag -m chunker < text.txt              tag one sentence per line (short for predict)
            """,
            settings="seqkit.heads.tagging.settings:TagSettings",
            input="seqkit.inputs.words:WordInput",
            head="seqkit.heads.tagging.head:Tagging",
            models={"": "seqkit.model.tagger:Tagger"},
            records="sentences",
            record="sentence",
            train="Train a tagger on DATA and report on dev and test.",
            evaluate="Score a tagger on DATA: accuracy, and precision, recall and F1 of spans as in seqeval.",
            flags={
                "--target,--label-column,--label": "data.target",
                "--scheme": "data.scheme",
                "--crf/--no-crf": "head.crf",
                "--context": "embedding.context",
            },
            options="seqkit.heads.tagging.settings:TagOptions",
            evaluation="seqkit.heads.tagging.settings:TagEvaluation",
            predict="Tag sentences, recordings or arrays, of files or of standard input, in order.",
            reads=("text", "tokens", "document", "conll", "conllu", "jsonl"),
            writes=("conll", "jsonl", "inline"),
            written="columns, JSON objects with character offsets, or [brackets]LABEL in the text",
            errors="write the sentences with errors, one token per line: token, gold label, predicted label",
            learned="labels",
            also=(
                _OVER_FRAMES._replace(
                    name="tag",
                    summary="Label every frame of a sequence of vectors: words, phones, gestures, events.",
                    settings="seqkit.heads.tagging.settings:TagFramesSettings",
                    head="seqkit.heads.tagging.frames:FrameTagging",
                    models={"": "seqkit.model.tagger:FrameTagger"},
                    flags=_FRAME_FLAGS
                    | {
                        "--target,--label-column,--label": "data.target",
                        "--scheme": "data.scheme",
                        "--times": "data.times",
                        "--frame-rate": "data.frame_rate",
                        "--crf/--no-crf": "head.crf",
                    },
                    verbs={"predict": "", "show": "seqkit.cli.show:show_labels"},
                    options="seqkit.heads.tagging.settings:TagFramesOptions",
                    evaluation="seqkit.heads.tagging.settings:TagFramesEvaluation",
                    writes=("jsonl", "textgrid", "audacity"),
                    written="JSON objects with runs, or a Praat TextGrid or the labels of Audacity for each sequence",
                    errors="write the stretches with errors: name, start, end, gold label, predicted label",
                    learned="labels",
                ),
            ),
        ),
        Task(
            name="classify",
            summary="Label every text, pair of texts, recording or array: sentiment, entailment, spoken word.",
            help="""Label every text, pair of texts, recording or array: sentiment, topic, entailment, spoken word,
            gesture; one label or several, or a number (--regression).

            \b
            seqkit classify train sst2 -o opinions           train on a data set, a folder or a file
            seqkit classify evaluate sst2 -m opinions        score on the test split
            seqkit classify -m opinions < texts.txt          label one text per line (short for predict)
            """,
            settings="seqkit.heads.classification.settings:ClassifySettings",
            input="seqkit.inputs.words:WordInput",
            head="seqkit.heads.classification.head:Classification",
            heads=_REGRESSION,
            models={"": "seqkit.model.classifier:Classifier"},
            records="texts",
            record="text",
            train="Train a classifier on DATA, and a simple baseline beside it, and report on dev and test.",
            evaluate=(
                "Score a classifier and its baseline on DATA: accuracy, and precision, recall and F1 per label; of "
                "numbers the mean squared error and correlations; of candidates in groups (--group) MAP and MRR."
            ),
            flags={"--text": "data.text", **_CLASSIFY_FLAGS},
            options="seqkit.heads.classification.settings:ClassifyOptions",
            evaluation="seqkit.heads.classification.settings:ClassifyEvaluation",
            predict="""Label texts, recordings or arrays, of files or of standard input, in order.

            A text is a line, or the text column of a table, or the text field of a JSON object; a label beside it is
            ignored. A pair of texts is a line with a tab between them, or two columns or fields. Several labels are
            written in one column with | between them, and so are their probabilities.
            """,
            reads=("text", "tokens", "document", "tsv", "csv", "jsonl"),
            writes=("tsv", "jsonl"),
            written="label, probability and text separated by tabs, or JSON objects",
            errors="write the texts with errors, one per line: gold label, predicted label, text",
            learned="labels",
            also=(
                Task(
                    name="classify",
                    summary="Label every pair of texts: entailment, relatedness, answers to questions.",
                    settings="seqkit.heads.classification.settings:ClassifyPairSettings",
                    input="seqkit.inputs.pair:PairInput",
                    head="seqkit.heads.classification.head:Classification",
                    heads=_REGRESSION,
                    models={"": "seqkit.model.classifier:Classifier"},
                    records="pairs",
                    record="pair",
                    flags={"--text": "data.text", **_CLASSIFY_FLAGS, "--join": "head.join"},
                    options="seqkit.heads.classification.settings:ClassifyOptions",
                    evaluation="seqkit.heads.classification.settings:ClassifyEvaluation",
                    reads=("text", "tokens", "tsv", "csv", "jsonl"),
                    writes=("tsv", "jsonl"),
                    written="label, probability and both texts separated by tabs, or JSON objects",
                    errors="write the pairs with errors, one per line: gold label, predicted label, both texts",
                    learned="labels",
                ),
                _OVER_FRAMES._replace(
                    name="classify",
                    summary="Label every sequence of vectors: spoken words, gestures, sensors.",
                    settings="seqkit.heads.classification.settings:ClassifyFramesSettings",
                    head="seqkit.heads.classification.head:Classification",
                    heads=_REGRESSION,
                    models={"": "seqkit.model.classifier:Classifier"},
                    flags=_FRAME_FLAGS | _CLASSIFY_FLAGS,
                    options="seqkit.heads.classification.settings:ClassifyOptions",
                    evaluation="seqkit.heads.classification.settings:ClassifyEvaluation",
                    writes=("tsv", "jsonl"),
                    written="label, probability and name separated by tabs, or JSON objects",
                    errors="write the sequences with errors, one per line: gold label, predicted label, name",
                    learned="labels",
                ),
            ),
        ),
        Task(
            name="lm",
            summary="Language models: train, measure, score and sample text or music.",
            help="""Language models: how likely a text or a piece of music is, and sampling of new ones.

            \b
            seqkit lm train ptb -c lm-ptb-small -o lm            train on a data set, a folder or a file
            seqkit lm train ptb --ngram 5 -o lm5                 count n-grams instead of training a network
            seqkit lm evaluate ptb -m lm                         perplexity of the test split
            seqkit lm score -m lm < text.txt                     log-probability and perplexity of each line
            seqkit lm sample -m lm --prompt "the company" --count 3
            """,
            settings="seqkit.heads.language_model.settings:LmSettings",
            input="seqkit.inputs.units:UnitInput",
            head="seqkit.heads.language_model.head:LanguageModelling",
            models={
                "": "seqkit.model.language_model:LanguageModel",
                "ngram": "seqkit.model.ngram_model:NgramLanguageModel",
            },
            records="lines",
            record="line",
            unit="unit",
            train=(
                "Train a language model on the text of DATA, one stream of lines, and report on dev and test. --ngram "
                "N counts the n-grams of the text instead: of the settings, only those of the data matter then."
            ),
            evaluate=(
                "Measure the perplexity of DATA, read as one stream: every unit is predicted from all before it, by a "
                "model of n-grams from the last few in its line."
            ),
            flags={
                "--text": "data.text",
                "--unit": "data.unit",
                "--bptt": "training.bptt",
                "--tied/--no-tied": "head.tied",
                "--ngram": "head.ngram",
            },
            verbs={"score": "", "sample": "seqkit.cli.sample:sample_lines"},
            evaluation="seqkit.heads.language_model.settings:LmEvaluation",
            predict="""Compute the log-probability of lines or pieces of music, of files or of standard input, in order.

            Each is scored independently. The log-probability is in nats, the end of the line included.
            """,
            reads=("text", "jsonl", "csv", "tsv"),
            writes=("tsv", "jsonl"),
            written="log-probability, units, perplexity and text separated by tabs, or JSON objects",
            learned="units",
            also=(
                _OVER_FRAMES._replace(
                    name="lm",
                    summary="Language models of frames of keys: train, measure, score and sample music.",
                    settings="seqkit.heads.frame_model.settings:FrameModelSettings",
                    input="seqkit.inputs.keys:KeyInput",
                    head="seqkit.heads.frame_model.head:FrameModelling",
                    models={"": "seqkit.model.frame_model:FrameLanguageModel"},
                    flags={
                        "--frames": "data.frames",
                        "--frames-per-quarter": "data.frames_per_quarter",
                        "--transpose": "frames.transpose",
                        "--bptt": "training.bptt",
                    },
                    verbs={"score": "", "sample": "seqkit.cli.sample:sample_lines"},
                    reads=("midi", "npz", "npy", "jsonl", "csv"),
                    writes=("tsv", "jsonl"),
                    written="nats a frame, log-probability, frames and name separated by tabs, or JSON objects",
                    learner="seqkit.training.windows:WindowLearner",
                ),
            ),
        ),
        Task(
            name="generate",
            summary="Write text from a label, a title, a vector, a gesture.",
            help="""Write text from a label, a title, a vector of numbers, a sequence of vectors, or any mix of them.

            \b
            seqkit generate train tang -c generate-tang -o poet   train on a data set, a folder or a file
            seqkit generate sample -m poet --condition form=… --condition title=…
            seqkit generate evaluate tang -m poet                 perplexity and exact match on the test split
            """,
            settings="seqkit.heads.generation.settings:GenerateSettings",
            input="seqkit.inputs.units:UnitInput",
            head="seqkit.heads.generation.head:Generation",
            models={"": "seqkit.model.generator:Generator"},
            records="fields",
            record="text",
            unit="unit",
            train="Train a generator on texts of DATA and the fields they are from, and report on dev and test.",
            evaluate=(
                "Measure on DATA how well a generator predicts the texts, and how many it writes exactly, by default "
                "when it takes the most probable unit at every step; of dialogue acts also BLEU and slot errors."
            ),
            flags={
                "--condition": "data.condition",
                "--target": "data.target",
                "--unit": "data.unit",
                "--tied/--no-tied": "head.tied",
            },
            verbs={"sample": "seqkit.cli.sample:sample_texts"},
            options="seqkit.heads.generation.settings:GenerateOptions",
            evaluation="seqkit.heads.generation.settings:GenerateEvaluation",
            learned="conditions",
        ),
        Task(
            name="translate",
            summary="Write a text from a text: translation, pronunciation, dialogue acts.",
            help="""Write a text from a text, by an encoder and a decoder with attention.

            \b
            seqkit translate train multi30k -o translator        train on a data set, a folder or a file
            seqkit translate evaluate multi30k -m translator     BLEU, chrF, TER, error rates, exact match
            seqkit translate -m translator < text.txt            one text per line (short for predict)
            """,
            settings="seqkit.heads.translation.settings:TranslateSettings",
            input="seqkit.inputs.source:SourceInput",
            head="seqkit.heads.translation.head:Translating",
            models={"": "seqkit.model.translator:Translator"},
            records="fields",
            record="text",
            unit="unit",
            train="Train a translator on pairs of texts of DATA and report on dev and test.",
            evaluate="Translate DATA and compare: BLEU, chrF, TER, error rates, exact match, and perplexity.",
            flags={
                "--source": "data.source",
                "--target": "data.target",
                "--unit": "data.unit",
                "--attention": "head.attention",
            },
            verbs={"predict": "", "show": "seqkit.cli.show_attention:show_attention"},
            options="seqkit.heads.translation.settings:TranslateOptions",
            evaluation="seqkit.heads.translation.settings:TranslateEvaluation",
            predict="Translate texts, of files or of standard input, in order.",
            reads=("text", "tsv", "csv", "jsonl"),
            writes=("text", "jsonl"),
            written="a line of text for each, or JSON objects",
            errors="write the texts with errors, one per line: source, right text, text that was written",
            learned="units",
        ),
        _OVER_FRAMES._replace(
            name="transcribe",
            summary="Write the text of a recording: speech to characters, words or phones.",
            help="""Write the text of a recording, or of any sequence of vectors, by CTC.

            \b
            seqkit transcribe train an4 -o listener              train on a manifest, a data set or a folder
            seqkit transcribe evaluate an4 -m listener           word and character error rates
            seqkit transcribe -m listener recording.wav          a line of text (short for predict)
            """,
            settings="seqkit.heads.transcription.settings:TranscribeSettings",
            head="seqkit.heads.transcription.head:Transcribing",
            models={"": "seqkit.model.transcriber:Transcriber"},
            train="Train a transcriber on DATA and report on dev and test.",
            evaluate="Score a transcriber on DATA: word and character error rates, and what is confused.",
            flags=_FRAME_FLAGS | {"--target": "data.target", "--unit": "data.unit"},
            verbs={"predict": "", "show": "seqkit.cli.show:show_text"},
            options="seqkit.heads.transcription.settings:TranscribeOptions",
            evaluation="seqkit.heads.transcription.settings:TranscribeEvaluation",
            predict="Transcribe recordings, arrays, or the sequences that manifests name, in order.",
            writes=("text", "jsonl"),
            written="a line of text for each, or JSON objects",
            errors="write the sequences with errors, one per line: right text, text that was found, name",
            learned="symbols",
        ),
    )
}
"""name → task"""


def find_task(name: object, source: str, input: object = None) -> Task:
    """A task by its name.

    Args:
        name: as a recipe or a saved model has it.
        source: what error messages call that.
        input: what it reads, as they have it; by default what the task reads first.

    Returns:
        The task.

    Raises:
        SettingsError: there is no such task, or it does not read this.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise SettingsError(f"{source}: task: expected one of {', '.join(TASKS)}, found {shown(name)}")
    return TASKS[name] if input is None else TASKS[name].of(input, source)
