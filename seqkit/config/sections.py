"""Settings: what a section is, and the sections that all tasks share: encoder and training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from seqkit.config.faults import faults_of
from seqkit.config.renamed import current_names
from seqkit.errors import SettingsError, listed, nearest, shown
from seqkit.tasks import TASKS, Task, find_task

BATCH_TOKENS = 8192
"""default batch size of prediction in tokens, padding included"""

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
_MOST = 2**31 - 1
LARGEST = 1_000_000
"""of a size that several weights are as long as: no machine has memory for more"""
Positive = Annotated[int, Field(ge=1, le=_MOST)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Size = Annotated[int, Field(ge=1, le=LARGEST)]
SizeOrNone = Annotated[int, Field(ge=0, le=LARGEST)]
Layers = Annotated[int, Field(ge=1, le=100)]
GREATEST = 1e30
"""of a number that weights are multiplied with: far beyond any use, and products of it still fit in float32"""
Rate = Annotated[float, Field(gt=0.0, le=GREATEST, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0.0, le=GREATEST, allow_inf_nan=False)]
Cell = Literal[
    "lstm",
    "gru",
    "rnn_tanh",
    "rnn_relu",
    "irnn",
    "rnn_linear",
    "lstm_peephole",
    "lstm_coupled",
    "lstm_depth",
    "gru_simple",
    "clockwork",
    "mingru",
    "minlstm",
    "running_sum",
]
"""a recurrent cell, a key of `seqkit.nn.recurrent.CELLS`"""
_ELSEWHERE = "elsewhere"
Elsewhere = Annotated[str, _ELSEWHERE]
"""the name of a file or folder outside the model: its content counts, not where it lies"""


class Section(BaseModel):
    """A section: unknown names are faults, values do not change after construction, text is never cut or coerced."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation in (int, float):
            raise ValueError(f"expected a number, found {str(value).lower()}")
        return value

    def changed(self) -> list[str]:
        """The names of the settings that do not have their defaults."""
        usual = type(self)()
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(usual, name)]

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse to change a value; `seqkit.config.override` makes changed settings."""
        try:
            super().__setattr__(name, value)
        except ValidationError:
            known = type(self).model_fields
            if name not in known:
                raise SettingsError(f"there is no setting {name!r}{nearest(name, known)}") from None
            sections = (
                section
                for task in TASKS.values()
                for row in task.rows
                for section, field in row.settings_class().model_fields.items()
                if field.annotation is type(self)
            )
            change = f'{{"{name}": {shown(value, 40)}}}'
            section = next(sections, "")
            tree = f'{{"{section}": {change}}}' if section else change
            raise SettingsError(
                f"settings do not change; seqkit.config.override(settings, {tree}) gives others"
            ) from None


class EncoderSettings(Section):
    """The shared recurrent encoder."""

    cell: Cell = "lstm"
    """recurrent cell"""
    hidden: Size = 200
    """size of the state of one direction"""
    layers: Layers = 1
    """layers on top of each other"""
    direction: Literal["forward", "backward", "both"] = "both"
    """reading direction"""
    concat: Literal["layerwise", "final"] = "layerwise"
    """where the two directions are concatenated: after every layer, or once, after two independent stacks"""
    dropout: Probability = 0.33
    """dropout on every layer's output"""
    last_dropout: Annotated[float, Field(lt=1.0, allow_inf_nan=False)] = -1.0
    """dropout on the last layer's output; negative: the same as dropout"""
    weight_dropout: Probability = 0.0
    """dropout on the recurrent weights, one mask per batch (Wan et al. 2013, Merity et al. 2018)"""
    init: Literal["auto", "orthogonal", "identity", "xavier", "uniform"] = "auto"
    """initial recurrent weights; uniform: all weights; auto: orthogonal, and identity for irnn"""
    init_gain: Rate = 1.0
    """factor on the initial recurrent weights"""
    forget_bias: Annotated[float, Field(ge=-GREATEST, le=GREATEST, allow_inf_nan=False)] = 1.0
    """initial bias of the forget gates"""
    variational: bool = True
    """one dropout mask a sequence instead of one per step"""
    skip: Literal["none", "residual", "highway", "dense"] = "none"
    """connections around the layers"""

    @property
    def concatenates_below_the_last_layer(self) -> bool:
        """Whether a layer above the first reads both directions."""
        return self.direction == "both" and self.layers > 1 and self.concat == "layerwise"


