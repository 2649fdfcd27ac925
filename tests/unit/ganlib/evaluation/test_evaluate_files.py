"""Fakes and reals in files: read without trust, brought to one scale, evaluated as those of a run."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ganlib.evaluation.cache import Cache
from ganlib.evaluation.for_files import InvalidFiles, evaluate_files
from ganlib.evaluation.measures.table import Context
from ganlib.evaluation.reference import evaluate, flat, prepare_reference
from ganlib.spec.evaluation import Comparison

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(400, 2)).astype(np.float32)
BYTES = RNG.integers(0, 256, (120, 3, 6, 6), dtype=np.uint8)
OTHERS = RNG.integers(0, 256, (60, 3, 6, 6), dtype=np.uint8)


def saved(folder: Path, name: str, array: Any) -> str:
    path = folder / name
    if isinstance(array, dict):
        np.savez(path, **array)
    else:
        np.save(path, array)
    return str(path)


def answer(real: str, *fakes: tuple[int | None, str], last: int = 5, known: bool = True) -> dict[str, Any]:
    return evaluate_files({"real": real, "fakes": list(fakes), "last_epoch": last, "epochs_known": known})


def test_points_get_the_figures_that_a_run_gets(tmp_path: Path) -> None:
    fakes = RNG.normal(size=(100, 2)).astype(np.float32)
    [found] = answer(saved(tmp_path, "r.npy", POINTS), (None, saved(tmp_path, "f.npy", fakes)))["evaluations"]
    context = Context(options=Comparison(), device=torch.device("cpu"))
    reference = prepare_reference(POINTS, context, flat, num_samples=100, cache=Cache(None))
    assert found == evaluate(reference, fakes, 5).to_json()


def test_each_set_has_its_epoch_and_without_one_it_is_of_the_last(tmp_path: Path) -> None:
    real = saved(tmp_path, "r.npz", {"x": POINTS})
    several = saved(tmp_path, "f.npz", {f"epoch_{e}": POINTS[:60] + e for e in (2, 0)} | {"seed": np.zeros(1)})
    one, other = (saved(tmp_path, f"{name}.npy", POINTS[:60]) for name in "ab")
    found = answer(real, (None, several), (4, one), (None, other))["evaluations"]
    assert [e["epoch"] for e in found] == [0, 2, 4, 5]


def test_at_most_as_many_fakes_are_used_as_thresholds_were_set_on(tmp_path: Path) -> None:
    fakes = saved(tmp_path, "f.npy", np.tile(POINTS, (4, 1)))
    assert answer(saved(tmp_path, "r.npy", POINTS), (None, fakes))["evaluations"][0]["n_fake"] == 1000


@pytest.mark.parametrize(
    ("form", "note"),
    [
        (OTHERS, False),
        (OTHERS.transpose(0, 2, 3, 1), False),
        (OTHERS / 127.5 - 1, False),
        (OTHERS.astype(np.float32).transpose(0, 2, 3, 1) / 255, True),
    ],
)
def test_images_of_every_form_mean_the_same(tmp_path: Path, form: np.ndarray, note: bool) -> None:
    expected = answer(saved(tmp_path, "r.npy", BYTES), (None, saved(tmp_path, "f.npy", OTHERS)))["evaluations"][0]
    found = answer(saved(tmp_path, "r.npy", BYTES), (None, saved(tmp_path, "g.npy", form)))
    assert any("taken for [0, 1]" in line for line in found["notes"]) == note
    for name in ("precision", "coverage", "fake_distance", "ndb_over_k"):
        assert found["evaluations"][0]["values"][name] == pytest.approx(expected["values"][name], abs=1e-4), name


FORMS = {
    "bytes": lambda x: x,
    "[-1, 1]": lambda x: x.astype(np.float32) / 127.5 - 1,
    "[0, 1]": lambda x: x.astype(np.float32) / 255,
    "[-.5, .5]": lambda x: x.astype(np.float32) / 255 - 0.5,
    "[0, 255]": lambda x: x.astype(np.float32),
}


@pytest.mark.parametrize("fake", FORMS)
@pytest.mark.parametrize("real", FORMS)
def test_scales_are_told_apart_file_by_file(tmp_path: Path, real: str, fake: str) -> None:
    expected = answer(saved(tmp_path, "r.npy", BYTES), (None, saved(tmp_path, "f.npy", OTHERS)))["evaluations"][0]
    files = saved(tmp_path, "s.npy", FORMS[real](BYTES)), saved(tmp_path, "g.npy", FORMS[fake](OTHERS))
    found = answer(files[0], (None, files[1]))
    for name in ("precision", "coverage", "fake_distance"):
        assert found["evaluations"][0]["values"][name] == pytest.approx(expected["values"][name], abs=1e-3), name
    for path, scale in zip(files, (real, fake), strict=True):
        said = any(line.startswith(path) and line.endswith(f"taken for {scale}") for line in found["notes"])
        assert said == (scale not in ("bytes", "[-1, 1]"))


def test_fakes_that_do_not_reach_the_ends_have_the_scale_of_the_reals(tmp_path: Path) -> None:
    real = saved(tmp_path, "r.npy", FORMS["[-1, 1]"](BYTES))
    for level in (0.9, 0.0):  # as good as constant, and in the middle
        dull = level + 0.01 * RNG.normal(size=OTHERS.shape).astype(np.float32)
        assert answer(real, (None, saved(tmp_path, "f.npy", dull)))["notes"] == []
    from_zero = saved(tmp_path, "z.npy", 0.7 * FORMS["[0, 1]"](OTHERS))
    assert "taken for [0, 1]" in answer(real, (None, from_zero))["notes"][0]


def test_fakes_that_are_no_numbers_are_counted_and_named(tmp_path: Path) -> None:
    broken = FORMS["[-1, 1]"](OTHERS)
    broken[7, 0, 0, 0] = np.nan
    file = saved(tmp_path, "f.npy", broken)
    [note] = answer(saved(tmp_path, "r.npy", BYTES), (None, file))["notes"]
    assert note.startswith(f"{file}: 1 of the {len(OTHERS)} samples compared hold values that are not finite")


def test_grey_images_need_no_channels(tmp_path: Path) -> None:
    grey = RNG.integers(0, 256, (80, 6, 6), dtype=np.uint8)
    with_channel = saved(tmp_path, "f.npy", grey[:, None])
    assert answer(saved(tmp_path, "r.npy", grey), (None, with_channel))["evaluations"][0]["n_real"] == 80


def test_fakes_that_are_all_alike_or_no_numbers_are_evaluated(tmp_path: Path) -> None:
    real = saved(tmp_path, "r.npy", POINTS)
    alike = saved(tmp_path, "alike.npy", np.zeros((60, 2), np.float32))
    nothing = saved(tmp_path, "nan.npy", np.full((60, 2), np.nan, np.float32))
    found = answer(real, (1, alike), (2, nothing))["evaluations"]
    assert [e["values"]["fake_distance"] for e in found] == [0, 0]


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (POINTS, POINTS[:40], r"f\.npz holds 40 samples; at least 50"),
        (POINTS[:49], POINTS, r"r\.npz holds 49 samples; at least 50"),
        (POINTS, RNG.normal(size=(60, 3)), r"f\.npz: samples have the shape \[3\], those of .*r\.npz \[2\]"),
        (BYTES.astype(np.float32) * 2, BYTES, r"r\.npz: pixels reach 510; save bytes, or floats in \[-1, 1\]"),
        (np.where(POINTS > 2, np.nan, POINTS), POINTS, r"r\.npz holds values that are not finite"),
        (POINTS, np.zeros((60, 2), np.int64), r"f\.npz holds values of type int64"),
        (POINTS, np.full((60, 2), {}), r"f\.npz holds Python objects, which are never unpickled"),
        (POINTS, {"a": POINTS, "b": POINTS}, r"f\.npz holds the arrays 'a', 'b'; save one"),
        ({"epoch_1": POINTS, "epoch_2": POINTS}, POINTS, r"r\.npz holds 2 arrays; save the real data as one"),
        (POINTS, {"epoch_6": POINTS}, r"f\.npz, epoch_6: epoch 6 comes after the history's last one, 5"),
        (POINTS, {"epoch_5": POINTS, "epoch_05": POINTS}, "are both of epoch 5; give one of them"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path: Path, real: Any, fake: Any, words: str) -> None:
    files = [saved(tmp_path, f"{n}.npz", a if isinstance(a, dict) else {"x": a}) for n, a in (("r", real), ("f", fake))]
    with pytest.raises(InvalidFiles, match=words):
        answer(files[0], (None, files[1]))


def test_epochs_of_fakes_mean_nothing_where_those_of_the_history_are_unknown(tmp_path: Path) -> None:
    file = saved(tmp_path, "f.npy", POINTS)
    with pytest.raises(InvalidFiles, match=r"which steps make epoch 3\?.*and log every step"):
        answer(file, (3, file), known=False)
    assert answer(file, (None, file), (0, file), known=False)["evaluations"][0]["epoch"] == 0


def spoilt(archive: bytes, flags: int, content: int) -> bytes:
    """A zip archive of one entry with these bits added to its flags and to its first compressed byte."""
    changed = bytearray(archive)
    changed[6] |= flags
    changed[changed.rindex(b"PK\1\2") + 8] |= flags
    changed[30 + int.from_bytes(archive[26:28], "little") + int.from_bytes(archive[28:30], "little")] |= content
    return bytes(changed)


def test_other_files_are_refused(tmp_path: Path) -> None:
    real = saved(tmp_path, "r.npy", POINTS)
    for name, content, words in (("a.npy", b"what", "header"), ("b.npz", b"PK\5\6" + b"\0" * 18, "holds the arrays")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidFiles, match=words):
            answer(real, (None, str(tmp_path / name)))
    np.savez_compressed(tmp_path / "c.npz", x=POINTS)
    for flags, content, words in ((0, 255, r"damaged \(.*decompressing.*again"), (1, 0, "encrypted; pack")):
        (tmp_path / "d.npz").write_bytes(spoilt((tmp_path / "c.npz").read_bytes(), flags, content))
        with pytest.raises(InvalidFiles, match=rf"d\.npz is {words}"):
            answer(real, (None, str(tmp_path / "d.npz")))
    with pytest.raises(InvalidFiles, match="There is no file"):
        answer(real, (None, str(tmp_path / "none.npy")))


# --- pictures and tensors ---------------------------------------------------------------------------------------


def folder_of(place: Path, samples: np.ndarray) -> str:
    place.mkdir()
    for at, sample in enumerate(samples):
        Image.fromarray(sample.transpose(1, 2, 0)).save(place / f"{at:04}.png")
    return str(place)


def grid_of(path: Path, samples: np.ndarray, columns: int, gap: int) -> str:
    high, wide = samples.shape[2:]
    rows = -(-len(samples) // columns)
    grid = np.zeros((rows * (high + gap) + gap, columns * (wide + gap) + gap, 3), np.uint8)
    for at, sample in enumerate(samples):
        top, left = gap + at // columns * (high + gap), gap + at % columns * (wide + gap)
        grid[top : top + high, left : left + wide] = sample.transpose(1, 2, 0)
    Image.fromarray(grid).save(path)
    return str(path)


def figures(real: str, fakes: str, **request: Any) -> dict[str, Any]:
    asked = {"real": real, "fakes": [(None, fakes)], "last_epoch": 5, "epochs_known": True}
    [found] = evaluate_files(asked | request)["evaluations"]
    return found


def test_pictures_in_folders_are_the_samples_that_arrays_are(tmp_path: Path) -> None:
    expected = figures(saved(tmp_path, "r.npy", BYTES), saved(tmp_path, "f.npy", OTHERS))
    assert figures(folder_of(tmp_path / "reals", BYTES), folder_of(tmp_path / "fakes", OTHERS)) == expected


@pytest.mark.parametrize("gap", [0, 2])
def test_a_grid_is_cut_into_tiles_as_large_as_the_reals(tmp_path: Path, gap: int) -> None:
    real = saved(tmp_path, "r.npy", BYTES)
    expected = figures(real, saved(tmp_path, "f.npy", OTHERS[:58]))
    grid = grid_of(tmp_path / "fakes000200.png", OTHERS[:58], columns=8, gap=gap)  # six tiles at its end are empty
    assert figures(real, grid) == expected
    assert figures(real, grid, tile=6) == expected


@pytest.mark.parametrize("gap", [0, 2])
@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_grid_of_constant_samples_is_read(tmp_path: Path, gap: int, level: int) -> None:
    """As of a generator that has collapsed: black ones between black lines, too."""
    real = saved(tmp_path, "r.npy", BYTES)
    constant = np.full((64, *OTHERS.shape[1:]), level, np.uint8)
    grid = grid_of(tmp_path / "fakes.png", constant, columns=8, gap=gap)
    expected = figures(real, saved(tmp_path, "f.npy", constant))
    found = figures(real, grid)
    assert found == figures(real, grid, tile=6)
    if level or not gap:  # black on black shows no lines, and so not how many there are
        assert found == expected
    assert found["values"]["fake_distance"] == 0.0


def test_constant_samples_before_empty_tiles_are_samples(tmp_path: Path) -> None:
    real = saved(tmp_path, "r.npy", BYTES)
    samples = np.concatenate([OTHERS[:50], np.full((8, *OTHERS.shape[1:]), 90, np.uint8)])
    grid = grid_of(tmp_path / "fakes.png", samples, columns=8, gap=2)  # six black tiles at its end are empty
    assert figures(real, grid) == figures(real, saved(tmp_path, "f.npy", samples))


def test_lines_in_a_grid_of_reals_tell_how_large_tiles_are(tmp_path: Path) -> None:
    reals = grid_of(tmp_path / "reals.png", BYTES[:80], columns=10, gap=2)
    constant = np.full((80, *OTHERS.shape[1:]), 90, np.uint8)
    fakes = grid_of(tmp_path / "fakes.png", constant, columns=10, gap=2)
    expected = figures(saved(tmp_path, "r.npy", BYTES[:80]), saved(tmp_path, "f.npy", constant))
    assert figures(reals, fakes) == expected
    assert figures(reals, fakes, tile=6) == expected
    plain = grid_of(tmp_path / "plain.png", BYTES[:80], columns=10, gap=0)
    with pytest.raises(InvalidFiles, match=r"plain.png is one picture, and nothing says the size of its tiles"):
        figures(plain, grid_of(tmp_path / "f.png", constant, columns=10, gap=0))


def test_a_grid_of_grey_tiles_has_one_channel(tmp_path: Path) -> None:
    grey = OTHERS[:, :1]
    real = saved(tmp_path, "r.npy", BYTES[:, :1])
    grid = grid_of(tmp_path / "fakes.png", grey.repeat(3, axis=1), columns=10, gap=2)
    assert figures(real, grid) == figures(real, saved(tmp_path, "f.npy", grey))


def test_a_tensor_is_read_without_unpickling(tmp_path: Path) -> None:
    fakes = torch.from_numpy(POINTS[:60].copy())
    real = saved(tmp_path, "r.npy", POINTS)
    expected = figures(real, saved(tmp_path, "f.npy", POINTS[:60]))
    for held in (fakes, {"samples": fakes, "step": torch.zeros(())}, [fakes]):
        torch.save(held, tmp_path / "f.pt")
        assert figures(real, str(tmp_path / "f.pt")) == expected


class Bomb:
    """Touches a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("unpickled"),)


