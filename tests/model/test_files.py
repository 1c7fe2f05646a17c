from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import seqkit
from seqkit.errors import ModelError, SettingsError, shown
from seqkit.files import write_atomically
from seqkit.model import files as artefact
from seqkit.model.files import FILES, FORMAT_VERSION, read_config, read_json, write_config
from seqkit.model.loading import load

PACKAGE = Path(seqkit.__file__).parent
OTHERS = {  # of models that the one here is not
    *("vectors.json", "units.json", "conditions.json", "context.json", "frames.json", "symbols.json", "target.json"),
}
NAMES = [name for name in FILES if name not in {"README.md", *OTHERS}]


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A model that a test may damage."""
    shutil.copytree(trained, tmp_path / "model")
    return tmp_path / "model"


def fault_of(directory: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(directory)
    return str(caught.value)


def forge(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change ``config.json`` and make its checksum right again, as someone with bad intentions can."""
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="ascii"))
    del config["checksum"]
    change(config)
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
    config["checksum"] = hashlib.sha256(canonical.encode()).hexdigest()
    path.write_text(json.dumps(config, indent=2), encoding="ascii")


def test_a_trained_model_has_the_files_that_it_says(trained: Path) -> None:
    found = {path.name for path in trained.iterdir()}
    assert found == {*FILES, "train.jsonl", "checkpoint"} - OTHERS
    config, files = read_config(trained)
    assert set(files) == set(config["files"]) == set(NAMES) - {"config.json"}
    assert config["format_version"] == FORMAT_VERSION
    assert config["seqkit_version"] == seqkit.__version__
    assert all((trained / name).read_bytes() == content for name, content in files.items())


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), flip=st.integers(1, 255))
def test_any_changed_byte_is_found(name: str, trained: Path, data: st.DataObject, flip: int) -> None:
    content = bytearray((trained / name).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= flip
    check_refused(trained, name, bytes(content))


@given(position=st.integers(0, 10**6), other=st.sampled_from(b" \t\r\n"))
@example(position=0, other=ord("\t"))
def test_white_space_of_the_configuration_counts_as_well(trained: Path, position: int, other: int) -> None:
    content = bytearray((trained / "config.json").read_bytes())
    blanks = [place for place, byte in enumerate(content) if byte in b" \n" and byte != other]
    content[blanks[position % len(blanks)]] = other
    check_refused(trained, "config.json", bytes(content))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\n", lambda b: b"", lambda b: b[: len(b) // 2]])
def test_a_file_cut_short_or_made_longer_is_found(name: str, change: Callable[[bytes], bytes], trained: Path) -> None:
    check_refused(trained, name, change((trained / name).read_bytes()))


def check_refused(trained: Path, name: str, content: bytes) -> None:
    """With this content in place of a file's own the model is refused (the others are read from where they are)."""
    real = artefact._read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            artefact, "_read", lambda path, size=None: content if path == trained / name else real(path, size)
        )
        with pytest.raises(ModelError) as caught:
            load(trained)
    assert str(caught.value).startswith(f"{trained / name}: ")


def test_damage_is_told_apart(copy: Path) -> None:
    weights = copy / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert fault_of(copy) == f"{weights}: damaged: its content does not agree with the checksum in config.json"
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"hidden": 8', '"hidden": 9'))
    assert fault_of(copy) == f"{config}: damaged: its content does not agree with its checksum"
    config.write_text(config.read_text()[:100])
    assert fault_of(copy).startswith(f"{config}: damaged: expected JSON, found: ")


def test_the_model_card_may_be_edited(copy: Path) -> None:
    (copy / "README.md").write_text("# Mine now\n")
    load(copy)
    (copy / "README.md").unlink()
    load(copy)


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "words.json").unlink()
    assert fault_of(copy) == f"{copy / 'words.json'}: cannot be read: No such file or directory"


