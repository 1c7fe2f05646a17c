from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import BaseModel

from seqkit.config import (
    EncoderSettings,
    Recipe,
    TrainingSettings,
    load_recipe,
    override,
    parse_assignments,
    parse_settings,
    recipe_names,
    to_toml,
)
from seqkit.config.renamed import current_names
from seqkit.config.sections import Options
from seqkit.errors import SettingsError
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.tagging.settings import TagSettings
from seqkit.tasks import TASKS

SECTIONS = {name: field.annotation for name, field in TagSettings.model_fields.items() if name != "task"}
FIELDS = [
    (f"{section}.{name}", field) for section, kind in SECTIONS.items() for name, field in kind.model_fields.items()
]


@pytest.fixture
def recipe_file(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "my.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def fault_of(function: Any, *arguments: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        function(*arguments)
    return str(caught.value)


# --- recipes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_says_what_it_is_for(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.description
    assert "\n" not in recipe.description
    assert recipe.dataset


def test_a_recipe_file_reads_its_sections_and_what_it_says_of_itself(recipe_file: Any) -> None:
    path = recipe_file('description = "d"\ndataset = "x"\n[encoder]\nhidden = 7\n[scores]\ntest = { f1 = 0.5 }\n')
    recipe = load_recipe(path)
    assert (recipe.description, recipe.dataset, recipe.scores) == ("d", "x", {"test": {"f1": 0.5}})
    assert recipe.settings == override(TagSettings(), {"encoder": {"hidden": 7}})
    assert load_recipe(str(path)) == recipe


def test_an_empty_recipe_is_the_defaults(recipe_file: Any) -> None:
    assert load_recipe(recipe_file("")) == Recipe(settings=TagSettings())


def test_there_must_be_such_a_recipe(tmp_path: Path) -> None:
    known = ", ".join(recipe_names())
    assert fault_of(load_recipe, "nonsense") == (
        f"there is no recipe 'nonsense'; choose one of {known}, or give the path of a .toml file"
    )
    missing = str(tmp_path / "missing.toml")
    assert fault_of(load_recipe, missing) == f"there is no file {missing!r}"
    for name in ("sample-nre", "sample-ner.toml"):
        assert fault_of(load_recipe, name).endswith(f" {name!r}; did you mean 'sample-ner'?")
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    assert fault_of(load_recipe, folder) == f"there is no file {str(folder)!r}"


def test_a_recipe_must_be_toml_in_utf8(recipe_file: Any) -> None:
    path = recipe_file("[encoder\n")
    assert fault_of(load_recipe, path).startswith(f"{path}: cannot be read as TOML: Expected ']'")
    path.write_bytes(b'description = "\xff"')
    assert fault_of(load_recipe, path).startswith(f"{path}: cannot be read as TOML: 'utf-8' codec can't decode")


def test_a_recipe_names_all_its_faults_at_once(recipe_file: Any) -> None:
    path = recipe_file(
        "description = 1\n[encoder]\ncell = 'elman'\nhidden = 0\nlayers = 1.5\nsize = 3\n"
        "[training]\nlr = nan\n[enc]\nx = 1\n"
    )
    faults = fault_of(load_recipe, path).removeprefix(f"{path}: ").split("; ")
    cells = get_args(EncoderSettings.model_fields["cell"].annotation)
    assert faults == [
        f"encoder.cell: expected {', '.join(map(repr, cells[:-1]))} or {cells[-1]!r}, found 'elman'",
        "encoder.hidden: expected at least 1, found 0",
        "encoder.layers: expected a valid integer, got a number with a fractional part, found 1.5",
        "encoder.size: unknown name, expected one of cell, hidden, layers, direction, concat, dropout, "
        "last_dropout, weight_dropout, init, init_gain, forget_bias, variational, skip",
        "training.lr: expected a finite number, found nan",
        "enc: unknown name, expected one of task, data, embedding, encoder, head, training",
        "description: expected a valid string, found 1",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("encoder = 5", "encoder: expected a section, found 5"),
        (
            "[settings]\nx = 1",
            "settings: unknown name, expected one of task, data, embedding, encoder, head, training",
        ),
        ("task = 'cook'", "task: expected one of tag, classify, lm, generate, translate, transcribe, found 'cook'"),
        ("scores = 3", "scores: expected a valid dictionary, found 3"),
        ("[head]\nneighbour_words = 1", "head.neighbour_words (now head.lm_loss_words): expected at least 2, found 1"),
        ("[head]\ncrf = 'perhaps'", "head.crf: expected a valid boolean, unable to interpret input, found 'perhaps'"),
        ("[encoder]\ndropout = 1.0", "encoder.dropout: expected less than 1, found 1.0"),
        ("[training]\nlr = 0", "training.lr: expected greater than 0, found 0"),
        ("[training]\nlr = inf", "training.lr: expected a finite number, found inf"),
        ("[training]\nseed = -1", "training.seed: expected at least 0, found -1"),
        (f"[training]\nseed = {2**63}", f"training.seed: expected less than {2**63}, found {2**63}"),
        (
            "[embedding]\nchar_hidden = 1",
            "embedding.char_hidden (now embedding.char_features): expected at least 2, found 1",
        ),
        (
            "[embedding]\nword_size = 0\nchars = 'none'",
            "embedding: a word has no vector: set word_size > 0, one_hot, vectors or chars",
        ),
        (
            "[training]\nschedule = 'cosine'\nepochs = 3\nwarmup = 3",
            "training: warmup of 3 epochs must be shorter than the 3 epochs of training",
        ),
    ],
)
def test_a_fault_says_what_was_expected_and_found(recipe_file: Any, text: str, fault: str) -> None:
    path = recipe_file(text)
    assert fault_of(load_recipe, path) == f"{path}: {fault}"


