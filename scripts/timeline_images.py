"""Makes the pictures of the timeline in docs/images, from a session that a real graph ran and a real browser.

Usage: PYTHONPATH=tests python scripts/timeline_images.py [FOLDER]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from browser.chrome import browser, viewport
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from sessions.storied import stretched, tell_story

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.sessions.export.entries import Entry
from langgraph_session_bridge.sessions.export.page import render


async def page(folder: Path) -> Path:
    """The story, as it would have been with people and servers that take their time."""
    async with SessionBridge.embedded(folder / "servers") as bridge:
        await tell_story(bridge, "support-4711", hostile=False)
        session = await bridge.sessions.update("support-4711", title="Where is my parcel?")
        entries = stretched(await bridge.sessions.timeline(session, redact=True))

    async def told() -> AsyncIterator[Entry]:
        for entry in entries:
            yield entry

    path = folder / "timeline.html"
    path.write_text("".join([piece async for piece in render(session, told(), redacted=True)]), encoding="utf-8")
    return path


def picture(driver: WebDriver, path: Path) -> None:
    """What the window shows."""
    driver.save_screenshot(str(path))
    print(path, f"{path.stat().st_size / 1000:.0f} kB")


def main(target: Path) -> None:
    """Both themes, and a phone."""
    with tempfile.TemporaryDirectory(prefix="lsb-images-", dir="/tmp") as folder, browser() as driver:
        path = asyncio.run(page(Path(folder)))
        viewport(driver, 1120, 940, scale=1.5)
        driver.get(path.as_uri())
        for entry in driver.find_elements(By.CSS_SELECTOR, ".entry.tool"):
            if "search_knowledge" in entry.text:
                entry.find_element(By.CSS_SELECTOR, ".at").click()
                break
        driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        picture(driver, target / "timeline.png")
        driver.find_element(By.ID, "theme").click()
        driver.execute_script("document.activeElement.blur()")
        picture(driver, target / "timeline-dark.png")
        viewport(driver, 390, 780, scale=2, mobile=True)
        driver.find_element(By.ID, "theme").click()
        driver.get(path.as_uri())
        picture(driver, target / "timeline-phone.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images")
