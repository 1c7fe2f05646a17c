"""Imports run one way, `nn` needs only torch, help needs neither torch nor numpy, and names stand in one place."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from seqkit.cli.main import COMMANDS
from seqkit.config import EncoderSettings
from seqkit.heads.base import Head
from seqkit.heads.classification.settings import ClassifySettings
from seqkit.heads.generation.settings import GenerateSettings
from seqkit.inputs.base import Input
from seqkit.inputs.settings import EmbeddingSettings
from seqkit.model.base import Predictor
from seqkit.nn.embedding import CHARACTER_FEATURES
from seqkit.nn.encoder import CONCATS, DIRECTIONS, SKIPS
from seqkit.nn.pooling import POOLINGS
from seqkit.nn.recurrent import CELLS, INITS
from seqkit.resources import imported
from seqkit.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "seqkit").rglob("*.py"))
FRONT, LAUNCHER = ROOT / "seqkit" / "__init__.py", ROOT / "seqkit" / "__main__.py"


def relative_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


TIERS = (
    {"_version", "errors", "terminal"},
    {"files", "waiting"},
    {"toml", "resources"},
    {"records", "tasks", "devices"},
    {"config", "torchrun"},
    {"nn", "formats", "ngram"},
    {"metrics"},
    {"corpora"},
    {"inputs"},
    {"heads"},
    {"model"},
    {"serving", "training"},
    {"lab", "bench", "interop"},
    {"cli"},
    {"__main__"},
)
"""parts of seqkit: each may import those of earlier tiers, and itself"""
ALLOWED = {part: set().union(*TIERS[:number]) for number, tier in enumerate(TIERS) for part in tier}
ALLOWED["nn"] = set()


def part_of(module: str) -> str:
    """``seqkit.nn.crf`` → ``nn``."""
    return [*module.split("."), ""][1]


def imports(path: Path) -> list[tuple[int, str]]:
    """Line and full name of every module that a file imports, at its top or in a function, outside TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hints = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if id(node) in hints:
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: expected an absolute import"
            module = str(node.module)
            # `from seqkit import x` may take a module: then it is that module that is imported.
            parts = [
                alias.name for alias in node.names if (ROOT / module.replace(".", "/") / f"{alias.name}.py").is_file()
            ]
            found += [(node.lineno, f"{module}.{part}") for part in parts] or [(node.lineno, module)]
    return found


@pytest.mark.parametrize("path", [path for path in MODULES if path != FRONT], ids=relative_name)
def test_imports_run_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT / "seqkit")
    part = relative.parts[0].removesuffix(".py")
    assert part in ALLOWED, f"say in this file what {part} may import"
    for line, module in imports(path):
        if module.split(".")[0] == "seqkit":
            assert part_of(module) in {part, *ALLOWED[part]}, f"{relative}:{line}: {part} must not import {module}"
        elif part == "nn":
            top = module.split(".")[0]
            assert top == "torch" or top in sys.stdlib_module_names, f"{relative}:{line}: nn must not import {module}"


def test_no_module_imports_itself_indirectly() -> None:
    """Also through the packages around a module, whose ``__init__`` runs first."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in MODULES}
    needs: dict[str, set[str]] = {name: set() for name in names.values()}
    for path, name in names.items():
        for _, module in imports(path):
            parts = module.split(".")
            needs[name] |= {".".join(parts[:size]) for size in range(1, len(parts) + 1)} & needs.keys() - {name}
        if path.name == "__init__.py":  # a package and its modules are one: what the modules import comes after it
            needs[name] = {module for module in needs[name] if not module.startswith(f"{name}.")} | {
                module for _, module in imports(path) if module in needs
            }
    done: set[str] = set()
    while len(done) < len(needs):
        ready = {name for name, others in needs.items() if name not in done and others <= done | parents(name)}
        assert ready, f"circle among {sorted(set(needs) - done)}"
        done |= ready


def parents(module: str) -> set[str]:
    """The packages that a module is in."""
    parts = module.split(".")
    return {".".join(parts[:size]) for size in range(1, len(parts))}


def test_importing_seqkit_imports_none_of_its_parts() -> None:
    assert {part_of(module) for _, module in imports(FRONT) if "seqkit" in module} == {"_version"}


def loaded_after(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after a statement."""
    code = f"import sys\n{statement}\nprint('', *sorted({{name.split('.')[0] for name in sys.modules}}), sep='\\n')"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split("\n"))


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        ["--help"],
        ["--version"],
        ["tag", "--help"],
        ["tag", "train", "--help"],
        ["tag", "evaluate", "--help"],
        ["tag", "predict", "--help"],
        ["classify", "train", "--help"],
        ["lm", "train", "--help"],
        ["lm", "sample", "--help"],
        ["generate", "sample", "--help"],
        ["lab", "--help"],
        ["lab", "gradients", "--help"],
        ["lab", "memory", "--help"],
        ["lab", "compare", "--help"],
        ["lab", "gates", "--help"],
        ["data", "--help"],
        ["data", "check", "--help"],
        ["info", "--help"],
        ["bench", "--help"],
    ],
    ids=lambda arguments: "import" if arguments is None else " ".join(arguments),
)
def test_help_and_import_load_neither_torch_nor_numpy(arguments: list[str] | None) -> None:
    statement = "import seqkit"
    if arguments is not None:
        statement = f"from seqkit.cli.main import main\nassert main({arguments!r}) == 0"
    loaded = loaded_after(statement)
    assert "seqkit" in loaded
    assert not loaded & {"torch", "numpy", "sklearn", "seqeval", "tokenizers", "matplotlib", "pooch", "safetensors"}


