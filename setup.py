"""The wheel carries importers, rules and the starter as package data; in a checkout they stand at the top."""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

BUNDLED = ("importers/*.py", "rules/*.py", "starter/**/*", "config.example.toml")


class BuildWithBundled(build_py):
    """Copies what is bundled to b24sync/_bundled/ of what is built."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for pattern in BUNDLED:
            for source in sorted(Path().glob(pattern)):
                if source.is_file() and "__pycache__" not in source.parts:
                    target = Path(self.build_lib) / "b24sync" / "_bundled" / source
                    target.parent.mkdir(parents=True, exist_ok=True)
                    copyfile(source, target)


setup(cmdclass={"build_py": BuildWithBundled})