# --- assignments and precedence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1", -1),
        ("2e-3", 2e-3),
        ("true", True),
        ('"a b"', "a b"),
        ('["upos", "xpos"]', ["upos", "xpos"]),
        ("upos", "upos"),
        (" a/b c.txt ", "a/b c.txt"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_assignments_are_toml_or_bare_words(text: str, value: Any) -> None:
    assert parse_assignments([f"data.target={text}"]) == {"data": {"target": value}}


def test_assignments_collect_by_section_and_the_last_wins() -> None:
    tree = parse_assignments(["encoder.hidden=1", "training.lr=0.1", "encoder.layers=2", "encoder.hidden = 3"])
    assert tree == {"encoder": {"hidden": 3, "layers": 2}, "training": {"lr": 0.1}}
    assert parse_assignments([]) == {}


@pytest.mark.parametrize("text", ["", "encoder", "encoder.hidden", "hidden=3", ".hidden=3", "encoder.=3", "=3"])
def test_an_assignment_needs_section_key_and_value(text: str) -> None:
    assert fault_of(parse_assignments, [text]) == f"expected section.key=value, found {text!r}"


def test_a_column_may_be_named_by_its_position() -> None:
    settings = override(TagSettings(), parse_assignments(["data.target=-1"]))
    assert settings.data.target == "-1"


def test_override_replaces_what_is_named_and_nothing_else() -> None:
    settings = override(TagSettings(), {"encoder": {"hidden": 7}, "training": {}})
    assert settings.encoder == EncoderSettings(hidden=7)
    assert settings.model_copy(update={"encoder": EncoderSettings()}) == TagSettings()
    assert TagSettings().encoder.hidden != 7


def test_override_checks_the_whole_again() -> None:
    settings = override(TagSettings(), {"training": {"schedule": "cosine", "warmup": 5, "epochs": 10}})
    message = fault_of(override, settings, {"training": {"epochs": 4}}, "--set")
    assert message == "--set: training: warmup of 5 epochs must be shorter than the 4 epochs of training"
    message = fault_of(override, TagSettings(), {"data": 5, "nonsense": {"a": 1}, "encoder": {"sise": 1}})
    assert message.startswith("settings: data: expected a section, found 5; ")
    assert "encoder.sise: unknown name, expected one of cell, hidden" in message
    assert "nonsense: unknown name, expected one of task, data, embedding, encoder, head, training" in message


def test_precedence_of_defaults_recipe_set_and_flags(recipe_file: Any) -> None:
    from seqkit.cli.options import settings_from_flags

    path = str(recipe_file("[encoder]\nhidden = 11\nlayers = 2\n[training]\nlr = 0.5\n"))
    assignments = ("encoder.layers=3", "training.lr=0.25")
    flags = {"training__lr": 0.125, "training__epochs": 4, "encoder__hidden": None}
    settings = settings_from_flags("tag", path, assignments, flags).settings
    assert settings.embedding == TagSettings().embedding  # defaults
    assert settings.encoder.hidden == 11  # the recipe
    assert settings.encoder.layers == 3  # --set over the recipe
    assert settings.training.lr == 0.125  # a flag over both
    assert settings.training.epochs == 4  # a flag over the default


def test_faults_name_where_the_value_came_from() -> None:
    from seqkit.cli.options import settings_from_flags

    fault = "encoder.hidden: expected at least 1, found 0"
    with pytest.raises(click.UsageError) as caught:
        settings_from_flags("tag", None, ("encoder.hidden=0",), {})
    assert caught.value.message == f"--set: {fault}"
    with pytest.raises(click.UsageError) as caught:
        settings_from_flags("tag", None, (), {"encoder__hidden": 0})
    assert caught.value.message == f"command line: {fault}"


# --- what a stranger may write ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["1e999", "nan", "-inf", "0x" + "f" * 5000, "9" * 5000, "true", "[[[]]]", "''", "-1"]
)
@pytest.mark.parametrize("name", ["encoder.hidden", "training.lr", "embedding.dropout", "encoder.last_dropout"])
def test_numbers_of_no_use_are_refused(name: str, number: str) -> None:
    if (name, number) == ("encoder.last_dropout", "-1"):
        pytest.skip("means the same as dropout")
    fault = fault_of(override, TagSettings(), parse_assignments([f"{name}={number}"]), "--set")
    assert fault.startswith(f"--set: {name}: ")
    assert len(fault) < 300


