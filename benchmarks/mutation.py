"""How many small faults in the code the tests notice: mutants of modules, each run against the tests closest to it.

    SEQKIT_DATA=../shared/data python benchmarks/mutation.py --count 200 --seed 1 [--only seqkit/inputs/*] [--again]

Draws mutants from the modules of `TESTS`, in proportion to their lines, and from a line at most one. Each is written
into a copy of the tree, in which its tests run: the closest first, then the wider ones. A mutant is caught if a test
fails, or if they hang. Results are appended to ``--output``, one JSON object a line, and a run that stopped goes on
from there; ``--again`` runs the mutants that survived once more. Exits with status 1 if some did.
Each run of the tests is a fork of a process that has imported torch and all else that takes long. Linux only.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import difflib
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS: dict[str, tuple[str, str]] = {
    # pattern of modules → the closest test files, and wider ones; the first pattern that fits is taken
    "seqkit/inputs/arrays.py": ("inputs/test_arrays inputs/test_vocabulary inputs/test_context", "words"),
    "seqkit/inputs/base.py": ("model/test_restoring model/test_predict model/test_classifier", "words"),
    "seqkit/inputs/batching.py": ("inputs/test_batching", "words"),
    "seqkit/inputs/building.py": ("model/test_restoring model/test_build inputs/test_pretrained", "words"),
    "seqkit/inputs/conditions.py": ("inputs/test_conditions", "text"),
    "seqkit/inputs/context.py": ("inputs/test_context", "words"),
    "seqkit/inputs/lookup.py": ("model/test_predict model/test_restoring inputs/test_context", "words"),
    "seqkit/inputs/pretrained.py": ("inputs/test_pretrained inputs/test_pretrained_writing", "words"),
    "seqkit/inputs/segmentation.py": ("inputs/test_segmentation inputs/test_streams", "text"),
    "seqkit/inputs/settings.py": ("test_config inputs/test_pretrained", "words"),
    "seqkit/inputs/streams.py": ("inputs/test_streams inputs/test_segmentation", "text"),
    "seqkit/inputs/units.py": ("model/test_predict model/test_generator model/test_restoring", "text"),
    "seqkit/inputs/vocabulary.py": ("inputs/test_vocabulary", "words"),
    "seqkit/inputs/words.py": (
        "model/test_predict model/test_requests model/test_restoring inputs/test_context",
        "words",
    ),
    "seqkit/nn/crf.py": ("nn/test_crf", "crf"),
    "seqkit/nn/chain.py": ("nn/test_chain nn/test_crf", "crf"),
    "seqkit/nn/viterbi.py": ("nn/test_crf", "crf"),
    "seqkit/model/base.py": ("model/test_predict model/test_build model/test_evaluate", "model"),
    "seqkit/model/classifier.py": ("model/test_classifier", "model"),
    "seqkit/model/files.py": ("model/test_files", "model"),
    "seqkit/model/generator.py": ("model/test_generator", "model"),
    "seqkit/model/gold.py": ("model/test_evaluate model/test_classifier", "model"),
    "seqkit/model/language_model.py": ("model/test_language_model", "model"),
    "seqkit/model/loading.py": (
        "model/test_restoring formats/test_formats model/test_ngram_model model/test_loading",
        "model",
    ),
    "seqkit/model/ngram_model.py": ("model/test_ngram_model training/test_ngram", "model"),
    "seqkit/model/pipeline.py": ("model/test_predict model/test_memory model/test_precision", "model"),
    "seqkit/model/requests.py": ("model/test_requests", "model"),
    "seqkit/model/restoring.py": ("model/test_restoring", "model"),
    "seqkit/model/scoring.py": ("model/test_evaluate model/test_language_model", "model"),
    "seqkit/model/tagger.py": ("model/test_tagger", "model"),
    "seqkit/model/writing.py": ("model/test_generator model/test_language_model", "model"),
    "seqkit/training/checkpoint.py": ("training/test_checkpoint", "training"),
    "seqkit/training/distribution.py": ("training/test_synchronisation", "distribution"),
    "seqkit/training/learner.py": ("training/test_stepping training/test_language_model", "training"),
    "seqkit/model/lock.py": ("training/test_lock", "training"),
    "seqkit/training/optimisation.py": ("training/test_optimisation training/test_trainer", "training"),
    "seqkit/training/output.py": ("training/test_run", "training"),
    "seqkit/training/prepare.py": ("training/test_run training/test_transfer", "training"),
    "seqkit/training/progress.py": ("training/test_trainer", "training"),
    "seqkit/training/run.py": ("training/test_run", "training"),
    "seqkit/training/serialising.py": ("training/test_checkpoint", "training"),
    "seqkit/training/signals.py": ("training/test_trainer_resumed training/test_resume", "training"),
    "seqkit/training/stepping.py": (
        "training/test_stepping training/test_trainer training/test_trainer_faults",
        "training",
    ),
    "seqkit/training/streams.py": ("training/test_language_model training/test_stepping", "training"),
    "seqkit/training/trainer.py": (
        "training/test_trainer training/test_trainer_resumed training/test_trainer_faults training/test_stepping",
        "training",
    ),
    "seqkit/training/transfer.py": ("training/test_transfer", "training"),
}
_TASKS = "model/test_tagger model/test_classifier model/test_language_model model/test_generator"
WIDER = {
    "words": f"test_extension model/test_restoring model/test_files training/test_resume {_TASKS} training/test_run "
    "training/test_transfer cli/test_tag interop/test_torchtext",
    "text": f"model/test_restoring {_TASKS} heads training/test_language_model training/test_generation "
    "training/test_run cli/test_lm cli/test_generate",
    "crf": "heads/test_tagging heads/test_tagging_decoding model/test_tagger",
    "model": f"{_TASKS} model/test_predict model/test_evaluate model/test_restoring model/test_precision "
    "model/test_memory model/test_requests training/test_run heads",
    "training": "training/test_resume training/test_run training/test_repeatable training/test_synchronisation "
    "training/test_language_model training/test_generation training/test_transfer training/test_checkpoint",
    "distribution": "training/test_distribution",
}
HELD = {"left": "right", "right": "left"}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "reversed": "list"}
UNWRAPPED = {"abs", "bool", "finite", "float", "int", "round", "set", "shown", "sorted", "str"}
COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
CALCULATED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add,
    ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
LONGEST = 100.0
"""seconds a test file after which tests are said to hang"""


@dataclass(frozen=True)
class Mutant:
    """A change to a module: its bytes from `begin` to `end` become `text`."""

    path: str
    line: int
    begin: int
    end: int
    text: str
    kind: str


# --- making them --------------------------------------------------------------------------------------------------


def mutants_of(path: str) -> list[Mutant]:
    """All mutants of a module."""
    source = (ROOT / path).read_bytes()
    starts = [0]
    for row in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    found: dict[tuple[int, int, str], Mutant] = {}
    for node, kind, text in _changes(ast.parse(source)):
        assert (
            isinstance(node, (ast.expr, ast.stmt)) and node.end_lineno is not None and node.end_col_offset is not None
        )
        if isinstance(node, ast.expr) and ast.dump(ast.parse(text, mode="eval").body) == ast.dump(node):
            continue
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        found.setdefault((begin, end, text), Mutant(path, node.lineno, begin, end, text, kind))
    return list(found.values())


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """What runs of a tree: not annotations, f-strings (whose places Python 3.11 does not know), messages of faults."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns") or isinstance(
            node, (ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)
        ):
            continue
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _code(child)


