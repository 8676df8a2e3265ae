"""What is written appears whole or not at all, and takes the place of nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mnpu.atomic import Wording, new_file, new_folder, write_atomically, write_new
from mnpu.errors import ConfigError, MnpuError

WORDING = Wording("a new name", "Choose another one.")


@pytest.fixture(params=["links", "no links"])
def any_disk(request, monkeypatch):
    """A file system with hard links, and one without."""

    def unsupported(*args):
        raise OSError(95, "Operation not supported")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", unsupported)


def holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def fill_too_late(target: Path) -> None:
    with new_file(target, WORDING) as hidden:
        hidden.write_text("mine")
        target.write_text("theirs")


def fill_too_late_a_folder(target: Path) -> None:
    with new_folder(target, WORDING):
        target.mkdir()
        (target / "theirs").touch()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path, any_disk):
    target = tmp_path / "deep" / "a.db"
    with new_file(target, WORDING) as hidden:
        hidden.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(target.parent) == ["a.db"]


def test_a_name_that_someone_takes_meanwhile_stays_theirs(tmp_path, any_disk):
    target = tmp_path / "a.db"
    with pytest.raises(ConfigError, match=r"exists already, expected a new name\. Choose another one\."):
        fill_too_late(target)
    assert target.read_text() == "theirs"
    assert names(tmp_path) == ["a.db"]


def test_a_folder_that_someone_makes_meanwhile_stays_theirs(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(ConfigError, match="exists already"):
        fill_too_late_a_folder(target)
    assert names(tmp_path) == ["out"]
    assert names(target) == ["theirs"]


def test_an_empty_folder_may_be_replaced_and_a_full_one_may_not(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(ConfigError), new_folder(target, WORDING):
        pass
    with new_folder(target, WORDING, is_taken=holds_something) as hidden:
        (hidden / "a").touch()
    assert names(target) == ["a"]
    with pytest.raises(ConfigError), new_folder(target, WORDING, is_taken=holds_something):
        pass


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_what_fails_is_named_with_its_next_step_and_leaves_nothing_behind(tmp_path, new):
    wording = Wording("", "", "Make room.")
    with (
        pytest.raises(MnpuError, match=r"cannot be written \('no room'\).*Make room\."),
        new(tmp_path / "a", wording, failures=(KeyError, OSError)),
    ):
        raise KeyError("no room")
    with pytest.raises(ValueError, match="a bug"), new(tmp_path / "a", WORDING):
        raise ValueError("a bug")
    assert names(tmp_path) == []


def test_a_file_where_a_folder_must_be_is_not_taken_for_the_target(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MnpuError, match="cannot be written") as caught, new_file(tmp_path / "file" / "a", WORDING):
        pass
    assert not isinstance(caught.value, ConfigError)


def test_bytes_replace_a_file_or_claim_a_new_one(tmp_path, any_disk):
    path = write_new(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        write_new(path, b"second")
    assert path.read_bytes() == b"first"
    assert write_atomically(path, b"second").read_bytes() == b"second"
    assert names(tmp_path) == ["a"]