@pytest.mark.parametrize(
    ("assignment", "most"),
    [
        *(("encoder.hidden=1000001", 1_000_000), ("encoder.layers=101", 100), ("embedding.char_kernel=101", 100)),
        *(("embedding.word_size=1000001", 1_000_000), ("training.batch_size=2147483648", 2**31 - 1)),
    ],
)
def test_sizes_have_a_bound(assignment: str, most: int) -> None:
    name, _, value = assignment.partition("=")
    fault = fault_of(override, TagSettings(), parse_assignments([assignment]), "--set")
    assert fault == f"--set: {name}: expected at most {most}, found {value}"
    override(TagSettings(), parse_assignments([f"{name}={most}"]))


@pytest.mark.parametrize("name", ["training.lr", "training.clip", "encoder.init_gain", "encoder.forget_bias"])
def test_numbers_of_weights_have_a_bound(name: str) -> None:
    fault = fault_of(override, TagSettings(), parse_assignments([f"{name}=1e308"]), "--set")
    assert fault == f"--set: {name}: expected at most 1e+30, found 1e+308"
    override(TagSettings(), parse_assignments([f"{name}=1e30"]))


@pytest.mark.parametrize("tree", [None, 3, [], "task", True])
def test_settings_are_sections(tree: object) -> None:
    assert fault_of(parse_settings, tree, "x") == f"x: expected sections of settings, found {tree!r}"


def test_many_faults_are_counted() -> None:
    fault = fault_of(parse_settings, {"data": {f"more{number}": 1 for number in range(10_000)}}, "x")
    assert fault.startswith("x: data.more0: unknown name, expected one of format, ")
    assert fault.endswith(" more") and len(fault) < 2_000