class TrainingSettings(Section):
    """The training loop."""

    epochs: Positive = 30
    """maximal number of passes over the training data"""
    batch_size: Positive = 32
    """sentences, texts or sequences per batch"""
    batch_tokens: Count = 0
    """tokens, or steps where frames are read, per batch instead; 0 for batch_size"""
    equal_lengths: bool = False
    """only records of equal length in a batch: no padding, but some batches are small"""
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """optimiser"""
    lr: Rate = 2e-3
    """learning rate at the start (after warm-up)"""
    momentum: Probability = 0.0
    """momentum of sgd"""
    weight_decay: Weight = 0.0
    """weight decay (decoupled with adamw, an L2 penalty otherwise)"""
    schedule: Literal["constant", "inverse", "cosine", "plateau", "step"] = "constant"
    """learning rate over time; inverse: lr / (1 + decay · epoch); cosine: to zero; plateau: or step: by a factor"""
    warmup: Weight = 0.0
    """epochs of linear warm-up from zero"""
    decay: Weight = 0.05
    """rate of the inverse schedule"""
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """factor on the learning rate at a plateau"""
    plateau_patience: Count = 2
    """epochs without improvement before the learning rate is lowered"""
    step_after: Count = 4
    """epochs at the full rate before the step schedule begins"""
    step_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """factor on the learning rate at every epoch of the step schedule"""
    clip: Weight = 5.0
    """clip the gradient's norm (or values: clip_by) to this; 0 for no clipping"""
    clip_by: Literal["norm", "value"] = "norm"
    """clip the norm of the whole gradient, or each of its values"""
    patience: Count = 0
    """early stopping: stop after so many epochs without a better dev score; 0 to run all epochs"""
    keep: Literal["best", "last"] = "best"
    """weights that are kept: those of the best dev score, or the last ones, if dev is too small to choose by"""
    on_dev: bool = False
    """train on what is held out as dev as well, once all settings are chosen; dev scores then tell nothing new"""
    average: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """decay of an exponential moving average of the weights, used for dev scores and the saved model; 0 for none"""
    asgd_patience: Count = 0
    """NT-ASGD: average the weights once the dev score has not improved for so many epochs; 0 for never"""
    init_from: Elsewhere = ""
    """model directory whose embedding, encoder and vocabulary training starts from"""
    freeze: Count = 0
    """gradual unfreezing: epochs until all of that model is trained, the last layer first; 0: at once"""
    time_limit: Weight = 0.0
    """stop after so many minutes with the best model so far; 0 for no limit"""
    checkpoint_minutes: Weight = 0.0
    """also write a checkpoint every so many minutes; 0: only after each epoch, or fewer where writing takes long"""
    on_nan: Literal["stop", "skip"] = "stop"
    """at a NaN or infinite loss or gradient: stop with a message, or skip the batch and count it"""
    deterministic: bool = False
    """the same settings, data, machine and threads give bit-identical weights, also on a GPU"""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """arithmetic of the encoder: auto is bf16 on a GPU that has it, fp32 elsewhere; CRF and loss stay in fp32"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """seed of everything random"""

    @model_validator(mode="after")
    def _fit_together(self) -> TrainingSettings:
        waits = "patience" if self.patience else "asgd_patience" if self.asgd_patience else ""
        if self.keep == "last" and waits:
            raise ValueError(f"keep last needs {waits} 0: that waits for a better dev score")
        if self.on_dev and self.keep != "last":
            raise ValueError("on_dev needs keep last: no epoch can be chosen by what is trained on")
        if self.average and self.asgd_patience:
            raise ValueError("average and asgd_patience exclude each other")
        if self.deterministic and self.time_limit:
            raise ValueError("deterministic excludes time_limit: how far a run gets depends on the machine")
        if self.clip_by == "value" and not self.clip:
            raise ValueError("clip_by value needs a clip above 0")
        if self.freeze and not self.init_from:
            raise ValueError("freeze needs init_from, a model to start from")
        if self.schedule == "cosine" and self.warmup >= self.epochs:
            raise ValueError(
                f"warmup of {self.warmup:g} epochs must be shorter than the {self.epochs} epochs of training"
            )
        return self


class Options(Section):
    """Options of prediction; by default none.

    Attributes:
        streams: whether models of the task may answer while a sequence is still going on, see
            `seqkit.model.base.Model.stream`.
        shown_in: option → the output formats that show what it asks for, where not all do.
    """

    streams: ClassVar[bool] = False
    shown_in: ClassVar[Mapping[str, Sequence[str]]] = {}

    @classmethod
    def places(cls) -> frozenset[str]:
        """The options that name a file or folder (see `Elsewhere`), which no request may open."""
        return frozenset(name for name, field in cls.model_fields.items() if _ELSEWHERE in field.metadata)

    def for_output(self, output_format: str | None) -> Options:
        """The options without what an output format does not show.

        Args:
            output_format: the format; None where labels are compared and not written.

        Returns:
            The options; by default as they are.
        """
        return self


class Settings(Section):
    """All settings of a model and its training, a section for each part; each task has a class of its own.

    A fault in them is a `SettingsError`.
    """

    task: str
    """shape of the task"""
    if TYPE_CHECKING:  # each class declares them in the order in which recipes have them, and those of its input
        data: Section
        encoder: EncoderSettings
        head: Section
        training: TrainingSettings

    def __init__(self, **sections: Any) -> None:
        try:
            super().__init__(**sections)
        except ValidationError as error:
            raise SettingsError(f"settings: {listed(faults_of(error, type(self), sections))}") from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # pydantic itself needs no call of it

    @model_validator(mode="before")
    @classmethod
    def _earlier_names(cls, given: Any) -> Any:
        return current_names(given)[0] if isinstance(given, Mapping) else given

    @property
    def row(self) -> Task:
        """The row of `seqkit.tasks.TASKS` that these are the settings of."""
        return find_task(self.task, "settings", getattr(self, "input", None))

    @property
    def kind(self) -> str:
        """Which of the task's kinds of models this is, a key of `seqkit.tasks.Task.models`."""
        return ""

    @property
    def predicts(self) -> str:
        """What is predicted, a key of `seqkit.tasks.Task.heads`; empty for what the task predicts by default."""
        return ""

    @property
    def label(self) -> str:
        """The field or column of the labels."""
        return str(getattr(self.data, "label", "") or getattr(self.data, "target", "") or "label")

    @property
    def texts(self) -> tuple[str, str]:
        """The fields of the two texts, where these come in pairs."""
        return getattr(self.data, "text", ""), getattr(self.data, "second", "")

    def description(self) -> Any:
        """How files are to be read, as far as the settings say it.

        Returns:
            A `seqkit.formats.format.Description`; None of a task that reads nothing that needs one.
        """
        return self.data.description() if hasattr(self.data, "description") else None

    def complete(self, dataset: Any) -> Settings:
        """Fill in what a data set says and the settings leave open.

        Args:
            dataset: a `seqkit.corpora.dataset.Dataset`.

        Returns:
            The settings; by default as they are.
        """
        return self

    def complete_by(self, records: Sequence[Any]) -> Settings:
        """Fill in what the training records say and the settings leave open.

        Args:
            records: the training records.

        Returns:
            The settings; by default as they are.
        """
        return self

    def elsewhere(self) -> Iterator[tuple[str, str]]:
        """Section and name of every setting that names a file or folder outside the model (see `Elsewhere`)."""
        for section, field in type(self).model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                for name, inner in field.annotation.model_fields.items():
                    if _ELSEWHERE in inner.metadata:
                        yield section, name