def test_every_public_name_is_importable() -> None:
    seqkit = importlib.import_module("seqkit")
    assert sorted(seqkit.__all__) == list(seqkit.__all__)
    assert set(seqkit.__all__) <= set(dir(seqkit))
    for name in seqkit.__all__:
        assert getattr(seqkit, name).__doc__, name
    with pytest.raises(AttributeError) as caught:
        _ = seqkit.no_such_name
    assert str(caught.value) == "module 'seqkit' has no attribute 'no_such_name'"


@pytest.mark.parametrize("path", [path for path in MODULES if path != LAUNCHER], ids=relative_name)
def test_every_name_in_all_exists(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    missing = [name for name in getattr(module, "__all__", []) if not hasattr(module, name)]
    assert not missing


@pytest.mark.parametrize(
    ("section", "field", "names"),
    [
        (EncoderSettings, "cell", tuple(CELLS)),
        (EncoderSettings, "direction", DIRECTIONS),
        (EncoderSettings, "concat", CONCATS),
        (EncoderSettings, "skip", SKIPS),
        (EncoderSettings, "init", INITS),
        (EmbeddingSettings, "chars", (*CHARACTER_FEATURES, "none")),
        (type(ClassifySettings().head), "pool", tuple(POOLINGS)),
        (type(GenerateSettings().head), "pool", tuple(POOLINGS)),
    ],
)
def test_settings_offer_what_nn_has(section: type, field: str, names: tuple[str, ...]) -> None:
    assert get_args(section.model_fields[field].annotation) == names


@pytest.mark.parametrize("task", TASKS)
def test_a_row_of_the_table_names_what_there_is(task: str) -> None:
    row = TASKS[task]
    settings = row.settings_class()()
    assert (row.name, settings.task) == (task, task)
    assert task not in COMMANDS
    assert issubclass(imported(row.input), Input)
    assert issubclass(imported(row.head), Head)
    assert all(issubclass(imported(place), Predictor) for place in row.models.values())
    assert issubclass(row.model_class(settings), Predictor)
    for setting in row.flags.values():
        section, name = setting.split(".")
        assert hasattr(getattr(settings, section), name), setting


def test_tasks_are_listed_in_the_table_alone() -> None:
    """No other module spells the names of two tasks or more; settings spell their own."""
    for path in MODULES:
        if path.name in ("tasks.py", "settings.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in TASKS}
        assert len(found) < 2, f"{relative_name(path)}: {sorted(found)}"


def test_prediction_loads_only_what_it_needs(trained: Path) -> None:
    code = (
        "import io, sys\n"
        "sys.stdin = io.TextIOWrapper(io.BytesIO(b'Ada met him\\n'))\n"
        "from seqkit.cli.main import main\n"
        f"assert main(['tag', '-m', {str(trained)!r}, '--quiet']) == 0\n"
        "print('', *sys.modules, sep='\\n')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(result.stdout.split("\n"))
    assert {"torch", "tokenizers", "seqkit.model.tagger"} <= loaded
    packages = {"sklearn", "scipy", "seqeval", "matplotlib", "pandas", "sympy", "onnx", "pooch", "requests", "rich"}
    assert not loaded & (packages | {"torch._dynamo", "torch._inductor", "torch.onnx", "torch.utils.tensorboard"})
    assert not {name for name in loaded if name.startswith(("seqkit.training", "seqkit.lab"))}