def test_a_directory_without_a_configuration_is_no_model(tmp_path: Path) -> None:
    assert fault_of(tmp_path) == f"{tmp_path}: expected a model directory with config.json, found none"
    missing = tmp_path / "missing"
    assert fault_of(missing) == f"{missing}: expected a model directory with config.json, found none"
    (tmp_path / "checkpoint").mkdir()
    assert fault_of(tmp_path).endswith("found an unfinished training run")


def test_a_newer_format_is_told_from_damage(copy: Path) -> None:
    forge(copy, lambda config: config.update(format_version=FORMAT_VERSION + 1))
    expected = f"expected format version {FORMAT_VERSION} or older, found {FORMAT_VERSION + 1}; upgrade seqkit"
    assert fault_of(copy) == f"{copy / 'config.json'}: {expected}"


@pytest.mark.parametrize("content", [b"{}", b"[1]", b"null", b'{"format_version": "1"}', b'{"model_type": "bert"}'])
def test_the_configuration_of_something_else_is_no_model(copy: Path, content: bytes) -> None:
    (copy / "config.json").write_bytes(content)
    assert fault_of(copy) == f"{copy / 'config.json'}: expected a model's configuration, found no format_version"


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000, b"{'a': 1}", b""])
def test_what_is_not_json_is_damage(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^x\.json: damaged: expected JSON, found: "):
        read_json(Path("x.json"), content)


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "a/b",
        "..",
        ".",
        "",
        "~",
        "..\\x",
        "C:x",
        "\x00",
        ".hidden",
        "CON",
        "nul.json",
        "Com1.x.json",
        "x" * 101,
        "words.json\n",
        "words.json/",
    ],
)
def test_names_that_lead_out_of_the_directory_are_refused(copy: Path, name: str) -> None:
    (copy.parent / "x").write_bytes(b"secret")
    entry = {"bytes": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    forge(copy, lambda config: config["files"].update({name: entry}))
    assert fault_of(copy) == f"{copy / 'config.json'}: expected plain file names, found {shown(name)}"


def test_a_file_that_is_not_listed_is_not_looked_at(copy: Path) -> None:
    (copy / "vectors.json").write_bytes(b"not JSON")
    (copy / "context.json").mkdir()
    load(copy)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name")
@pytest.mark.parametrize("name", ["config.json", "words.json", "weights.safetensors"])
def test_a_pipe_is_not_waited_for(name: str, copy: Path) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name)
    expected = (
        f"{copy}: expected a model directory with config.json, found an unfinished training run"
        if name == "config.json"
        else f"{copy / name}: cannot be read: not a regular file"
    )
    assert fault_of(copy) == expected


def test_a_directory_or_a_device_in_place_of_a_file_is_refused(copy: Path) -> None:
    (copy / "words.json").unlink()
    (copy / "words.json").mkdir()
    expected = f"{copy / 'words.json'}: cannot be read: not a regular file"
    assert fault_of(copy) == expected
    (copy / "words.json").rmdir()
    (copy / "words.json").symlink_to("/dev/zero")
    assert fault_of(copy) == f"{copy / 'words.json'}: expected a file of the model's own, found a link to /dev/zero"


def test_a_link_may_not_lead_out_of_the_directory(copy: Path, trained: Path) -> None:
    path = copy / "words.json"
    path.rename(copy / "kept.json")
    path.symlink_to("kept.json")
    load(copy)
    (copy.parent / "link").symlink_to(copy)  # of a directory nothing is expected
    load(copy.parent / "link")
    path.unlink()
    path.symlink_to(trained / "words.json")
    found = (trained / "words.json").resolve()
    assert fault_of(copy) == f"{path}: expected a file of the model's own, found a link to {found}"
    path.unlink()
    path.symlink_to("words.json")
    assert fault_of(copy).startswith(f"{path}: cannot be read: ")


