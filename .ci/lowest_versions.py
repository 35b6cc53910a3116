"""Print constraints that hold every dependency of pyproject.toml at the lowest series it allows.

python .ci/lowest_versions.py > lowest.txt; pip install -c lowest.txt -e '.[test]'
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def lowest(requirement: str) -> str:
    """Return ``name==1.2.*`` for ``name>=1.2,<3``."""
    found = re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement)
    if found is None:
        raise SystemExit(f"{PROJECT}: {requirement!r} has no lowest version; expected name>=1.2")
    return f"{found[1]}=={found[2]}.*"


def main() -> None:
    """Print one line for each dependency of the program and its extras; the tools of tests are no user's."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    names = [name for name in extras if name not in ("test", "lint")]
    wanted = [*project["dependencies"], *(one for name in names for one in extras[name])]
    print("\n".join(sorted({lowest(requirement) for requirement in wanted})))


if __name__ == "__main__":
    main()
