"""Folders, event files, and several files that make one history."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

import ganclinic
from ganlib.foreign_logs.column_names import InvalidHistory
from ganlib.foreign_logs.reading import text
from ganlib.foreign_logs.reading.files import read_logs
from ganlib.foreign_logs.table import Table


def values(table: Table, *signals: str) -> list[list[float]]:
    return [table.columns[signal].values.tolist() for signal in signals]


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


# --- a metric a file ------------------------------------------------------------------------------------------


def tensorboard(folder: Path, name: str, levels: list[float], first: int = 0) -> Path:
    rows = [f"{1619761818.9 + 3 * i:.5f},{first + 5 * i},{level:.9f}" for i, level in enumerate(levels)]
    return write(folder / name, "Wall time,Step,Value\n" + "\n".join(rows) + "\n")


def test_two_tags_of_tensorboard_are_one_history(tmp_path: Path) -> None:
    one = tensorboard(tmp_path, "run-a-tag-Loss_D.csv", [0.7, 0.6, 0.5])
    other = tensorboard(tmp_path, "run-a-tag-Loss_G.csv", [1.0, 2.0, 3.0, 4.0])
    [table] = read_logs([one, other])
    assert values(table, "step", "d_loss", "g_loss") == [[0, 5, 10], [0.7, 0.6, 0.5], [1, 2, 3]]
    assert any("1 rows at the end are not whole" in note for note in table.notes)


def test_one_tag_whose_name_says_nothing_is_asked_for(tmp_path: Path) -> None:
    path = tensorboard(tmp_path, "tensorboard-one-tag.csv", [0.7, 0.6, 0.5])
    with pytest.raises(InvalidHistory, match=r"holds one metric.*--column d_loss='tensorboard-one-tag'.*file of"):
        read_logs([path])
    [table] = read_logs([path], {"g_loss": "Value"})
    assert values(table, "step", "g_loss") == [[0, 5, 10], [0.7, 0.6, 0.5]]


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    paths = [tensorboard(tmp_path / name, "loss.csv", [0.5, 0.4, 0.3]) for name in ("d", "g")]
    [table] = read_logs(paths)
    assert {signal: column.name for signal, column in table.columns.items()} == {
        "step": "step",
        "d_loss": "d/loss",
        "g_loss": "g/loss",
    }


def test_lines_and_rows_of_a_metric_s_file_that_are_left_out_are_counted(tmp_path: Path) -> None:
    rows = [f"{step}: 0.{step}" for step in (1, 2, 3, 4)]
    path = write(tmp_path / "d_loss.log", "\n".join([*rows, "killed", "", *rows[:3], "5: 0.5", "resumed"]) + "\n")
    [table] = read_logs([path])
    assert values(table, "step", "d_loss") == [[1, 2, 3, 5], [0.1, 0.2, 0.3, 0.5]]
    assert "2 lines are no step and value and were left out" in table.notes
    assert any("the count goes back: 4 rows of earlier starts" in note for note in table.notes)


def two_runs(folder: Path) -> list[Path]:
    return [
        tensorboard(folder, f"run-{run}-tag-{tag}.csv", [level] * steps)
        for run, steps, level in (("a", 20, 0.5), ("b", 40, 0.25))
        for tag in ("Loss_D", "Loss_G")
    ]


@pytest.mark.parametrize("as_folder", [True, False])
def test_two_runs_in_one_folder_are_two_histories(tmp_path: Path, as_folder: bool) -> None:
    paths = two_runs(tmp_path)
    tables = read_logs([tmp_path] if as_folder else paths)
    assert [table.name.split()[-1] for table in tables] == ["a", "b"]
    assert [values(table, "d_loss", "g_loss") for table in tables] == [[[0.5] * 20] * 2, [[0.25] * 40] * 2]


def test_runs_that_add_scalars_makes_of_the_parts_of_a_tag_are_one_history(tmp_path: Path) -> None:
    paths = [tensorboard(tmp_path, f"run-exp_loss_{of}-tag-loss.csv", [0.5, 0.4, 0.3]) for of in ("D", "G")]
    [table] = read_logs(paths)
    assert values(table, "d_loss", "g_loss") == [[0.5, 0.4, 0.3]] * 2


def test_two_files_of_one_metric_of_one_run_are_refused_by_name(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, "1: 0.5\n2: 0.4\n3: 0.3\n") for name in ("D_loss.log", "D_loss.txt", "G_loss.log")]
    with pytest.raises(InvalidHistory, match=r"D_loss\.log and \S*D_loss\.txt both hold 'D_loss' of one run"):
        read_logs(paths)


def test_a_folder_of_biggan_is_one_log(tmp_path: Path) -> None:
    for name, level in (("G_loss", -0.5), ("D_loss_real", 0.7), ("D_loss_fake", 0.8)):
        write(tmp_path / f"{name}.log", "".join(f"{step}: {level}\n" for step in range(0, 500, 100)))
    write(tmp_path / "G.optim.log", "nonsense\n")
    [table] = read_logs([tmp_path])
    assert (table.format, table.objectives, len(table)) == ("BigGAN-PyTorch", ("hinge",), 5)
    assert values(table, "d_loss_real", "g_loss") == [[0.7] * 5, [-0.5] * 5]


def test_a_folder_of_mlflow_is_one_log_a_run(tmp_path: Path) -> None:
    for run, level in (("a1", 0.5), ("b2", 0.25)):
        for name in ("d_loss", "g_loss", "lr"):
            rows = "".join(f"16197618189{step:02d} {level} {step}\n" for step in range(4))
            write(tmp_path / "mlruns" / "0" / run / "metrics" / name, rows)
        write(tmp_path / "mlruns" / "0" / run / "params" / "epochs", "25")
    tables = read_logs([tmp_path])
    assert [values(table, "d_loss") for table in tables] == [[[0.5] * 4], [[0.25] * 4]]
    assert [table.name for table in tables] == ["a1/metrics", "b2/metrics"]


# --- folders ----------------------------------------------------------------------------------------------------


def test_options_beside_stylegans_log_say_which_updates_its_images_are(tmp_path: Path) -> None:
    rows = [
        {name: {"num": 1, "mean": level, "std": 0.0}}
        | {"Loss/D/loss": {"num": 9, "mean": 1.2, "std": 0.1}, "Loss/G/loss": {"num": 9, "mean": 0.9, "std": 0.1}}
        for name, level in (("Progress/kimg", 4.0), ("Progress/kimg", 8.0))
    ]
    write(tmp_path / "stats.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write(tmp_path / "log.txt", "tick 1 kimg 4.0\n")
    assert values(read_logs([tmp_path])[0], "kimg") == [[4, 8]]
    write(tmp_path / "training_options.json", json.dumps({"batch_size": 32}))
    [table] = read_logs([tmp_path])
    assert (values(table, "step"), table.row_span, table.batch_size) == ([[125, 250]], "tick", 32)
    assert any("batches of 32" in note for note in table.notes)


def test_a_folder_of_lightning_s_is_read_by_its_metrics(tmp_path: Path) -> None:
    version = tmp_path / "lightning_logs" / "version_0"
    write(version / "hparams.yaml", "lr: 0.0002\nlatent_dim: 100\nd_loss: 0.5\n")
    rows = [
        f",{e},{0.5 + 0.1 * i:.9f},{50 * e + 10 * i + 9}\n{0.6 + 0.1 * i:.9f},{e},,{50 * e + 10 * i + 9}\n"
        for e in range(2)
        for i in range(5)
    ]
    write(version / "metrics.csv", "d_loss,epoch,g_loss,step\n" + "".join(rows))
    (version / "checkpoints").mkdir()
    (version / "checkpoints" / "last.ckpt").write_bytes(b"PK\3\4")
    for folder in (version, tmp_path / "lightning_logs"):
        found = ganclinic.diagnose(folder)
        history = found.reading.history
        assert found.reading.sources == {"d_loss": "d_loss", "epoch": "epoch", "g_loss": "g_loss", "step": "step"}
        assert (len(history.steps), history.updates, history.steps_per_epoch) == (10, 100, 5)
        assert history.steps[:, 0].tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0] * 2)
        assert history.steps[:, 2].tolist() == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9] * 2)


def test_a_folder_without_a_log_says_so(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt", "nothing here\n")
    with pytest.raises(InvalidHistory, match=r"holds no log that is known.*ganclinic formats"):
        read_logs([tmp_path])


def test_logs_of_several_files_keep_their_names_and_parts_of_one_are_joined(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", "step,d_loss,g_loss\n1,0.5,1\n2,0.5,1\n")
    other = write(tmp_path / "other.csv", "step,d_loss,g_loss\n1,0.1,9\n2,0.1,9\n")
    assert [table.name for table in read_logs([one, other])] == ["one.csv", "other.csv"]
    parts = [
        write(tmp_path / "d.csv", "step,d_loss\n1,0.5\n2,0.25\n"),
        write(tmp_path / "g.csv", "step,g_loss\n1,1.5\n2,2\n"),
    ]
    [table] = read_logs(parts)
    assert values(table, "step", "d_loss", "g_loss") == [[1, 2], [0.5, 0.25], [1.5, 2]]


def test_names_of_logs_are_told_from_relative_and_absolute_paths_and_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "step,d_loss,g_loss\n1,0.5,1\n2,0.5,1\n"
    write(tmp_path / "one" / "log.csv", rows)
    other = write(tmp_path / "other" / "log.csv", rows)
    pair = [Path("one/log.csv"), other]
    assert [table.name for table in read_logs(pair)] == ["one/log.csv", "other/log.csv"]
    beside = read_logs([*pair, Path("-")], standard_input=rows.encode())
    assert [table.name for table in beside] == ["one/log.csv", "other/log.csv", "standard input"]
    metrics = [tensorboard(tmp_path / "tb", f"{name}.csv", [0.5, 0.4]) for name in ("d_loss", "g_loss")]
    assert [table.name for table in read_logs([pair[0], *metrics])][1:] == ["log.csv"]


# --- event files ------------------------------------------------------------------------------------------------


def event_folder(folder: Path, rows: list[tuple[int, dict[str, float]]]) -> Path:
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, scalars in rows:
        held = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        writer.add_event(Event(step=step, wall_time=1.6e9 + step, summary=Summary(value=held)))
    writer.close()
    return next(folder.glob("events.out.tfevents.*"))


def test_scalars_of_event_files_are_those_that_tensorboard_reads(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rng = np.random.default_rng(0)
    rows = [(10 * i, {"D/loss": float(rng.normal()), "G/loss": float(rng.normal()) * 1e20}) for i in range(300)]
    path = event_folder(tmp_path, rows)
    accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0})
    accumulator.Reload()
    [table] = read_logs([tmp_path])
    assert table.columns["step"].values.tolist() == [event.step for event in accumulator.Scalars("D/loss")]
    for signal, tag in (("d_loss", "D/loss"), ("g_loss", "G/loss")):
        assert table.columns[signal].values.tolist() == [event.value for event in accumulator.Scalars(tag)]


def test_a_scalar_that_is_a_tensor_is_read_and_other_tensors_are_not(tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = EventFileWriter(str(tmp_path))
    for step in range(3):
        number = make_tensor_proto(np.float32(0.5 + step))
        wide = make_tensor_proto(np.ones((2, 2), np.float32))
        summary = Summary(value=[Summary.Value(tag="d_loss", tensor=number), Summary.Value(tag="g_loss", tensor=wide)])
        writer.add_event(Event(step=step, summary=summary))
    writer.close()
    [table] = read_logs([tmp_path])
    assert values(table, "step", "d_loss") == [[0, 1, 2], [0.5, 1.5, 2.5]]
    assert "g_loss" not in table.columns


def test_what_a_killed_training_leaves_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    path = event_folder(tmp_path, [(step, {"d_loss": 0.5, "g_loss": 1.0}) for step in range(5)])
    path.write_bytes(path.read_bytes()[:-7])
    [table] = read_logs([path])
    assert table.columns["step"].values.tolist() == [0, 1, 2, 3]


def test_a_damaged_event_file_is_named(tmp_path: Path) -> None:
    path = event_folder(tmp_path, [(1, {"d_loss": 0.5, "g_loss": 1.0})])
    data = path.read_bytes()
    garbage = b"\xff" * 40
    path.write_bytes(data + struct.pack("<QI", len(garbage), 0) + garbage + b"\0\0\0\0")
    with pytest.raises(InvalidHistory, match="is damaged: a record of it is no event"):
        read_logs([path])


def test_events_of_a_training_that_went_back_to_a_checkpoint_count_once(tmp_path: Path) -> None:
    event_folder(tmp_path / "a", [(step, {"d_loss": 1.0, "g_loss": 1.0}) for step in (0, 10, 20, 30)])
    second = event_folder(tmp_path / "b", [(step, {"d_loss": 2.0, "g_loss": 1.0}) for step in (20, 30, 40)])
    second.rename(tmp_path / "a" / ("events.out.tfevents.9" + second.name[20:]))
    [table] = read_logs([tmp_path / "a"])
    assert values(table, "step", "d_loss") == [[0, 10, 20, 30, 40], [1, 1, 2, 2, 2]]


def test_an_epoch_that_has_a_tag_of_its_own_counts_the_steps_beside_it(tmp_path: Path) -> None:
    event_folder(tmp_path, [(step, {"d_loss": 0.5, "g_loss": 1.0, "epoch": step // 10}) for step in range(40)])
    [table] = read_logs([tmp_path])
    assert values(table, "step", "epoch") == [list(range(40)), [step // 10 for step in range(40)]]


def restarted(folder: Path) -> None:
    """1,000 steps that were lost, and in a file of its own a new start of 300 healthy ones."""
    lost = [(step, {"d_loss": 1e-4, "g_loss": 12.0}) for step in range(1000)]
    event_folder(folder / "first", lost)
    rng = np.random.default_rng(0)
    levels = rng.uniform(0.95, 1.05, (300, 2)) * (0.65, 0.9)
    again = [(step, {"d_loss": float(d), "g_loss": float(g)}) for step, (d, g) in enumerate(levels)]
    second = event_folder(folder / "second", again)
    second.rename(folder / "first" / ("events.out.tfevents.9" + second.name[20:]))


def test_events_of_a_training_that_began_anew_end_where_the_new_one_does(tmp_path: Path) -> None:
    restarted(tmp_path)
    [table] = read_logs([tmp_path / "first"])
    assert table.columns["step"].values.tolist() == list(range(300))
    assert table.columns["d_loss"].values.min() > 0.5
    [note] = [note for note in table.notes if "goes back" in note]
    assert "2,000 values of earlier starts, of steps that come again, were left out" in note
    assert ganclinic.diagnose(tmp_path / "first").diagnosis.findings == ()


def test_tags_that_are_folders_are_one_log(tmp_path: Path) -> None:
    event_folder(tmp_path / "loss_D", [(step, {"loss": 0.5}) for step in range(3)])
    event_folder(tmp_path / "loss_G", [(step, {"loss": 1.5}) for step in range(3)])
    [table] = read_logs([tmp_path])
    assert values(table, "d_loss", "g_loss") == [[0.5] * 3, [1.5] * 3]


# --- how files come ---------------------------------------------------------------------------------------------

DCGAN = "".join(f"[0/2][{i}/40]\tLoss_D: 0.5{i % 10}\tLoss_G: 1.2\tD(x): 0.6\n" for i in range(20))


@pytest.mark.parametrize(
    "data",
    [
        DCGAN.encode(),
        DCGAN.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + DCGAN.encode(),
        b"\xff\xfe" + DCGAN.encode("utf-16-le"),
        b"\xfe\xff" + DCGAN.encode("utf-16-be"),
        DCGAN.encode("utf-16-le"),
        gzip.compress(DCGAN.encode()),
        gzip.compress(DCGAN[:400].encode()) + gzip.compress(DCGAN[400:].encode()),
        DCGAN.replace("\t", "\t\x1b[32m").replace("D(x)", "\x1b[0mD(x)").encode(),
        ("Größe: 3 Bilder\n" + DCGAN).encode("cp1252"),
        DCGAN.replace("\n", "\r").encode(),
    ],
    ids=["plain", "crlf", "mark", "utf-16", "utf-16-be", "utf-16 no mark", "gz", "gz twice", "ansi", "cp1252", "cr"],
)
def test_a_log_is_read_whatever_the_shell_made_of_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "nohup.out"
    path.write_bytes(data)
    [table] = read_logs([path])
    assert (table.format, len(table)) == ("pytorch/examples DCGAN", 20)
    assert table.columns["d_loss"].values.tolist() == [float(f"0.5{i % 10}") for i in range(20)]
    [piped] = read_logs([Path("-")], standard_input=data)
    assert piped.columns["d_loss"].values.tolist() == table.columns["d_loss"].values.tolist()


def test_a_gzip_that_unpacks_to_too_much_or_is_damaged_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"0" * 2000))
    with monkeypatch.context() as patched:
        patched.setattr(text, "MAX_BYTES", 1999)
        with pytest.raises(InvalidHistory, match="unpacks to more than 1,999 bytes"):
            read_logs([path])
    packed = bytearray(gzip.compress(DCGAN.encode()))
    packed[-8] ^= 1  # of the checksum
    path.write_bytes(packed)
    with pytest.raises(InvalidHistory, match="damaged within its gzip"):
        read_logs([path])


def test_a_pickle_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "history.pkl"
    path.write_bytes(b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94.")
    with pytest.raises(InvalidHistory, match="is a pickle, which could run any code and is not read; save its lists"):
        read_logs([path])
