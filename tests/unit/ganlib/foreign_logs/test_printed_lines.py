"""Lines that trainers print: which numbers have which names, among all that is printed besides."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganlib.foreign_logs.column_names import InvalidHistory
from ganlib.foreign_logs.history import read_history
from ganlib.foreign_logs.reading.files import read_logs
from ganlib.foreign_logs.table import Table


def read(folder: Path, text: str) -> Table:
    path = folder / "train.log"
    path.write_bytes(text.encode())
    [table] = read_logs([path])
    return table


def first(table: Table) -> dict[str, float]:
    return {signal: float(column.values[0]) for signal, column in table.columns.items()}


CASES = Path(__file__).parent / "cases"
LOSSES = {"d_loss": 0.69, "g_loss": 0.71}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("step=100 loss_d=0.69 loss_g=0.71", {"step": 100} | LOSSES),
        ("2024-01-01 12:00:00,123 INFO trainer: step=100 loss_d=0.69 loss_g=0.71 lr=1e-05", {"step": 100} | LOSSES),
        (
            "[2024-01-01T12:00:00Z] Epoch 3/100 | Step 7/50 | D loss 0.69 | G loss 0.71",
            {"epoch": 3, "step": 7} | LOSSES,
        ),
        ("Epoch [3/100], Step [7/50], Loss D: 0.69, Loss G: 0.71", {"epoch": 3, "step": 7} | LOSSES),
        ("Iteration 1,200: discriminator loss = 0,69, generator loss = 0,71", {"step": 1200} | LOSSES),
        ("{'d_loss': 0.69, 'g_loss': 0.71, 'step': 12}", {"step": 12} | LOSSES),
        ("d_loss: tensor(0.69, device='cuda:0', grad_fn=<AddBackward0>) g_loss: tensor([0.71])", LOSSES),
        ("d_loss: <tf.Tensor: shape=(), dtype=float32, numpy=0.69> g_loss: np.float32(0.71)", LOSSES),
        ("100 0.5s d_loss: 0.69 - g_loss: 0.71 - val d_loss: 0.9", LOSSES),
        ("Epoch: [3][ 10/391]  D_Loss 0.69 (0.60)  G_Loss 0.71 (1.1)", {"epoch": 3, "step": 10} | LOSSES),
        (" 12%|#3  | 12/100 [00:10<03:10,  5.00it/s, D_loss=0.69, G_loss=0.71]", {"step": 12} | LOSSES),
        ("D: 0.69 | G: 0.71", LOSSES),
        ("step 3 d_loss 6.9e-01 g_loss 7.1E-1", {"step": 3} | LOSSES),
        ("INFO:root:[Epoch 3] loss/D 0.69, loss/G 0.71", {"epoch": 3} | LOSSES),
    ],
)
def test_a_line_of_any_loop_is_understood(tmp_path: Path, line: str, expected: dict[str, float]) -> None:
    assert first(read(tmp_path, line + "\n")) == pytest.approx(expected)


@pytest.mark.parametrize(("text", "value"), [("nan", "nan"), ("-nan", "nan"), ("inf", "inf"), ("-Infinity", "-inf")])
def test_numbers_that_are_none_are_data(tmp_path: Path, text: str, value: str) -> None:
    table = read(tmp_path, f"step 1 d_loss: 0.5 g_loss: 1.0\nstep 2 d_loss: {text} g_loss: {text}\n")
    assert [str(number) for number in table.columns["d_loss"].values.tolist()] == ["0.5", value]
    assert table.columns["g_loss"].given.all()


def test_thousands_and_decimal_commas_are_told_apart_by_the_column(tmp_path: Path) -> None:
    table = read(tmp_path, "iter: 107,200 d_loss: 0,693 g_loss: 1,234\niter: 107,300 d_loss: 1,100 g_loss: 0,5\n")
    assert table.columns["step"].values.tolist() == [107_200, 107_300]
    assert table.columns["d_loss"].values.tolist() == [0.693, 1.1]
    assert table.columns["g_loss"].values.tolist() == [1.234, 0.5]


NOISE = (
    "Namespace(batch_size=64, lr=0.0002, n_epochs=200)\n"
    "/usr/lib/python3/site-packages/torch/nn.py:12: UserWarning: nn.functional.tanh is deprecated. (Triggered at 3.5)\n"
    "Downloading: 100%|██████████| 170M/170M [00:10<00:00, 16.1MB/s]\n"
    "Sat Jan 12 10:00:00 2019: started\n"
)


def test_noise_between_lines_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [f"[{i // 10}/2][{i % 10}/10]\tLoss_D: 1.{i:02}\tLoss_G: 0.9\tD(x): 0.5\n" for i in range(20)]
    table = read(
        tmp_path, NOISE + "".join(rows[:7]) + NOISE + "".join(rows[7:]) + "Traceback (most recent call last):\n"
    )
    assert table.format == "pytorch/examples DCGAN"
    assert table.columns["d_loss"].values.tolist() == [float(f"1.{i:02}") for i in range(20)]
    assert table.columns["epoch"].values.tolist() == [0] * 10 + [1] * 10
    assert any("lines hold no number under a name and were left out" in note for note in table.notes)


def test_bars_that_are_written_over_are_rows_of_their_own(tmp_path: Path) -> None:
    bars = "\r".join(
        f"Epoch 0: {i}%|{'█' * i}| {i}/9 [00:0{i}<00:09, 1.0it/s, d_loss=0.{i}, g_loss=1]" for i in range(9)
    )
    table = read(tmp_path, bars + "\n")
    assert table.columns["d_loss"].values.tolist() == [i / 10 for i in range(9)]
    assert table.columns["step"].values.tolist() == list(range(9))
    keras = "\x08\x08\x08".join(f"{i}/9 [==>......] - ETA: 0s - d_loss: 0.{i} - g_loss: 1.0" for i in range(9))
    assert read(tmp_path, keras + "\n").columns["d_loss"].values.tolist() == [i / 10 for i in range(9)]


def test_a_bar_may_come_before_the_first_line(tmp_path: Path) -> None:
    lines = [f"\r{i}it [00:01, 3.1it/s]\n[Epoch 0/2] [Batch {i}/9] [D loss: 0.6] [G loss: 0.{i}]\n" for i in range(9)]
    table = read(tmp_path, "".join(lines))
    assert (table.format, len(table)) == ("PyTorch-GAN", 9)


def test_the_end_of_a_bar_in_each_epoch_is_its_mean(tmp_path: Path) -> None:
    bar = "\x1b[1m938/938\x1b[0m \x1b[32m━━━━━━\x1b[0m\x1b[37m\x1b[0m 11ms/step - d_loss: 0.{e} - g_loss: 1.0\n"
    table = read(tmp_path, "".join(f"Epoch {e}/4\n" + bar.format(e=e) for e in (1, 2, 3, 4)))
    assert table.row_span == "epoch"
    assert table.columns["d_loss"].values.tolist() == [0.1, 0.2, 0.3, 0.4]


def test_lines_that_make_one_row_are_joined(tmp_path: Path) -> None:
    text = "".join(f"Epoch {e}/3\n----------\nD loss: 0.{e}\nG loss: 1.{e}\n" for e in (1, 2, 3))
    table = read(tmp_path, text)
    assert table.columns["epoch"].values.tolist() == [1, 2, 3]
    assert table.columns["d_loss"].values.tolist() == [0.1, 0.2, 0.3]
    assert table.columns["g_loss"].values.tolist() == [1.1, 1.2, 1.3]
    assert table.row_span == "epoch"


def test_an_epoch_on_a_line_of_its_own_counts_for_the_lines_after_it(tmp_path: Path) -> None:
    text = "".join(
        f"Epoch {e}\n" + "".join(f"batch {b} d_loss 0.{e}{b} g_loss 1.0\n" for b in range(5)) for e in (1, 2)
    )
    table = read(tmp_path, text)
    assert table.columns["epoch"].values.tolist() == [1] * 5 + [2] * 5
    assert table.columns["step"].values.tolist() == [0, 1, 2, 3, 4] * 2
    assert table.columns["d_loss"].values[7] == 0.22


def test_a_last_line_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    rows = "".join(f"step {i} d_loss 0.5 g_loss 0.7\n" for i in range(10))
    table = read(tmp_path, rows + "step 10 d_loss 0.5 g_lo")
    assert table.columns["step"].values.tolist() == list(range(10))


def test_a_training_that_began_anew_counts_from_there(tmp_path: Path) -> None:
    def rows(level: float, *steps: int) -> str:
        return "".join(f"step {i} d_loss {level} g_loss 0.7\n" for i in steps)

    table = read(tmp_path, rows(1, *range(0, 50, 10)) + rows(2, *range(0, 30, 10)))
    assert table.columns["d_loss"].values.tolist() == [2, 2, 2]
    [note] = [note for note in table.notes if "goes back" in note]
    assert "once, last in line 6: 5 rows of earlier starts" in note
    resumed = read(tmp_path, rows(1, *range(0, 50, 10)) + rows(2, *range(25, 60, 10)))
    assert resumed.columns["step"].values.tolist() == [0, 10, 20, 25, 35, 45, 55]
    shuffled = read(tmp_path, rows(1, 3, 1, 2, 5, 4))
    assert len(shuffled) == 5


def test_batches_that_are_counted_anew_in_each_epoch_are_no_restarts(tmp_path: Path) -> None:
    text = "".join(f"batch {b} d_loss 0.5 g_loss 0.{e}\n" for e in range(4) for b in range(10))
    table = read(tmp_path, text + "batch 0 d_loss 0.5 g_loss 0.9\n")
    assert len(table) == 41


def test_lines_of_other_ranks_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "".join(f"[rank{rank}] step {i} d_loss 0.{rank + 1} g_loss 0.7\n" for i in range(5) for rank in (1, 0, 2))
    table = read(tmp_path, text)
    assert table.columns["d_loss"].values.tolist() == [0.1] * 5
    assert any("10 lines of other ranks" in note for note in table.notes)


def test_lines_nobody_knows_are_shown_by_their_shape(tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match=r"its lines look like `tick # kimg # took #s`.*ganclinic formats"):
        read(tmp_path, "tick 1 kimg 4.0 took 21s\ntick 2 kimg 8.0 took 20s\n")
    with pytest.raises(InvalidHistory, match=r"there are: 'G_GAN'.*nearest known format is that of pix2pix"):
        read(tmp_path, "G_GAN: 1.0 G_L1: 2.0 D_rea: 0.5\n" * 3)


@given(
    st.sampled_from(sorted(path.name for path in CASES.iterdir())),
    st.integers(0, 5000),
    st.integers(0, 300),
    st.sampled_from(
        ["", "\n", ",", "\r", "nan", '"', "{", "[", "1,234", "\t", " Epoch 3 ", "\x1b[0m", "%|", "tensor(", "1e400"]
    ),
)
@settings(deadline=None, max_examples=150)
def test_whatever_happened_to_a_log_it_is_read_or_refused_with_words(name: str, at: int, cut: int, put: str) -> None:
    data = (CASES / name).read_bytes()[:5000]
    torn = data[:at] + put.encode() + data[at + cut :]
    words, tables = "", list[Table]()
    try:
        tables = read_logs([Path("-")], standard_input=torn)
    except InvalidHistory as refused:
        words = str(refused)
    assert tables or "standard input" in words
    assert all(len(table) for table in tables)


# --- validation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("training", "aside"),
    [
        ("step {i} d_loss 0.5 g_loss 0.7\n", "Validation: step {i} d_loss 0.9 g_loss 1.9\n"),
        ("step {i} d_loss 0.5 g_loss 0.7\n", "[val] step {i} | d_loss 0.9 | g_loss 1.9\n"),
        ("Epoch {i} train d_loss 0.5 g_loss 0.7\n", "Epoch {i} test d_loss 0.9 g_loss 1.9\n"),
        ("Epoch {i}\nd_loss 0.5 g_loss 0.7\n", "Evaluating ...\nd_loss 0.9 g_loss 1.9\n"),
        ("Epoch {i}\nd_loss 0.5 g_loss 0.7\n", "--- Validation results ---\nd_loss 0.9\ng_loss 1.9\n"),
    ],
)
def test_lines_of_a_validation_are_no_training(tmp_path: Path, training: str, aside: str) -> None:
    table = read(tmp_path, "".join((training + aside).format(i=i) for i in range(6)))
    assert table.columns["d_loss"].values.tolist() == [0.5] * 6
    assert table.columns["g_loss"].values.tolist() == [0.7] * 6
    assert any("lines of a validation or a test were left out" in note for note in table.notes)


def test_a_log_whose_lines_all_name_a_test_is_read(tmp_path: Path) -> None:
    for other in ("", "INFO gan.py:40 saved 3 files\n"):
        rows = "".join(f"INFO test_gan.py:12 step {i} d_loss 0.5 g_loss 0.7\n" for i in range(6))
        table = read(tmp_path, rows + other)
        assert len(table) == 6
        assert not any("validation" in note for note in table.notes)


def test_a_heading_of_a_validation_ends_where_its_names_come_again(tmp_path: Path) -> None:
    text = "Epoch 1\n" + "d_loss 0.5 g_loss 0.7\n" * 5 + "Testing:\nd_loss 0.9 g_loss 1.9\n"
    table = read(tmp_path, text + "d_loss 0.6 g_loss 0.7\n" * 5)
    assert table.columns["d_loss"].values.tolist() == [0.5] * 5 + [0.6] * 5


# --- what counts count ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "total", "batch"),
    [
        ([640 * i for i in range(20)], 60_000, 64),  # pytorch/examples mnist: every tenth batch of 64
        ([64 + 6400 * i for i in range(9)], 60_000, 64),  # PyTorch's quickstart
        ([12_800 * i for i in range(9)], 202_599, 128),
        ([100 * i for i in range(9)], 60_000, 100),
        ([50 * i for i in range(15)], 782, None),  # every 50th batch
        ([64 * i for i in range(14)], 938, None),
        ([400 * i for i in range(14)], 47_389, None),
        ([1, 2, 3], 60_000, None),
    ],
)
def test_counters_of_images_are_told_from_counters_of_batches(
    tmp_path: Path, counter: list[int], total: int, batch: int | None
) -> None:
    rows = [
        f"Train Epoch: {e} [{n}/{total} ({100 * n // total}%)]\td_loss: 0.{5 + i % 4}\tg_loss: 0.7\n"
        for e in (1, 2)
        for i, n in enumerate(counter)
    ]
    table = read(tmp_path, "".join(rows))
    assert table.columns["step"].values.tolist() == [n // (batch or 1) for n in counter] * 2
    notes = [note for note in table.notes if "images of an epoch" in note]
    assert len(notes) == (batch is not None)
    assert batch is None or f"an update was taken to be {batch} of them" in notes[0]


def test_the_steps_at_the_end_of_keras_bars_are_those_of_an_epoch(tmp_path: Path) -> None:
    bars = "".join(f"938/938 [=====] - 11s 11ms/step - d_loss: 0.{e} - g_loss: 1.{e}\n" for e in range(1, 9))
    table = read(tmp_path, bars + "412/938 [==>...] - ETA: 4s - d_loss: 0.9 - g_loss: 1.9\n")
    assert (len(table), table.row_span, table.epoch_steps) == (9, "epoch", 938)
    assert read_history(table).history.updates == 9 * 938
