"""Many models in one `xcompat convert`: which are found, what stays, what one failure costs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from builders import checkpoints
from builders import pickle_asm as asm
from builders.command import run, snapshot
from xcompat.converters import convert, fleet, repair, write_tiny_release
from xcompat.converters.fleet import Model, Way, convert_all, find_models
from xcompat.errors import CannotLook, ExitCode


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Three fine-tunes, one of them as the trainer left it."""
    folder = tmp_path / "models"
    write_tiny_release(folder / "anna")
    write_tiny_release(folder / "by hand" / "bert")
    trained = folder / "run" / "GPT_XTTS_FT-1"
    trained.mkdir(parents=True)
    checkpoints.write(trained, checkpoints.trainer_checkpoint(), "best_model.pth")
    checkpoints.write(trained, checkpoints.trainer_checkpoint(), "checkpoint_500.pth")
    return folder


def hostile(folder: Path) -> None:
    folder.mkdir()
    payload = asm.call(asm.name("os", "system"), asm.text("touch mark"))
    checkpoints.write(folder, checkpoints.checkpoint(extra=payload))


def found(places: list[Path]) -> list[Model]:
    return find_models(places).models


def names(models: list[Model]) -> list[str]:
    return [str(model.relative) for model in models]


def states(folder: Path, way: Way | None = None) -> dict[str, str]:
    done = convert_all(found([folder]), way or Way({}))
    return {Path(each.source).name: each.state for each in done}


