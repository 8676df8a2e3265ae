"""A hash changes with what it covers, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnpu import hashing
from mnpu.config.interpolate import Reference
from mnpu.errors import MnpuError, PluginError

CONFIG = {
    "name": "demo",
    "seed": 7,
    "data": {"store": "a.db", "symbols": ["ON"]},
    "train": {"lr": 1e-4},
    "report": {"formats": ["md"]},
    "runtime": {"threads": 1},
}


def test_canonical_json_is_one_text_for_one_value():
    assert hashing.canonical_json({"b": [1, 1.0, True, None], "a": "é"}) == '{"a":"\\u00e9","b":[1,1.0,true,null]}'
    assert hashing.canonical_json(-0.0) == hashing.canonical_json(0.0) == "0.0"
    assert hashing.canonical_json(0.1 + 0.2) == "0.30000000000000004"
    assert hashing.canonical_json((1, 2)) == hashing.canonical_json([1, 2])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, b"x", np.float64])
def test_what_has_no_canonical_text_is_refused(value):
    with pytest.raises(MnpuError, match="cannot be hashed"):
        hashing.canonical_json({"a": value})


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()))
def test_the_order_of_keys_does_not_matter(value):
    shuffled = dict(reversed(list(value.items())))
    assert hashing.canonical_json(value) == hashing.canonical_json(shuffled)


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        ({"seed": 8}, True),
        ({"train": {"lr": 2e-4}}, True),
        ({"data": {"store": "a.db", "symbols": ["NO"]}}, True),
        ({"data": {"store": "b.db", "symbols": ["ON"]}}, False),
        ({"runtime": {"workers": 2}}, False),
        ({"report": {"formats": ["html"]}}, False),
        ({"name": "other"}, False),
        ({"train": {"lr": 1e-4, "instruments": [{"use": "norms"}], "alerts": {"nan": {"action": "log"}}}}, False),
        ({"train": {"lr": 1e-4, "alerts": {"nan": None, "factor": 0.5}}}, False),
        ({"train": {"lr": 1e-4, "alerts": {"collapse": {"action": "stop"}}}}, True),
    ],
)
def test_only_what_can_move_a_number_changes_the_config_hash(change, matters):
    assert (hashing.hash_config({**CONFIG, **change}) != hashing.hash_config(CONFIG)) is matters


def test_a_reference_is_hashed_by_its_value():
    one, two = (hashing.hash_config({"a": Reference("${env:X}", value)}) for value in ("1", "2"))
    assert one != two
    assert one == hashing.hash_config({"a": "1"})


def test_arrays_are_hashed_by_name_type_shape_and_element():
    base = {"x": np.arange(6.0).reshape(2, 3), "s": np.array(["ON", "NO"], dtype=object)}
    first = hashing.hash_arrays(base)
    assert first == hashing.hash_arrays(dict(reversed(base.items())))
    assert first == hashing.hash_arrays({**base, "x": np.asfortranarray(base["x"])})
    assert first == hashing.hash_arrays({**base, "x": base["x"].astype(">f8")})
    assert first == hashing.hash_arrays({**base, "s": ("ON", "NO")})
    changed = base["x"].copy()
    changed[1, 2] = np.nextafter(changed[1, 2], 9)
    for other in (
        {**base, "x": changed},
        {**base, "x": base["x"].reshape(3, 2)},
        {**base, "x": base["x"].astype("f4")},
        {"y": base["x"], "s": base["s"]},
        {**base, "s": np.array(["O", "NNO"], dtype=object)},
    ):
        assert hashing.hash_arrays(other) != first


def test_every_nan_is_one_and_so_is_every_zero():
    quiet = np.array([np.nan, 0.0])
    other = np.array([0xFFF8000000000001, 0x8000000000000000], dtype=np.uint64).view(np.float64)
    assert hashing.hash_arrays({"x": quiet}) == hashing.hash_arrays({"x": other})


def test_instants_are_hashed_whatever_their_unit_and_zone():
    times = pd.date_range("2020-01-01", periods=3, tz="UTC")
    hashes = {
        hashing.hash_arrays({"t": t})
        for t in (times.as_unit("ns"), times.as_unit("us"), times.tz_convert("America/New_York"), times.as_unit("s"))
    }
    assert len(hashes) == 1


def test_an_array_of_objects_is_refused():
    with pytest.raises(MnpuError, match="'x'"):
        hashing.hash_arrays({"x": np.array([1, "a"], dtype=object)})


def test_the_recipe_stands_for_all_four_hashes():
    hashes = dict(config_hash="a", data_hash="b", code_hash="c", env_hash="d")
    first = hashing.recipe_id(**hashes)
    assert len(first) == 12
    assert all(hashing.recipe_id(**{**hashes, name: "x"}) != first for name in hashes)
    assert hashing.recipe_id(config_hash="b", data_hash="a", code_hash="c", env_hash="d") != first


def test_the_environment_names_device_threads_and_libraries():
    found = hashing.environment("cpu", 1)
    assert found["numpy"] == np.__version__
    assert hashing.hash_environment("cpu", 1) == hashing.hash_environment("cpu", 1)
    assert len({hashing.hash_environment(*args) for args in (("cpu", 1), ("cpu", 2), ("cuda", 1))}) == 3


def test_versions_name_contributors_and_libraries():
    found = hashing.versions(["mnpu-core", "local"])
    assert found["local"] == "local"
    assert {"mnpu-core", "python", "numpy"} <= set(found)


@pytest.fixture
def project(tmp_path):
    """A little package, and how to install it: as a wheel would be, or editable."""
    source = tmp_path / "src" / "mnpu_toy_hash"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text('"""Toy."""\n')
    (source / "sub.py").write_text("x = 1\n")

    def install(name, *, editable):
        site = tmp_path / name
        info = site / "mnpu_toy_hash-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mnpu-toy-hash\nVersion: 1.0\n")
        files = ["mnpu_toy_hash-1.0.dist-info/METADATA,,", "mnpu_toy_hash-1.0.dist-info/RECORD,,"]
        if editable:
            (site / "_mnpu_toy_hash.pth").write_text(f"{tmp_path / 'src'}\n")
            files.append("_mnpu_toy_hash.pth,,")
        else:
            (site / "mnpu_toy_hash").mkdir()
            for path in source.glob("*.py"):
                (site / "mnpu_toy_hash" / path.name).write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
                files.append(f"mnpu_toy_hash/{path.name},,")
        (info / "RECORD").write_text("\n".join(files) + "\n")
        code = "from mnpu.hashing import hash_code; print(hash_code(['mnpu-toy-hash']))"
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{code}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return source, install


def test_code_hashes_equal_from_a_wheel_and_editable_and_change_with_any_line(project):
    source, install = project
    wheel, editable = install("wheel", editable=False), install("editable", editable=True)
    assert wheel == editable
    (source / "sub.py").write_text("x = 2\n")
    assert install("again", editable=True) != editable


def test_code_of_modules_and_objects():
    assert hashing.hash_code(["mnpu"]) == hashing.hash_code(["mnpu-core"])
    assert hashing.hash_code([textwrap.dedent, zipfile.ZipFile]) != hashing.hash_code([textwrap.dedent])
    assert hashing.hash_code(["mnpu-core", "zipfile"]) == hashing.hash_code(["zipfile", "mnpu-core"])


def test_code_that_is_not_installed_is_refused():
    with pytest.raises(PluginError, match="no distribution or module named 'mnpu-nowhere'"):
        hashing.hash_code(["mnpu-nowhere"])
