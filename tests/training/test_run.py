from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from seqkit.config import Recipe, override
from seqkit.corpora.dataset import Dataset
from seqkit.corpora.from_python import from_items
from seqkit.corpora.resolve import resolve
from seqkit.corpora.split import Split
from seqkit.errors import DataError, SettingsError, TrainingError
from seqkit.files import aside
from seqkit.model import files as artefact
from seqkit.model.loading import load
from seqkit.records import Sentence
from seqkit.tasks import TASKS
from seqkit.training.output import check_output, claimed_output
from seqkit.training.run import run, train
from seqkit.training.stepping import Diverged

Make = Callable[..., Any]


def claim(output: Path, **options: Any) -> None:
    """Claim a directory, and let it go."""
    with claimed_output(output, **options):
        pass


def weights(output: Path) -> bytes:
    return (output / "weights.safetensors").read_bytes()


def fault_of(kind: type[Exception], function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    return str(caught.value)


# --- what comes out ----------------------------------------------------------------------------------------------


def test_a_run_writes_a_model_its_report_and_its_history(trained: Path, make_pairs: Make) -> None:
    model = load(trained)
    report = model.report
    assert report["data"] == {"name": "pairs", "sentences": {"train": 48, "dev": 12, "test": 12}}
    assert report["parameters"] == model.parameter_counts()
    assert set(report["versions"]) == {"seqkit", "torch", "python"}
    assert report["training"]["epochs"] == 8
    history = [json.loads(line) for line in (trained / "train.jsonl").read_text().splitlines()]
    assert len(history) == 8
    best = history[report["training"]["best_epoch"] - 1]
    assert report["scores"]["dev"]["f1"] == pytest.approx(best["dev"]["f1"])  # the saved weights are the best ones
    assert best["dev"]["f1"] == max(line["dev"]["f1"] for line in history)
    assert report["scores"]["test"]["sentences"] == 12
    assert report["scores"]["test"]["tokens"] == sum(len(tokens) for tokens, _ in make_pairs(12, 2))


def test_learning_helps(trained: Path) -> None:
    assert load(trained).report["scores"]["test"]["f1"] > 0.3


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "bioes", "none"])
def test_pairs_of_every_scheme_can_be_learned_and_are_written_as_they_came(
    scheme: str, make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    pairs = make_pairs(24, 0, scheme)
    trained = run(tiny_settings(), tmp_path, pairs, dev=make_pairs(6, 1, scheme), device="cpu")
    assert trained.model.head.codec.scheme == scheme
    known = {label for _, labels in pairs for label in labels}
    assert {
        label for r in trained.model.predict([Sentence.from_tokens(t) for t, _ in pairs]) for label in r.labels
    } <= known
    assert set(trained.reports) == {"dev"}
    assert trained.reports["dev"].scheme == scheme


def test_any_iterable_of_pairs_will_do(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    def stream() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        for tokens, labels in make_pairs(24):
            yield tuple(tokens), tuple(labels)

    settings = tiny_settings("training.epochs=1")
    one = train(settings, tmp_path / "a", stream(), dev=iter(make_pairs(6, 1)), device="cpu")
    two = train(settings, tmp_path / "b", from_items("sentences", make_pairs(24), make_pairs(6, 1)), device="cpu")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert one.head.codec.target == two.head.codec.target == ""


def test_without_dev_a_tenth_is_held_out_and_that_is_said(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = run(tiny_settings("training.epochs=1"), tmp_path, make_pairs(30), device="cpu", quiet=False)
    assert trained.reports["dev"].sentences == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "the last tenth of train (3 of 30 sentences) is held out" in err


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("tag", [{"tokens": ["a", word], "labels": ["O", word.upper()]} for word in ("b", "c", "d") * 10]),
        ("classify", [{"text": f"a {word}", "label": word} for word in ("b", "c", "d") * 10]),
        ("classify --regression", [{"text": f"a {word}", "label": len(word)} for word in ("b", "cc", "ddd") * 10]),
        ("classify", [{"frames": [[n, 1.0]] * 3, "label": "xyz"[n % 3]} for n in range(30)]),
        ("transcribe", [{"frames": [[n, 1.0]] * 9, "text": "xyz"[n % 3], "speaker": str(n // 2)} for n in range(30)]),
        ("lm", [{"text": f"a {word} e"} for word in ("b", "c", "d") * 10]),
    ],
)
def test_what_is_held_out_can_be_trained_on_as_well(
    task: str, rows: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same model as by all rows as train and those that would be held out as dev."""
    frames = "frames" in rows[0]
    task, _, numbers = task.partition(" ")
    settings: dict[str, Any] = {"task": task, "encoder": {"hidden": 3}, **({"input": "frames"} if frames else {})}
    settings |= {"head": {"regression": True}} if numbers else {}
    settings["training"] = {"epochs": 2, "keep": "last", "patience": 0}
    lines = [json.dumps(row) + "\n" for row in rows]
    (tmp_path / "train.jsonl").write_text("".join(lines))
    run(settings, tmp_path / "held-out", tmp_path / "train.jsonl", device="cpu", quiet=False)
    assert "is held out" in (told := capsys.readouterr().err) or "are held out" in told
    settings["training"]["on_dev"] = True
    run(settings, tmp_path / "all", tmp_path / "train.jsonl", device="cpu", quiet=False)
    told = capsys.readouterr().err
    warning = (
        "warning: the TF-IDF baseline may look worse than it is: its regularisation is chosen on dev, which it is "
        "trained on, too (training.on_dev)\n"
    )
    assert (warning in told) == (task == "classify" and not frames)
    (note,) = [line for line in told.splitlines() if "has no dev split" in line]
    assert note.endswith("dev, and in train as well") and f"of {len(rows)} " in note
    settings["training"]["on_dev"] = False
    by_label = task == "classify" and frames
    held_out = sorted(range(30), key=lambda row: row % 3)[9::10] if by_label else [27, 28, 29]
    if task == "transcribe":  # whole speakers of two rows each, of which there are fifteen
        held_out = [28, 29]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("".join(lines))
    (tmp_path / "data" / "dev.jsonl").write_text("".join(lines[row] for row in sorted(held_out)))
    run(settings, tmp_path / "given", tmp_path / "data", device="cpu")
    assert weights(tmp_path / "all") == weights(tmp_path / "given") != weights(tmp_path / "held-out")
    dev = [json.loads((tmp_path / name / "report.json").read_text())["scores"]["dev"] for name in ("all", "given")]
    assert dev[0] == dev[1]
    evaluation = load(tmp_path / "all").evaluate(resolve(tmp_path / "train.jsonl"), split="dev")
    assert evaluation.report.to_json() == dev[0]
    assert evaluation.notes == [note]
    cards = [(tmp_path / name / "README.md").read_text() for name in ("all", "given")]
    assert ["- dev, which training has seen: " in card for card in cards] == [True, False]
    settings["training"]["on_dev"] = True
    with pytest.raises(SettingsError) as caught:
        run(settings, tmp_path / "refused", tmp_path / "data", device="cpu")
    fault = "training.on_dev is for dev that is held out of train, and"
    assert str(caught.value) == f"{fault} {tmp_path / 'data'} has a dev split"


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.rand(3)  # the state of the generator beforehand does not matter
        settings = tiny_settings(f"training.seed={seed}", "training.epochs=1")
        train(settings, tmp_path / name, make_pairs(16), dev=make_pairs(4, 1), device="cpu")
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_a_recipe_names_its_data_and_a_data_set_its_column(tiny_settings: Make, tmp_path: Path) -> None:
    recipe = Recipe(dataset="sample-pos", settings=tiny_settings("training.epochs=1", "training.time_limit=1e-9"))
    model = train(recipe, tmp_path, device="cpu")
    assert model.settings.data.target == "upos"
    assert model.head.codec.scheme == "none"
    assert model.report["data"]["name"] == "sample-pos"


def test_a_card_fills_in_what_the_settings_leave_open(tiny_settings: Make) -> None:
    dataset = resolve("sample-ner")
    assert tiny_settings().complete(dataset).data.target == dataset.target == "ner"
    assert tiny_settings().complete(dataset).data.scheme == dataset.scheme == "iob2"
    assert tiny_settings("data.scheme=none").complete(dataset).data.scheme == "none"
    other = tiny_settings("data.target=0").complete(dataset).data
    assert (other.target, other.scheme) == ("0", "auto")


def test_sentences_without_tokens_do_no_harm(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    empty: tuple[list[str], list[str]] = ([], [])
    pairs = [empty, *make_pairs(12), empty]
    settings = tiny_settings("training.epochs=1")
    trained = run(
        settings, tmp_path, pairs, dev=[*make_pairs(4, 1), empty], test=[empty, *make_pairs(4, 2)], device="cpu"
    )
    assert trained.reports["dev"].sentences == trained.reports["test"].sentences == 5


@pytest.mark.parametrize("join", ["sum", "concat"])
def test_given_vectors_are_read_and_their_coverage_is_reported(
    join: str, make_pairs: Make, tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [" ".join([word, *(str(number / 8) for number in range(5))]) for word in ("ada", "rome", "met", "zyx")]
    (tmp_path / "vectors.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = str(tmp_path / "vectors.txt")
    settings = tiny_settings(f"embedding.vectors={path}", f"embedding.vectors_join={join}", "training.epochs=1")
    model = train(settings, tmp_path / "m", make_pairs(24), dev=make_pairs(4, 1), device="cpu", quiet=False)
    assert model.settings.embedding.word_size == (5 if join == "sum" else 8)
    words = {token for tokens, _ in make_pairs(24) for token in tokens}
    found = sum(word.lower() in ("ada", "rome", "met") for word in words) / len(words)
    assert model.report["vectors"] == {"words": 4, "size": 5, "found": pytest.approx(found)}
    err = capsys.readouterr().err
    assert f"pretrained vectors: 4 words of size 5, for {found:.1%} of the training words, " in err
    again = load(tmp_path / "m")
    assert again.tag(["Zyx", "met", "Bo"], probs=True).probs == model.tag(["Zyx", "met", "Bo"], probs=True).probs
    assert again.tag(["zyx", "met"], probs=True).probs != again.tag(["xyz", "met"], probs=True).probs


def test_a_language_modelling_objective_is_left_out_of_the_saved_model(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    settings = tiny_settings("head.lm_loss=0.1", "training.epochs=1")
    model = train(settings, tmp_path, make_pairs(12), dev=make_pairs(4, 1), device="cpu")
    assert not any("auxiliary" in name for name in safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    assert load(tmp_path).parameter_counts() == model.parameter_counts() == model.report["parameters"]


def test_the_column_must_be_in_every_split(make_sentences: Make, tiny_settings: Make, tmp_path: Path) -> None:
    """Told before training, not when the test split is scored at its end."""
    names = ("train", "dev", "test")
    for split in names:
        parts = {name: Split(content=make_sentences(4)) for name in names}
        parts[split] = Split(content=[Sentence.from_tokens(["a", "b"], {"other": ["O", "B-X"]})])
        settings = tiny_settings("data.target=label")
        message = fault_of(DataError, train, settings, tmp_path / "m", Dataset("x", parts), device="cpu")
        assert message == "expected a label column 'label', found columns: other"
        assert not (tmp_path / "m").exists()


# --- the output directory ----------------------------------------------------------------------------------------


def test_an_output_directory_in_use_is_refused(trained: Path, make_pairs: Make, tiny_settings: Make) -> None:
    expected = f"{trained}: expected an empty output directory, found files; use --resume or --force"
    assert fault_of(TrainingError, run, tiny_settings(), trained, make_pairs(8)) == expected


def test_force_replaces_what_a_run_wrote_and_nothing_else(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    settings = tiny_settings("training.epochs=1")
    options = {"dev": make_pairs(4, 1), "device": "cpu"}
    run(settings, tmp_path, make_pairs(12), **options)
    before = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "checkpoint" / "mine").write_text("mine")
    (tmp_path / "weights.safetensors.part").write_text("a write that was cut off")
    run(settings, tmp_path, make_pairs(12), force=True, **options)
    assert {path.name for path in tmp_path.iterdir()} == {*before, "notes.txt"}
    assert (tmp_path / "checkpoint" / "mine").read_text() == "mine"
    load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", "x"),
        ("config.json", '{"model_type": "bert"}'),
        ("train.jsonl", '{"tokens": ["a"], "labels": ["O"]}\n'),
        ("README.md", "# My project"),
        ("checkpoint/step-100.pt", "x"),
        ("sub/config.json", '{"format_version": 1, "seqkit_version": "0"}'),
    ],
)
def test_force_leaves_a_folder_that_is_not_ours(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    for check in (check_output, claim):
        message = fault_of(TrainingError, check, tmp_path, resume=False, force=True)
        assert message == f"{tmp_path}: expected a model or a training run to replace, found other files"
    assert path.read_text() == content


def test_resume_writes_over_no_file_of_someone_else(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("x")
    claim(tmp_path, resume=True, force=False)  # a log is no obstacle
    (tmp_path / "train.jsonl").write_text('{"tokens": ["a"], "labels": ["O"]}\n')  # but data of that name is
    message = fault_of(TrainingError, claim, tmp_path, resume=True, force=False)
    assert message == f"{tmp_path}: expected a model or a training run to replace, found other files"


@pytest.mark.parametrize("left", ["train.jsonl", "checkpoint", "config.json"])
def test_what_is_left_of_a_run_is_known_for_one(left: str, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "m")
    for path in (tmp_path / "m").iterdir():
        if path.name != left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    claim(tmp_path / "m", resume=False, force=True)
    # The model goes only when another takes its place.
    assert [path.name for path in (tmp_path / "m").iterdir()] == (["config.json"] if left == "config.json" else [])


def test_with_force_the_old_model_stays_until_the_new_one_is_trained(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    vectors = tmp_path / "v.txt"
    vectors.write_text("ada 1 2\n")
    output = tmp_path / "m"
    options = {"dev": make_pairs(4, 1), "device": "cpu"}
    run(tiny_settings("training.epochs=1", f"embedding.vectors={vectors}"), output, make_pairs(12), **options)
    kept = {path.name: path.read_bytes() for path in output.iterdir() if path.is_file() and path.suffix != ".jsonl"}
    with pytest.raises(Diverged):
        run(tiny_settings("training.lr=1e30", "training.clip=0"), output, make_pairs(12), force=True, **options)
    assert load(output).report["scores"]
    assert {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()} == kept
    assert list((output / "checkpoint").iterdir()) == []  # there is nothing to resume, and --resume starts again
    run(tiny_settings("training.epochs=1"), output, make_pairs(12), force=True, **options)
    assert "vectors.json" in kept and not (output / "vectors.json").exists()
    load(output)


def test_no_link_is_followed_out_of_the_output_directory(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    """Whoever gives away a directory may have laid links where a run writes."""
    settings, options = tiny_settings("training.epochs=1"), {"dev": make_pairs(4, 1), "device": "cpu"}
    run(settings, tmp_path / "m", make_pairs(12), **options)
    run(settings, tmp_path / "other", make_pairs(12), **options)
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    model = sorted(path for path in (tmp_path / "m").rglob("*") if path.is_file())
    staged = artefact.read_json(tmp_path, (tmp_path / "m" / "config.json").read_bytes())["files"]
    for path in model:
        if path.name not in ("config.json", "README.md"):  # by which it is known for a run's, and a copy for reading
            path.unlink()
            path.symlink_to(victim)
        aside(path).symlink_to(victim)
    for name, found in staged.items():
        (tmp_path / "m" / f"{name}.{found['sha256'][:16]}").symlink_to(victim)
    run(settings, tmp_path / "m", make_pairs(12), force=True, **options)
    assert victim.read_bytes() == b"precious"
    assert not [path for path in (tmp_path / "m").rglob("*") if path.is_symlink()]
    assert weights(tmp_path / "m") == weights(tmp_path / "other")


@pytest.mark.parametrize("kind", ["symbolic link", "hard link"])
@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}], ids=str)
def test_a_lock_that_is_a_link_is_refused(options: dict[str, Any], kind: str, tmp_path: Path) -> None:
    output, victim = tmp_path / "m", tmp_path / "victim"
    output.mkdir()
    victim.write_bytes(b"precious")
    lock = output / ".seqkit.lock"
    lock.symlink_to(victim) if kind == "symbolic link" else lock.hardlink_to(victim)
    message = fault_of(TrainingError, claim, output, **{"resume": False, "force": False, **options})
    assert message.startswith(f"{output}: cannot be used as output directory: ")
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}], ids=str)
def test_a_directory_for_checkpoints_that_is_a_link_is_refused(options: dict[str, Any], tmp_path: Path) -> None:
    elsewhere, output = tmp_path / "elsewhere", tmp_path / "m"
    elsewhere.mkdir()
    (elsewhere / "state.safetensors").write_bytes(b"precious")
    output.mkdir()
    (output / "checkpoint").symlink_to(elsewhere)
    message = fault_of(TrainingError, claim, output, **{"resume": False, "force": False, **options})
    assert message == f"{output / 'checkpoint'}: expected a directory for checkpoints, found a link"
    assert (elsewhere / "state.safetensors").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "left", ["train.jsonl.part", "checkpoint/state.safetensors.part", "words.json.0123456789abcdef"]
)
@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}], ids=str)
def test_what_a_run_left_that_was_killed_at_its_first_file_is_no_obstacle(
    left: str, options: dict[str, Any], make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    output = tmp_path / "m"
    (output / "checkpoint").mkdir(parents=True)
    (output / left).write_bytes(b"half")
    (output / ".seqkit.lock").write_bytes(b"")
    run(tiny_settings("training.epochs=1"), output, make_pairs(12), dev=make_pairs(4, 1), device="cpu", **options)
    assert not (output / left).exists()
    load(output)


def test_a_run_with_force_that_was_killed_early_can_be_resumed(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    options = {"dev": make_pairs(4, 1), "device": "cpu"}
    for output, seed in ((tmp_path / "m", 1), (tmp_path / "other", 2)):
        run(tiny_settings("training.epochs=1", f"training.seed={seed}"), output, make_pairs(12), **options)
    with pytest.raises(ZeroDivisionError), claimed_output(tmp_path / "m", resume=False, force=True):
        raise ZeroDivisionError
    assert load(tmp_path / "m").settings.training.seed == 1
    second = tiny_settings("training.epochs=1", "training.seed=2")
    run(second, tmp_path / "m", make_pairs(12), resume=True, **options)
    assert weights(tmp_path / "m") == weights(tmp_path / "other")


def test_an_output_must_be_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    for options in (
        {"resume": False, "force": False},
        {"resume": False, "force": True},
        {"resume": True, "force": False},
    ):
        message = fault_of(TrainingError, claim, path, **options)
        assert message == f"{path}: cannot be used as output directory: Not a directory"
        below = fault_of(TrainingError, claim, path / "x", **options)
        assert below == f"{path / 'x'}: cannot be used as output directory: Not a directory"


def test_a_fault_in_the_input_costs_no_model(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    """`--force` throws the old model away only when a new one can be trained."""
    settings = tiny_settings("training.epochs=1")
    run(settings, tmp_path, make_pairs(12), dev=make_pairs(4, 1), device="cpu")
    kept = weights(tmp_path)
    for options, data, kind in (
        ({"device": "gpu"}, make_pairs(4), SettingsError),
        ({"device": "cpu"}, [(["a"], ["O"])] * 4, DataError),
        ({"device": "cpu"}, tmp_path / "nothing", DataError),
        ({"device": "cpu", "test": [([], [])]}, make_pairs(12), DataError),
    ):
        fault_of(kind, run, settings, tmp_path, data, force=True, **options)
        assert weights(tmp_path) == kept


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        (None, "settings: expected sections of settings, found None"),
        (["tag"], "settings: expected sections of settings, found ['tag']"),
        (
            {"task": "novel"},
            "settings: task: expected one of tag, classify, lm, generate, translate, transcribe, found 'novel'",
        ),
        ({"task": "tag", "encoder": {"hidden": 0}}, "settings: encoder.hidden: expected at least 1, found 0"),
    ],
)
def test_what_is_no_recipe(recipe: Any, fault: str, make_pairs: Make, tmp_path: Path) -> None:
    assert fault_of(SettingsError, train, recipe, tmp_path / "model", make_pairs(4)) == fault
    assert not (tmp_path / "model").exists()


def test_settings_as_a_mapping(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings("training.epochs=1")
    found = train(settings.model_dump(mode="json"), tmp_path / "mapping", make_pairs(20), device="cpu")
    assert found.settings == override(settings, {"data": {"splitter": "words"}})
    train(settings, tmp_path / "settings", make_pairs(20), device="cpu")
    assert weights(tmp_path / "mapping") == weights(tmp_path / "settings")


@pytest.mark.parametrize("output", [None, b"model", 3, "a\0b"])
def test_an_output_that_is_no_path(output: Any, make_pairs: Make, tiny_settings: Make) -> None:
    message = f"the output directory must be a path, found {output!r}"
    assert fault_of(SettingsError, train, tiny_settings(), output, make_pairs(4)) == message


def test_an_output_whose_name_is_too_long(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    output = tmp_path / ("a" * 1_000)
    message = f"{output}: cannot be used as output directory: File name too long"
    assert fault_of(TrainingError, train, tiny_settings(), output, make_pairs(20)) == message


@pytest.mark.parametrize("kind", ["sentences", "texts", "fields", "lines"])
@pytest.mark.parametrize("given", [5, object, b"abc", "abc", {"text": "a"}])
def test_data_from_python_are_several(kind: str, given: Any) -> None:
    name = {"sentences": "pairs", "fields": "records"}.get(kind, kind)
    for split in ("train", "dev", "test"):
        message = f"{name} {split} must be a list or another iterable of records, found {given!r}"
        assert fault_of(DataError, from_items, kind, **{"train": [], split: given}) == message


@pytest.mark.parametrize(
    ("kind", "item", "message"),
    [
        ("sentences", (["a", None], ["X", "Y"]), "tokens and labels must be non-empty strings, found None"),
        ("sentences", (["a"], [None]), "tokens and labels must be non-empty strings, found None"),
        ("texts", (["a", None], "X"), "texts and tokens must be strings, and tokens not empty, found None"),
        ("texts", ("a", [None]), 'expected a string or a list of strings in "label", found [None]'),
    ],
)
def test_none_is_no_string(kind: str, item: Any, message: str) -> None:
    name = "pairs" if kind == "sentences" else kind
    assert fault_of(DataError, from_items, kind, [item]) == f"{name} train:1: {message}"


def test_there_must_be_data(tiny_settings: Make, tmp_path: Path) -> None:
    expected = "no data to train on: none was given, and the recipe names no data set"
    assert fault_of(SettingsError, run, tiny_settings(), tmp_path / "m") == expected
    assert fault_of(SettingsError, run, Recipe(settings=tiny_settings()), tmp_path / "m") == expected
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("task", TASKS)
def test_there_must_be_training_data(task: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split in ("dev", "test"):
        (tmp_path / "data" / f"{split}.jsonl").write_text('{"text": "a b", "label": "x"}\n')
    expected = f"{tmp_path / 'data'}: expected a train file, found dev (dev.jsonl), test (test.jsonl)"
    assert fault_of(DataError, run, {"task": task}, tmp_path / "m", tmp_path / "data") == expected


def test_dev_and_test_belong_to_pairs(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    expected = "dev and test go with training data from Python, not with a data set, which has its own"
    for options in ({"dev": make_pairs(2)}, {"test": make_pairs(2)}):
        for data in ("sample-ner", from_items("sentences", make_pairs(8))):
            assert fault_of(SettingsError, run, tiny_settings(), tmp_path / "m", data, **options) == expected


@pytest.mark.parametrize(
    ("train_pairs", "dev", "message"),
    [
        ([], None, "pairs: no sentences found"),
        ([([], []), ([], [])], None, "pairs: no sentences found"),
        (
            [(["a", "b"], ["O", "B-X"])],
            None,
            "pairs: expected at least 2 sentences, one of them to hold out as dev, found 1",
        ),
        ([(["a", "b"], ["O", "B-X"])], [], "pairs dev: no sentences found"),
        ([(["a", "b"], ["O", "B-X"])], [([], [])], "pairs dev: no sentences found"),
        (
            [(["a"], ["O"])] * 2,
            [(["a"], ["O"])],
            "expected at least two different labels in the last column of the training data, found only 'O'",
        ),
        (
            [(["a", "b"], ["O"])],
            None,
            "pairs train:1: expected as many labels as tokens, found 1 labels for 2 tokens",
        ),
    ],
)
def test_data_that_cannot_be_learned_from(
    train_pairs: Any, dev: Any, message: str, tiny_settings: Make, tmp_path: Path
) -> None:
    found = fault_of(DataError, run, tiny_settings(), tmp_path / "m", train_pairs, dev=dev, device="cpu")
    assert found == message
    assert not (tmp_path / "m").exists()


def test_a_precision_that_the_device_lacks_is_told_before_anything_is_written(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path
) -> None:
    settings = tiny_settings("training.precision=fp16")
    message = fault_of(SettingsError, run, settings, tmp_path / "m", make_pairs(8), device="cpu")
    assert message == "expected precision fp32, bf16 or auto on the CPU, found fp16"
    assert not (tmp_path / "m").exists()


def test_half_precision_trains_on_the_cpu(make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings("training.precision=bf16", "training.epochs=6", "training.lr=0.03")
    trained = run(settings, tmp_path, make_pairs(48), dev=make_pairs(8, 1), device="cpu")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
    assert all(p.dtype == torch.float32 for p in trained.model.network.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "auto"])
def test_training_on_a_gpu(precision: str, make_pairs: Make, tiny_settings: Make, tmp_path: Path) -> None:
    settings = tiny_settings(f"training.precision={precision}", "training.epochs=6", "training.lr=0.03")
    model = train(settings, tmp_path, make_pairs(48), dev=make_pairs(8, 1), device="cuda")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
    sentences = [Sentence.from_tokens(tokens) for tokens, _ in make_pairs(8, 2)]
    here = [record.labels for record in load(tmp_path).predict(sentences)]
    assert [record.labels for record in model.predict(sentences)] == here


def test_resume_does_not_write_over_a_finished_model(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "m", ignore=shutil.ignore_patterns("checkpoint"))
    message = fault_of(TrainingError, check_output, tmp_path / "m", resume=True, force=False)
    assert message == f"{tmp_path / 'm'}: expected a checkpoint to go on from, found a model alone; use --force"


def test_gold_labels_of_another_scheme_are_converted_and_those_of_none_a_fault(trained: Path) -> None:
    model = load(trained)
    assert model.head.codec.scheme == "iob2"
    sentence = Sentence.from_tokens(["a", "b", "c"], {"label": ["S-PER", "O", "S-LOC"]}, file="f", line=3)
    assert model.head.gold([sentence], target="label") == [["B-PER", "O", "B-LOC"]]
    sentence.columns["label"][1] = "X"
    expected = "f:3: the model learned spans, and the label 'X' of 'b' marks none as B-… and I-… do; correct it"
    assert fault_of(DataError, model.head.gold, [sentence], target="label") == expected


def test_what_is_learned_is_said_and_a_stray_label_warned_of(
    make_pairs: Make, tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings("training.epochs=1")
    run(settings, tmp_path / "a", make_pairs(12), quiet=False)
    assert "learning spans from column 'label', marked by iob2: " in capsys.readouterr().err
    pairs = [(list(tokens), list(labels)) for tokens, labels in make_pairs(12)]
    pairs[0][1][0] = "X-PER"
    run(settings, tmp_path / "b", pairs, quiet=False)
    told = capsys.readouterr().err
    assert "learning a label for each token from column 'label': " in told
    assert "warning: 'X-PER' fits no span scheme, so the labels are learned one by one and not as spans; " in told


def test_the_model_is_kept_though_scoring_it_fails(
    make_pairs: Callable[..., Any], tiny_settings: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqkit.training.learner import RecordLearner

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(RecordLearner, "reports", fail)
    with pytest.raises(TrainingError) as caught:
        train(tiny_settings("training.epochs=1"), tmp_path / "m", make_pairs(12), device="cpu")
    fault = "out of memory; try a smaller --batch-tokens, --batch-size or --hidden"
    assert str(caught.value) == f"{fault}; the model itself is complete, in {tmp_path / 'm'}"
    assert load(tmp_path / "m").tag("Ada slept").labels


def test_a_run_of_another_task_is_not_taken_up(
    make_pairs: Callable[..., Any], tiny_settings: Callable[..., Any], tmp_path: Path
) -> None:
    from seqkit.heads.language_model.settings import LmSettings

    train(tiny_settings("training.epochs=1"), tmp_path / "m", make_pairs(12), device="cpu")
    settings = override(LmSettings(), {"encoder": {"hidden": 4, "layers": 1}})
    with pytest.raises(TrainingError) as caught:
        train(settings, tmp_path / "m", ["to be or not to be"] * 30, device="cpu", resume=True)
    assert str(caught.value) == (
        f"{tmp_path / 'm'}: expected a checkpoint with task = lm, found tag; start again with --force"
    )


@pytest.mark.parametrize("setting", ["training.init_from", "embedding.context"])
def test_models_that_are_named_are_looked_for_first(
    setting: str, tiny_settings: Callable[..., Any], tmp_path: Path
) -> None:
    from seqkit.corpora.dataset import Dataset
    from seqkit.corpora.split import Split
    from seqkit.errors import ModelError

    data = Dataset("unreadable", {"train": Split(tmp_path / "train.conll"), "dev": Split(tmp_path / "dev.conll")})
    missing = tmp_path / "none"
    with pytest.raises(ModelError) as caught:
        train(tiny_settings(f"{setting}={missing}"), tmp_path / "m", data, device="cpu")
    assert str(caught.value) == f"{missing}: expected a model directory with config.json, found none"