@pytest.mark.parametrize("name", ["words.json", "weights.safetensors"])
def test_a_file_of_another_size_is_not_read(name: str, copy: Path) -> None:
    """A terabyte without content takes no room on the disk, and would take all memory."""
    size = (copy / name).stat().st_size
    with open(copy / name, "r+b") as stream:
        try:
            stream.truncate(1 << 40)
        except OSError:
            pytest.skip("the file system has no files so large")
    found = f"expected {size} bytes, as config.json says, found {1 << 40}"
    assert fault_of(copy) == f"{copy / name}: damaged: {found}"


def test_a_configuration_beyond_all_measure_is_not_read(copy: Path) -> None:
    with open(copy / "config.json", "r+b") as stream:
        stream.truncate((1 << 20) + 1)
    assert fault_of(copy) == f"{copy / 'config.json'}: expected at most 1,048,576 bytes, found 1,048,577"


def test_lists_too_deep_to_be_written_are_damage(copy: Path) -> None:
    deep = (
        (copy / "config.json")
        .read_bytes()
        .replace(b'"settings"', b'"x": ' + b"[" * 600 + b"]" * 600 + b', "settings"', 1)
    )
    (copy / "config.json").write_bytes(deep)
    assert fault_of(copy).startswith(f"{copy / 'config.json'}: damaged: ")


@pytest.mark.parametrize("value", [None, [], "words.json", 3])
def test_files_must_be_listed_with_their_checksums(copy: Path, value: object) -> None:
    forge(copy, lambda config: config.update(files=value))
    found = type(value).__name__
    expected = "expected the model's files with their checksums"
    assert fault_of(copy) == f"{copy / 'config.json'}: {expected}, found {found}"


@pytest.mark.parametrize("entry", [None, {}, {"bytes": 6}, "0", {"bytes": True}, {"bytes": -1}, {"bytes": "6"}])
def test_a_checksum_of_another_form_agrees_with_nothing(copy: Path, entry: object) -> None:
    forge(copy, lambda config: config["files"].update({"words.json": entry}))
    assert fault_of(copy).startswith(f"{copy / 'words.json'}: damaged: ")


def test_a_file_that_a_model_needs_must_be_listed(copy: Path) -> None:
    forge(copy, lambda config: config["files"].pop("labels.json"))
    assert fault_of(copy) == (
        f"{copy}: labels.json is missing among the model's files: "
        "characters.json, report.json, splitter.json, words.json"
    )


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda config: config.pop("settings"), "damaged: 'settings'"),
        (lambda config: config.update(settings=[]), "damaged: "),
        (lambda config: config.update(settings={"encoder": 3}), "encoder: expected a section, found 3"),
        (
            lambda config: config["settings"]["encoder"].update(hidden=0),
            "encoder.hidden: expected at least",
        ),
        (lambda config: config["settings"]["encoder"].update(hidden=9), "weights do not fit the model's settings: "),
        (lambda config: config["settings"]["encoder"].update(layers=2), "weights do not fit the model's settings: "),
        (
            lambda config: config["settings"]["embedding"].update(chars="none"),
            "weights do not fit the model's settings: ",
        ),
    ],
)
def test_settings_must_be_whole_and_fit_the_weights(
    copy: Path, change: Callable[[dict[str, Any]], Any], fault: str
) -> None:
    forge(copy, change)
    message = fault_of(copy)
    assert message.startswith(f"{copy}: ")
    assert fault in message
    assert "\n" not in message


def test_weights_must_be_safetensors(copy: Path) -> None:
    content = b"\x80\x04pickle"
    (copy / "weights.safetensors").write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    forge(copy, lambda config: config["files"].update({"weights.safetensors": entry}))
    found = "Error while deserializing: header too large"
    assert fault_of(copy) == f"{copy / 'weights.safetensors'}: damaged: expected tensors, found: {found}"


# --- writing -----------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    files = {"a.json": b"[]", "b.bin": bytes(range(256)), "README.md": b"# Hello"}
    write_config(tmp_path / "deep" / "model", {"settings": {"x": [1, 2.5, "é\ud800", None, True]}}, files)
    config, found = read_config(tmp_path / "deep" / "model")
    assert config["settings"] == {"x": [1, 2.5, "é\ud800", None, True]}
    assert found == {name: files[name] for name in ("a.json", "b.bin")}
    assert not list(tmp_path.rglob("*.part"))


