"""The figures: readable by programs here, by people in the picture viewer."""

import io
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from ganlib.plots import drawing, losses
from ganlib.plots.bins import ndb_figure
from ganlib.plots.image_grids import bin_strip
from ganlib.plots.losses import loss_figure
from ganlib.plots.versions import FigureFormat
from ganlib.records import STEP_COLUMNS, Bin, EpochEvaluation, Null

SVG = "{http://www.w3.org/2000/svg}"


def steps(number: int = 450, level: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (level * (1 + 0.1 * rng.standard_normal((number, len(STEP_COLUMNS))))).astype(np.float32)


def ndb_bin(real: float, fake: float, *, different: bool = False) -> Bin:
    z = 4.0 if fake > real else -4.0
    return Bin(
        real=real,
        fake=fake,
        real_se=0.002,
        fake_se=0.01,
        z=z if different else 0.1,
        p=0.5,
        different=different,
        ratio_upper=1.0,
        missing=False,
    )


def strip(number: int, side: int = 14) -> bytes:
    means = np.linspace(-1, 1, number, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, side, side), np.float32)
    return bin_strip(means, np.arange(number), number)


def evaluation(bins: tuple[Bin, ...], epoch: int = 3) -> EpochEvaluation:
    share = sum(b.different for b in bins) / max(len(bins), 1)
    return EpochEvaluation(
        epoch=epoch,
        space="pixels",
        n_real=5851,
        n_fake=1000,
        n_subset=1000,
        num_bins=len(bins),
        values={"ndb_over_k": share},
        nulls={"ndb_over_k": Null(mean=0.08, q05=0.02, q95=0.12, excess=share - 0.08)},
        shift={},
        bins=bins,
    )


def bins(number: int = 40) -> tuple[Bin, ...]:
    return tuple(ndb_bin(1 / number, 1 / number * (1 + i % 3), different=i % 3 == 2) for i in range(number))


Draw = Callable[[FigureFormat, str], bytes]
DRAWN: dict[str, Draw] = {
    "losses": lambda format, title: loss_figure(steps(), 45, format, title),
    "ndb": lambda format, title: ndb_figure(evaluation(bins()), format, title),
    "ndb with images": lambda format, title: ndb_figure(evaluation(bins()), format, title, strip(40)),
}


@pytest.fixture(params=DRAWN.values(), ids=list(DRAWN))
def draw(request: pytest.FixtureRequest) -> Draw:
    return request.param


def texts(svg: bytes) -> str:
    return " | ".join(element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text"))


def test_a_png_figure_is_a_picture_wide_enough_to_read(draw: Draw) -> None:
    with Image.open(io.BytesIO(draw("png", "digit8-stable"))) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 1000


def test_an_svg_figure_holds_its_title_as_text(draw: Draw) -> None:
    assert "digit8-stable" in texts(draw("svg", "digit8-stable"))


@pytest.mark.parametrize("format", ["png", "svg"])
def test_equal_arguments_give_equal_bytes(draw: Draw, format: FigureFormat) -> None:
    assert draw(format, "run") == draw(format, "run")


@pytest.mark.parametrize("format", ["png", "svg"])
def test_a_figure_is_drawn_within_half_a_second(draw: Draw, format: FigureFormat) -> None:
    draw(format, "fonts are loaded once")
    seconds = []
    for _ in range(2):
        start = time.process_time()
        draw(format, "run")
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.5


@pytest.mark.parametrize(
    "title", ["$\\frac{$", "<script>&amp;</script>", "数字 \N{PILE OF POO}", "two\nlines", "x" * 500, ""]
)
def test_no_title_breaks_a_figure(draw: Draw, title: str) -> None:
    ET.fromstring(draw("svg", title))


def test_a_title_is_shortened_to_one_line() -> None:
    shown = texts(loss_figure(steps(10), 5, "svg", "one\n" + "x" * 500))
    assert "one xxx" in shown
    assert "x" * drawing.TITLE_CHARACTERS not in shown


def test_losses_are_drawn_on_a_linear_axis_where_that_shows_them() -> None:
    assert "loss (nats) |" in texts(loss_figure(steps(), 45, "svg", ""))


@pytest.mark.parametrize("explosion", [1e3, 1e38])
def test_a_loss_that_explodes_is_drawn_on_a_logarithmic_axis(explosion: float) -> None:
    exploding = steps()
    exploding[-20:, STEP_COLUMNS.index("g_loss")] = explosion
    assert "log above 1" in texts(loss_figure(exploding, 45, "svg", ""))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_steps_that_are_not_finite_are_shown(value: float) -> None:
    broken = steps()
    assert "not finite" not in texts(loss_figure(broken, 45, "svg", ""))
    broken[100, STEP_COLUMNS.index("g_loss")] = value
    assert "not finite" in texts(loss_figure(broken, 45, "svg", ""))


def test_a_run_without_any_finite_step_is_drawn() -> None:
    assert "not finite" in texts(loss_figure(np.full_like(steps(), np.nan), 45, "svg", ""))


def test_a_spike_of_one_step_in_a_long_run_is_drawn() -> None:
    values = np.ones(1_000_000)
    values[123_456] = 9.0
    numbers, drawn = losses._envelope(values)
    assert len(drawn) == 2 * losses.MAX_DRAWN_BUCKETS
    assert drawn.max() == 9.0
    assert abs(numbers[drawn.argmax()] - 123_457) <= len(values) / losses.MAX_DRAWN_BUCKETS


def test_the_thick_line_is_the_mean_of_each_epoch() -> None:
    centres, means = losses._epoch_means(np.array([1.0, 3.0, 5.0, 7.0, 9.0]), 2)
    assert centres.tolist() == [1.5, 3.5, 5.0]
    assert means.tolist() == [2.0, 6.0, 9.0]


@pytest.mark.parametrize("number", [1, 46])
def test_an_unfinished_epoch_is_drawn(number: int) -> None:
    assert loss_figure(steps(number), 45, "png", "")


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="no step"):
        loss_figure(steps(0), 45, "png", "")


def test_the_ndb_title_gives_the_score_beside_its_null() -> None:
    shown = texts(ndb_figure(evaluation(bins(40)), "svg", "run"))
    assert "NDB/K 0.33: 13 of 40 bins differ" in shown
    assert "null 0.08 (90 % within 0.02 to 0.12)" in shown
    assert "1,000 fakes against 5,851" in shown


def test_the_ndb_figure_of_the_untrained_generator_says_so() -> None:
    assert "before training" in texts(ndb_figure(evaluation(bins(), epoch=0), "svg", ""))


def test_a_bar_that_would_dwarf_the_training_data_is_cut_and_labelled() -> None:
    collapsed = (ndb_bin(0.5, 0.02, different=True), ndb_bin(0.02, 0.9, different=True))
    even = tuple(ndb_bin(0.02, 0.001, different=True) for _ in range(49))
    assert "90%" in texts(ndb_figure(evaluation((*even, collapsed[1])), "svg", ""))
    assert "90%" not in texts(ndb_figure(evaluation(collapsed), "svg", "")).split("bin, by")[-1]


@pytest.mark.parametrize("number", [1, 1000])
def test_any_number_of_bins_is_drawn(number: int) -> None:
    assert ndb_figure(evaluation(bins(number)), "png", "")


def test_an_evaluation_without_a_null_is_drawn() -> None:
    bare = evaluation(bins())
    bare.nulls.clear()
    assert "null" not in texts(ndb_figure(bare, "svg", ""))


def test_an_evaluation_without_bins_is_refused() -> None:
    with pytest.raises(ValueError, match="no bins"):
        ndb_figure(evaluation(()), "png", "")
