"""A real browser without a window: Debian's Chromium, driven by its ChromeDriver. Nothing is downloaded."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

_SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=en-GB",
)


@contextmanager
def browser(width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """A browser with an empty profile, whose console and requests are logged."""
    profile = tempfile.mkdtemp(prefix="lsb-chromium-", dir="/tmp")
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for switch in (*_SWITCHES, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(DRIVER, env={**os.environ, "TZ": "UTC", "LANGUAGE": "en_GB"})
    driver = Chrome(options=options, service=service)
    try:
        driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "UTC"})
        driver.execute_cdp_cmd("Emulation.setLocaleOverride", {"locale": "en-GB"})
        yield driver
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def viewport(driver: Chrome, width: int, height: int, *, scale: float = 1, mobile: bool = False) -> None:
    """What a page sees as the size of its window."""
    size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefers(driver: Chrome, **features: str) -> None:
    """What the user of the browser prefers: `prefers(driver, color_scheme="dark")`."""
    told = [{"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": told})


def console(driver: Chrome) -> list[str]:
    """What the page's console says since it was last asked."""
    return [str(entry["message"]) for entry in driver.get_log("browser")]


def requests(driver: Chrome) -> list[str]:
    """Addresses that the page asked for, or went to."""
    found: list[str] = []
    for entry in driver.get_log("performance"):
        message: dict[str, Any] = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(str(message["params"]["request"]["url"]))
    return found