def _changes(tree: ast.AST) -> Iterator[tuple[ast.AST, str, str]]:
    """Nodes of a tree, each with a kind of change and its text afterwards."""
    for node in _code(tree):
        if isinstance(node, ast.expr):
            for kind, changed in _expressions(node):
                yield node, kind, f"({ast.unparse(changed)})"
        else:
            for kind, text in _statements(node):
                yield node, kind, text
        if isinstance(node, ast.Call):
            if len(node.args) > 1:
                yield node, "argument dropped", ast.unparse(_without(node, "args", -1))
            for place in range(len(node.keywords)):
                yield node, "argument dropped", ast.unparse(_without(node, "keywords", place))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            for name in ("lower", "upper", "step"):
                if getattr(node.slice, name) is not None:
                    cut = copy.deepcopy(node)
                    setattr(cut.slice, name, None)
                    yield node, "slice", ast.unparse(cut)
        tested = [node.test] if isinstance(node, (ast.If, ast.IfExp, ast.While)) else []
        for test in [*tested, *(node.ifs if isinstance(node, ast.comprehension) else [])]:
            for value in ("True", "False"):
                if not (isinstance(node, ast.While) and value == "True"):
                    yield test, "condition", value
        if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Tuple):
            for place in range(len(node.type.elts)):
                yield node.type, "exception", ast.unparse(_without(node.type, "elts", place))


