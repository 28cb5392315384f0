"""What the repository promises outside its code: layout, versions, sizes, light imports."""

import dataclasses
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import organnet
from organnet.layout import SHIPPED
from organnet.settings import (
    InferenceSettings,
    LossSettings,
    ModelSettings,
    PatchSettings,
    TrainingSettings,
)

LONGEST_FILE = 350
LARGEST_FILE_BYTES = 1_000_000
LARGEST_WEIGHTS_BYTES = 20_000_000
LISTS = sorted(path.stem for path in (REPOSITORY / "data" / "lists").glob("*.json"))
ABSOLUTE_PATH = re.compile(r"(?<![\w.$)}])/(home|root|Users|work)/")


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def project() -> dict:
    return tomllib.loads(read("pyproject.toml"))["project"]


def pins(lines: list[str]) -> dict[str, str]:
    """Version by package, of the lines that pin one."""
    pairs = (line.split(";")[0].split("==") for line in lines if "==" in line)
    return {canonicalize_name(name.strip()): version.strip() for name, version in pairs}


def lock() -> dict[str, str]:
    lines = read("requirements.lock").splitlines()
    return pins([line for line in lines if not line.startswith("#")])


def requirements() -> list[Requirement]:
    metadata = project()
    return [
        Requirement(line)
        for line in metadata["dependencies"] + metadata["optional-dependencies"]["test"]
    ]


def tracked_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if listing.returncode != 0:
        pytest.skip("this copy of the repository has no git history")
    paths = [REPOSITORY / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    """A tracked file's text; empty for a picture."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md"),
        *("Makefile", "pyproject.toml", "requirements.lock", "environment.yml", ".ci/run"),
        *("notebooks", "organnet", "tests", "figures", "data/README.md"),
        *("docs/design.md", "docs/choices.md"),
    ],
)
def test_layout(name: str):
    assert (REPOSITORY / name).exists()


def test_every_dependency_is_locked_within_its_range():
    for requirement in requirements():
        version = lock()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_lock_names_no_platform_and_no_place():
    text = read("requirements.lock")
    assert lock()["torch"] == "2.13.0"
    assert not re.search(r"^(nvidia|triton|cuda)", text, re.MULTILINE | re.IGNORECASE)
    assert all("==" in line or line.startswith("#") for line in text.splitlines())
    assert "://" not in text and "+" not in text


def test_conda_users_get_the_same_versions():
    dependencies = yaml.safe_load(read("environment.yml"))["dependencies"]
    by_pip = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    assert "--constraint requirements.lock" in by_pip
    expected = {canonicalize_name(requirement.name) for requirement in requirements()}
    assert pins(by_pip) == {name: lock()[name] for name in expected}


def test_version_is_one():
    version = project()["version"]
    assert organnet.__version__ == version
    assert str(yaml.safe_load(read("CITATION.cff"))["version"]) == version
    assert f"## [{version}]" in read("CHANGELOG.md")


def test_citation_names_the_eight_authors():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    paper = citation["references"][0]
    families = [author["family-names"] for author in paper["authors"]]
    assert families == ["Chen", "Li", "He", "Ye", "Song", "Wang", "Gu", "Qiao"]
    assert paper["doi"] == "10.1007/978-3-030-87193-2_54"


def test_files_stay_readable():
    lengths = {
        path.relative_to(REPOSITORY): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("organnet", "tests", "benchmarks")
        for path in (REPOSITORY / folder).rglob("*.py")
    }
    assert not {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE}


def test_no_tracked_file_is_large():
    for path in tracked_files():
        weights = path.parent == SHIPPED and path.suffix == ".safetensors"
        most = LARGEST_WEIGHTS_BYTES if weights else LARGEST_FILE_BYTES
        assert path.stat().st_size <= most, path


def test_no_tracked_file_names_a_place_on_one_machine():
    found = [path.name for path in tracked_files() if ABSOLUTE_PATH.search(text_of(path))]
    assert not found


def test_runs_and_data_are_not_tracked():
    names = [path.relative_to(REPOSITORY).as_posix() for path in tracked_files()]
    assert not [name for name in names if name.startswith("runs/")]
    data = [name for name in names if name.startswith("data/")]
    assert not [n for n in data if n != "data/README.md" and not n.startswith("data/lists/")]


def cases_of(name: str, split: str) -> set[str]:
    groups = json.loads(read(f"data/lists/{name}.json"))["groups"]
    return {case for group in groups if group["split"] == split for case in group["cases"]}


def openkbp_patients(cases: set[str]) -> set[str]:
    """pt_N of OpenKBP's own patients and of those that others drew again (SCAN__pt_N)."""
    return {case.split("__")[-1] for case in cases if "pt_" in case}


@pytest.mark.parametrize("name", LISTS)
def test_no_patient_is_trained_on_and_scored(name: str):
    trained, watched, scored = (
        openkbp_patients(cases_of(name, split)) for split in ("training", "validation", "test")
    )
    assert trained and scored
    assert not trained & scored
    assert not watched & (trained | scored)


def test_the_folds_score_every_person_once_and_train_on_none_of_their_scans():
    scans = [cases_of(f"fold{n}", "test") for n in range(4)]
    assert sum(len(fold) for fold in scans) == len(set.union(*scans)) == 12
    people = [{scan.split("__")[0] for scan in fold} for fold in scans]
    assert len(set.union(*people)) == 12
    for n, held_out in enumerate(people):
        trained = {case.split("__")[0] for case in cases_of(f"fold{n}", "training") if "__" in case}
        assert not trained & held_out
        assert len(trained | held_out) == 12
    base = openkbp_patients(cases_of("base", "training") | cases_of("base", "validation"))
    assert not base & openkbp_patients(set.union(*scans))


@pytest.mark.parametrize("module", ["organnet", "organnet.organs", "organnet.cli"])
def test_light_import(module: str):
    """Help and error messages must not wait for torch."""
    heavy = "{'torch', 'SimpleITK', 'matplotlib', 'pandas', 'itkwidgets'}"
    code = f"import sys, {module}; assert not {heavy} & sys.modules.keys(), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_links_between_documents_lead_somewhere():
    for path in REPOSITORY.glob("**/*.md"):
        if ".venv" in path.parts:
            continue
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text_of(path)):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_setting_is_explained():
    text = read("docs/choices.md")
    parts = (ModelSettings, LossSettings, PatchSettings, TrainingSettings, InferenceSettings)
    names = [field.name for part in parts for field in dataclasses.fields(part)]
    assert not [name for name in names if f"`{name}`" not in text]
