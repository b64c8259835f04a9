"""FFmpeg's libraries are found where the loader looks, and nothing is started for it."""

import sys

import pytest

from builders.environments import TTS_22, add_distribution, make_venv
from xcompat.environment import ffmpeg
from xcompat.environment.ffmpeg import ffmpeg_versions, supported_versions
from xcompat.environment.probe import environment_of


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The loader's cache, which knows no FFmpeg."""
    path = tmp_path / "ld.so.cache"
    path.write_bytes(b"glibc-ld.so.cache1.1\0libc.so.6\0/lib/libc.so.6\0")
    monkeypatch.setattr(ffmpeg, "_CACHE", path)
    monkeypatch.setattr(sys, "platform", "linux")
    return path


def test_the_cache_of_the_loader(cache, tmp_path):
    assert ffmpeg_versions(tmp_path, {}) == ()
    cache.write_bytes(cache.read_bytes() + b"libavutil.so.57\0/lib/x/libavutil.so.57\0")
    assert ffmpeg_versions(tmp_path, {}) == (5,)


def test_folders_of_the_environment_and_of_variables(cache, tmp_path):
    touch(tmp_path / "conda" / "lib", "libavutil.so.60", "libavutil.so.60.8.100", "libav.so")
    named = touch(tmp_path / "named", "libavutil.so.56")
    environ = {"LD_LIBRARY_PATH": f"/nowhere::{named}"}
    assert ffmpeg_versions(tmp_path / "conda", environ) == (8, 4)


def test_without_the_cache_nobody_knows(cache, tmp_path):
    cache.unlink()
    assert ffmpeg_versions(tmp_path, {}) is None
    touch(tmp_path / "lib", "libavutil.so.59")
    assert ffmpeg_versions(tmp_path, {}) == (7,)


@pytest.mark.parametrize(
    ("platform", "file", "variable"),
    [
        ("darwin", "lib/libavutil.58.dylib", None),
        ("darwin", "lib/libavutil.58.29.100.dylib", None),
        ("darwin", "named/libavutil.58.dylib", "DYLD_FALLBACK_LIBRARY_PATH"),
        ("win32", "named/avutil-58.dll", "PATH"),
        ("win32", "Library/bin/avutil-58.dll", None),
    ],
)
def test_other_systems(monkeypatch, tmp_path, platform, file, variable):
    monkeypatch.setattr(sys, "platform", platform)
    folder, _, name = file.rpartition("/")
    where = touch(tmp_path / folder, name)
    environ = {variable: str(where)} if variable else {}
    assert 6 in ffmpeg_versions(tmp_path, environ)


def test_an_unknown_system_is_not_judged(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert ffmpeg_versions(tmp_path, {}) is None


def test_the_libraries_of_torchcodec(tmp_path):
    touch(tmp_path, "libtorchcodec_core4.so", "libtorchcodec_core7.dylib", "libtorchcodec_ops8.so")
    assert supported_versions(tmp_path) == (7, 4)
    assert supported_versions(tmp_path / "none") == ()


class TestProbe:
    @pytest.fixture
    def site(self, tmp_path, cache):
        site = make_venv(tmp_path / "venv", TTS_22)
        add_distribution(site, "torchcodec", "0.9.1")
        touch(site / "torchcodec", *(f"libtorchcodec_core{n}.so" for n in (4, 5, 6, 7)))
        return site

    def probed(self, site):
        found = environment_of(str(site.parents[2]))
        return found.system, dict(found.signs)

    def test_absent(self, site):
        assert self.probed(site) == ({"ffmpeg": None}, {})

    def test_present(self, site):
        touch(site.parents[2] / "lib", "libavutil.so.57", "libavutil.so.60")
        assert self.probed(site) == ({"ffmpeg": "5"}, {})

    def test_too_new_for_torchcodec(self, site):
        touch(site.parents[2] / "lib", "libavutil.so.60")
        told = "FFmpeg 8; torchcodec has libraries for 4, 5, 6, 7"
        assert self.probed(site) == ({"ffmpeg": "8"}, {"ffmpeg-unsupported": (told,)})

    def test_without_torchcodec_nobody_looks(self, tmp_path, cache):
        site = make_venv(tmp_path / "venv", TTS_22)
        assert self.probed(site) == ({}, {})
