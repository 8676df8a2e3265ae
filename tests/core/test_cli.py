"""The command line: lazy commands, one form for errors, and agreed exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mnpu.cli import main
from mnpu.commands import own_commands

COMMAND = """
from mnpu import hookimpl
MNPU_API = 1

@hookimpl
def mnpu_commands():
    return {"%s": "tool_impl:command"}
"""
IMPLEMENTATION = '''
import click
from mnpu import errors
from mnpu.commands._shared import emit, json_option

@click.command()
@click.option("--how", default="well")
@json_option
def command(how, as_json):
    """Do a thing."""
    if how == "bug":
        raise RuntimeError("it broke\\nbadly")
    if how == "torch":
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    if how == "full":
        import errno, os
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if how == "abort":
        raise KeyboardInterrupt
    if how == "exit":
        raise SystemExit(7)
    if how == "sleep":
        import time
        print("ready", flush=True)
        time.sleep(60)
    if how != "well":
        raise getattr(errors, how)("it is wrong", where="here", expected="right", next_step="Mend it.")
    emit(as_json, {"done": True, "nan": float("nan")}, lambda: click.echo("done"))
'''


@pytest.fixture
def tool(site):
    return site.add("tool-lib", COMMAND % "tool", tool_impl=IMPLEMENTATION)


@pytest.fixture
def run(tool, capsys):
    """Run the command line in this process: exit code, stdout, stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(args)
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return call


def test_help_lists_every_command_with_the_first_line_of_its_module(run):
    code, out, _ = run("--help")
    assert code == 0
    for name in own_commands():
        assert f"\n  {name} " in out
    assert "List, explain, diagnose, check and write plugins" in out
    assert "Do a thing (tool-lib)" in out


def test_without_arguments_it_shows_its_help_and_succeeds(run):
    assert run() == run("--help")


def test_help_imports_no_command(run):
    for name in own_commands():
        sys.modules.pop(f"mnpu.commands.{name}", None)
    run("--help")
    assert not [name for name in own_commands() if f"mnpu.commands.{name}" in sys.modules]
    assert "tool_impl" not in sys.modules


@pytest.mark.parametrize("name", sorted(own_commands()))
def test_every_command_has_a_help_text(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert out.startswith(f"Usage: mnpu {name}")


def test_a_file_with_an_underscore_is_no_command():
    files = {path.stem for path in own_commands().values()}
    assert files
    assert not [stem for stem in files if stem.startswith("_")]


def test_a_command_of_a_plugin_runs(run):
    assert run("tool") == (0, "done\n", "")
    assert json.loads(run("tool", "--json")[1]) == {"done": True, "nan": None}


def test_version_is_the_distributions(run):
    from importlib.metadata import version

    assert run("--version") == (0, f"mnpu {version('mnpu-core')}\n", "")


@pytest.mark.parametrize(
    ("how", "code"), [("MnpuError", 1), ("ConfigError", 2), ("DataError", 3), ("GateVeto", 4), ("PluginError", 5)]
)
def test_an_error_is_one_sentence_on_stderr_with_its_exit_code(run, how, code):
    assert run("tool", "--how", how) == (code, "", "Error: here: it is wrong, expected right. Mend it.\n")


def test_an_error_is_json_where_json_was_asked_for(run):
    code, out, err = run("tool", "--how", "DataError", "--json")
    assert (code, out) == (3, "")
    told = json.loads(err)
    assert (told["type"], told["exit_code"], told["where"]) == ("DataError", 3, "here")
    assert told["message"] == "here: it is wrong, expected right. Mend it."


def test_a_bug_is_one_line_and_says_how_to_see_the_traceback(run):
    code, out, err = run("tool", "--how", "bug")
    assert (code, out) == (1, "")
    hint = "Set MNPU_TRACEBACK=1 to see where it happened."
    assert err == f"Error: unexpected RuntimeError: it broke badly. This is a bug. {hint}\n"


def test_the_traceback_is_shown_on_request(run, monkeypatch):
    monkeypatch.setenv("MNPU_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in run("tool", "--how", "bug")[2]
    assert "Traceback (most recent call last)" in run("tool", "--how", "DataError")[2]


def test_a_missing_torch_says_what_to_install(run):
    code, _, err = run("tool", "--how", "torch")
    assert code == 5
    assert err == 'Error: torch is not installed. Run: pip install "mnpu-core[train]"\n'


def test_a_command_may_choose_its_exit_code(run):
    assert run("tool", "--how", "exit")[0] == 7


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("tol",), "No command named 'tol'. Did you mean 'tool'?"),
        (("tool", "--what"), "No such option"),
        (("plugins", "show"), "Missing argument 'NAME'"),
        (("plugins", "lst"), "No such command 'lst'"),
        (("--what",), "No such option"),
    ],
)
def test_wrong_usage_exits_with_2(run, args, message):
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert message in err


def test_wrong_usage_is_json_where_json_was_asked_for(run):
    code, _, err = run("tool", "--what", "--json")
    assert code == 2
    assert json.loads(err)["exit_code"] == 2


def test_an_interrupt_is_one_line_and_130(run):
    code, out, err = run("tool", "--how", "abort")
    assert (code, out) == (130, "")
    assert err.strip() == "Interrupted."


def test_an_interrupt_answers_a_machine_in_json(run):
    code, out, err = run("tool", "--how", "abort", "--json")
    assert (code, out) == (130, "")
    assert json.loads(err)["exit_code"] == 130


def test_a_full_disk_is_said_and_is_no_bug(run):
    code, out, err = run("tool", "--how", "full")
    assert (code, out) == (1, "")
    assert err.startswith("Error: the system refused it (No space left on device), expected room")


def test_a_closed_stdout_is_no_error(tool):
    paths = os.pathsep.join([str(tool.path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        f'"{sys.executable}" -m mnpu plugins list >&-',
        shell=True,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_a_running_command_with_130(tool):
    paths = os.pathsep.join([str(tool.path), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "mnpu", "tool", "--how", "sleep"],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job inherits a deaf one
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "Interrupted."


def test_a_closed_pipe_is_no_traceback(tool):
    done = subprocess.run(
        f"{sys.executable} -m mnpu plugins list --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


def test_a_plugin_cannot_shadow_one_of_our_commands(site, capsys):
    site.add("tool-lib", COMMAND % "plugins", tool_impl=IMPLEMENTATION)
    with pytest.raises(SystemExit) as caught:
        main(["plugins", "doctor"])
    assert not caught.value.code
    assert "the command 'plugins' of tool-lib does not replace mnpu's own" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["tool-lib/plugins"])
    assert not caught.value.code
    assert capsys.readouterr().out == "done\n"


def test_two_plugins_with_one_command_name_are_told_apart(site, capsys):
    site.add("tool-lib", COMMAND % "tool", tool_impl=IMPLEMENTATION).add("kit-lib", COMMAND % "tool")
    with pytest.raises(SystemExit) as caught:
        main(["tool"])
    assert caught.value.code == 2
    assert "ambiguous. Write kit-lib/tool or tool-lib/tool" in capsys.readouterr().err


def test_a_command_that_is_no_click_command_is_the_plugins_fault(site, capsys):
    site.add("tool-lib", COMMAND % "tool", tool_impl="def command(): ...")
    with pytest.raises(SystemExit) as caught:
        main(["tool"])
    assert caught.value.code == 5
    assert "'tool-lib/tool' is a function, expected a click command" in capsys.readouterr().err
