"""`mnpu bundle`: what a run leaves behind is shown, verified and exported, and a changed byte is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


@pytest.fixture
def bundle(small_run, tmp_path) -> Path:
    """A copy of the last fold's bundle, which a test may damage."""
    newest = sorted((small_run.path / "bundle").iterdir())[-1]
    return Path(shutil.copytree(newest, tmp_path / "fold"))


def test_a_run_keeps_everything_that_its_networks_need(small_run):
    for folder in sorted((small_run.path / "bundle").iterdir()):
        assert {path.name for path in folder.iterdir()} == {
            "MODEL_CARD.md",
            "features.json",
            "fitted.json",
            "manifest.json",
            "metrics.json",
            "origin.json",
            "resolved.yaml",
            "weights.safetensors",
        }
        names = json.loads((folder / "fitted.json").read_text())["names"]
        assert [spec["name"] for spec in json.loads((folder / "features.json").read_text())] == names


def test_the_card_tells_what_it_learnt_from_and_how_it_did(small_run):
    card = (sorted((small_run.path / "bundle").iterdir())[0] / "MODEL_CARD.md").read_text()
    judgement = small_run.result.judgement
    assert f"| dsr | {judgement.dsr.value:.4g} |" in card
    assert f"The Sharpe ratio, when the run ended: {judgement.told}." in card
    run, folds = small_run.result.run, small_run.result.folds
    times, train = folds.times, folds.folds[0].train
    assert f"| training | {times[train[0]]:%Y-%m-%d} | {times[train[1] - 1]:%Y-%m-%d} |" in card
    assert run.run_id in card
    assert "| calibration | " not in card.partition("## What it learnt from")[2]
    assert f"mnpu-core {run.versions['mnpu-core']}" in card
    sharpe = small_run.result.metrics["sharpe"]
    assert f"| sharpe | {sharpe.value:.4g} | {sharpe.se:.2g} |" in card
    assert "Honesty gates: 4 of 4 passed." in card


def test_show_tells_the_network_from_its_run(mnpu, small_run):
    code, out, _ = mnpu("bundle", "show", small_run.result.run.run_id, "--runs", small_run.path.parent, "--json")
    found = json.loads(out)["bundles"]
    assert code == 0
    assert [facts["fold"] for facts in found] == [0, 1]
    # linear: L F' D + D weights of the backbone, D Q + Q of the head; F' 8: 4 columns that begin late, and their masks
    levels = len(small_run.result.forecast.levels)
    assert found[0]["parameters"] == 8 * 8 * 32 + 32 + 32 * levels + levels
    assert found[0]["model"]["backbone"]["use"] == "linear"


def test_what_is_forecast_goes_with_a_bundle(mnpu, small_run):
    folder = small_run.path / "bundle" / "fold-01"
    origin = json.loads((folder / "origin.json").read_text())
    assert (origin["target"], origin["fill"]) == ({"use": "forward_return", "horizons": [5]}, "next_close")
    shown = mnpu("bundle", "show", folder)[1]
    assert "  target      forward_return (horizons [5]), from the fill at next_close\n" in shown


def test_people_count_folds_from_1_and_machines_from_0(mnpu, small_run):
    folder = small_run.path / "bundle" / "fold-01"
    assert "  fold        2 (kept as fold-01)" in mnpu("bundle", "show", folder)[1]
    assert (folder / "MODEL_CARD.md").read_text().startswith("# small, fold 2\n")
    assert json.loads((folder / "fitted.json").read_text())["fold"]["number"] == 1


def test_the_card_and_show_say_which_epoch_was_kept(mnpu, small_run):
    for folder in sorted((small_run.path / "bundle").iterdir()):
        losses = [epoch["validation"] for epoch in json.loads((folder / "fitted.json").read_text())["history"]]
        best = int(np.argmin(losses)) + 1
        assert f"Epoch {best} of 2 was kept: loss " in (folder / "MODEL_CARD.md").read_text()
        assert f"{best} of 2 was kept, validation loss" in mnpu("bundle", "show", folder)[1]


