"""Hold the features of a plain file, installed or not, to the laws of a feature source."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import click

from mnpu.commands._shared import emit, json_option

__all__ = ["check"]


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Hold every feature of FILE, a Python module that need not be installed, to the laws; exit 1 if one fails."""
    from mnpu.commands.plugins import print_check
    from mnpu.errors import ConfigError
    from mnpu.features.select import features_of, require
    from mnpu.testing.features import laws

    module = _imported(file)
    if not features_of(module):
        raise ConfigError(
            "has no feature",
            where=str(file),
            expected="a function that is marked with @feature, from mnpu import feature",
        )
    require(getattr(module, "REQUIRES", {}), file.stem, str(file))
    outcomes = laws(module)
    passed = all(outcome.passed for outcome in outcomes)
    payload = {"file": str(file), "passed": passed, "features": list(features_of(module)), "laws": outcomes}
    emit(as_json, payload, lambda: print_check([("features of", str(file), outcomes)], passed))
    if not passed:
        ctx.exit(1)


def _imported(file: Path) -> ModuleType:
    """The module of a file; what it imports from beside itself is found, too."""
    from mnpu.errors import ConfigError, PluginError

    spec = spec_from_file_location(file.stem, file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ConfigError(
            "is no Python file" if file.exists() else "does not exist", where=str(file), expected="FILE.py"
        )
    module = module_from_spec(spec)
    sys.path.insert(0, str(file.resolve().parent))
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"could not be imported: {type(error).__name__}: {error}",
            where=str(file),
            next_step="MNPU_TRACEBACK=1 shows where it happened.",
        ) from error
    return module
