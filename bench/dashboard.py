# pyright: standard
"""How fast the dashboard's pages are in a real Chromium, and whether they break a rule.

    make bench-dashboard   # three minutes; writes bench/results/dashboard.json

The service is a process of its own on SQLite, without workers; its runs are written to the database. Each time is the
median of several tries, measured inside the page, from the beginning of its navigation, or from the key, to the frame
that shows what was asked for. The browser has no GPU: it draws on the same cores as the service.
"""

import io
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlalchemy import Engine

from api.pages.bundle import FOLDER
from bench import results
from store.core.db import make_engine, transaction, upgrade
from store.core.settings import Settings
from store.files.backends import open_artifacts
from store.runs import recording
from tests.support.browser import Seat, chromium, seat
from tests.support.processes import free_port
from tests.support.store import claim_run, create_run, epoch_record, fill_runs, step_block
from tests.support.worker import Clinic

TOKEN = "correct-horse-battery-staple"  # noqa: S105  of a service that ends with the bench
STEPS, STEP_EPOCHS = 100_000, 100
"""Of the run whose page is painted."""
BESIDE, BESIDE_EPOCHS = 50, 40
"""Runs that are compared, and their epochs."""
LISTED = 10_000
SIDE_PX = 226
"""Of a picture of 64 samples of 28 pixels."""
TRIES = 5
KEYS = 60
FRAMES_S = 3
SETTLED_MS = 5000
"""In which the pictures around the cursor are decoded."""
PAGES = {
    "/new": ".presets li",
    "/new?preset=ring8-stable": ".spec-field",
    "/findings": ".meanings li",
    "/server": "#shares-title",
}
"""Further pages, and what is on them once they are there."""
PAINTED = """async ([selector, count]) => {
  const frame = () => new Promise(requestAnimationFrame);
  while (document.querySelectorAll(selector).length < count) await frame();
  await frame();
  await frame();
  return performance.now();
}"""
LOADED = """async () => {
  while ([...document.images].some((image) => !image.complete)) await new Promise(requestAnimationFrame);
}"""
CHANGE = """async (key) => {
  const shown = () => [...document.querySelectorAll(".gallery img")].map((image) => image.src).join();
  const before = shown();
  const begun = performance.now();
  dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const frame = () => new Promise(requestAnimationFrame);
  while (shown() === before || [...document.querySelectorAll(".gallery img")].some((image) => !image.complete))
    await frame();
  await frame();
  return performance.now() - begun;
}"""
PAN = """async (seconds) => {
  const plot = document.querySelector(".plot .u-over");
  const box = plot.getBoundingClientRect();
  const begun = performance.now();
  let frames = 0;
  while (performance.now() - begun < 1000 * seconds) {
    const at = ((performance.now() - begun) / (1000 * seconds)) * box.width;
    const where = { clientX: box.left + at, clientY: box.top + 50, bubbles: true };
    plot.dispatchEvent(new MouseEvent("mousemove", where));
    dispatchEvent(new KeyboardEvent("keydown", { key: frames % 2 ? "ArrowLeft" : "ArrowRight" }));
    await new Promise(requestAnimationFrame);
    frames += 1;
  }
  return frames / seconds;
}"""


def picture(rng: np.random.Generator) -> bytes:
    """A picture as large as one of 64 digits."""
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (SIDE_PX, SIDE_PX), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def fill(engine: Engine, settings: Settings) -> tuple[str, list[str]]:
    """The run whose page is painted, and those that are compared; 10,000 more are listed."""
    rng = np.random.default_rng(0)
    artifacts = open_artifacts(settings)
    with transaction(engine) as session:
        create_run(session)
        long = claim_run(session)
        steps = STEPS // STEP_EPOCHS
        for epoch in range(1, STEP_EPOCHS + 1):
            block = 0.5 + rng.random(step_block(epoch, steps).shape, dtype=np.float32)
            made = epoch_record(long, epoch, first_step=(epoch - 1) * steps, steps=block)
            recording.record_epoch(session, made)
    beside: list[str] = []
    for _ in range(BESIDE):
        with transaction(engine) as session:
            create_run(session)
            run = claim_run(session)
            beside.append(run.run_id)
            for epoch in range(1, BESIDE_EPOCHS + 1):
                shown = {"samples": artifacts.put(picture(rng), "image/png")}
                recording.record_epoch(session, epoch_record(run, epoch, artifacts=shown))
    with transaction(engine) as session:
        fill_runs(session, long.run_id, LISTED, status="'succeeded'")
    return long.run_id, beside


def painted_ms(desk: Seat, path: str, selector: str, count: int) -> float:
    """From the beginning of the navigation to the frame in which so many elements are seen."""
    return desk.open(path).evaluate(PAINTED, [selector, count])


def median(measure: Callable[[], float]) -> float:
    """Of some tries, after one that is not counted."""
    measure()
    return round(statistics.median(measure() for _ in range(TRIES)), 1)


def measure(desk: Seat, long: str, beside: list[str]) -> dict[str, Any]:
    """All figures of the pages."""
    faults: list[str] = []
    breaches: list[str] = []

    def check() -> None:
        faults.extend(desk.inaccessible())
        breaches.extend(desk.violations())

    listed = median(lambda: painted_ms(desk, "/", ".run-row", 6))
    check()
    first = median(lambda: painted_ms(desk, f"/runs/{long}", ".chart canvas", 3))
    frames = round(desk.page.evaluate(PAN, FRAMES_S), 1)
    check()
    side_by_side = f"/compare?runs={','.join(beside)}&epoch=10"
    compared = median(lambda: painted_ms(desk, side_by_side, ".gallery img", BESIDE))
    desk.page.evaluate(LOADED)
    desk.page.wait_for_timeout(SETTLED_MS)
    taken = [desk.page.evaluate(CHANGE, "ArrowRight" if key < KEYS // 2 else "ArrowLeft") for key in range(KEYS)]
    check()
    for path, is_there in PAGES.items():
        desk.open(path).locator(is_there).first.wait_for()
        check()
    return {
        "first_paint_ms": first,
        "pan_fps": frames,
        "compare_50_ms": compared,
        "epoch_change_p50_ms": round(float(np.percentile(taken, 50)), 1),
        "epoch_change_p95_ms": round(float(np.percentile(taken, 95)), 1),
        "list_10k_ms": listed,
        "axe_violations": len(faults),
        "csp_violations": len(breaches),
        "broken": faults + breaches,
    }


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        url = f"sqlite:///{home / 'ganclinic.db'}"
        engine = make_engine(url)
        upgrade(engine)
        long, beside = fill(engine, Settings(home=home, database_url=url))
        port = free_port()
        clinic = Clinic(home=home, engine=engine, database_url=url)
        with clinic.api(port), chromium() as browser, seat(browser, f"http://127.0.0.1:{port}") as desk:
            desk.log_in(TOKEN)
            found = measure(desk, long, beside)
            version = browser.version
        engine.dispose()
    bundle = sum(file.stat().st_size for file in FOLDER.glob("*.gz"))
    figures = {
        **found,
        "bundle_gzip_kb": round(bundle / 1024, 1),
        "steps": STEPS,
        "runs_beside": BESIDE,
        "runs_listed": LISTED,
        "chromium": version,
        "load": round(os.getloadavg()[0], 1),
    }
    print(figures, results.write("dashboard", figures))


if __name__ == "__main__":
    main()
