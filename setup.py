"""The wheel carries the bundled importers and rules as package data of b24sync; in a checkout they stand at the top."""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

BUNDLED = ("importers", "rules")


class BuildWithBundled(build_py):
    """Copies `importers/` and `rules/` to b24sync/_bundled/ of what is built."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for kind in BUNDLED:
            for source in sorted(Path(kind).glob("*.py")):
                target = Path(self.build_lib) / "b24sync" / "_bundled" / kind / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                copyfile(source, target)


setup(cmdclass={"build_py": BuildWithBundled})