def test_one_renaming_makes_the_old_model_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"words.json": b"[]", "vectors.json": b"{}", "weights.safetensors": b"old", "README.md": b"# Old"}
    new = {"words.json": b"[]", "weights.safetensors": b"new", "labels.json": b"[]", "README.md": b"# New"}
    write_config(tmp_path, {"of": "old"}, old)
    found: list[tuple[str, str]] = []
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        found.append((target.name, version_in(tmp_path, old, new)))
        replace(source, target)
        found.append((target.name, version_in(tmp_path, old, new)))

    monkeypatch.setattr("seqkit.files.os.replace", watched)
    write_config(tmp_path, {"of": "new"}, new)
    # words.json has the same content in both, and is not written again.
    assert [name for name, _ in found[::2]] == ["config.json", "weights.safetensors", "labels.json", "README.md"]
    assert [version for _, version in found] == ["old", *["new"] * 7]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "config.json"} == new


def version_in(directory: Path, old: dict[str, bytes], new: dict[str, bytes]) -> str:
    config, files = read_config(directory)
    expected = {name: data for name, data in (old if config["of"] == "old" else new).items() if name != "README.md"}
    assert files == expected
    return str(config["of"])


@pytest.mark.parametrize("name", ["os.fsync", "open", "os.replace"])
def test_where_nothing_can_be_written_the_old_model_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"words.json": b"[]", "weights.safetensors": b"old", "README.md": b""}
    write_config(tmp_path, {"of": "old"}, old)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"seqkit.files.{name}", full, raising=False)
    with pytest.raises(ModelError) as caught:
        write_config(tmp_path, {"of": "new"}, {"words.json": b"[1]", "weights.safetensors": b"new"})
    place = tmp_path / ("words.json" if name == "os.fsync" else "config.json")
    fault = "read" if name == "open" else "written"
    assert str(caught.value) == f"{place}: cannot be {fault}: No space left on device"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_a_model_that_cannot_be_read_back_is_not_taken_for_one_that_was_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = {"words.json": b"[]"}, {"words.json": b"[1]"}
    write_config(tmp_path, {"of": "old"}, old)
    replace, opened = os.replace, artefact.open_regular

    def none_left(path: Path) -> Any:
        raise OSError(24, "Too many open files")

    def then_none(source: Path, target: Path) -> None:
        replace(source, target)
        monkeypatch.setattr(artefact, "open_regular", none_left if target.name == "config.json" else opened)

    monkeypatch.setattr("seqkit.files.os.replace", then_none)
    write_config(tmp_path, {"of": "new"}, new)
    monkeypatch.undo()
    assert version_in(tmp_path, old, new) == "new"

    def interrupted(source: Path, target: Path) -> None:
        then_none(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr("seqkit.files.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_config(tmp_path, {"of": "old"}, old)
    monkeypatch.undo()
    assert version_in(tmp_path, old, new) == "old"


def test_what_a_killed_process_left_is_flushed_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been killed before it flushed it: after a loss of power the file would be empty."""
    left = tmp_path / f"words.json.{hashlib.sha256(b'[1]').hexdigest()[:16]}"
    left.write_bytes(b"[1]")
    flushed: list[os.stat_result] = []
    names: list[int] = []
    monkeypatch.setattr("seqkit.files.os.fsync", lambda handle: flushed.append(os.fstat(handle)))
    replace = os.replace

    def counted(source: Path, target: Path) -> None:
        names.append(len(flushed))
        replace(source, target)

    monkeypatch.setattr("seqkit.files.os.replace", counted)
    write_config(tmp_path, {}, {"words.json": b"[1]"})
    assert read_config(tmp_path)[1] == {"words.json": b"[1]"}
    before_it_is_named = flushed[: names[0]]
    assert (tmp_path / "words.json").stat().st_ino in [about.st_ino for about in before_it_is_named]


def test_a_model_that_is_written_to_and_fro_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the same ``config.json`` does not mean that nothing was written in between."""
    models = [("old", {"words.json": b"[]"}), ("new", {"words.json": b"[1]"})]

    def write(number: int) -> None:
        write_config(tmp_path, {"of": models[number][0]}, models[number][1])

    write(0)
    read, looks = artefact._read_configuration, []

    def overtaken(directory: Path) -> Any:
        looks.append(directory)
        if len(looks) > 1:
            write(0)
        found = read(directory)
        if len(looks) < 4:
            write(1)
        return found

    monkeypatch.setattr(artefact, "_read_configuration", overtaken)
    config, files = read_config(tmp_path)
    assert (config["of"], files) == models[0]
    assert len(looks) == 4


def test_files_that_cannot_be_renamed_are_read_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where a file that somebody reads keeps its name."""
    write_config(tmp_path, {"of": "old"}, {"words.json": b"[]", "README.md": b"# Old"})
    replace = os.replace

    def busy(source: Path, target: Path) -> None:
        if target.name == "words.json":
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr("seqkit.files.os.replace", busy)
    write_config(tmp_path, {"of": "new"}, {"words.json": b"[1]", "README.md": b"# New"})
    monkeypatch.undo()
    assert (tmp_path / "words.json").read_bytes() == b"[]"
    assert read_config(tmp_path)[1] == {"words.json": b"[1]"}
    artefact.complete(tmp_path)
    assert (tmp_path / "words.json").read_bytes() == b"[1]"
    assert read_config(tmp_path)[1] == {"words.json": b"[1]"}


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"# Mine")
    with pytest.raises(ModelError) as caught:
        write_config(tmp_path, {}, {"words.json": b"[]", "README.md": b""})
    assert str(caught.value) == f"{tmp_path}: expected a model or no files of its names, found README.md"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"README.md": b"# Mine"}


def test_a_file_is_no_model(copy: Path) -> None:
    path = copy / "config.json"
    assert fault_of(path) == f"{path}: expected a model directory with config.json, found a file"


@pytest.mark.parametrize("place", ["", "a\0b", 3, None])
def test_a_directory_has_a_name(place: Any, copy: Path) -> None:
    for use in (load, load(copy).save):
        with pytest.raises(SettingsError) as caught:
            use(place)
        assert str(caught.value) == f"a model's directory must be a path, found {shown(place)}"


def test_a_name_aside_leads_nowhere_else(copy: Path) -> None:
    """The checksum is a part of the name of a file that is not in place yet."""
    secret = copy.parent / "secret"
    secret.write_bytes(b"[]")
    entry = {"bytes": 2, "sha256": "/../../secret"}
    forge(copy, lambda config: config["files"].update({"words.json": entry}))
    found = f"damaged: expected its size and checksum in config.json, found {shown(entry)}"
    assert fault_of(copy) == f"{copy / 'words.json'}: {found}"


def test_a_failed_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqkit.files.os.fsync", full)
    with pytest.raises(ModelError) as caught:
        write_atomically(path, b"new")
    assert str(caught.value) == f"{path}: cannot be written: No space left on device"
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_writing_below_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match=r"file/a: cannot be written: "):
        write_atomically(tmp_path / "file" / "a", b"")


# --- nothing in the package executes what it reads ---------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_pickle_anywhere(path: Path) -> None:
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    calls = {"eval", "exec", "torch.load", "torch.save", "np.load", "numpy.load", "torch.jit.load", "torch.package"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not modules & {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in modules
        elif isinstance(node, ast.Call):
            plain = any(ast.unparse(each) == "allow_pickle=False" for each in node.keywords)
            assert plain or ast.unparse(node.func) not in calls
        elif isinstance(node, ast.keyword):
            assert node.arg != "allow_pickle" or ast.unparse(node.value) == "False"
