"""The only way things are run: ``python -m pip install "nox[uv]"``, then ``python -m nox -s NAME`` (``-l`` lists).

Sessions use the interpreter that runs nox, and uv where it is installed. A developer's second run of a session is
faster with ``-R``, which keeps the environment as it is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]

# uv does not read pip's settings: hand it pip's folder of wheels, if there is one.
if os.environ.get("PIP_FIND_LINKS"):
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"].replace(" ", ","))
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")

ROOT = Path(__file__).parent
CORE = "mnpu-core"
PLUGINS = sorted(path.parent.name for path in (ROOT / "mnpu-plugins").glob("*/pyproject.toml"))
FOLDERS = [CORE, *(f"mnpu-plugins/{name}" for name in PLUGINS)]
SOURCES = ["noxfile.py", *(f"{folder}/src" for folder in FOLDERS), "tests"]
CONSTRAINTS = str(ROOT / "constraints.txt")
EXPORT = ("onnx", "onnxscript", "onnxruntime")
QUICK = ("-q", "-n", "2", "--dist", "loadfile")
TEST_TOOLS = (
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "jsonschema",
    "arch",
    "empyrical-reloaded",
    "scipy",
    "scoringrules",
    "statsmodels",
    "lightgbm",
    "optuna",
    "scikit-learn",
    "ta",
    "TA-Lib",
    "hatchling",
)
ENV = {
    "PYTHONDONTWRITEBYTECODE": "",  # the second start of an environment should be quick
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "HF_HUB_OFFLINE": "1",
}
CPU_TORCH = (
    "import os, sys, torch; sys.exit(0 if torch.version.cuda is None or os.environ.get('MNPU_CUDA') else "
    "'this torch was built for CUDA: set UV_TORCH_BACKEND=cpu to avoid gigabytes, or MNPU_CUDA=1 to keep it')"
)
NO_TORCH = "import importlib.util, sys; sys.exit('torch is installed' if importlib.util.find_spec('torch') else 0)"


def install(session: nox.Session, *packages: str, editable: tuple[str, ...] = ()) -> None:
    """Install under the constraints; ``editable`` are folders of this repository, with extras."""
    folders = [part for folder in editable for part in ("-e", folder)]
    session.install("-c", CONSTRAINTS, *folders, *packages, env=ENV)


def install_all(session: nox.Session, *packages: str) -> None:
    """Install everything that this repository holds, with torch, and refuse a torch that nobody wanted."""
    everything = (f"{CORE}[train]", *FOLDERS[1:])
    install(session, *packages, editable=everything)
    session.run("python", "-c", CPU_TORCH, env=ENV)


def fresh(session: nox.Session, name: str) -> Path:
    """An empty folder that belongs to this session."""
    folder = Path(session.create_tmp()).resolve() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@nox.session
def demo(session: nox.Session) -> None:
    """Train, simulate and report on the bundled market data."""
    install_all(session)
    session.run("mnpu", "demo", *session.posargs, env=ENV)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test, with every package of this repository installed."""
    install_all(session, *TEST_TOOLS, *EXPORT, "model2vec>=0.10", "mambapy>=1.2", "quantstats")
    session.run(
        "python", "-m", "pytest", *(("-q", *session.posargs) if session.posargs else (*QUICK, "tests")), env=ENV
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Style, that every file compiles, and that every package resolves for the oldest Python."""
    install(session, "ruff", "uv")
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *SOURCES)
    session.run("python", "-m", "compileall", "-q", *SOURCES, env=ENV)
    wanted = fresh(session, "resolve") / "requirements.in"
    lines = [f"{name} @ {(ROOT / folder).as_uri()}" for name, folder in _requirements()]
    wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    session.run(
        *("uv", "pip", "compile", "--quiet", "--python-version", "3.10", "--constraint", CONSTRAINTS),
        *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
        *("--output-file", str(wanted.with_suffix(".txt")), str(wanted)),
        env=ENV,
    )


def _requirements() -> list[tuple[str, str]]:
    extras = "export,lightgbm,search,ta,talib,train"
    return [(f"{CORE}[{extras}]", CORE), *((f"mnpu-{name}", f"mnpu-plugins/{name}") for name in PLUGINS)]


@nox.session
def types(session: nox.Session) -> None:
    """Mypy over every package."""
    install(session, "mypy", "jinja2", "types-PyYAML", editable=(CORE,))
    session.run("mypy", *(f"{folder}/src" for folder in FOLDERS), env=ENV)


@nox.session
def layers(session: nox.Session) -> None:
    """The floors of the architecture, as import contracts."""
    session.install("import-linter")
    session.install("--no-deps", *(part for folder in FOLDERS for part in ("-e", folder)), env=ENV)
    session.run("lint-imports", "--no-cache", env=ENV)


@nox.session
@nox.parametrize("alone", ["core", "core-train", *PLUGINS], ids=["core", "core-train", *PLUGINS])
def plugins(session: nox.Session, alone: str) -> None:
    """Core without torch, core with torch, and each plugin alone with core, in environments of their own."""
    if alone == "core":
        _core_alone(session)
    elif alone == "core-train":
        install(session, editable=(f"{CORE}[train]",))
        session.chdir(fresh(session, "elsewhere"))
        session.run("mnpu", "demo", "--out", "demo", env=ENV)
    else:
        _plugin_alone(session, alone)


def _core_alone(session: nox.Session) -> None:
    install(session, *TEST_TOOLS, editable=(CORE,))
    session.run("python", "-c", NO_TORCH)
    session.run("mnpu", "plugins", "list", env=ENV)
    session.run("python", "-m", "pytest", *QUICK, "-p", "tests.house.without_torch", "tests/core", env=ENV)


def _plugin_alone(session: nox.Session, plugin: str) -> None:
    folder = f"mnpu-plugins/{plugin}"
    install(session, *TEST_TOOLS, editable=(CORE, folder))
    session.run("mnpu", "plugins", "list", env=ENV)
    found = [f"tests/{plugin.replace('-', '_')}", "tests/core/test_conformance.py"]
    asked = {**ENV, "MNPU_CONFORMANCE": f"mnpu-{plugin}"}
    session.run("python", "-m", "pytest", *QUICK, *(path for path in found if (ROOT / path).exists()), env=asked)


@nox.session
def faulty(session: nox.Session) -> None:
    """Plugins that are broken in every known way are installed: the command line works and says what is wrong."""
    broken = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("tests/faulty/packages/*/pyproject.toml"))
    light = tuple(folder for folder in FOLDERS if "[train]" not in _metadata(folder))
    install(session, *TEST_TOOLS, *broken, editable=light)
    session.run(
        "python", "-m", "pytest", "-q", "tests/faulty/test_installed.py", env={**ENV, "MNPU_FAULTY_INSTALLED": "1"}
    )


def _metadata(folder: str) -> str:
    return (ROOT / folder / "pyproject.toml").read_text(encoding="utf-8")


@nox.session
def dist(session: nox.Session) -> None:
    """Build every package and check it; then install the wheels elsewhere and run the demo from them."""
    install(session, "build", "hatchling", "twine")
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    for folder in FOLDERS:
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(out), folder, silent=True, env=ENV)
    session.run("twine", "check", "--strict", *sorted(map(str, out.iterdir())))
    session.notify("installed")


@nox.session(default=False, reuse_venv=False)
def installed(session: nox.Session) -> None:
    """Run the demo from the wheels that ``dist`` built, outside the repository (``dist`` asks for this itself)."""
    wheels = sorted(map(str, (ROOT / "dist").glob("*.whl")))
    if not wheels:
        session.error('there is nothing in dist. Run "nox -s dist", which builds and then runs this session.')
    names = [f"{wheel}[train]" if "mnpu_core-" in wheel else wheel for wheel in wheels]
    install(session, *names)
    elsewhere = fresh(session, "elsewhere")
    session.chdir(elsewhere)
    session.run("python", "-c", "import mnpu, sys; sys.exit('site-packages' not in mnpu.__file__)", env=ENV)
    session.run("mnpu", "demo", "--out", str(elsewhere / "demo"), env=ENV)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site with every warning an error, then execute every block of the pages that promise it."""
    install_all(session, "mkdocs-material", "pip", "hatchling", "pytest", "hypothesis")
    session.run("mkdocs", "build", "--strict", "--quiet", env={**ENV, "NO_MKDOCS_2_WARNING": "1"})
    pages = ("make-a-fixture", "look-at-features", "feature-in-a-minute")
    for page in ("docs/tutorial.md", *(f"docs/how-to/{name}.md" for name in pages)):
        session.run("python", "tests/house/run_tutorial.py", page, *session.posargs, env=ENV)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against peers: ``nox -s bench -- TOPIC``; exits 1 where a target is missed."""
    install_all(session, "uv", "mambapy>=1.2")
    session.run("python", "-m", "tests.bench", *session.posargs, env=ENV)


@nox.session(default=False)
def evidence(session: nox.Session) -> None:
    """Planted signals are found and nothing in nothing: ``nox -s evidence``, or ``-- recipes`` for real data."""
    install_all(session, "lightgbm")
    session.run("python", "-m", "tests.evidence", *session.posargs, env=ENV)


@nox.session(default=False)
def catalogue(session: nox.Session) -> None:
    """Build the benchmark catalogue, model families on three markets, and go on where it stopped; hours at first."""
    install_all(session, "lightgbm")
    session.run("python", "-m", "tests.catalogue", *session.posargs, env=ENV)
