"""Write the pictures of docs/serve.md: `python -m tests.page.pictures`, in the folder above tests.

What is on them is real: a server, a browser, and a capture of pcaps/.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.page.conftest import CHROMIUM, PCAPS
from tests.page.serving import serving

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
EXPRESSION = "tcp port 443 or (udp port 53 and not net 10.0.0.0/8)"
SIZES = {
    "page-phone": ((390, 844), "light"),
    "page-laptop": ((1366, 768), "light"),
    "page-wide": ((2560, 1300), "dark"),
}


def take(browser, url, name, *, whole=False):
    (width, height), scheme = SIZES[name]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_selector("#meaning li")
    page.set_input_files("#capture", PCAPS / "ethernet.pcap")
    page.wait_for_selector("#packets tbody tr")
    page.click("#packets tbody tr >> nth=4")
    page.wait_for_selector(".course .terms")
    page.wait_for_selector(".relation")
    page.evaluate("() => { document.activeElement.blur(); window.scrollTo(0, 0); }")
    page.hover("#tree li:has-text('udp port 53')")
    page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)
    page.close()


def main():
    PICTURES.mkdir(exist_ok=True)
    words = ("--compare", "tcp port 443 or udp port 53", EXPRESSION)
    with serving(*words) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name in SIZES:
            take(browser, server.url, name, whole=name == "page-laptop")
        browser.close()
    if shutil.which("pngquant"):  # a quarter of the size, and nobody sees the difference
        subprocess.run(
            ["pngquant", "--ext", ".png", "--force", *PICTURES.glob("page-*.png")], check=True
        )


if __name__ == "__main__":
    main()