def _without(node: Any, name: str, place: int) -> Any:
    changed = copy.deepcopy(node)
    del getattr(changed, name)[place]
    return changed


def _expressions(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    changed: Any = copy.deepcopy(node)
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            changed = copy.deepcopy(node)
            changed.ops[place] = COMPARED[type(operator)]()
            yield "comparison", changed
    elif isinstance(node, ast.BinOp) and type(node.op) in CALCULATED and not _is_union(node):
        changed.op = CALCULATED[type(node.op)]()
        yield "arithmetic", changed
    elif isinstance(node, ast.BoolOp):
        changed.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield "and, or", changed
        for place in range(len(node.values)):
            one = _without(node, "values", place)
            yield "and, or", one.values[0] if len(one.values) == 1 else one
    elif isinstance(node, ast.UnaryOp):
        yield "not, minus", node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield "constant", ast.Constant(node.value + 1)
        yield "constant", ast.Constant(node.value - 1)
    elif isinstance(node, ast.Constant) and node.value in HELD:
        yield "constant", ast.Constant(HELD[str(node.value)])
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in SWAPPED:
            changed.func.id = SWAPPED[node.func.id]
            yield "function", changed
        if isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
            yield "call removed", node.func.value
        if isinstance(node.func, ast.Name) and len(node.args) == 1 and node.func.id in UNWRAPPED:
            yield "call removed", node.args[0]


def _is_union(node: ast.BinOp) -> bool:
    """Whether it may be of types, ``int | str``."""
    parts = [part for side in (node.left, node.right) for part in ast.walk(side)]
    types = {"int", "float", "str", "bool", "list", "tuple", "dict", "NDArray", "Tensor", "Path", "bytes", "Sequence"}
    named = {part.id for part in parts if isinstance(part, ast.Name)}
    return isinstance(node.op, ast.BitOr) and bool(named & types) and not any(isinstance(p, ast.Dict) for p in parts)


def _statements(node: ast.AST) -> Iterator[tuple[str, str]]:
    removed = isinstance(node, (ast.AugAssign, ast.Delete, ast.Raise, ast.Break, ast.Continue))
    removed |= isinstance(node, ast.Expr) and not isinstance(node.value, (ast.Constant, ast.Yield, ast.YieldFrom))
    # A variable that is not there is noticed by any test.
    removed |= isinstance(node, ast.Assign) and not isinstance(node.targets[0], (ast.Name, ast.Tuple))
    if removed:
        yield "statement removed", "pass"
    elif isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield "return value", "return None"


def lines_of(path: str) -> int:
    """How many lines of a module have code."""
    tree = ast.parse((ROOT / path).read_bytes())
    return len({node.lineno for node in _code(tree) if isinstance(node, (ast.expr, ast.stmt))})


def drawn(paths: list[str], count: int, seed: int) -> list[Mutant]:
    """Mutants of modules, as many of each as it has lines."""
    lines = {path: lines_of(path) for path in paths}
    left, total = count, sum(lines.values())
    chosen: list[Mutant] = []
    for path in paths:
        share = round(left * lines[path] / total) if total else 0
        left, total = left - share, total - lines[path]
        draw = random.Random(f"{seed} {path}")
        by_line: dict[int, list[Mutant]] = {}
        for mutant in mutants_of(path):
            by_line.setdefault(mutant.line, []).append(mutant)
        for line in draw.sample(sorted(by_line), min(share, len(by_line))):
            kinds = sorted({mutant.kind for mutant in by_line[line]})
            kind = draw.choice(kinds)
            chosen.append(draw.choice([mutant for mutant in by_line[line] if mutant.kind == kind]))
    return chosen


def difference(mutant: Mutant) -> str:
    """A mutant as the lines that it changes."""
    source = (ROOT / mutant.path).read_bytes()
    changed = source[: mutant.begin] + mutant.text.encode() + source[mutant.end :]
    rows = difflib.unified_diff(source.decode().splitlines(), changed.decode().splitlines(), lineterm="", n=0)
    return "\n".join(row for row in rows if not row.startswith(("---", "+++", "@@")))


def module_of(path: str) -> str:
    """The name of the module in a file."""
    return path.removesuffix(".py").replace("/", ".")


# --- running them -------------------------------------------------------------------------------------------------


def tests_of(path: str) -> list[list[str]]:
    """The closest test files of a module, and the wider ones."""
    closest, wider = next(tests for pattern, tests in TESTS.items() if fnmatch(path, pattern))
    near = [f"tests/{name}" if (ROOT / "tests" / name).is_dir() else f"tests/{name}.py" for name in closest.split()]
    wide = [
        f"tests/{name}" if (ROOT / "tests" / name).is_dir() else f"tests/{name}.py" for name in WIDER[wider].split()
    ]
    return [near, [name for name in wide if name not in near]]


class Copy:
    """A copy of the tree in which tests run, each time in a fork of this process.

    Args:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.temporary = folder / "temporary"
        unwanted = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, self.tree, ignore=unwanted)
        os.environ["PYTHONPATH"] = str(self.tree)
        self._importing = _import_all(self.tree)

    def run(self, files: list[str], changed: str = "") -> tuple[bool, str]:
        """Run tests.

        Args:
            files: the test files.
            changed: the name of the module that is not as it was imported.

        Returns:
            Whether all pass, and what was said at the end.
        """
        log = self.tree.parent / "log"
        child = os.fork()
        if not child:
            os.setsid()
            with open(os.devnull, "rb") as nothing, open(log, "wb") as stream:
                os.dup2(nothing.fileno(), 0)
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            status = 99
            try:
                os.chdir(self.tree)
                _forget_modules(self._importing.get(changed, set()))
                import pytest

                flags = ["-x", "-q", "-p", "no:cacheprovider", "--tb=line", "--hypothesis-seed=0"]
                flags += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what has been imported already
                status = pytest.main([*flags, f"--basetemp={self.temporary}", *files])
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(int(status))
        until = time.monotonic() + LONGEST * len(files)
        status = None
        while status is None and time.monotonic() < until:
            ended, code = os.waitpid(child, os.WNOHANG)
            status = os.waitstatus_to_exitcode(code) if ended else None
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if status is None:
            os.waitpid(child, 0)
        shutil.rmtree(self.temporary, ignore_errors=True)
        shutil.rmtree(self.tree / ".hypothesis", ignore_errors=True)
        said = log.read_text(errors="replace").splitlines()
        failed = [row for row in said if row.startswith(("FAILED", "ERROR"))]
        if status is None:
            return False, "hangs"
        return status == 0, (failed or [" ".join(said[-5:])])[-1][:300]

    def check(self, mutant: Mutant, closest: bool) -> dict[str, Any]:
        """Run a mutant's tests.

        Args:
            mutant: the mutant.
            closest: only the closest ones.

        Returns:
            Whether it was caught, and by what.
        """
        file = self.tree / mutant.path
        source = file.read_bytes()
        began = time.monotonic()
        file.write_bytes(source[: mutant.begin] + mutant.text.encode() + source[mutant.end :])
        self._forget(file)
        found: dict[str, Any] = {"caught": False, "by": ""}
        try:
            for files in tests_of(mutant.path)[: 1 if closest else 2]:
                passed, said = self.run(files, module_of(mutant.path))
                if not passed:
                    found = {"caught": True, "by": said}
                    break
        finally:
            file.write_bytes(source)
            self._forget(file)
        return {**found, "seconds": round(time.monotonic() - began, 1)}

    @staticmethod
    def _forget(file: Path) -> None:
        """Remove what is compiled of a module: it may have the same size and second."""
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()


def _import_all(tree: Path) -> dict[str, set[str]]:
    """Import all modules and what tests need; gives which modules import each of them, directly or not."""
    sys.path.insert(0, str(tree))
    files = {
        ".".join(file.relative_to(tree).with_suffix("").parts).removesuffix(".__init__"): file
        for file in sorted((tree / "seqkit").rglob("*.py"))
        if file.stem != "__main__"
    }
    importing: dict[str, set[str]] = {name: {name} for name in files}
    for name, file in files.items():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
        for node in ast.walk(ast.parse(file.read_bytes())):
            found = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            if isinstance(node, ast.ImportFrom):
                found = [str(node.module), *(f"{node.module}.{each}" for each in found)]
            for each in importing.keys() & set(found):
                importing[each].add(name)
    for middle in importing:  # Warshall's algorithm
        for users in importing.values():
            if middle in users:
                users |= importing[middle]
    for name in ("hypothesis", "pytest"):
        importlib.import_module(name)
    return importing


def _forget_modules(names: set[str]) -> None:
    """Let modules be imported anew."""
    # The package itself imports nothing before it is asked for, and has to keep its parts.
    for name in (names - {"seqkit"}) & sys.modules.keys():
        parent, _, child = name.rpartition(".")
        if hasattr(sys.modules.get(parent), child):
            delattr(sys.modules[parent], child)
        del sys.modules[name]


def main() -> int:
    """Draw mutants, run their tests, tell of the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="a pattern of modules")
    parser.add_argument("--again", action="store_true", help="only those of the output that survived")
    parser.add_argument("--closest", action="store_true", help="run only the closest tests")
    parser.add_argument("--output", type=Path, default=Path(tempfile.gettempdir()) / "mutation.jsonl")
    parser.add_argument("--folder", type=Path, help="where the tree is copied to")
    parser.add_argument("--list", action="store_true", help="only show them")
    arguments = parser.parse_args()
    paths = sorted(TESTS)
    wanted = [path for path in paths if any(fnmatch(path, only) for only in arguments.only or ["*"])]
    mutants = [mutant for mutant in drawn(paths, arguments.count, arguments.seed) if mutant.path in wanted]
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.path}:{mutant.line} {mutant.kind}\n{difference(mutant)}")
        return 0
    known: dict[str, dict[str, Any]] = {}
    if arguments.output.exists():
        for row in arguments.output.read_text().splitlines():
            known[json.loads(row)["key"]] = json.loads(row)
    os.nice(10)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # without the copy
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    results = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        copied = Copy(Path(folder))
        for number, mutant in enumerate(mutants, 1):
            shown = f"{mutant.path}:{mutant.line}"
            key = hashlib.sha256(
                f"{arguments.seed} {mutant.path} {difference(mutant)} {mutant.kind}".encode()
            ).hexdigest()
            if key in known and (known[key]["caught"] or not arguments.again):
                results.append(known[key])
                continue
            if arguments.again and key not in known:
                continue
            found = {
                "key": key,
                **asdict(mutant),
                "difference": difference(mutant),
                **copied.check(mutant, arguments.closest),
            }
            with arguments.output.open("a") as stream:
                stream.write(json.dumps(found) + "\n")
            results.append(found)
            told = f"caught by {found['by']}" if found["caught"] else f"SURVIVED\n{found['difference']}"
            print(f"{number}/{len(mutants)} {shown} {mutant.kind}, {found['seconds']} s: {told}", flush=True)
        survived = [found for found in results if not found["caught"]]
        stages = 1 if arguments.closest else 2
        for path in sorted({found["path"] for found in results} - {found["path"] for found in survived}):
            # Tests that pass with a mutant pass without one; those that caught all have to be shown to.
            passed, said = copied.run([name for files in tests_of(path)[:stages] for name in files], module_of(path))
            if not passed:
                raise SystemExit(f"without a mutant the tests of {path} fail: {said}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    print(f"\nseed {arguments.seed}, commit {commit.strip()}: {len(results) - len(survived)} of {len(results)} caught")
    for found in survived:
        print(f"{found['path']}:{found['line']} {found['kind']}\n{found['difference']}")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