@pytest.mark.parametrize("name", ["f.pt", "f.pkl"])
def test_a_pickle_is_refused_by_name_and_never_unpickled(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InvalidFiles, match=f"{name} holds more than tensors.*pickle, which could run any code"):
        figures(saved(tmp_path, "r.npy", POINTS), name)
    torch.save({"samples": Bomb()}, tmp_path / "g.pt")
    with pytest.raises(InvalidFiles, match=r"g.pt holds more than tensors"):
        figures(saved(tmp_path, "r.npy", POINTS), "g.pt")
    assert not (tmp_path / "unpickled").exists()


def test_pictures_that_cannot_be_samples_are_refused(tmp_path: Path) -> None:
    real = saved(tmp_path, "r.npy", BYTES)
    (tmp_path / "none").mkdir()
    with pytest.raises(InvalidFiles, match="none holds no pictures"):
        figures(real, str(tmp_path / "none"))
    mixed = Path(folder_of(tmp_path / "mixed", OTHERS))
    Image.new("RGB", (7, 6)).save(mixed / "0100.png")
    with pytest.raises(InvalidFiles, match=r"different sizes: 0000.png is 6 x 6, 0100.png 7 x 6"):
        figures(real, str(mixed))
    Image.new("RGB", (50, 49)).save(tmp_path / "odd.png")
    with pytest.raises(InvalidFiles, match=r"is 50 x 49, which no grid of 6 x 6 tiles is.*--tile PIXELS"):
        figures(real, str(tmp_path / "odd.png"))
    (tmp_path / "torn.png").write_bytes((mixed / "0001.png").read_bytes()[:40])
    with pytest.raises(InvalidFiles, match=r"torn.png is damaged"):
        figures(real, str(tmp_path / "torn.png"))
    grid = grid_of(tmp_path / "g.png", OTHERS, columns=10, gap=0)
    with pytest.raises(InvalidFiles, match="nothing says the size of its tiles; say it: --tile"):
        figures(saved(tmp_path, "p.npy", POINTS), grid)
