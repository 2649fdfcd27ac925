"""Files of losses: what is read whatever the trainer, and what is refused with file, line, column and fix."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ganlib.foreign_logs.column_names import InvalidHistory
from ganlib.foreign_logs.reading import sheet
from ganlib.foreign_logs.reading.files import read_table
from ganlib.foreign_logs.reading.text import MAX_BYTES
from ganlib.foreign_logs.table import Table, arranged

EXPECTED = [[1, 2, 3], [0.5, 0.25, 1.5], [1.0, 2.0, 4.0]]
NESTED = '{"a": ' * 5000 + "1" + "}" * 5000


def written(folder: Path, text: str | bytes, name: str = "history.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def values(table: Table) -> list[list[float]]:
    return [table.columns[name].values.tolist() for name in ("step", "d_loss", "g_loss")]


@pytest.mark.parametrize(
    "text",
    [
        "step,loss_D,loss_G\n1,0.5,1\n2,.25,2e0\n3,1.5,4.0\n",
        "step, loss_D, loss_G\r\n1, 0.5, 1\r\n2, 0.25, 2\r\n3, 1.5, 4",
        "step;loss_D;loss_G\n1;0,5;1\n2;0,25;2\n3;1,5;4\n",
        "step\tloss_D\tloss_G\n1\t0.5\t1\n2\t0.25\t2\n3\t1.5\t4\n",
        "# step loss_D  loss_G\n1 0.5 1\n\n2   0.25 2\n3 1.5 4\n\n",
        "\ufeffstep|loss_D|loss_G\n1|0.5|1\n2|0.25|2\n3|1.5|4\n",
        '"step","Loss, of D","loss_G",\n1,0.5,1,\n2,0.25,2,\n3,1.5,4,\n',
        "\tstep\tloss_D\tloss_G\n0\t1\t0.5\t1\n1\t2\t0.25\t2\n2\t3\t1.5\t4\n",
        "#\tstep\tloss_D\tloss_G\n1\t0.5\t1\n2\t0.25\t2\n3\t1.5\t4\n",
        "step\tloss_D\tloss_G\t\n1\t0.5\t1\n2\t0.25\t2\t\n3\t1.5\t4\n",
        ",step,loss_D,loss_G\n0,1,0.5,1\n1,2,0.25,2\n,step,loss_D,loss_G\n0,3,1.5,4\n",
        "# step loss_D loss_G\n1 0.5 1\n2 0.25 2\n# step loss_D loss_G\n3 1.5 4\n",
        "#step,loss_D,loss_G\n1,0.5,1\n2,0.25,2\n#step,loss_D,loss_G\n3,1.5,4\n",
        "step,loss_D,loss_G," + "x" * 131_072 + "\n1,0.5,1,\n2,0.25,2,\n3,1.5,4,\n",
        "step,loss_D,loss_G\n1,0.5,1\n2,0.25,2\nstep,loss_D,loss_G\n3,1.5,4\n",
        "step,loss_D,loss_G,lr\n1,0.5,1,high\n2,0.25,2,\n3,1.5,4,low\n4,1.",
        '{"step": 1, "loss": {"D": 0.5, "G": 1}}\n{"step": 2, "loss": {"D": 0.25, "G": 2}}\n'
        '{"val": 3}\n{"step": 3, "loss": {"D": 1.5, "G": "4"}, "note": "x"}\n{"step": 4, "lo',
        '{"step": 1, "d_loss": 0.5, "g_loss": 1, "lr": [1e-4, 1e-4]}\n'
        '{"step": 2, "d_loss": 0.25, "g_loss": 2, "lr": [1e-4, 1e-4]}\n{"step": 3, "d_loss": 1.5, "g_loss": 4}\n',
        '[{"step": 1, "d_loss": 0.5, "g_loss": 1}, {"step": 2, "d_loss": 0.25, "g_loss": 2},\n'
        '{"step": 3, "d_loss": 1.5, "g_loss": 4}]',
        '{"step": [1, 2, 3], "loss": {"d": [0.5, 0.25, 1.5], "g": [1, 2, 4]}, "note": "x"}',
        '{"train": {"step": [1, 2, 3], "loss": {"d": [0.5, 0.25, 1.5], "g": [1, 2, 4]}}}\n',
    ],
)
def test_every_form_of_the_same_history_gives_the_same_numbers(tmp_path: Path, text: str) -> None:
    table, _ = arranged(read_table(written(tmp_path, text)))
    assert values(table) == EXPECTED


def test_arrays_are_read_and_what_holds_no_signal_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "history.npz"
    np.savez(path, step=[1, 2, 3], errD=[0.5, 0.25, 1.5], errG=[1, 2, 4], weights=np.ones((2, 2)))
    table = read_table(path)
    assert values(table) == EXPECTED
    assert table.left_out == ("weights",)


def test_one_line_of_a_log_is_a_row_though_it_holds_a_list(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '{"g_loss": 0.5, "lr": [1e-4, 1e-4]}\n'))
    assert table.columns["g_loss"].values.tolist() == [0.5]


def test_numbers_that_are_none_are_data(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "loss_D,loss_G\nnan,1\nInf,-inf\nNaN,+Infinity\n"))
    assert np.isnan(table.columns["d_loss"].values).tolist() == [True, False, True]
    assert table.columns["g_loss"].values.tolist() == [1, -np.inf, np.inf]
    assert all(column.given.all() for column in table.columns.values())
    lines = read_table(written(tmp_path, '{"g_loss": NaN}\n{"g_loss": Infinity}\n{"g_loss": 1' + "0" * 400 + "}"))
    assert np.isfinite(lines.columns["g_loss"].values).tolist() == [False, False, False]


def test_an_empty_cell_takes_the_value_before_it_and_is_named(tmp_path: Path) -> None:
    text = "step,loss_D,loss_G\n1,0.1,\n2,0.2,7\n3,0.3,\n4,0.4,8\n5,,\n6,0.6,9\n"
    table, notes = arranged(read_table(written(tmp_path, text)))
    assert table.columns["g_loss"].values.tolist() == [7, 7, 7, 8, 9]
    assert table.columns["step"].values.tolist() == [1, 2, 3, 4, 6]
    assert any("'loss_G' has 2 empty cells, the first in line 2" in note for note in notes)
    assert any("1 rows hold no signal" in note for note in notes)


def test_rows_of_one_step_that_hold_a_network_each_are_joined(tmp_path: Path) -> None:
    text = "epoch,step,d_loss,g_loss\n0,1,0.5,\n0,1,,1\n0,2,0.25,\n0,2,,2\n0,3,1.5,\n0,3,,4\n"
    table, notes = arranged(read_table(written(tmp_path, text)))
    assert values(table) == EXPECTED
    assert any("3 rows repeat a step" in note for note in notes)


def test_a_column_that_ends_early_may_have_been_no_number_and_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "loss_D,loss_G\n" + "1,1\n" * 5 + "1,\n" * 3)
    with pytest.raises(InvalidHistory, match=r"line 7, column 'loss_G': empty from here to the end.*na_rep='nan'"):
        arranged(read_table(path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; its first line has to name columns"),
        ("\n \n", "is empty"),
        ("step,g_loss\n", "no values; log at least one step"),
        ("1,0.5,0.7\n2,0.4,0.8\n", "line 1: there are numbers where names of columns are needed"),
        ("step,g_loss\n1,0.5\n2,N/A\n", "line 3, column 'g_loss': 'N/A' is no number; write nan"),
        ("step,g_loss\n1,tensor(0.5)\n", r"line 2, column 'g_loss': 'tensor\(0.5\)' is no number"),
        ("step,g_loss\n1,0.5\n2,0.5,7\n3,0.5\n", "line 3 has 3 cells, the header has 2"),
        ("step,g_loss\n1,0.5\n2,0.5,7\n", "line 3 has 3 cells"),
        ("step,g_loss\n1;0.5\n2;0.5\n3;0.5\n", "line 2 has 1 cells, the header has 2.*one delimiter"),
        ("loss,lr\n1,2\n", "no column has a name that is known; there are: 'loss', 'lr'"),
        ("g_loss,g_loss\n1,2\n", "line 1: two columns are called 'g_loss'"),
        ("g_loss,errG\n1,2\n", "'g_loss' and 'errG' are both g_loss"),
        ("step,g_loss\nx,2\n", "line 2, column 'step': 'x' is no number"),
        ("step,g_loss\n,2\n1,3\n", "line 2, column 'step': there is no whole number"),
        ('{"g_loss": 1}\n{"g_loss": \n{"g_loss": 2}\n', "line 2 is no JSON"),
        ('{"g_loss": 1}\n[2]\n', "line 2 is no object"),
        ('{"g_loss": true}\n', "line 1, column 'g_loss': 'True' is no number"),
        ('{"g_loss": [1, 2]', "is no JSON"),
        ("[1, 2]", "line 1 is no object"),
        (b"\xff\xfes\0t\0e\0p\0", "its lines look like `step`"),
        (b"\0\1\2\3\4\5\6\7" * 20, "is no text; give what the trainer prints"),
        (b"PK\3\4 no archive", "holds no arrays that can be read"),
        ("g_loss," + "x" * 131_073 + "\n1,2\n", "line 1 is no CSV: field larger than field limit"),
        ("step,g_loss\n1,2\n2," + "1" * 131_073 + "\n", "line 3 is no CSV: field larger than field limit"),
        ('{"g_loss": [1]}\n{"g_loss": [2]}\n', r"line 1, column 'g_loss': '\[1\]' is no number"),
        (NESTED + "\n", "has JSON within JSON, too deep to read; write one flat object a line"),
        ('{"g_loss": 1}\n' + NESTED + "\n" + '{"g_loss": 1}\n', "has JSON within JSON"),
        ('{"g_loss":\n 1, "x": ' + NESTED + "}", "has JSON within JSON"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place_and_the_fix(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InvalidHistory, match=words) as refused:
        arranged(read_table(path))
    assert str(path) in str(refused.value)


def test_files_that_are_not_there_or_too_large_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidHistory, match="There is no file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InvalidHistory, match="holds no log that is known"):
        read_table(tmp_path)
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse
    with pytest.raises(InvalidHistory, match="209,715,201 bytes; allowed: 209,715,200"):
        read_table(path)
    monkeypatch.setattr(sheet, "MAX_ROWS", 2)
    with pytest.raises(InvalidHistory, match="more than 2 rows"):
        read_table(written(tmp_path, "g_loss\n1\n2\n3\n"))


def test_arrays_that_unpack_to_too_much_or_hold_objects_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", g_loss=np.zeros(MAX_BYTES // 8 + 1))
    with pytest.raises(InvalidHistory, match="unpacks to"):
        read_table(tmp_path / "bomb.npz")
    np.savez(tmp_path / "objects.npz", g_loss=np.array([{}], dtype=object))
    with pytest.raises(InvalidHistory, match="holds no arrays that can be read"):
        read_table(tmp_path / "objects.npz")
    path = written(tmp_path, json.dumps({"g_loss": [{}]}))
    with pytest.raises(InvalidHistory, match="'g_loss' holds other things than numbers"):
        read_table(path)


def test_an_archive_that_is_encrypted_or_damaged_within_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "history.npz"
    np.savez(path, g_loss=np.ones(3))
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flags of its only entry
    content[content.rindex(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InvalidHistory, match="is encrypted; pack it without a password"):
        read_table(path)
    for header in ("{'a': ", "-" * 3000 + "1"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("g_loss.npy", b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode())
        with pytest.raises(InvalidHistory, match="holds no arrays that can be read"):
            read_table(path)


@pytest.mark.parametrize("flags", [0x1, 0x41, 0x2001], ids=["a password", "strong", "strong, with its directory"])
def test_every_way_to_encrypt_an_archive_is_named_as_such(tmp_path: Path, flags: int) -> None:
    path = tmp_path / "history.npz"
    np.savez(path, g_loss=np.ones(300), d_loss=np.ones(300))
    content = bytearray(path.read_bytes())
    for place in (content.rindex(b"PK\3\4") + 6, content.rindex(b"PK\1\2") + 8):  # of its second entry
        content[place : place + 2] = flags.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(InvalidHistory, match=r"is encrypted; pack it without a password$"):
        read_table(path)


def test_an_entry_packed_as_nobody_can_is_not_called_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "history.npz"
    np.savez(path, g_loss=np.ones(3))
    content = bytearray(path.read_bytes())
    for place in (8, content.rindex(b"PK\1\2") + 10):  # of the method, in both headers
        content[place] = 99
    path.write_bytes(content)
    with pytest.raises(InvalidHistory, match=r"holds no arrays that can be read \(That compression method is not supp"):
        read_table(path)


def test_a_damaged_entry_in_bzip2_is_named_with_its_file(tmp_path: Path) -> None:
    path, stored = tmp_path / "history.npz", io.BytesIO()
    np.save(stored, np.arange(1000.0))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("g_loss.npy", stored.getvalue())
    assert read_table(path).columns["g_loss"].values.shape == (1000,)
    content = bytearray(path.read_bytes())
    content[content.index(b"BZh") + 4] ^= 0xFF  # the mark of its first block
    path.write_bytes(content)
    with pytest.raises(InvalidHistory, match=r"holds no arrays that can be read \(Invalid data stream\)"):
        read_table(path)


def test_a_damaged_entry_in_lzma_is_named_with_its_file(tmp_path: Path) -> None:
    path, stored = tmp_path / "history.npz", io.BytesIO()
    np.save(stored, np.arange(1000.0))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("g_loss.npy", stored.getvalue())
    assert read_table(path).columns["g_loss"].values.shape == (1000,)
    content = bytearray(path.read_bytes())
    properties = content.index(b"g_loss.npy") + len(b"g_loss.npy") + 4  # after the version and their length
    content[properties] = 0xFF
    path.write_bytes(content)
    with pytest.raises(InvalidHistory, match="holds no arrays that can be read"):
        read_table(path)
