"""Export: a fitted network as one file for other runtimes, compared with the network before it is kept.

::

    model.onnx | model.pt2   windows (B, L, F'), scaled, to quantiles (B, H, Q) in units of the label, and where the
                             head names classes to probabilities (B, H, C) and evidence (B, H); any B. Calibrated
                             where the bundle is
    export.json              names and shapes of inputs and outputs, the scaling of each column, the origin
    manifest.json            the hashes of both

What a program of ``torch.export`` or ONNX needs of a backbone: shapes that follow from the configuration, no branch on
numbers, no function with a gradient of its own. Ours take plain torch there (`torch.compiler.is_compiling`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mnpu.atomic import Wording, new_folder
from mnpu.errors import ConfigError, MnpuError
from mnpu.manifest import as_json, seal
from mnpu.nn.network import Network
from mnpu.nn.temperature import SMALLEST
from mnpu.nn.whole import Whole
from mnpu.training.calibrating import Calibration
from mnpu.training.fitted import Fitted

__all__ = ["FORMATS", "TOLERANCE", "Exported", "export", "forecasts_of", "to_onnx", "to_torch"]

FORMATS = {"onnx": "model.onnx", "torch": "model.pt2"}
TOLERANCE = 1e-5  #: of the quantiles of scaled targets, whose deviation is 1; absolute below 1, relative above
_WORDING = Wording(expected="a new or an empty folder", instead="Choose another --out; nothing was overwritten.")
BATCHES = (5, 1, 2)  #: numbers of windows that the exported file is tried with; one is easily taken for a constant
OUTPUTS = ("quantiles", "probabilities", "evidence")


class Exported(nn.Module):
    """The whole way from scaled windows to what is said of the label, as a tuple of tensors.

    Parameters
    ----------
    network : Network
    target_scale : ndarray (H,)
        Units of the label for one of the scaled target.
    calibration : Calibration, optional
        What quantiles and probabilities go through.
    """

    def __init__(self, network: Network, target_scale: np.ndarray, calibration: Calibration | None = None) -> None:
        super().__init__()
        self.network = network
        unit = target_scale[:, None]  # (H, 1)
        self.register_buffer("target_scale", torch.from_numpy(unit.astype(np.float32)))
        shifts = None if calibration is None else torch.from_numpy((calibration.shifts / unit).astype(np.float32))
        hot = calibration.temperatures if calibration is not None else ()
        self.register_buffer("shifts", shifts)  # (H, Q), scaled
        self.register_buffer("temperatures", torch.tensor(hot).float().unsqueeze(-1) if hot else None)  # (H, 1)

    def forward(self, windows: Tensor) -> tuple[Tensor, ...]:
        """``(B, L, F')`` to quantiles (B, H, Q), and probabilities (B, H, C) and evidence (B, H) where there are."""
        said = self.network.forecast(windows)
        quantiles = said.quantiles if self.shifts is None else _uncrossed(said.quantiles + self.shifts)
        probabilities = said.probabilities
        if probabilities is not None and self.temperatures is not None:
            logits = probabilities.clamp(min=SMALLEST).log() / self.temperatures
            probabilities = logits.softmax(-1)
        parts = (quantiles * self.target_scale, probabilities, said.evidence)
        return tuple(part for part in parts if part is not None)


def _uncrossed(quantiles: Tensor) -> Tensor:
    """Quantiles (..., Q) that crossed moved outward from the middle, by operations that every runtime has."""
    levels = list(quantiles.unbind(-1))
    middle = len(levels) // 2
    for i in range(middle + 1, len(levels)):
        levels[i] = torch.maximum(levels[i], levels[i - 1])
    for i in range(middle - 1, -1, -1):
        levels[i] = torch.minimum(levels[i], levels[i + 1])
    return torch.stack(levels, dim=-1)


def export(fitted: Fitted, folder: Path, *, kind: str, origin: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write ``fitted`` into the new or empty ``folder``, whole or not at all, if the file gives its numbers.

    Parameters
    ----------
    fitted : Fitted
    folder : Path
    kind : {"onnx", "torch"}
    origin : mapping, optional
        Said in ``export.json``: the run, hashes and versions.

    Returns
    -------
    facts : dict
        ``file``, its ``bytes``, and the ``largest_difference`` of its quantiles from the network's, scaled targets.

    Raises
    ------
    ConfigError
        If the format is unknown, a whole model is in the place of the network, or ``folder`` is a file or holds one.
    MnpuError
        If the network cannot be exported, the file's numbers differ, or the folder cannot be written.
    """
    if kind not in FORMATS:
        raise ConfigError(f"the format is {kind!r}", where="export", expected=" or ".join(FORMATS))
    if isinstance(fitted.network, Whole):
        raise ConfigError(
            f"it is no network, but a whole model ({type(fitted.network.forecaster).__name__})",
            where="export",
            expected="a backbone with a head",
            next_step="Its own files, forecaster-*, lie in the bundle.",
        )
    folder = Path(folder)
    try:
        if _is_taken(folder):  # before the work is done
            raise _WORDING.taken(folder)
    except OSError as error:
        raise _WORDING.unwritable(folder, error) from error
    network = fitted.network.cpu().eval()
    module = Exported(network, fitted.target_scale, fitted.calibration).eval()
    example = _windows(fitted, BATCHES[0], seed=0)
    content = (to_onnx if kind == "onnx" else to_torch)(module, example)
    difference = _difference(module, content, fitted, kind)
    described = _described(fitted, module, kind, difference, origin or {})
    with new_folder(folder, _WORDING, is_taken=_is_taken) as hidden:
        seal(hidden, {FORMATS[kind]: content, "export.json": as_json(described)})
    return {"file": FORMATS[kind], "bytes": len(content), "largest_difference": difference, "format": kind}


def _is_taken(folder: Path) -> bool:
    """Whether something lies there; an empty folder is as good as none."""
    if folder.is_symlink() and not folder.exists():
        return True
    return any(folder.iterdir()) if folder.is_dir() else folder.exists()


def to_torch(module: nn.Module, example: Tensor) -> bytes:
    """The bytes of a ``torch.export`` program of ``module``, for any number of windows like ``example`` (B, L, F')."""
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(_program(module, example), buffer)
    return buffer.getvalue()


def to_onnx(module: nn.Module, example: Tensor) -> bytes:
    """The bytes of an ONNX model of ``module``, for any number of windows like ``example`` (B, L, F')."""
    import onnx  # noqa: F401  here, so that its absence is named before the work is done
    import onnxscript  # noqa: F401

    program = _program(module, example)
    with _quiet():
        try:
            converted = torch.onnx.export(program, dynamo=True, verbose=False, optimize=True)
        except Exception as error:  # the exporter wraps whatever an operator raised in its own classes
            raise _unexportable(module, error) from error
    model = converted.model_proto
    _name(model, example)
    return bytes(model.SerializeToString())


def forecasts_of(content: bytes, kind: str, windows: Tensor) -> list[np.ndarray]:
    """What an exported file says of ``windows`` (B, L, F'), by its own runtime."""
    if kind == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about the graph's cosmetics
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return list(session.run(None, {"windows": windows.numpy()}))
    with torch.inference_mode(), _quiet():
        program = torch.export.load(io.BytesIO(content))
        return [part.numpy() for part in program.module()(windows)]


def _program(module: nn.Module, example: Tensor) -> Any:
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad(), _quiet():
        try:
            return torch.export.export(module, (example,), dynamic_shapes=({0: batch},), strict=False)
        except Exception as error:  # tracing runs a stranger's network
            raise _unexportable(module, error) from error


def _unexportable(module: nn.Module, error: Exception) -> MnpuError:
    backbone = type(getattr(getattr(module, "network", None), "backbone", module)).__name__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return MnpuError(
        f"{backbone} cannot be exported ({type(error).__name__}: {lines[0][:200] if lines else ''})",
        where="export",
        expected="a network of operations on tensors, without branches on their values",
        next_step="See docs/how-to/use-a-bundle.md, or load the bundle with mnpu.training.load.",
    )


def _difference(module: Exported, content: bytes, fitted: Fitted, kind: str) -> float:
    """The largest difference of any number from the network's, as a share of `TOLERANCE`'s scale; refused above it."""
    scale = fitted.target_scale[:, None]
    worst = 0.0
    for batch in BATCHES:
        windows = _windows(fitted, batch, seed=batch)
        with torch.inference_mode():
            expected = [part.double().numpy() for part in module(windows)]
        found = forecasts_of(content, kind, windows)
        for i, (theirs, ours) in enumerate(zip(found, expected, strict=True)):
            unit = scale if i == 0 else 1.0
            gap = np.abs(theirs - ours) / unit / np.maximum(np.abs(ours / unit), 1.0)
            worst = max(worst, float(gap.max()) if np.isfinite(gap).all() else float("inf"))
    if worst > TOLERANCE:
        raise MnpuError(
            f"the exported {FORMATS[kind]} differs from the network by {worst:.2g}",
            where="export",
            expected=f"at most {TOLERANCE:g} of a scaled quantile",
            next_step="Nothing was written. Report it with the backbone's name.",
        )
    return worst


def _windows(fitted: Fitted, batch: int, *, seed: int) -> Tensor:
    """Windows like scaled ones: standard normal, the last of them three times as wide."""
    generator = torch.Generator().manual_seed(seed)
    windows = torch.randn(batch, fitted.lookback, fitted.scaler.n_columns, generator=generator)
    windows[-1] *= 3
    return windows


def _described(
    fitted: Fitted, module: Exported, kind: str, difference: float, origin: Mapping[str, Any]
) -> dict[str, Any]:
    with torch.inference_mode():
        shapes = [list(part.shape[1:]) for part in module(_windows(fitted, 1, seed=0))]
    scaler = fitted.scaler
    return {
        "file": FORMATS[kind],
        "format": kind,
        "largest_difference": difference,
        "input": {
            "name": "windows",
            "shape": ["batch", fitted.lookback, scaler.n_columns],
            "dtype": "float32",
            "columns": list(fitted.names),
            "masks": [name for name, gaps in zip(fitted.names, scaler.has_gaps, strict=True) if gaps],
            "scaling": "(value - mean) / std, 0 where missing; then one column for each of masks, 1 where present",
            "mean": scaler.mean.tolist(),
            "std": scaler.std.tolist(),
            "min_present": fitted.min_present,
        },
        "outputs": [
            {"name": name, "shape": ["batch", *shape], "dtype": "float32"}
            for name, shape in zip(OUTPUTS, shapes, strict=False)
        ],
        "horizons": [int(h) for h in fitted.horizons],
        "levels": list(fitted.levels),
        "calibrated": fitted.calibration is not None,
        "trained_until": scaler.fit_end.isoformat(),
        "torch": torch.__version__,
        "origin": {key: value for key, value in origin.items() if key != "versions"},
    }


def _name(model: Any, example: Tensor) -> None:
    """Give inputs and outputs the names that `export.json` uses, and the free size the name ``batch``."""
    graph = model.graph
    outputs = list(graph.output)
    names = dict(zip((o.name for o in outputs), OUTPUTS, strict=False))
    for node in graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        node.input[:] = [names.get(name, name) for name in node.input]
    free = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *outputs, *graph.value_info):
        value.name = names.get(value.name, value.name)
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == free and free:
                size.dim_param = "batch"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters advise their own authors; what concerns the user is raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "torch._export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
