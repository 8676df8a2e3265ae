"""Where a store is: paths and URLs, and what kind of store they mean."""

from __future__ import annotations

from pathlib import Path

from mnpu.errors import ConfigError

__all__ = ["MANIFEST", "is_parquet", "path_of"]

#: What a store of Parquet files has at the top of its folder, written last.
MANIFEST = "store.json"


def is_parquet(url: str | Path) -> bool:
    """Whether a path or URL means a folder of Parquet files: by its scheme, or by what lies there."""
    text = str(url)
    return text.startswith("parquet://") if "://" in text else (Path(text) / MANIFEST).is_file()


def path_of(url: str | Path) -> Path:
    """``sqlite:///relative.db``, ``sqlite:////absolute.db``, the same with ``parquet``, or a plain path."""
    text = str(url)
    if "://" not in text:
        return Path(text)
    scheme, _, rest = text.partition("://")
    if scheme not in ("sqlite", "parquet") or not rest.startswith("/") or rest == "/":
        raise ConfigError(
            f"{text!r} is no store URL", where="data.store", expected="sqlite:///market.db or parquet:///folder"
        )
    return Path(rest[1:])