def test_every_model_below_becomes_what_it_becomes_alone(models: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    convert(models / "anna", alone / "anna")
    convert(models / "by hand/bert", alone / "by hand/bert")
    convert(models / "run/GPT_XTTS_FT-1/best_model.pth", alone / "run/GPT_XTTS_FT-1")
    before = snapshot(models)
    done = run(models, "-o", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert snapshot(tmp_path / "out") == snapshot(alone)
    assert snapshot(models) == before
    assert "3 converted; " in done.stdout


def test_without_a_folder_to_write_to_each_lies_beside_its_source(models: Path) -> None:
    assert run(models).returncode == 0
    for name in ("anna", "by hand/bert", "run/GPT_XTTS_FT-1"):
        assert (models / f"{name}-converted" / "model.safetensors").exists()


def test_what_was_converted_is_no_source(models: Path) -> None:
    run(models)
    assert names(found([models])) == ["anna", "by hand/bert", "run/GPT_XTTS_FT-1"]
    # What was repaired in place is, and what is named is.
    repair(models / "anna")
    assert "anna" in names(found([models]))
    assert names(found([models / "anna-converted"])) == ["anna-converted"]
    elsewhere = models.with_name("outputs")
    elsewhere.mkdir()
    shutil.move(models / "anna-converted", elsewhere / "anna")
    alone = run(elsewhere)
    assert (alone.returncode, "error[XC112]" in alone.stderr) == (4, True)
    assert "converted from models that are elsewhere" in alone.stderr
    among = run(elsewhere, models)
    told = re.sub(r"\s+", " ", among.stdout)
    assert f"Left out: 1 converted before from elsewhere, such as {elsewhere}/anna;" in told
    assert json.loads(run(models, "--json").stdout)["left_out"] == []


def test_links_are_not_followed_out(models: Path, tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "elsewhere")
    (models / "linked folder").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for name, target in {
        "outside": tmp_path / "elsewhere/model.pth",
        "inside": models / "anna/model.pth",
    }.items():
        (models / name).mkdir()
        (models / name / "model.pth").symlink_to(target)
    write_tiny_release(models / "secret")
    (models / "secret" / "LICENSE.txt").unlink()
    (models / "secret" / "LICENSE.txt").symlink_to(tmp_path / "elsewhere/config.json")
    errors = {str(model.relative): model.error for model in found([models])}
    assert "linked folder" not in errors
    assert errors["inside"] is None
    for name in ("outside", "secret"):
        error = errors[name]
        assert error is not None
        assert "leads out of the folder" in error.message
    assert names(found([models / "outside"])) == ["outside"]


def test_folders_too_deep_are_left_alone(tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "1/2/3/4/5")
    write_tiny_release(tmp_path / "1/2/3/4/x/6")
    assert names(found([tmp_path])) == ["1/2/3/4/5"]


def test_one_that_fails_does_not_stop_the_others(models: Path, tmp_path: Path) -> None:
    hostile(models / "aaa")
    damaged = models / "damaged"
    shutil.copytree(models / "anna", damaged)
    checkpoints.damage_weights(damaged / "model.pth")
    done = run(models, COLUMNS="80")
    assert (done.returncode, done.stderr) == (4, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    told = re.sub(r"\s+", " ", done.stdout)
    assert "3 converted, 2 failed; " in told
    assert "names os.system" in told
    assert "(XC104)" in told
    assert "(XC102)" in told
    assert (models / "anna-converted/model.safetensors").exists()
    assert not (models / "aaa-converted").exists()
    assert not (models / "damaged-converted").exists()
    shutil.rmtree(damaged)
    assert run(models).returncode == 1


def test_nothing_that_a_file_names_is_run(models: Path, tmp_path: Path) -> None:
    for number in range(4):
        hostile(models / f"hostile-{number}")
    done = subprocess.run(
        [sys.executable, "-m", "xcompat", "convert", str(models), "--json"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert [x["error"]["code"] for x in told["models"] if x["error"]] == ["XC104"] * 4
    assert not (tmp_path / "mark").exists()


def test_each_is_converted_by_the_function_that_converts_one(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, bool]] = []

    def counted(source: Path, *args: object, dry_run: bool, **options: object) -> object:
        called.append((source.name, dry_run))
        return convert(source, *args, dry_run=dry_run, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fleet, "convert", counted)
    states(models)
    expected = {(name, dry) for name in ("anna", "bert", "best_model.pth") for dry in (True, False)}
    assert (len(called), set(called)) == (6, expected)


def test_what_is_converted_and_unchanged_is_skipped(models: Path) -> None:
    run(models / "anna")
    done = run(models, "--json")
    told = {Path(x["source"]).name: x["state"] for x in json.loads(done.stdout)["models"]}
    assert told == {"anna": "unchanged", "bert": "converted", "best_model.pth": "converted"}
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    again = run(models)
    assert again.returncode == 0
    assert "3 unchanged; 0 B in all" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*")} == before


def train_on(model: Path) -> None:
    """Give the weights other values, which a file of the same size holds."""
    content = bytearray((model / "model.pth").read_bytes())
    (model / "model.pth").write_bytes(content)
    os.utime(model / "model.pth", ns=(1, 1))


def add_a_voice(model: Path) -> None:
    os.utime(model / "speakers_xtts.pth", ns=(1, 1))


def change_the_config(model: Path) -> None:
    with (model / "config.json").open("a") as file:
        file.write("\n")


def lose_the_output(model: Path) -> None:
    (model.with_name("anna-converted") / "vocab.json").unlink()


def cut_the_output(model: Path) -> None:
    os.truncate(model.with_name("anna-converted") / "model.safetensors", 100)


def spoil_the_record(model: Path) -> None:
    (model.with_name("anna-converted") / "xcompat.json").write_text('{"files": {"\\u0000": {}}}')


CHANGES = [
    train_on,
    add_a_voice,
    change_the_config,
    lose_the_output,
    cut_the_output,
    spoil_the_record,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_not_skipped(models: Path, change: object) -> None:
    convert(models / "anna")
    assert callable(change)
    change(models / "anna")
    (outcome,) = convert_all(found([models / "anna"]), Way({}))
    assert outcome.error
    assert outcome.error.code == "XC110"
    (outcome,) = convert_all(found([models / "anna"]), Way({}, force=True))
    assert outcome.state == "converted"


@pytest.mark.parametrize(
    "way",
    [
        Way({"dtype": "bfloat16"}),
        Way({}, format="pth"),
        Way({}, format="both"),
        Way({"verify": True}),
        Way({"sha256": True}),
    ],
)
def test_what_was_converted_in_another_way_is_not_skipped(models: Path, way: Way) -> None:
    states(models)
    assert "unchanged" not in states(models, way).values()
    again = way._replace(output=models.with_name("out"))
    assert set(states(models, again).values()) == {"converted"}
    assert set(states(models, again).values()) == {"unchanged"}


@pytest.mark.parametrize("dtype", [None, "float16"])
def test_models_are_repaired_in_place_once(models: Path, dtype: str | None) -> None:
    words = ["--in-place", *(["--dtype", dtype] if dtype else [])]
    assert "3 converted; " in run(models, *words).stdout
    assert (models / "run/GPT_XTTS_FT-1/best_model.pth.original").exists()
    before = snapshot(models)
    again = run(models, *words)
    assert (again.returncode, "3 unchanged; " in again.stdout) == (0, True)
    assert snapshot(models) == before
    shutil.copy(models / "anna/model.pth.original", models / "anna/model.pth")
    assert run(models, *words).returncode == 4  # an original is kept there already


def give_room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(fleet.shutil, "disk_usage", lambda _: usage)


def needed_by(folder: Path, way: Way | None = None) -> int:
    planned = convert_all(found([folder]), (way or Way({}))._replace(options={"dry_run": True}))
    assert {each.state for each in planned} == {"planned"}
    return sum(each.size for each in planned)


def test_too_little_room_for_all_is_told_before_anything_is_written(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = needed_by(models)
    before = snapshot(models)
    give_room(monkeypatch, needed - 1)
    with pytest.raises(CannotLook, match=f"3 models need {needed:,} bytes") as caught:
        states(models)
    assert (caught.value.code, caught.value.exit_code) == ("XC111", 4)
    assert snapshot(models) == before
    give_room(monkeypatch, needed + 100_000)
    assert set(states(models).values()) == {"converted"}


def test_what_is_replaced_makes_room_for_the_next(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as are written at a time lie beside what they replace, and no more."""
    way = Way({}, in_place=True, keep_original=False)
    monkeypatch.setattr(fleet, "can_share_blocks", lambda *_: False)
    needed = needed_by(models, way)
    give_room(monkeypatch, needed - 1)
    with pytest.raises(CannotLook, match="3 models need"):
        states(models, way._replace(keep_original=True))
    with pytest.raises(CannotLook, match="3 models need"):
        convert_all(found([models]), way, jobs=3)
    assert {each.state for each in convert_all(found([models]), way, jobs=1)} == {"converted"}


def test_two_models_are_never_written_to_one_folder(models: Path, tmp_path: Path) -> None:
    write_tiny_release(tmp_path / "other" / "anna")
    before = snapshot(tmp_path)
    done = run(models / "anna", tmp_path / "other/anna", "-o", tmp_path / "out")
    assert (done.returncode, "error[XC113]" in done.stderr) == (2, True)
    assert snapshot(tmp_path) == before
    assert run(models / "anna", models / "anna", models / "run").returncode == 0


def test_a_folder_without_a_model_is_told_as_ever(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "other.pth").touch()
    done = run(tmp_path / "empty")
    assert done.returncode == 4
    assert "error[XC112]" in done.stderr
    assert "holds no model.pth, only other.pth" in done.stderr
    among = json.loads(run(tmp_path / "empty", tmp_path / "missing", "--json").stdout)
    assert [x["error"]["code"] for x in among["models"]] == ["XC112", "XC112"]


def test_a_bug_in_one_is_told_and_the_others_are_converted(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(source: Path, *args: object, **options: object) -> object:
        if source.name == "anna":
            raise AssertionError("odd")
        return convert(source, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fleet, "convert", odd)
    anna, *others = convert_all(found([models]), Way({}))
    assert anna.error
    assert (anna.error.code, anna.error.exit_code) == ("XC000", ExitCode.BUG)
    assert {each.state for each in others} == {"converted"}
    monkeypatch.setenv("XCOMPAT_DEBUG", "1")
    with pytest.raises(AssertionError, match="odd"):
        convert_all(found([models / "anna", models / "run"]), Way({}, force=True))


def test_no_more_are_converted_at_a_time_than_was_asked_for(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def watched(*args: object, **options: object) -> object:
        with lock:
            running.append(1)
            most.append(len(running))
        time.sleep(0.02)
        try:
            return convert(*args, **options)  # type: ignore[arg-type]
        finally:
            with lock:
                running.pop()

    monkeypatch.setattr(fleet, "convert", watched)
    convert_all(found([models]), Way({}), jobs=1)
    assert max(most) == 1
    most.clear()
    convert_all(found([models]), Way({}, force=True), jobs=3)
    assert max(most) == 3


def test_little_memory_and_many_processors_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "processors", lambda: 64)
    monkeypatch.setattr(fleet, "_free_memory", lambda: 64 << 30)
    assert fleet._at_once() == 4
    monkeypatch.setattr(fleet, "_free_memory", lambda: 600 << 20)
    assert fleet._at_once() == 2
    monkeypatch.setattr(fleet, "_free_memory", lambda: 1 << 20)
    assert fleet._at_once() == 1


def test_progress_is_that_of_all_models(models: Path) -> None:
    seen: list[tuple[int, int]] = []
    done = convert_all(found([models]), Way({}), jobs=1, progress=lambda *told: seen.append(told))
    assert {total for _, total in seen} == {seen[-1][0]}
    assert [written for written, _ in seen] == sorted(written for written, _ in seen)
    # The record of each is not known before.
    assert seen[-1][0] < sum(each.size for each in done)


SLOW = """
import signal, sys, time
from pathlib import Path
from xcompat.converters.files.output_file import OutputFile
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
copy = OutputFile.copy
mark = Path(sys.argv[1])
def slowly(self, *args):
    if "bert" in str(self.path):
        mark.touch()
        while not Path(str(mark) + "-go").exists():
            time.sleep(0.01)
            self._advance(0)
    return copy(self, *args)
OutputFile.copy = slowly
sys.argv = ["xcompat", "convert", *sys.argv[2:]]
from xcompat.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_run_leaves_only_whole_outputs_and_can_be_gone_on_with(
    models: Path, tmp_path: Path, number: signal.Signals
) -> None:
    mark, out = tmp_path / "mark", tmp_path / "out"
    words = [str(models), "-o", str(out), "--jobs", "1", "--json"]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(mark), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        while not mark.exists():
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        told, errors = child.communicate(timeout=30)
    assert (child.returncode, told) == (130, ""), errors
    assert "1 of 3 models were converted" in re.sub(r"\s+", " ", errors)
    assert "Traceback" not in errors
    convert(models / "anna", tmp_path / "alone")
    assert snapshot(out) == {f"anna/{k}": v for k, v in snapshot(tmp_path / "alone").items()}
    again = json.loads(run(*words).stdout)
    assert [x["state"] for x in again["models"]] == ["unchanged", "converted", "converted"]


def test_memory_does_not_grow_with_the_number_of_models(tmp_path: Path) -> None:
    """The command line collects no garbage: what a conversion leaves would add up."""
    write_tiny_release(tmp_path / "models/0")
    for number in range(1, 60):
        shutil.copytree(tmp_path / "models/0", tmp_path / f"models/{number}")
    program = (
        "import gc, sys; gc.disable()\n"
        "from pathlib import Path\n"
        "from xcompat.converters.fleet import Way, convert_all, find_models\n"
        "found = find_models([Path(sys.argv[1])]).models\n"
        "convert_all(found[:5], Way({}))\n"
        "before = len(gc.get_objects())\n"
        "convert_all(found[5:], Way({}))\n"
        "print((len(gc.get_objects()) - before) / len(found[5:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "models")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert float(done.stdout) < 100
