"""Pages over several runs, in a real Chromium: comparisons, batches, the server, and where a run begins."""

import re

import pytest
from playwright.sync_api import Browser, expect

from ganlib.spec.preset import preset_names
from store.core.db import transaction
from store.runs import lifecycle
from store.scheduling import gpu_readings, workers
from store.scheduling.gpu_readings import Gpu
from tests.browser.conftest import IMAGES, LONG, TOKEN, House
from tests.support.browser import SIZES, Scheme, look, seat
from tests.support.worker import queue_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def swept(house: House) -> list[str]:
    """Ids of four runs of two learning rates and two seeds, one of which is sick."""
    cells = [(rate, seed) for rate in (0.0002, 0.5) for seed in (1, 2)]
    made = [
        queue_run(house.clinic.engine, IMAGES, {"optimizer.learning_rate": rate, "seed": seed}, name=f"{rate}, {seed}")
        for rate, seed in cells
    ]
    assert all(house.clinic.wait_for_end(run_id).status == "succeeded" for run_id in made)
    return made


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_runs_are_compared_under_one_cursor(
    browser: Browser, house: House, swept: list[str], scheme: Scheme, size: str
) -> None:
    with seat(browser, house.url, scheme=scheme, size=SIZES[size]) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        for name in ("0.0002, 1", "0.0002, 2", "0.5, 1", "0.5, 2"):
            page.get_by_label(f"Choose {name} to compare").check()
        look(desk, f"runs-chosen-{scheme}-{size}")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("heading", name="Compare 4 runs")).to_be_visible()
        expect(page.locator(".beside-table thead")).to_contain_text("optimizer.learning_rate")
        expect(page.locator(".beside-table thead")).not_to_contain_text("batch_size")  # is the same in all
        pictures = page.locator(".gallery img")
        expect(pictures).to_have_count(4)
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        for run_id in swept:
            expect(page.locator(f".gallery img[src='/v1/runs/{run_id}/samples/2']")).to_have_count(1)
        expect(page.get_by_role("heading", name="Samples, epoch 2")).to_be_visible()
        page.get_by_label("Have 0.5, 1 stand out").click()
        expect(page.locator(".chart-legend").first).to_contain_text("0.5, 1")
        expect(page.locator(".chart canvas")).to_have_count(3)
        look(desk, f"compare-{scheme}-{size}")
        page.get_by_label("Curves of").select_option("the mean by optimizer.learning_rate")
        expect(page.locator("#curves .legend")).to_contain_text("0.5 (2)")
        page.get_by_label("Across").select_option("seed")
        expect(page.locator(".scatter .point")).to_have_count(4)
        look(desk, f"compare-groups-{scheme}-{size}")
        page.get_by_label("Leave 0.5, 2 out").click()
        expect(page.get_by_role("heading", name="Compare 3 runs")).to_be_visible()
        desk.open("/compare")
        expect(page.get_by_role("heading", name="Choose runs to compare")).to_be_visible()
        look(desk, f"compare-none-{scheme}-{size}")
        desk.open(f"/compare?runs={'f' * 16}")
        expect(page.get_by_role("alert")).to_contain_text("The comparison cannot be shown")
        look(desk, f"compare-refused-{scheme}-{size}")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_findings_are_explained_with_pictures_of_real_runs(
    browser: Browser, house: House, scheme: Scheme, size: str
) -> None:
    with seat(browser, house.url, scheme=scheme, size=SIZES[size]) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        page.get_by_role("link", name="Findings", exact=True).click()
        expect(page.locator(".meanings > li")).to_have_count(14)
        page.get_by_role("link", name="Mode collapse", exact=True).click()
        picture = page.locator("#mode-collapse img")
        expect(picture).to_be_in_viewport()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500
        look(desk, f"findings-{scheme}-{size}")
        page.locator("#mode-collapse").get_by_role("link", name="Runs with this verdict").click()
        expect(page.get_by_label("Verdict")).to_have_value("mode collapse")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_run_is_made_of_a_preset_and_a_wrong_field_is_told_where_it_is(
    browser: Browser, house: House, scheme: Scheme, size: str
) -> None:
    with seat(browser, house.url, scheme=scheme, size=SIZES[size]) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        page.get_by_role("link", name="New run").click()
        expect(page.locator(".presets > li")).to_have_count(len(preset_names()))
        look(desk, f"new-gallery-{scheme}-{size}")
        page.get_by_role("link", name="A GAN on eight Gaussians").click()
        page.get_by_label("Name of the run").fill(f"mine {scheme} {size}")
        page.locator("[id='field-training.epochs']").fill("0")
        page.locator("[id='field-training.steps_per_epoch']").fill("5")
        page.get_by_role("button", name="Queue the run").click()
        fault = page.locator("[id='field-training.epochs-fault']")
        expect(fault).to_contain_text("1")
        expect(page.locator("[id='field-training.epochs']")).to_be_focused()
        expect(page.locator("[id='field-training.steps_per_epoch']")).to_have_value("5")
        look(desk, f"new-refused-{scheme}-{size}")
        page.locator("[id='field-training.epochs']").fill("1")
        page.get_by_role("button", name="Queue the run").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"mine {scheme} {size}")
        page.locator("summary", has_text="Spec").click()
        expect(page.locator(".spec")).to_contain_text("training.steps_per_epoch5")
        page.get_by_role("link", name="Change it and queue another run").click()
        expect(page.locator("[id='field-training.steps_per_epoch']")).to_have_value("5")
        page.get_by_label("Sweep").check()
        page.locator("[id='field-optimizer.learning_rate']").fill("1e-4, 2e-4")
        expect(page.get_by_label("Seeds each")).to_have_value("1")
        look(desk, f"new-sweep-{scheme}-{size}")
        page.get_by_role("button", name="Queue 2 runs").click()
        expect(page.locator(".batch-progress")).to_contain_text("2 succeeded", timeout=200_000)
        expect(page.locator(".parallel-line")).to_have_count(2)
        page.get_by_role("button", name="optimizer.learning_rate").click()
        page.get_by_role("button", name="optimizer.learning_rate").click()
        expect(page.locator("#results tbody tr").first).to_contain_text("0.0002")
        look(desk, f"batch-{scheme}-{size}")
        page.get_by_role("link", name="Compare them").click()
        expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
        desk.open("/batches/ffffffffffffffff")
        expect(page.get_by_role("heading", name="There is no such batch")).to_be_visible()
        look(desk, f"batch-none-{scheme}-{size}")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_server_tells_who_trains_what_who_waits_and_who_used_how_much(
    browser: Browser, house: House, scheme: Scheme, size: str
) -> None:
    made = [queue_run(house.clinic.engine, IMAGES, LONG, name=f"{name}, {scheme} {size}") for name in ("first", "next")]
    with transaction(house.clinic.engine) as session:
        gpu = Gpu(number=0, name="NVIDIA H200", utilisation=0.5, memory_used=40 * 10**9, memory_total=140 * 10**9)
        gpu_readings.store(session, workers.list_workers(session)[0].name, [gpu])
    with seat(browser, house.url, scheme=scheme, size=SIZES[size]) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        page.get_by_role("link", name="Server").click()
        expect(page.locator(".workers")).to_contain_text(f"first, {scheme} {size}")
        expect(page.locator(".workers")).to_contain_text("40 of 140 GB")
        waits = page.locator(".queued li", has_text=f"next, {scheme} {size}")
        expect(waits.locator(".sub")).to_contain_text(re.compile("worker|run"))
        user = page.get_by_role("row", name="default")
        expect(user).to_contain_text("next")
        look(desk, f"server-{scheme}-{size}")
        for run_id in made:
            with transaction(house.clinic.engine) as session:
                lifecycle.cancel(session, run_id)
        expect(page.get_by_text("Nothing waits.")).to_be_visible()
        assert all(house.clinic.wait_for_end(run_id).status == "cancelled" for run_id in made)
