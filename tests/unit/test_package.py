"""What setup.py says of the package, against the package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from loadtests.harness.service import ROOT

SETUP = (ROOT / "setup.py").read_text()


def requirements(path: Path) -> dict[str, Version]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: Version(version) for name, _, version in (line.partition("==") for line in lines)}


def installed_requirements() -> list[Requirement]:
    [block] = re.findall(r"install_requires=\[(.*?)\]", SETUP.replace("[binary]", ""), re.DOTALL)
    return [Requirement(text) for text in re.findall(r'"(.+?)"', block)]


def test_every_folder_with_python_in_it_is_in_the_package() -> None:
    [block] = re.findall(r"packages=\[(.*?)\]", SETUP)
    listed = set(re.findall(r'"(.+?)"', block))

    folders = {
        path.parent.relative_to(ROOT)
        for top in ("api", "db")
        for path in (ROOT / top).rglob("*.py")
        if (ROOT / "db" / "migrations") not in path.parents
    }

    assert listed == {folder.as_posix().replace("/", ".") for folder in folders}


def test_the_version_is_that_of_the_document_and_has_a_changelog_entry() -> None:
    name, version = (
        subprocess.run(
            [sys.executable, "setup.py", "--quiet", "--name", "--version"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        .stdout.strip()
        .splitlines()[-2:]
    )

    assert name == "ticket-allocation"
    assert f'"version": "{version}"' in (ROOT / "api" / "openapi.json").read_text()
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_oldest_versions_that_are_tested_are_the_oldest_that_are_allowed() -> None:
    oldest = requirements(ROOT / "constraints-oldest.txt")

    for requirement in installed_requirements():
        [lower] = [spec.version for spec in requirement.specifier if spec.operator == ">="]
        assert oldest[requirement.name] == Version(lower), requirement


def test_the_versions_that_are_pinned_are_allowed_and_every_bound_is_closed() -> None:
    pins = [
        line.split(";")[0].strip()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]

    for requirement in installed_requirements():
        operators = {spec.operator for spec in requirement.specifier}
        assert operators == {">=", "<"}, requirement
        versions = [
            pin.partition("==")[2] for pin in pins if pin.partition("==")[0] == requirement.name
        ]
        assert versions, requirement
        assert all(requirement.specifier.contains(version) for version in versions), requirement
