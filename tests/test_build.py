"""The build: a wheel by way of the sdist, an editable install, no compiler, torch's interface as declared."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NATIVE_PARTS = ("setup.py", "pyproject.toml", "MANIFEST.in", "CMakeLists.txt", "LICENSE", "README.md")
STATUS = (
    "import json; from dispr_cli.diffusion.ops import kernels_status; print(json.dumps(kernels_status()))"
)
SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"

needs_compiler = pytest.mark.skipif(
    not (shutil.which("c++") and shutil.which("cmake")), reason="no C++ compiler or no CMake on this machine"
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is made from, without builds left over in the working tree."""
    folder = tmp_path_factory.mktemp("source")
    for name in NATIVE_PARTS:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.safetensors")
    for package in ("dispr_cli", "csrc"):
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    (folder / "README.md").touch()
    return folder


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an environment that says nothing of this checkout; its whole output is kept."""
    outer = {key: value for key, value in os.environ.items() if not key.startswith(("DISPR_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env=outer | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def build_wheel(source: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(
        *("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-v", "-w", folder, source),
        cwd=folder,
        **environment,
    )


def status_of(wheel: Path, folder: Path) -> dict[str, object]:
    """Unpack a wheel and ask the package inside what runs."""
    zipfile.ZipFile(wheel).extractall(folder)
    answer = run("-c", STATUS, cwd=folder)
    assert answer.returncode == 0, answer.stdout
    return json.loads(answer.stdout.splitlines()[-1])


@needs_compiler
def test_sdist_gives_a_wheel_whose_kernels_run(source: Path, tmp_path: Path) -> None:
    made = run("-c", SDIST, tmp_path, cwd=source)
    assert made.returncode == 0, made.stdout
    sdist = tmp_path / made.stdout.splitlines()[-1]
    built = build_wheel(sdist, tmp_path, DISPR_BUILD="cpu")
    assert built.returncode == 0, built.stdout
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    status = status_of(wheel, tmp_path / "unpacked")
    assert status["built"] is True
    assert str(status["path"]).startswith(str(tmp_path))


@needs_compiler
def test_editable_install_builds_the_kernels_into_the_source(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(source, tree)
    installed = run(
        *(
            "-m",
            "pip",
            "install",
            "--ignore-installed",  # or pip takes this environment's own dispr away, --prefix or not
            "--no-deps",
            "--no-build-isolation",
            "-e",
            tree,
            "--prefix",
            tmp_path / "env",
        ),
        cwd=tmp_path,
        DISPR_BUILD="cpu",
    )
    assert installed.returncode == 0, installed.stdout
    assert (tree / "dispr_cli" / "_kernels.so").exists()
    installed_to = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "env")})
    # -S and a plain path: this environment's own editable dispr stays unseen, its torch does not.
    paths = f"site.addsitedir({installed_to!r}); sys.path.append({sysconfig.get_path('purelib')!r})"
    answer = run("-S", "-c", f"import site, sys; {paths}; {STATUS}", cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout
    assert json.loads(answer.stdout.splitlines()[-1])["path"] == str(tree / "dispr_cli" / "_kernels.so")


def test_without_a_compiler_the_package_installs_and_says_so(source: Path, tmp_path: Path) -> None:
    built = build_wheel(source, tmp_path, PATH="", CUDA_HOME="")
    assert built.returncode == 0, built.stdout
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    status = status_of(wheel, tmp_path / "unpacked")
    assert status["built"] is False
    assert "reinstall dispr" in str(status["reason"])


def test_a_required_build_fails_without_a_compiler(source: Path, tmp_path: Path) -> None:
    built = build_wheel(source, tmp_path, PATH="", DISPR_BUILD="require")
    assert built.returncode != 0
    assert "DISPR_BUILD=require: the kernels could not be built" in built.stdout


def test_off_never_packs_a_library_left_over(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(source, tree)
    (tree / "dispr_cli" / "_kernels.so").write_bytes(b"from an earlier build")
    built = build_wheel(tree, tmp_path, DISPR_BUILD="off")
    assert built.returncode == 0, built.stdout
    (wheel,) = tmp_path.glob("*.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


def test_an_unknown_mode_is_refused_by_name(source: Path, tmp_path: Path) -> None:
    built = build_wheel(source, tmp_path, DISPR_BUILD="gpu")
    assert built.returncode != 0
    assert "DISPR_BUILD is 'gpu'; expected one of auto, require, cpu, cuda, off" in built.stdout


@needs_compiler
def test_torch_declares_its_functions_as_we_do(tmp_path: Path) -> None:
    """C functions cannot be declared twice with different types, so one compiler run compares all of them."""
    torch_headers = Path(sysconfig.get_path("purelib")) / "torch" / "include"
    if not torch_headers.exists():
        pytest.skip("the installed torch has no headers")
    both = tmp_path / "both.cpp"
    both.write_text('#include <torch/csrc/stable/c/shim.h>\n#include "torch_abi.h"\n')
    flags = ("-std=c++20", "-fsyntax-only", "-DTORCH_TARGET_VERSION=0x020b000000000000")
    command = ["c++", *flags, f"-I{torch_headers}", f"-I{ROOT / 'csrc'}", str(both)]
    compared = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compared.returncode == 0, compared.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")
def test_make_builds_anew_when_any_native_source_changes() -> None:
    command = ["make", "--print-data-base", "--dry-run", "--question", "clean"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    (line,) = [line for line in printed.splitlines() if line.startswith("NATIVE := ")]
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "csrc").rglob("*")
        if path.suffix in (".h", ".cpp", ".cu", ".cuh") and path.parent.name != "tests"
    }
    assert len(sources) > 30
    assert sources <= set(line.split())
