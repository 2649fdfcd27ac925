"""The pages in a real Chromium, on runs that a real worker trains."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from ganclinic.links import make_link
from store.core.db import transaction
from store.runs import lifecycle
from tests.browser.conftest import HOSTILE, IMAGES, LONG, TOKEN, House
from tests.support.browser import SIZES, Scheme, look, seat
from tests.support.processes import free_port
from tests.support.worker import Clinic, queue_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def cursor_epoch(page: Page) -> int:
    return int(page.locator(".cursor-epoch strong").inner_text())


def picture_path(page: Page) -> str:
    source = page.locator("#pictures figure").first.locator("img").get_attribute("src")
    assert source is not None
    return source.partition("?")[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_keeps_its_policy_and_the_accessibility_rules(
    browser: Browser, house: House, scheme: Scheme, size: str
) -> None:
    with seat(browser, house.url, scheme=scheme, size=SIZES[size]) as desk:
        page = desk.open("/")
        page.get_by_label("Your token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("No user of this service has that token.")).to_be_visible()
        look(desk, f"login-{scheme}-{size}")
        desk.log_in(TOKEN)
        expect(page.locator(".run-row")).to_have_count(2)
        expect(page.locator(".thumbnail img")).to_have_count(1)
        look(desk, f"runs-{scheme}-{size}")
        desk.open("/?verdict=memorisation")
        expect(page.get_by_role("heading", name="No run is like that")).to_be_visible()
        look(desk, f"runs-none-{scheme}-{size}")
        desk.open(f"/runs/{house.sick}")
        expect(page.locator("#pictures img")).to_have_count(2)
        expect(page.locator(".chart canvas")).to_have_count(3)
        look(desk, f"run-{scheme}-{size}")
        page.get_by_text("Say what you see").click()
        for title in ("Spec", "Attempts", "Log"):
            page.locator("summary", has_text=re.compile(f"^{title}$")).click()
        expect(page.locator(".log")).to_contain_text("begins")
        page.locator("summary", has_text="Downloads").click()
        addresses = [link.get_attribute("href") for link in page.locator(".downloads a").all()]
        answers = [page.request.get(f"{house.url}{address}") for address in addresses]
        assert len(answers) == 8
        assert all(answer.ok for answer in answers)
        look(desk, f"run-open-{scheme}-{size}")
        desk.open("/runs/ffffffffffffffff")
        expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
        look(desk, f"run-none-{scheme}-{size}")


def test_a_sick_run_is_plain_and_its_epochs_are_walked_by_keys_alone(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        expect(page.locator(".row-severe")).to_contain_text("Convergence failure")
        expect(page.locator(".summary")).to_contain_text("1 severely sick")
        page.get_by_role("link", name="polygons, learning rate .5").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=2).first).to_have_text(re.compile("^Convergence failure: .*, severe$"))
        expect(page.locator(".verdict-panel .evidence a").first).to_be_in_viewport()
        expect(page.locator("#pictures")).to_be_in_viewport()
        assert cursor_epoch(page) == 8
        for key, epoch in [("ArrowLeft", 7), ("ArrowLeft", 6), ("ArrowRight", 7), ("Home", 1), ("End", 8)]:
            page.keyboard.press(key)
            assert cursor_epoch(page) == epoch, key
            assert picture_path(page) == f"/v1/runs/{house.sick}/samples/{epoch}"
            expect(page.locator("#bins")).to_contain_text(f"Epoch {epoch}:")
        page.locator(".beside select").select_option("epoch 2")
        wipe = page.get_by_role("slider", name="Left of here epoch 2, right of here epoch 8")
        wipe.focus()
        page.keyboard.press("End")
        expect(wipe).to_have_value("100")
        assert cursor_epoch(page) == 8  # its keys are its own
        desk.picture("run-wipe", full=False)
        page.locator(".beside select").select_option("no other epoch")
        page.get_by_role("heading", name="Samples").click()
        page.keyboard.press("Shift+ArrowLeft")
        assert cursor_epoch(page) == 1
        page.keyboard.press("Space")
        expect(page.locator(".cursor-epoch strong")).to_have_text("8")
        page.keyboard.press("ArrowLeft")
        page.wait_for_url("**?epoch=7")
        page.reload()
        expect(page.locator(".cursor-epoch strong")).to_have_text("7")
        desk.require_clean()


def test_evidence_leads_to_the_epoch_and_the_place_that_show_it(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        page = desk.open(f"/runs/{house.sick}?epoch=2")
        evidence = page.locator(".evidence a", has_text="in the curves").first
        evidence.click()
        expect(page.locator("#curves")).to_be_in_viewport()
        expect(page.locator("#curves")).to_have_class(re.compile("pointed"))
        assert cursor_epoch(page) == 8
        losses = page.locator(".plot .u-over").first
        box = losses.bounding_box()
        assert box is not None
        losses.click(position={"x": box["width"] * 2.5 / 8, "y": 50})
        assert cursor_epoch(page) == 3
        with page.expect_response(lambda answer: "first_step=" in answer.url):
            page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=4)
            page.mouse.up()
        page.get_by_role("button", name="show all epochs").click()
        expect(page.get_by_role("button", name="show all epochs")).to_have_count(0)
        desk.require_clean()


def test_a_name_that_is_a_script_is_shown_and_not_run(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        page.get_by_role("link", name=HOSTILE).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        expect(page.locator("main img[src=x]")).to_have_count(0)
        desk.require_clean()


def test_filters_and_order_are_kept_in_the_address(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        page.get_by_label("Verdict").select_option("convergence failure")
        page.get_by_label("Order").select_option("worst")
        page.wait_for_url("**/?verdict=convergence+failure&sort=worst")
        expect(page.locator(".run-row")).to_have_count(1)
        page.reload()
        expect(page.locator(".run-row")).to_have_count(1)
        expect(page.get_by_label("Order")).to_have_value("worst")
        page.get_by_role("button", name="Clear").click()
        expect(page.locator(".run-row")).to_have_count(2)


def test_oldest_first_and_a_search_are_over_all_runs(browser: Browser, empty: Clinic) -> None:
    for number in range(330):
        queue_run(empty.engine, IMAGES, {}, name=f"number {number}")
    port = free_port()
    with empty.api(port), seat(browser, f"http://127.0.0.1:{port}") as desk:
        page = desk.open(make_link(empty.home))
        expect(page.locator(".run-name").first).to_have_text("number 329")
        page.get_by_label("Order").select_option("oldest")
        expect(page.locator(".run-name").first).to_have_text("number 0")
        expect(page.locator(".summary")).to_contain_text("330 runs")
        page.get_by_label("Order").select_option("newest")
        page.get_by_label("Search").fill("number 7")
        expect(page.locator(".run-name")).to_have_text([f"number {n}" for n in (*range(79, 69, -1), 7)])
        desk.require_clean()


def test_a_run_is_watched_from_the_queue_and_cancelled(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        page = desk.page
        run_id = queue_run(house.clinic.engine, IMAGES, LONG, name="a long one")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(house.url)))
        page.get_by_role("link", name="a long one").click()
        expect(page.locator(".cursor-epoch strong")).to_have_text(re.compile("^[1-9]"))
        seen = cursor_epoch(page)
        expect(page.locator(".cursor-epoch strong")).not_to_have_text(str(seen))  # it follows the run
        assert cursor_epoch(page) > seen
        expect(page.locator(".status-running")).to_be_visible()
        run = f"/v1/runs/{run_id}"
        assert asked.count(f"{run}/events") == 1
        histories = [url.partition("since=")[2] for url in asked if url.startswith(f"{run}/diagnosis/history")]
        assert max(map(int, histories)) >= 1  # once the page knows an epoch, only later ones come
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Keep it").click()
        assert not house.clinic.run(run_id).cancel_requested
        page.get_by_role("button", name="Cancel").click()
        desk.picture("run-cancel", full=False)
        page.get_by_role("button", name="Cancel the run").click()
        expect(page.locator(".run-head .status-cancelled")).to_be_visible()
        assert house.clinic.wait_for_end(run_id).status == "cancelled"
        desk.require_clean()


def test_a_verdict_is_disputed(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        page = desk.open(f"/runs/{house.sick}")
        page.get_by_text("Say what you see").click()
        page.locator("select[name=finding]").select_option("mode collapse")
        page.get_by_label("No", exact=True).check()
        page.get_by_label("Your name").fill("somebody")
        page.get_by_label("Why").fill("<b>look</b> at them")
        page.get_by_role("button", name="Keep it").click()
        expect(page.locator(".labels")).to_contain_text("mode collapse is not there — “<b>look</b> at them”")
        desk.require_clean()


def test_what_is_typed_stays_while_the_run_and_the_list_go_on(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        run_id = queue_run(house.clinic.engine, IMAGES, LONG, name="goes on")
        page = desk.page
        row = page.get_by_role("row", name="goes on")
        owner = page.get_by_label("Owner", exact=True)
        owner.press_sequentially("some")
        told = row.locator(".progress-text")
        expect(told).to_have_text(re.compile("^Epoch [1-9]"))
        seen = told.inner_text()
        expect(told).not_to_have_text(seen)
        expect(owner).to_have_value("some")
        owner.fill("")
        page.get_by_role("link", name="goes on").click()
        page.get_by_text("Say what you see").click()
        finding = page.locator("select[name=finding]")
        finding.select_option("memorisation")
        page.get_by_label("Your name").fill("somebody else")
        page.get_by_label("Why").fill("half a sent")
        for _ in range(3):
            seen = page.locator(".cursor-epoch strong").inner_text()
            expect(page.locator(".cursor-epoch strong")).not_to_have_text(seen)
        expect(finding).to_have_value("memorisation")
        expect(page.get_by_label("Your name")).to_have_value("somebody else")
        expect(page.get_by_label("Why")).to_have_value("half a sent")
        with transaction(house.clinic.engine) as session:
            lifecycle.cancel(session, run_id)
        assert house.clinic.wait_for_end(run_id).status == "cancelled"


def test_a_run_is_tagged_and_found_by_its_tag(browser: Browser, house: House) -> None:
    with seat(browser, house.url) as desk:
        desk.log_in(TOKEN)
        page = desk.open(f"/runs/{house.sick}")
        page.get_by_role("button", name="Add tags").click()
        page.get_by_label("Tags, with spaces between").fill("paper <b>")
        page.get_by_role("button", name="Keep", exact=True).click()
        expect(page.locator(".tags [role=alert]")).to_contain_text("tags")
        page.get_by_label("Tags, with spaces between").fill("paper rate")
        page.get_by_role("button", name="Keep", exact=True).click()
        page.get_by_role("link", name="rate", exact=True).click()
        expect(page.get_by_label("Tag", exact=True)).to_have_value("rate")
        expect(page.locator(".run-row")).to_have_count(1)
        expect(page.locator(".run-row")).to_contain_text("#paper · #rate")
        desk.require_clean()


def test_a_service_without_runs_says_how_to_make_one_and_its_silence_is_told(browser: Browser, empty: Clinic) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with seat(browser, url) as desk:
        with empty.api(port):
            page = desk.open(make_link(empty.home))
            expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
            expect(page.get_by_text("No worker is alive")).to_be_visible()
            look(desk, "runs-empty")
            run_id = queue_run(empty.engine, IMAGES, {}, name="waits")
            page.get_by_role("link", name="waits").click()
            expect(page.get_by_role("heading", name="Why it waits")).to_be_visible()
            look(desk, "run-queued")
        expect(page.get_by_role("status").filter(has_text="has not answered since")).to_be_visible()
        expect(page.get_by_role("heading", name="waits", exact=True)).to_be_visible()  # what was seen stays
        look(desk, "run-silent")
        with empty.api(port):
            expect(page.get_by_text("has not answered since")).to_have_count(0)
            page.get_by_role("button", name="Pause").click()
            expect(page.locator(".run-head .status-paused")).to_be_visible()
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_label("Your token")).to_be_visible()
            desk.open(f"/runs/{run_id}")
            expect(page.get_by_label("Your token")).to_be_visible()
