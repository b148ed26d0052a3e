"""The layers point one way: from the handlers to the web and the database, and never back."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import api

API = Path(api.__file__).parent
MODULES = {
    ".".join(("api", *path.relative_to(API).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in API.rglob("*.py")
}

FORBIDDEN = {
    "api.database": ("tornado", "api.problems", "api.schemas", "api.web", "api.handlers"),
    "api.web": ("psycopg", "api.schemas", "api.handlers", "api.database"),
    "api.handlers": ("psycopg",),
    "api.problems": ("psycopg", "tornado", "api.web", "api.handlers"),
}
"""What a layer imports neither by itself nor through others."""

EXCEPTIONS = ("api.database", "api.database.errors")
"""All that the other layers see of the database's through `api.problems`: what it raises."""


def imported_by(path: Path) -> set[str]:
    """The modules that a file names in its imports, wherever in the file they are."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert node.level == 0
            found.add(node.module)
            found.update(f"{node.module}.{each.name}" for each in node.names)
    return found


def is_in(module: str, layer: str) -> bool:
    return module == layer or module.startswith(f"{layer}.")


def loaded_with(modules: list[str]) -> list[str]:
    """The modules that a process has once it has imported these."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_a_layer_imports_nothing_that_is_above_it(layer: str) -> None:
    found = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        if is_in(module, layer)
        for imported in imported_by(path)
        if any(is_in(imported, each) for each in FORBIDDEN[layer])
        and not (layer == "api.web" and any(is_in(imported, each) for each in EXCEPTIONS[1:]))
    ]

    assert found == []


def test_the_database_layer_can_be_used_without_the_web() -> None:
    loaded = loaded_with([module for module in MODULES if is_in(module, "api.database")])

    assert "api.database.store" in loaded
    assert [each for each in loaded if each.partition(".")[0] == "tornado"] == []
    assert [
        each
        for each in loaded
        if is_in(each, "api") and each != "api" and not is_in(each, "api.database")
    ] == []


def test_the_web_can_be_used_without_a_database() -> None:
    loaded = loaded_with([module for module in MODULES if is_in(module, "api.web")])

    assert "api.web.lane.server" in loaded
    assert [each for each in loaded if each.partition(".")[0] == "psycopg"] == []
    assert {each for each in loaded if is_in(each, "api.database")} == set(EXCEPTIONS)


def test_nothing_but_the_database_layer_imports_psycopg() -> None:
    found = [
        module
        for module, path in MODULES.items()
        if not is_in(module, "api.database")
        and any(each.partition(".")[0].startswith("psycopg") for each in imported_by(path))
    ]

    assert found == []
