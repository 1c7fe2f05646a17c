"""Typed settings: the one source of names, defaults, help texts and checks for recipes, flags and saved models.

A recipe is a TOML file with the sections of `Settings`; a model's ``config.json`` holds the same tree. Nothing here
imports torch, so that help and usage errors are instant.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from seqkit.errors import SettingsError
from seqkit.resources import resource_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "BATCH_TOKENS",
    "DataSettings",
    "EmbeddingSettings",
    "EncoderSettings",
    "HeadSettings",
    "Recipe",
    "Settings",
    "TrainingSettings",
    "load_recipe",
    "override",
    "parse_assignments",
    "recipe_names",
    "to_toml",
]

BATCH_TOKENS = 8192
"""tokens a batch in prediction, padding included, where nothing else is said"""

_Kind = TypeVar("_Kind", bound=BaseModel)

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class _Section(BaseModel):
    """A section: unknown names are faults, values do not change after construction, text is never cut or coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


class DataSettings(_Section):
    """What is read, and how text becomes words and words become entries of a vocabulary."""

    target: Annotated[str, Field(coerce_numbers_to_str=True)] = ""
    """label column: a name (upos, ner, …) or a position, negative from the end; default: CoNLL-U's upos or the last"""
    scheme: Literal["auto", "iob1", "iob2", "bioes", "none"] = "auto"
    """how the labels mark spans; auto looks at them, none takes each label for itself"""
    splitter: Literal["words", "english", "spaces", "characters"] = "words"
    """how raw text is split into tokens"""
    lowercase: bool = True
    """fold case in the word vocabulary (characters keep theirs)"""
    digits: bool = True
    """write every digit of a word as 0 in the word vocabulary"""
    min_count: Positive = 1
    """words seen fewer times in training are unknown"""
    max_words: Count = 0
    """at most so many words in the vocabulary; 0 for no limit"""


class EmbeddingSettings(_Section):
    """How a word becomes a vector."""

    word_size: Count = 100
    """size of the trained word vectors; 0 for none"""
    vectors: str = ""
    """file of given word vectors: GloVe, word2vec or fastText"""
    vectors_limit: Count = 0
    """read only so many vectors from the start of the file (most frequent first); 0 for all"""
    vectors_join: Literal["concat", "sum"] = "sum"
    """add the trained word vector to the given one (word_size is then that of the given ones), or put it beside"""
    chars: Literal["cnn", "lstm", "none"] = "cnn"
    """character features of a word"""
    char_size: Positive = 30
    """size of a character's vector"""
    char_hidden: Annotated[int, Field(ge=2)] = 50
    """size of the character features of a word"""
    char_kernel: Positive = 3
    """width of a character filter"""
    char_dropout: Probability = 0.0
    """dropout on characters' vectors"""
    dropout: Probability = 0.33
    """dropout on words' vectors, one mask a sentence"""
    word_dropout: Probability = 0.05
    """probability that a word is taken for unknown while training"""


class EncoderSettings(_Section):
    """The shared recurrent encoder."""

    cell: Literal["lstm", "gru", "rnn_tanh", "rnn_relu"] = "lstm"
    """recurrent cell"""
    hidden: Positive = 200
    """size of the state of one direction"""
    layers: Positive = 1
    """levels on top of each other"""
    direction: Literal["forward", "backward", "both"] = "both"
    """reading direction"""
    join: Literal["deep", "top"] = "deep"
    """where two directions meet: after every level, or only at the top of two independent stacks"""
    dropout: Probability = 0.33
    """dropout on every level's output"""
    variational: bool = True
    """one dropout mask a sequence instead of one a step"""
    skip: Literal["none", "residual", "highway", "dense"] = "none"
    """connections around or past the levels"""


class HeadSettings(_Section):
    """The tagging head."""

    crf: bool = True
    """conditional random field over the label sequence; without it a softmax a token"""
    neighbours: Weight = 0.0
    """weight of a language-modelling objective while training: each direction predicts the next word; 0: none"""
    neighbour_words: Annotated[int, Field(ge=2)] = 1000
    """so many of the most frequent words are told apart as neighbours"""


