"""The command line: ``mnpu COMMAND``, found by file name, imported only when it runs.

Every module ``mnpu/commands/<name>.py`` is a command; plugins add theirs through ``mnpu_commands`` and may not shadow
one of ours. This is the outer edge, where an error becomes a message and an exit code:

====  ==========================================
code  meaning
====  ==========================================
0     done
1     the run failed, or an unexpected error
2     the usage or the configuration is wrong
3     the data was refused
4     an honesty gate failed
5     a needed plugin is missing or failed
130   interrupted by Ctrl-C
====  ==========================================
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from mnpu.commands import own_commands
from mnpu.errors import MnpuError, PluginError

__all__ = ["cli", "main"]


Resolved = tuple[str | None, click.Command | None, list[str]]


class LazyGroup(click.Group):
    """A group whose commands are modules of ``mnpu.commands`` and components of kind ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own commands, then those of plugins."""
        own = own_commands()
        return [*own, *(name for name in sorted(_plugin_commands(ctx)) if name not in own)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; ours win over a plugin's, whose other name is its canonical id."""
        if cmd_name in own_commands():
            command: click.Command = import_module(f"mnpu.commands.{cmd_name.replace('-', '_')}").command
            return command
        components = _plugin_commands(ctx)
        if cmd_name not in components:
            return None
        component = components[cmd_name]
        loaded = _registry(ctx).load("command", component.canonical)
        if not isinstance(loaded, click.Command):
            raise PluginError(
                f"the command {component.canonical!r} is a {type(loaded).__name__}, expected a click command",
                next_step=f"Report it to the authors of {component.dist}.",
            )
        return loaded

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Resolved:
        """As click does, with a guess at what a misspelt command meant and why a plugin's is missing."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(_unknown_command(ctx, name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands with the first line of their source, then the plugins that failed to load."""
        from mnpu.plugins.describe import summarise
        from mnpu.plugins.source import first_line, module_docstring

        own = own_commands()
        rows = [(name, first_line(module_docstring(path.read_text("utf-8")))) for name, path in own.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
        others = {name: component for name, component in _plugin_commands(ctx).items() if name not in own}
        if others:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(n, f"{summarise(c)} ({c.dist})") for n, c in sorted(others.items())])
        broken = _registry(ctx).plugins.broken
        if broken:
            names = ", ".join(dict.fromkeys(plugin.dist for plugin in broken))
            formatter.write_paragraph()
            formatter.write_text(f"Failed to load: {names}. See: mnpu plugins doctor.")


def _registry(ctx: click.Context) -> Any:
    """The plugins, loaded once per invocation, and only if something about them is asked."""
    root = ctx.find_root()
    if root.obj is None:
        from mnpu.plugins.loader import load_plugins
        from mnpu.plugins.registry import Registry

        root.obj = Registry(load_plugins())
    return root.obj


def _plugin_commands(ctx: click.Context) -> dict[str, Any]:
    """Name as typed to component: the short name if it is unique and free, else the canonical id."""
    components = _registry(ctx).components("command")
    own = own_commands()
    named: dict[str, Any] = {}
    for component in components:
        unique = sum(other.name == component.name for other in components) == 1
        named[component.name if unique and component.name not in own else component.canonical] = component
    return named


def _unknown_command(ctx: click.Context, name: str, known: list[str]) -> str:
    from mnpu.plugins.registry import suggest

    candidates = [command for command in known if command.endswith(f"/{name}")]
    if candidates:
        return f"The command {name!r} is ambiguous. Write {' or '.join(candidates)}."
    guess = suggest(name, known)
    text = f"No command named {name!r}." + (f" Did you mean {guess!r}?" if guess else "")
    n_broken = len(_registry(ctx).plugins.broken)
    return f"{text} {n_broken} plugin(s) failed to load: mnpu plugins doctor." if n_broken else text


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"mnpu {version('mnpu-core')}")
        ctx.exit()


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """MNPU: from market data to a guarded, proven trading decision, by plugins."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(_run(list(sys.argv[1:] if args is None else args)))


def _run(args: list[str]) -> int:
    as_json = "--json" in args[: args.index("--")] if "--" in args else "--json" in args
    try:
        returned = cli.main(args, prog_name="mnpu", standalone_mode=False)
        return returned if type(returned) is int else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        fact = {
            "type": "KeyboardInterrupt",
            "exit_code": 130,
            "what": "interrupted by Ctrl-C",
            "message": "Interrupted.",
        }
        _report(fact, "Interrupted.", as_json, prefix="")
        return 130
    except click.ClickException as error:
        return _report_usage(error, as_json)
    except Exception as error:  # the outer edge: whatever happened, a user reads one sentence and a script a code
        if _wants_traceback():
            import traceback

            traceback.print_exc()
        known = error if isinstance(error, MnpuError) else _missing_extra(error) or _refused(error)
        if known is None:
            return _report_bug(error, as_json)
        _report(known.as_dict(), str(known), as_json)
        return known.exit_code


def _missing_extra(error: Exception) -> PluginError | None:
    """Say what to install where a command needs a package that core leaves optional."""
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    extras = dict.fromkeys(("torch", "lightning", "safetensors"), "train")
    extras |= dict.fromkeys(("onnx", "onnxscript", "onnxruntime"), "export")
    if missing not in extras:
        return None
    return PluginError(f"{missing} is not installed", next_step=f'Run: pip install "mnpu-core[{extras[missing]}]"')


#: What the machine refuses, and nobody's bug: no room, no permission, a file in place of a folder, a broken disk.
_REFUSALS = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EEXIST", "ENOTDIR", "EISDIR", "EIO")


def _refused(error: Exception) -> MnpuError | None:
    """Say what the operating system would not write or read."""
    if not isinstance(error, OSError) or errno.errorcode.get(error.errno or 0) not in _REFUSALS:
        return None
    return MnpuError(
        f"the system refused it ({error.strerror})",
        where=str(error.filename or ""),
        expected="room and permission for what is written",
        next_step="Make room, or choose another folder; what was finished before is untouched.",
    )


def _report_bug(error: Exception, as_json: bool) -> int:
    cause = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":.")
    hint = "" if _wants_traceback() else " Set MNPU_TRACEBACK=1 to see where it happened."
    message = f"unexpected {cause}. This is a bug.{hint}"
    _report({"type": type(error).__name__, "exit_code": 1, "what": cause, "message": message}, message, as_json)
    return 1


def _report_usage(error: click.ClickException, as_json: bool) -> int:
    if as_json:
        text = error.format_message()
        fact = {"type": type(error).__name__, "exit_code": error.exit_code, "what": text, "message": text}
        _report(fact, text, as_json)
    else:
        error.show()
    return error.exit_code


def _report(payload: Mapping[str, Any], message: str, as_json: bool, *, prefix: str = "Error: ") -> None:
    if as_json:
        from mnpu.commands._shared import echo_json

        echo_json(payload, err=True)
    else:
        click.echo(f"{prefix}{message}", err=True)


def _wants_traceback() -> bool:
    return os.environ.get("MNPU_TRACEBACK", "") not in ("", "0")
