"""Entry points that are read from folders are those that the standard library finds."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata

import pytest

from mnpu.plugins import installed
from mnpu.plugins.installed import entry_points, version_of

GROUP = "mnpu.plugins"


def by_the_standard_library(group):
    points = metadata.entry_points(group=group)
    return sorted({(installed.normalise(p.dist.name), p.dist.version, p.name, p.value) for p in points})


def lay(folder, name, points, version="1.0"):
    info = folder / name
    info.mkdir(parents=True)
    dist = name.partition("-")[0]
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n\nName: not-this\n")
    (info / "entry_points.txt").write_text(points)


@pytest.mark.parametrize("group", [GROUP, "console_scripts", "pytest11"])
def test_this_environment_is_read_as_the_standard_library_reads_it(group):
    assert entry_points(group) == by_the_standard_library(group)


def test_versions_are_those_of_the_standard_library():
    assert version_of("pluggy") == metadata.version("pluggy")
    assert version_of("a-distribution-that-nobody-installed") == "unknown"


def test_only_the_section_of_the_group_counts(site):
    ours = "[mnpu.plugins]\n# y = b\n one = pkg.mod\ntwo=pkg:thing [extra]\n"
    text = f"[other]\nx = a\n\n{ours}[mnpu.plugins.more]\nz = c\n"
    lay(site.path, "odd_one-1.0.dist-info", text)
    found = [point for point in entry_points(GROUP) if point.dist == "odd-one"]
    assert found == [("odd-one", "1.0", "one", "pkg.mod"), ("odd-one", "1.0", "two", "pkg:thing [extra]")]
    assert entry_points(GROUP) == by_the_standard_library(GROUP)


def test_the_first_of_two_installations_counts(site, tmp_path, monkeypatch):
    lay(site.path, "Acme_Signals-2.0.dist-info", "[mnpu.plugins]\nacme = new\n", "2.0")
    lay(tmp_path / "older", "acme.signals-1.0.dist-info", "[mnpu.plugins]\nacme = old\n", "1.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "older")])
    assert [point.value for point in entry_points(GROUP) if point.dist == "acme-signals"] == ["new"]
    assert entry_points(GROUP) == by_the_standard_library(GROUP)


def test_an_archive_on_the_path_is_left_to_the_standard_library(site, tmp_path, monkeypatch):
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("packed-3.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: packed\nVersion: 3.0\n")
        packed.writestr("packed-3.0.dist-info/entry_points.txt", "[mnpu.plugins]\npacked = packed_plugin\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(archive)])
    assert ("packed", "3.0", "packed", "packed_plugin") in entry_points(GROUP)


def test_a_folder_without_metadata_breaks_nothing(site):
    (site.path / "ghost-1.0.dist-info").mkdir()
    assert all(point.dist != "ghost" for point in entry_points(GROUP))