def test_names_are_told_on_one_line() -> None:
    assert fault_of(parse_settings, {"a\nb": 1}, "x").startswith(
        "x: 'a\\nb': unknown name, expected one of task, data, "
    )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a = " + b"[" * 5000, "lists or tables are nested too deeply"),
        (b"a = " + b"9" * 5000, "Exceeds the limit"),
        (b"#" * (1 << 20) + b"#", "more than 1,048,576 bytes"),
        (b"a = \0", ""),
        (b"\xff\xfea", "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_a_recipe_that_is_no_toml(content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    fault = fault_of(load_recipe, tmp_path / "a.toml")
    assert fault.startswith(f"{tmp_path / 'a.toml'}: cannot be read as TOML: {found}")
    assert "\n" not in fault


# --- TOML --------------------------------------------------------------------------------------------------------


TEXT = "ab \"'\\\n\r\t#=.]}é日😀\x01\x7f\u2028"


def values_of(field: Any) -> st.SearchStrategy[Any]:
    if get_args(field.annotation):
        return st.sampled_from(get_args(field.annotation))
    if field.annotation is str:
        return st.text(TEXT, max_size=5)
    if field.annotation is bool:
        return st.booleans()
    limits = {
        name: getattr(each, name) for each in field.metadata for name in ("ge", "gt", "lt", "le") if hasattr(each, name)
    }
    low, high = limits.get("ge", limits.get("gt", 0)), limits.get("lt", limits.get("le"))
    if field.annotation is int:
        return st.integers(low, high - ("lt" in limits))
    return st.floats(low, high or 1e6, exclude_min="gt" in limits, exclude_max="lt" in limits)


@given(data=st.data())
@examples(max_examples=200, deadline=None, derandomize=True)
def test_settings_come_back_from_their_toml(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    tree: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for path, field in FIELDS:
        section, name = path.split(".")
        if path in ("data.format", "data.encoding"):
            tree[section][name] = data.draw(st.sampled_from(["", {"format": "conll", "encoding": "latin-1"}[name]]))
        elif data.draw(st.booleans()):
            tree[section][name] = data.draw(values_of(field), label=path)
    try:
        settings = override(TagSettings(), tree)
    except SettingsError as error:  # the checks across settings
        known = (
            "a word has no vector",
            "warmup of",
            "head.lm_loss",
            "average",
            "freeze",
            "clip_by",
            "deterministic",
            "keep last",
        )
        assert any(part in str(error) for part in known)
        return
    path = tmp_path_factory.mktemp("recipe") / "r.toml"
    path.write_text(to_toml(settings), encoding="utf-8")
    assert load_recipe(path) == Recipe(settings=settings)


@pytest.mark.parametrize(
    ("task", "assignment", "fault"),
    [
        ("lm", "data.unit=bpe", "data: lowercase needs unit word or char, not bpe"),
        ("generate", "data.unit=bpe", "data: lowercase needs unit word or char, not bpe"),
        (
            "lm",
            "training.batch_tokens=9",
            "training: batch_tokens is not for a language model, whose batch is batch_size streams of bptt units",
        ),
        (
            "lm",
            "training.equal_lengths=true",
            "training: equal_lengths is not for a language model, whose batch is batch_size streams of bptt units",
        ),
    ],
)
def test_settings_that_a_model_of_units_cannot_follow(task: str, assignment: str, fault: str) -> None:
    lower = override(TASKS[task].settings_class()(), {"data": {"lowercase": True}})
    with pytest.raises(SettingsError, match=re.escape(fault)):
        override(lower, parse_assignments([assignment]))


def test_settings_come_back_from_json() -> None:
    settings = override(TagSettings(), {"head": {"lm_loss": 0.5}, "training": {"lr": 1e-17}})
    assert override(TagSettings(), settings.model_dump(mode="json")) == settings


# --- the settings themselves -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "input"), [(name, row.input_name) for name in TASKS for row in TASKS[name].rows])
def test_every_setting_has_a_help_text_of_one_line_and_a_default_that_passes(
    task: str, input: str, recipe_file: Any
) -> None:
    is_first = input == TASKS[task].input_name
    settings = parse_settings({"task": task} if is_first else {"task": task, "input": input}, task)
    assert settings.task == task
    for section, part in settings:
        if isinstance(part, str):
            continue
        for name, field in type(part).model_fields.items():
            assert field.description, (section, name)
            assert "\n" not in field.description, (section, name)
            assert override(settings, {section: {name: getattr(part, name)}}) == settings
    assert load_recipe(recipe_file(to_toml(settings))).settings == settings
    head = f"task = {task!r}" + (f"\ninput = {input!r}" if input != TASKS[task].input_name else "")
    assert load_recipe(recipe_file(head)).settings == settings


@pytest.mark.parametrize("kind", [TagSettings, Recipe, *SECTIONS.values()], ids=lambda kind: kind.__name__)
def test_every_section_has_a_help_text(kind: type[BaseModel]) -> None:
    assert kind.__doc__
    assert all(field.description for field in kind.model_fields.values())


UNCHANGED = "settings do not change; seqkit.config.override(settings, "


def test_settings_do_not_change_after_construction() -> None:
    settings: Any = TagSettings()
    for section, name, value, message in (
        (settings.encoder, "hidden", 3, f'{UNCHANGED}{{"encoder": {{"hidden": 3}}}}) gives others'),
        (settings.data, "target", "x", f'{UNCHANGED}{{"data": {{"target": \'x\'}}}}) gives others'),
        (settings, "task", "lm", f"{UNCHANGED}{{\"task\": 'lm'}}) gives others"),
        (Options(), "what", 1, "there is no setting 'what'"),
        (settings.encoder, "hiden", 3, "there is no setting 'hiden'; did you mean 'hidden'?"),
    ):
        with pytest.raises(SettingsError) as caught:
            setattr(section, name, value)
        assert str(caught.value) == message
    assert settings == TagSettings()


def test_warm_up_may_be_as_long_as_training_but_for_cosine() -> None:
    assert TrainingSettings(schedule="constant", epochs=3, warmup=5.0).warmup == 5.0
    with pytest.raises(ValueError, match="warmup of 3 epochs must be shorter than the 3 epochs of training"):
        TrainingSettings(schedule="cosine", epochs=3, warmup=3.0)


def test_neighbours_need_halves_that_have_not_seen_them() -> None:
    tree = {"encoder": {"layers": 2}, "head": {"lm_loss": 0.1}}
    assert fault_of(override, TagSettings(), tree) == (
        "settings: head.lm_loss: needs encoder.concat final, one layer or one direction; with layerwise, upper layers "
        "have seen the words that they are to predict"
    )
    override(TagSettings(), {**tree, "encoder": {"layers": 2, "concat": "final"}})
    override(TagSettings(), {**tree, "encoder": {"layers": 1}})
    override(TagSettings(), {**tree, "encoder": {"layers": 2, "direction": "forward"}})


@pytest.mark.parametrize("task", ["lm", "generate"])
def test_a_tied_table_must_be_the_whole_embedding(task: str) -> None:
    settings = parse_settings({"task": task, "head": {"tied": True}}, task)
    assert fault_of(override, settings, {"embedding": {"word_size": 0, "chars": "cnn"}}) == (
        "settings: head.tied: needs embedding.word_size > 0"
    )
    assert fault_of(override, settings, {"embedding": {"one_hot": True}}) == (
        "settings: head.tied: with embedding.one_hot there is no table to share"
    )
    assert fault_of(override, settings, {"embedding": {"vectors": "x"}}) == (
        "settings: head.tied: needs embedding.vectors_join concat; with sum the table is only a correction of the "
        "pretrained vectors"
    )
    override(settings, {"embedding": {"vectors": "x", "vectors_join": "concat"}})


def test_clipping_by_value_needs_a_value() -> None:
    assert fault_of(override, TagSettings(), {"training": {"clip": 0.0, "clip_by": "value"}}) == (
        "settings: training: clip_by value needs a clip above 0"
    )


def test_a_label_is_not_read_from_the_text() -> None:
    assert fault_of(override, ClassifySettings(), {"data": {"text": "label"}}) == (
        "settings: data.label and data.text must be different fields, both are 'label'"
    )


# --- names of earlier versions ------------------------------------------------------------------------------------

RENAMED = [
    (
        "tag",
        "embedding",
        "char_hidden",
        20,
        "char_features",
        20,
        "embedding.char_hidden is now embedding.char_features",
    ),
    ("tag", "encoder", "join", "deep", "concat", "layerwise", "encoder.join=deep is now encoder.concat=layerwise"),
    ("tag", "encoder", "join", "top", "concat", "final", "encoder.join=top is now encoder.concat=final"),
    ("tag", "encoder", "cell", "cbow", "cell", "running_sum", "encoder.cell=cbow is now encoder.cell=running_sum"),
    ("tag", "head", "neighbours", 0.5, "lm_loss", 0.5, "head.neighbours is now head.lm_loss"),
    ("tag", "head", "neighbour_words", 50, "lm_loss_words", 50, "head.neighbour_words is now head.lm_loss_words"),
    ("lm", "head", "activation", 2.0, "ar", 2.0, "head.activation is now head.ar"),
    ("lm", "head", "temporal", 1.0, "tar", 1.0, "head.temporal is now head.tar"),
    ("lm", "training", "window", 70, "bptt", 70, "training.window is now training.bptt"),
    (
        "lm",
        "training",
        "variable_window",
        True,
        "variable_bptt",
        True,
        "training.variable_window is now training.variable_bptt",
    ),
    (
        "lm",
        "training",
        "average_trigger",
        5,
        "asgd_patience",
        5,
        "training.average_trigger is now training.asgd_patience",
    ),
]
each_renamed = pytest.mark.parametrize(
    ("task", "section", "old", "value", "new", "becomes", "note"), RENAMED, ids=[f"{r[2]}-{r[3]}" for r in RENAMED]
)


@each_renamed
def test_an_old_name_is_read_with_a_note_that_gives_the_new_one(
    task: str, section: str, old: str, value: Any, new: str, becomes: Any, note: str, recipe_file: Any
) -> None:
    expected = override(TASKS[task].settings_class()(), {section: {new: becomes}})
    assert getattr(getattr(expected, section), new) == becomes
    toml = f"task = '{task}'\n[{section}]\n{old} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n"
    recipe = load_recipe(recipe_file(toml))
    assert (recipe.settings, recipe.notes) == (expected, (note,))
    assert override(TASKS[task].settings_class()(), {section: {old: value}}) == expected
    # As a model has them that an earlier version saved.
    assert parse_settings({"task": task, section: {old: value}}, "config.json") == expected
    assert current_names({section: {old: value}}) == ({section: {new: becomes}}, [note])
    # What is written has the present name alone.
    assert load_recipe(recipe_file(to_toml(expected))).notes == ()


def test_present_names_are_left_alone_without_a_note() -> None:
    tree = {"task": "lm", "encoder": {"concat": "final", "cell": "lstm"}, "data": {"window": 3, "join": "top"}, "x": []}
    assert current_names(tree) == (tree, [])


def test_an_old_name_goes_on_from_a_recipe_and_is_replaced_by_what_is_stronger(recipe_file: Any) -> None:
    settings = load_recipe(recipe_file("[encoder]\njoin = 'top'\ncell = 'cbow'\n")).settings
    assert (settings.encoder.concat, settings.encoder.cell) == ("final", "running_sum")
    assert override(settings, parse_assignments(["encoder.concat=layerwise"])).encoder.concat == "layerwise"
    assert override(settings, parse_assignments(["encoder.join=deep"])).encoder.concat == "layerwise"


def test_the_command_line_tells_each_old_name_once(recipe_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from seqkit.cli.options import settings_from_flags

    path = str(recipe_file("task = 'lm'\n[encoder]\njoin = 'top'\n"))
    flags = {"old__training__bptt": "9", "training__lr": 0.5, "encoder__cell": None}
    settings = settings_from_flags("lm", path, ("head.activation=2", "training.window=7"), flags).settings
    assert (settings.encoder.concat, settings.head.ar, settings.training.bptt) == ("final", 2.0, 9)  # type: ignore[attr-defined]
    assert capsys.readouterr().err.splitlines() == [
        f"note: {path}: encoder.join=top is now encoder.concat=final",
        "note: --window is now --bptt",
        "note: head.activation is now head.ar",
        "note: training.window is now training.bptt",
    ]


@pytest.mark.parametrize("task", TASKS)
def test_a_recipe_that_names_no_task_is_of_the_command(task: str, recipe_file: Any) -> None:
    from seqkit.cli.options import settings_from_flags

    path = str(recipe_file("[encoder]\nhidden = 7\n"))
    settings = settings_from_flags(task, path, (), {}).settings
    assert (settings.task, settings.encoder.hidden) == (task, 7)


def test_settings_made_in_python_have_earlier_names_too_and_faults_of_one_line() -> None:
    assert TagSettings(encoder={"join": "top"}).encoder.concat == "final"  # type: ignore[arg-type]
    for sections, fault in (
        (
            {"encoder": {"join": "foo"}},
            "encoder.join (now encoder.concat): expected 'layerwise' or 'final', found 'foo'",
        ),
        ({"encoder": {"hidden": 0}}, "encoder.hidden: expected at least 1, found 0"),
        ({"encodr": {}}, "encodr: unknown name, expected one of task, data, embedding, encoder, head, training"),
    ):
        assert fault_of(partial(TagSettings, **sections)) == f"settings: {fault}"
        if "encoder" in sections:
            assert fault_of(override, TagSettings(), sections) == f"settings: {fault}"


def test_a_setting_under_both_names_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        current_names({"training": {"window": 7, "bptt": 9}})
    assert str(caught.value) == "training.window is now training.bptt, and both are given; keep the latter"
