"""The README and the docs point at what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loadtests.harness.service import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def links(page: Path) -> list[tuple[str, str, str]]:
    """The text, the file and the fragment of each link to a file of this repository."""
    found = []
    for text, target in LINK.findall(page.read_text()):
        if "://" not in target:
            path, _, fragment = target.partition("#")
            found.append((text, path, fragment))
    return found


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for text, path, fragment in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"[{text}]({path})"
        if fragment and target.suffix == ".md":
            assert fragment in anchors(target), f"[{text}]({path}#{fragment})"


def test_a_link_to_a_line_leads_to_the_name_it_bears() -> None:
    to_lines = [
        (page, text, path, int(fragment[1:]))
        for page in PAGES
        for text, path, fragment in links(page)
        if re.fullmatch(r"L\d+", fragment)
    ]

    for page, text, path, number in to_lines:
        line = (page.parent / path).read_text().splitlines()[number - 1]
        name = text.strip("`").rpartition(".")[2].removesuffix("()")
        assert name in line, f"{page.name}: [{text}] -> {path}#L{number}: {line}"

    assert to_lines