def test_the_card_and_show_count_the_same_parameters(mnpu, small_run):
    for folder in sorted((small_run.path / "bundle").iterdir()):
        _, out, _ = mnpu("bundle", "show", folder, "--json")
        n = json.loads(out)["bundles"][0]["parameters"]
        assert f"| parameters | {n:,} |" in (folder / "MODEL_CARD.md").read_text()


def test_verify_checks_all_folds_of_a_run(mnpu, small_run):
    code, out, _ = mnpu("bundle", "verify", small_run.path)
    assert code == 0
    assert out.count("as they were written, and the weights fit") == 2


def test_verify_says_which_package_of_whomever_has_another_version(mnpu, bundle):
    from mnpu.manifest import read_sealed, seal

    files = read_sealed(bundle)
    origin = json.loads(files["origin.json"])
    then = origin["versions"]["pandas"]
    origin["versions"] |= {"pandas": "0.1", "acme-gone": "1.0"}
    forged = seal(bundle.parent / "forged", {**files, "origin.json": json.dumps(origin).encode()})
    code, out, _ = mnpu("bundle", "verify", forged)
    assert code == 0
    assert [line for line in out.splitlines() if "note:" in line] == [
        f"  note: fitted with pandas 0.1, here is {then}: numbers may differ in the last digits"
    ]


@pytest.mark.parametrize(
    "name",
    ["weights.safetensors", "fitted.json", "resolved.yaml", "origin.json", "MODEL_CARD.md", "manifest.json"],
)
def test_any_changed_byte_is_refused(mnpu, bundle, name):
    content = (bundle / name).read_bytes()
    for place in np.linspace(0, len(content) - 1, 7).astype(int):
        changed = bytearray(content)
        changed[place] ^= 1
        (bundle / name).write_bytes(changed)
        code, _, err = mnpu("bundle", "verify", bundle)
        assert code == 3, (name, place, err)
        assert str(bundle) in err
    (bundle / name).write_bytes(content)
    assert mnpu("bundle", "verify", bundle)[0] == 0


@pytest.mark.parametrize("name", ["weights.safetensors", "fitted.json", "manifest.json"])
def test_a_truncated_or_missing_file_is_refused(mnpu, bundle, name):
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content[: len(content) // 2])
    assert mnpu("bundle", "show", bundle)[0] == 3
    (bundle / name).unlink()
    code, _, err = mnpu("bundle", "show", bundle)
    assert code == 3
    assert f"{name} cannot be read" in err


def test_a_file_that_nobody_vouches_for_is_refused(mnpu, bundle):
    (bundle / "sitecustomize.py").write_text("raise SystemExit('executed')")
    code, _, err = mnpu("bundle", "verify", bundle)
    assert code == 3
    assert "sitecustomize.py is not in the manifest" in err


def test_a_bundle_of_a_later_version_is_refused_with_the_next_step(mnpu, bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "format": 3}))
    code, _, err = mnpu("bundle", "verify", bundle)
    assert code == 3
    assert "bundle format 3, which a later mnpu-core wrote, expected at most 2. Run: pip install --upgrade" in err


def test_a_manifest_cannot_name_files_outside_its_folder(mnpu, bundle):
    secret = bundle.parent / "secret"
    secret.write_text("x")
    files = {"../secret": hashlib.sha256(b"x").hexdigest()}
    (bundle / "manifest.json").write_text(json.dumps({"format": 1, "files": files}))
    code, _, err = mnpu("bundle", "show", bundle)
    assert code == 3
    assert "the manifest names no files" in err


def test_weights_of_another_network_are_refused_though_every_hash_is_right(mnpu, bundle):
    from mnpu.manifest import read_sealed, seal

    files = read_sealed(bundle)
    origin = json.loads(files["origin.json"])
    origin["model"]["backbone"]["d_model"] = 16
    forged = seal(bundle.parent / "forged", {**files, "origin.json": json.dumps(origin).encode()})
    code, _, err = mnpu("bundle", "verify", forged)
    assert code == 3
    assert "not those of the network" in err


