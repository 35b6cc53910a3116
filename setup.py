"""Hands the CMake build of the compiled kernels to pip, and nothing more; all else stands in pyproject.toml.

DISPR_BUILD in the environment chooses what is built:

auto     (default) the CPU kernels if a C++ compiler is there, and those for CUDA if nvcc is there and the
         torch beside us can use them; where that fails, plain PyTorch operations take their place
require  as auto, but fail where the CPU kernels cannot be built
cpu      the CPU kernels alone, or fail
cuda     both, or fail
off      none
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
LEAST_CMAKE = (3, 18)  # as CMakeLists.txt asks for
MODES = ("auto", "require", "cpu", "cuda", "off")
COMPILERS = (os.environ.get("CXX", "c++").split()[0], "g++", "clang++")


def _mode() -> str:
    mode = os.environ.get("DISPR_BUILD", "auto")
    if mode not in MODES:
        sys.exit(f"DISPR_BUILD is {mode!r}; expected one of {', '.join(MODES)}")
    return mode


def _has_compiler() -> bool:
    return platform.system() in ("Linux", "Darwin") and any(shutil.which(name) for name in COMPILERS)


def _has_cmake() -> bool:
    try:
        answer = subprocess.run(["cmake", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    found = re.search(r"version (\d+)\.(\d+)", answer)
    return found is not None and (int(found[1]), int(found[2])) >= LEAST_CMAKE


def _build_tools() -> list[str]:
    """Name the packages that supply CMake, and something for it to drive, where the machine has none."""
    if _mode() == "off" or not _has_compiler():
        return []
    missing = [] if _has_cmake() else [f"cmake>={'.'.join(map(str, LEAST_CMAKE))}"]
    return missing if shutil.which("ninja") or shutil.which("make") else [*missing, "ninja"]


def _nvcc() -> str | None:
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    return shutil.which("nvcc") or shutil.which("nvcc", path=str(Path(home) / "bin"))


def _torch_is_for_cpu_only() -> bool:
    """Look for torch by its path: pip builds in isolation, where the user's torch cannot be imported."""
    libraries = Path(sysconfig.get_path("purelib")) / "torch" / "lib"
    return (libraries / "libtorch_cpu.so").exists() and not (libraries / "libtorch_cuda.so").exists()


def _with_cuda(mode: str) -> bool:
    return mode == "cuda" or (mode in ("auto", "require") and bool(_nvcc()) and not _torch_is_for_cpu_only())


class CMakeBuild(build_ext):
    """Runs CMake in place of distutils' compiler."""

    def get_ext_filename(self, fullname: str) -> str:
        """Name the library without Python's version: it is no Python extension."""
        return fullname.replace(".", "/") + ".so"

    def run(self) -> None:
        """Build afresh, so that a library left over from an earlier build never passes for this one."""
        for place in (Path(self.build_lib), ROOT) if self.inplace else (Path(self.build_lib),):
            (place / "dispr_cli" / "_kernels.so").unlink(missing_ok=True)
        if _mode() != "off":
            super().run()

    def build_extension(self, ext: Extension) -> None:
        """Build with CUDA where that is wanted and works, else without, else (mode ``auto``) not at all."""
        mode, target = _mode(), Path(self.get_ext_fullpath(ext.name)).resolve()
        for cuda in [True] * _with_cuda(mode) + [False] * (mode != "cuda"):
            try:
                return self._cmake(target, cuda)
            except (OSError, subprocess.CalledProcessError) as error:
                failure = f"the kernels{' for CUDA' if cuda else ''} could not be built: {error}"
                self.warn(failure)
        if mode != "auto":
            raise SystemExit(f"DISPR_BUILD={mode}: {failure}")

    def _cmake(self, target: Path, cuda: bool) -> None:
        build = Path(self.build_temp).resolve() / ("cuda" if cuda else "cpu")
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        options = [f"-DDISPR_CUDA={'ON' if cuda else 'OFF'}", "-DCMAKE_BUILD_TYPE=Release"]
        if cuda and (compiler := _nvcc()):
            options.append(f"-DCMAKE_CUDA_COMPILER={compiler}")
        self._call("cmake", "-S", str(ROOT), "-B", str(build), *generator, *options)
        self._call("cmake", "--build", str(build), "--target", "_kernels", "--parallel")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Put in place whole: a program that has the old library mapped into its memory goes on with that one.
        with tempfile.TemporaryDirectory(dir=target.parent) as near:
            shutil.copyfile(build / "_kernels.so", Path(near) / target.name).replace(target)

    def _call(self, *command: str) -> None:
        self.announce(" ".join(command), level=2)
        subprocess.run(command, check=True)


class PlatformWheel(bdist_wheel):
    """Tags the wheel for any Python 3: the library knows torch's C interface, and no Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Name the platform only where a library was built."""
        _, _, system = super().get_tag()
        built = (Path(self.bdist_dir) / "dispr_cli" / "_kernels.so").exists()
        return ("py3", "none", system if built else "any")


setup(
    ext_modules=[Extension("dispr_cli._kernels", sources=[], optional=_mode() in ("auto", "off"))],
    cmdclass={"build_ext": CMakeBuild, "bdist_wheel": PlatformWheel},
    setup_requires=_build_tools(),
)
