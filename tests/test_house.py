from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import seqkit
from seqkit import resources
from seqkit.config import load_recipe, recipe_names
from seqkit.errors import SeqkitError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["datasets", "tasks"])
def test_resources_are_found_in_a_checkout(name: str) -> None:
    assert resources.resource_dir(name) == ROOT / name


@pytest.mark.parametrize("name", ["datasets", "tasks"])
def test_resources_are_found_in_an_installed_package(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "seqkit"
    (package / "_resources" / name).mkdir(parents=True)
    (tmp_path / "site-packages" / name).mkdir()  # another project's package of that name, such as Hugging Face's
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.resource_dir(name) == package / "_resources" / name


def test_another_projects_package_is_never_taken_for_the_resources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets").mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "seqkit")
    with pytest.raises(SeqkitError) as caught:
        resources.resource_dir("datasets")
    assert str(caught.value) == (
        "the folder 'datasets' of this installation of seqkit is missing; install seqkit again"
    )


def test_version_of_package_project_and_installation_agree(project: dict) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", seqkit.__version__)
    assert project["tool"]["hatch"]["version"]["path"] == "seqkit/_version.py"  # said once, read by the build
    try:
        installed = importlib.metadata.version(project["project"]["name"])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("seqkit runs from the checkout, not installed")
    assert installed == seqkit.__version__


@pytest.mark.parametrize("launcher", [["cli.py"], ["-m", "seqkit"]])
def test_launchers_answer_with_the_version(launcher: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, *launcher, "--version"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert seqkit.__version__ in result.stdout.split()


def test_every_direct_dependency_is_pinned_and_nothing_names_a_place(project: dict) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pin = re.compile(r"([A-Za-z0-9._-]+)==[A-Za-z0-9.]+(; python_version (?:>=|<) '3\.\d+')?")
    pins = [pin.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(pins), "expected only lines of the form name==version, with at most a Python version"
    pinned = {normalised(match[1]) for match in pins if match}
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    missing = {normalised(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in wanted} - pinned
    assert not missing


def test_the_old_torch_is_pinned_with_what_else_has_to_be_old(project: dict) -> None:
    lines = (ROOT / "constraints-torch23.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert {"torch", "torchtext", "numpy"} <= set(pins)
    usual = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert not {f"{name}=={version}" for name, version in pins.items()} & set(usual)
    for name in ("torch", "numpy"):  # the oldest that are promised are those that are tested
        (oldest,) = [line.split(">=")[1] for line in project["project"]["dependencies"] if line.startswith(f"{name}>=")]
        assert pins[name].startswith(f"{oldest}."), name


def test_every_package_that_is_imported_is_a_declared_dependency(project: dict) -> None:
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *(each for name in extras if name != "dev" for each in extras[name])]
    declared = {normalised(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in wanted}
    homes = importlib.metadata.packages_distributions()  # sklearn → scikit-learn
    imported: set[str] = set()
    for path in (ROOT / "seqkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0] for name in names}
    foreign = imported - sys.stdlib_module_names - {"seqkit", "tomllib"}
    assert {"torch", "requests"} <= foreign
    undeclared = {name for name in foreign if not declared & {normalised(home) for home in homes.get(name, [name])}}
    assert not undeclared


def test_wheel_holds_package_recipes_and_cards(tmp_path: Path) -> None:
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, of the dev extra")
    (wheel,) = hatchling.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        texts = [archive.read(name).decode() for name in names if ".dist-info/" in name and "licenses" not in name]
    assert {name.split("/")[0] for name in names} == {"seqkit", f"seqkit_nlp-{seqkit.__version__}.dist-info"}
    for folder in ("datasets", "tasks"):
        paths = [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()]
        expected = {f"seqkit/_resources/{path.as_posix()}" for path in paths}
        assert expected == {name for name in names if name.startswith(f"seqkit/_resources/{folder}/")}
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "seqkit").rglob("*.py")}
    assert modules <= set(names)
    assert str(ROOT) not in "".join(texts)


def test_every_recipe_says_the_score_it_reached() -> None:
    for name in recipe_names():
        assert load_recipe(name).scores, name


def test_documents_are_finished() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]:
        assert "@@" not in document.read_text(encoding="utf-8"), document