def test_levels_of_another_head_are_refused_though_every_hash_is_right(mnpu, bundle):
    from mnpu.manifest import read_sealed, seal

    files = read_sealed(bundle)
    state = json.loads(files["fitted.json"])
    state["levels"][0] /= 2
    forged = seal(bundle.parent / "forged", {**files, "fitted.json": json.dumps(state).encode()})
    error = refused(mnpu, "verify", forged)
    assert error["exit_code"] == 3
    assert error["expected"].startswith("those of its network")


class Trap:
    """What a pickle would run when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_in_the_place_of_the_weights_is_refused_and_never_run(mnpu, bundle, tmp_path):
    from mnpu.manifest import read_sealed, seal

    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    forged = seal(tmp_path / "forged", {**read_sealed(bundle), "weights.safetensors": trap})
    for action in ("show", "verify"):
        code, _, err = mnpu("bundle", action, forged)
        assert code == 3, err
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)  # it would have been seen
    assert (tmp_path / "sprung").exists()


def test_a_component_that_is_not_installed_is_named(mnpu, bundle):
    from mnpu.manifest import read_sealed, seal

    files = read_sealed(bundle)
    origin = json.loads(files["origin.json"])
    origin["model"]["backbone"] = {"use": "os.system", "command": "true"}
    forged = seal(bundle.parent / "forged", {**files, "origin.json": json.dumps(origin).encode()})
    code, _, err = mnpu("bundle", "verify", forged)
    assert code == 2
    assert "No backbone named 'os.system'" in err


def test_export_writes_what_onnxruntime_reads(mnpu, small_run, tmp_path):
    ort = pytest.importorskip("onnxruntime", reason="export needs mnpu-core[export]")
    code, out, err = mnpu("bundle", "export", small_run.path, "--out", tmp_path / "onnx", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["from"].endswith("fold-01")
    session = ort.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    windows = np.zeros((3, 8, 8), dtype=np.float32)
    (quantiles,) = session.run(None, {"windows": windows})
    assert quantiles.shape == (3, 1, len(small_run.result.forecast.levels))
    assert (np.diff(quantiles, axis=-1) > 0).all()
    code, _, err = mnpu("bundle", "export", small_run.path, "--out", tmp_path / "onnx")
    assert code == 2
    assert "exists already, expected a new or an empty folder. Choose another --out; nothing was overwritten." in err


@pytest.mark.parametrize("missing", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_ends_with_5_and_the_line_that_installs_it(mnpu, small_run, tmp_path, monkeypatch, missing):
    pytest.importorskip("onnxscript", reason="export needs mnpu-core[export]")
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    code, _, err = mnpu("bundle", "export", small_run.path, "--out", tmp_path / "onnx")
    assert code == 5
    assert f'{missing} is not installed. Run: pip install "mnpu-core[export]"' in err
    assert not (tmp_path / "onnx").exists()


def test_what_is_no_bundle_is_said(mnpu, small_run, tmp_path):
    code, _, err = mnpu("bundle", "show", tmp_path)
    assert code == 2
    assert "holds no manifest.json" in err
    code, _, err = mnpu("bundle", "show", small_run.path, "--fold", 7)
    assert code == 2
    assert "there is no bundle/fold-07" in err
    code, _, err = mnpu("bundle", "verify", small_run.path / "bundle" / "fold-01" / "manifest.json")
    assert code == 2
    assert "manifest.json: it is a file, expected the folder of a bundle, or a run" in err
    code, _, err = mnpu("bundle", "show", "a" * 5000)
    assert code == 2
    assert "no bundle has such a name" in err


def refused(mnpu, *args) -> dict:
    """The error of a command with --json: all of it on stderr, and the exit code that it says."""
    code, out, err = mnpu("bundle", *args, "--json")
    error = json.loads(err)
    assert (out, code) == ("", error["exit_code"]), error
    return error


@pytest.mark.parametrize("action", ["show", "verify", "export"])
def test_each_command_says_as_json_why_it_refuses_a_bundle(mnpu, bundle, tmp_path, action):
    out = ("--out", tmp_path / "out") if action == "export" else ()
    content = (bundle / "weights.safetensors").read_bytes()
    (bundle / "weights.safetensors").write_bytes(content[:100])
    assert refused(mnpu, action, bundle, *out)["exit_code"] == 3
    (bundle / "weights.safetensors").unlink()
    (bundle / "weights.safetensors").mkdir()
    assert "Is a directory" in refused(mnpu, action, bundle, *out)["what"]
    assert refused(mnpu, action, tmp_path / "nothing", *out)["exit_code"] == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("action", ["show", "verify"])
@pytest.mark.parametrize("block", [{}, {"use": 3}, {"d_model": 16}])
def test_a_model_that_names_no_component_is_refused_as_the_bundles_fault(mnpu, bundle, action, block):
    from mnpu.manifest import read_sealed, seal

    files = read_sealed(bundle)
    origin = json.loads(files["origin.json"])
    origin["model"]["backbone"] = block
    forged = seal(bundle.parent / "forged", {**files, "origin.json": json.dumps(origin).encode()})
    error = refused(mnpu, action, forged)
    assert error["exit_code"] == 3
    assert "model.backbone names no component" in error["what"]


def test_tensors_that_end_before_their_header_says_are_not_shown(mnpu, bundle):
    from mnpu.manifest import read_sealed, seal

    files = read_sealed(bundle)
    cut = files["weights.safetensors"][:-4]
    forged = seal(bundle.parent / "forged", {**files, "weights.safetensors": cut})
    assert (
        f"weights.safetensors is not a safetensors file ({len(cut):,} bytes)" in refused(mnpu, "show", forged)["what"]
    )


@pytest.mark.parametrize(
    "method", ["is_file", "read_bytes", "iterdir"], ids=["the folder", "its files", "what lies in it"]
)
def test_a_bundle_that_may_not_be_read_says_how_to_let_it_be(mnpu, bundle, monkeypatch, method):
    usual = getattr(Path, method)

    def denied(path, *args, **kwargs):
        if bundle.name in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path, *args, **kwargs)

    monkeypatch.setattr(Path, method, denied)
    error = refused(mnpu, "verify", bundle)
    assert error["exit_code"] == 3
    assert error["next_step"] == f"Run: chmod -R u+rX {bundle}"


@pytest.mark.parametrize("taken", ["a file", "a full folder", "a link to nothing"])
def test_export_overwrites_nothing_and_says_so_before_it_works(mnpu, small_run, tmp_path, monkeypatch, taken):
    from mnpu.training import export as module

    monkeypatch.setattr(module, "to_onnx", None)  # it would be called
    out = tmp_path / "out"
    if taken == "a file":
        out.write_text("mine")
    elif taken == "a full folder":
        out.mkdir()
        (out / "mine").write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    error = refused(mnpu, "export", small_run.path, "--out", out)
    assert error["exit_code"] == 2
    assert error["next_step"] == "Choose another --out; nothing was overwritten."
    assert {path.name for path in tmp_path.rglob("*")} == ({"out", "mine"} if taken == "a full folder" else {"out"})


def test_export_makes_the_folders_above_and_leaves_nothing_where_it_cannot(mnpu, small_run, tmp_path, monkeypatch):
    from mnpu.training import export as module

    monkeypatch.setattr(module, "to_torch", lambda *_: b"program")
    monkeypatch.setattr(module, "_difference", lambda *_: 0.0)
    given = ("export", small_run.path, "--format", "torch", "--out")
    assert mnpu("bundle", *given, tmp_path / "a" / "b")[0] == 0
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"export.json", "manifest.json", "model.pt2"}
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(mnpu, *given, tmp_path / "file" / "out")["what"]
    assert "cannot be written" in refused(mnpu, *given, tmp_path / ("a" * 5000))["what"]
    usual = Path.write_bytes

    def full(path, content):
        usual(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    (tmp_path / "disk").mkdir()
    assert "No space left on device" in refused(mnpu, *given, tmp_path / "disk" / "out")["what"]
    assert list((tmp_path / "disk").iterdir()) == []
