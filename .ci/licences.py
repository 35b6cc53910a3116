"""Print the licence of every package that dispr needs to run, found from what is installed.

.venv/bin/python .ci/licences.py > docs/licences.md
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
EXTRAS = ("topology", "cluster", "study")
_LONGEST = 60


def add(requirement: str, found: dict[str, Distribution]) -> None:
    """Add a package that is installed, and all that it needs without its extras."""
    wanted, _, marker = requirement.partition(";")
    match = re.match(r"\s*([\w.-]+)", wanted)
    if match is None or "extra" in marker:
        return
    try:
        package = distribution(match[1])
    except PackageNotFoundError:
        return  # Not for this system or this Python.
    name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
    if name not in found:
        found[name] = package
        for other in package.requires or []:
            add(other, found)


def licence(package: Distribution) -> str:
    """Return what a package says of its licence: an expression, classifiers, or how its text begins."""
    said = package.metadata
    if said.get("License-Expression"):
        return str(said["License-Expression"])
    classified = [
        c.rpartition(" :: ")[2] for c in said.get_all("Classifier") or [] if c.startswith("License ::")
    ]
    if classified:
        return ", ".join(sorted(set(classified)))
    if said.get("License"):
        return str(said["License"]).strip().splitlines()[0][:_LONGEST]
    files = [file for file in package.files or [] if file.name.upper().startswith("LICEN")]
    return next((file.read_text().strip().splitlines()[0][:_LONGEST] for file in files), "unknown")


def main() -> None:
    """Print one row for each package."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    found: dict[str, Distribution] = {}
    for requirement in [*project["dependencies"], *(one for name in EXTRAS for one in extras[name])]:
        add(requirement, found)
    print("# Licences of the packages dispr needs\n")
    print(
        "Written by `.ci/run audit` from what is installed, extras included; dispr itself is BSD-3-Clause.\n"
    )
    print("| package | version | licence |\n| --- | --- | --- |")
    for name, package in sorted(found.items()):
        print(f"| {name} | {package.version} | {licence(package)} |")


if __name__ == "__main__":
    main()