class TrainingSettings(_Section):
    """The training loop."""

    epochs: Positive = 30
    """passes over the training data at most"""
    batch_size: Positive = 32
    """sentences a batch"""
    batch_tokens: Count = 0
    """tokens a batch instead of sentences; 0 for batch-size"""
    equal_lengths: bool = False
    """batches of exactly equal sentence lengths: no padding, but some batches are small"""
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """optimiser"""
    lr: Rate = 2e-3
    """learning rate at the start (after warm-up)"""
    momentum: Probability = 0.0
    """momentum of sgd"""
    weight_decay: Weight = 0.0
    """weight decay (decoupled with adamw, an L2 penalty otherwise)"""
    schedule: Literal["constant", "inverse", "cosine", "plateau"] = "constant"
    """learning rate over time; inverse: lr / (1 + decay · epoch); cosine: to zero; plateau: times a factor at each"""
    warmup: Weight = 0.0
    """epochs of linear warm-up from zero"""
    decay: Weight = 0.05
    """rate of the inverse schedule"""
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """factor on the learning rate at a plateau"""
    plateau_patience: Count = 2
    """epochs without improvement before a plateau is declared"""
    clip: Weight = 5.0
    """largest gradient norm; 0 for no clipping"""
    patience: Count = 0
    """stop after so many epochs without a better score on dev; 0 to run all epochs"""
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """decay of an exponential moving average of the weights, used for dev scores and the saved model; 0 for none"""
    time_limit: Weight = 0.0
    """minutes after which training ends with the best model so far; 0 for no limit"""
    checkpoint_minutes: Weight = 0.0
    """also write a checkpoint every so many minutes, not only after each epoch; 0 for epochs only"""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """arithmetic of the encoder: auto is bf16 on a GPU that has it and fp32 elsewhere; CRF and loss stay in fp32"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """seed of everything random"""

    @model_validator(mode="after")
    def _warmup_fits(self) -> TrainingSettings:
        if self.schedule == "cosine" and self.warmup >= self.epochs:
            raise ValueError(f"expected fewer epochs of warm-up than epochs ({self.epochs}), found {self.warmup:g}")
        return self


class Settings(_Section):
    """All settings of a model and its training; a section for each part."""

    task: Literal["tag"] = "tag"
    """shape of the task"""
    data: DataSettings = DataSettings()
    """data"""
    embedding: EmbeddingSettings = EmbeddingSettings()
    """embedding"""
    encoder: EncoderSettings = EncoderSettings()
    """encoder"""
    head: HeadSettings = HeadSettings()
    """head"""
    training: TrainingSettings = TrainingSettings()
    """training"""

    @model_validator(mode="after")
    def _some_input(self) -> Settings:
        embedding = self.embedding
        if embedding.word_size == 0 and not embedding.vectors and embedding.chars == "none":
            raise ValueError("embedding: expected word_size > 0, vectors or chars, found none of them")
        return self

    @model_validator(mode="after")
    def _neighbours_unseen(self) -> Settings:
        encoder = self.encoder
        if self.head.neighbours and encoder.direction == "both" and encoder.layers > 1 and encoder.join == "deep":
            reason = "where directions meet after every level, both halves have seen the words that they are to predict"
            raise ValueError(
                f"head.neighbours: expected encoder.join top, one layer or one direction, found deep: {reason}"
            )
        return self


class Recipe(_Section):
    """A recipe: settings with what they are for and the scores they reached."""

    description: str = ""
    """one line for listings"""
    dataset: str = ""
    """the data set it is meant for"""
    settings: Settings = Settings()
    """the settings"""
    scores: dict[str, Any] = {}
    """what the settings reached, where and when it was measured"""


def recipe_names() -> list[str]:
    """The names of the recipes that come with seqkit, sorted."""
    return sorted(path.stem for path in resource_dir("tasks").glob("*.toml"))


def load_recipe(recipe: str | Path) -> Recipe:
    """Read a recipe by name or from a TOML file.

    Args:
        recipe: the name of a recipe that comes with seqkit, or a path that ends in ``.toml``.

    Returns:
        The recipe.

    Raises:
        SettingsError: there is no such recipe, or a value in it cannot be used; all faults are named.
    """
    path = Path(recipe) if str(recipe).endswith(".toml") else resource_dir("tasks") / f"{recipe}.toml"
    if not path.is_file():
        known = ", ".join(recipe_names())
        raise SettingsError(f"expected a recipe among {known} or a .toml file, found {str(recipe)!r}")
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{recipe}: expected a TOML file, found: {error}") from None
    about: dict[str, Any] = {name: tree.pop(name) for name in ("description", "dataset", "scores") if name in tree}
    return _validated(Recipe, {**about, "settings": tree}, str(recipe))


def parse_assignments(assignments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read ``section.key=value`` assignments; values are TOML, and bare words are text.

    Args:
        assignments: as given to ``--set``.

    Returns:
        A tree for `override`.

    Raises:
        SettingsError: an assignment has another form.
    """
    tree: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and section and key):
            raise SettingsError(f"expected section.key=value, found {assignment!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        tree.setdefault(section, {})[key] = value
    return tree


def override(settings: Settings, tree: Mapping[str, Mapping[str, Any]], source: str = "settings") -> Settings:
    """Replace some settings and check the whole again.

    Args:
        settings: what to start from.
        tree: section → name → value.
        source: what error messages call the new values.

    Returns:
        The new settings.

    Raises:
        SettingsError: a name is unknown or a value cannot be used; all faults are named.
    """
    merged: dict[str, Any] = settings.model_dump()
    for section, values in tree.items():
        known = merged.get(section)
        merged[section] = {**known, **values} if isinstance(known, dict) and isinstance(values, Mapping) else values
    return _validated(Settings, merged, source)


def to_toml(settings: Settings) -> str:
    """The settings as a TOML document that `load_recipe` reads back."""
    import tomli_w

    return tomli_w.dumps(settings.model_dump(mode="json"))


def _validated(kind: type[_Kind], tree: Mapping[str, Any], source: str) -> _Kind:
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise SettingsError(f"{source}: " + "; ".join(_fault(fault, kind) for fault in error.errors())) from None


def _fault(fault: Mapping[str, Any], kind: type[BaseModel]) -> str:
    """One fault of a settings tree: where, what was expected, what was found."""
    place = fault["loc"]
    if kind is Recipe and place[0] == "settings":  # whose sections stand at the top of the file
        place = place[1:]
    where = ".".join(map(str, place))
    if fault["type"] == "extra_forbidden":
        field = Settings.model_fields.get(str(place[0])) if len(place) > 1 else None
        section = Settings if field is None else field.annotation
        assert isinstance(section, type) and issubclass(section, BaseModel)
        return f"{where}: expected one of {', '.join(section.model_fields)}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "model_type":
        message = "expected a section"
    for verb in ("Input", "String"):
        message = message.replace(f"{verb} should be ", "expected ").replace(f"{verb} should have ", "expected ")
    prefix = f"{where}: " if where else ""
    return f"{prefix}{message}" if fault["type"] == "value_error" else f"{prefix}{message}, found {fault['input']!r}"
