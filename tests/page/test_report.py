"""Reports: one file that says what the page says, and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil

import pytest

from pfcompile.page.report import STATIC, bundled
from tests.cli.in_process import refused, run
from tests.page.conftest import PCAPS, opened


def report(*arguments):
    done = run("serve", "--html", "-", *arguments)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr
    return done.stdout.decode()


def scripts(html):
    return re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", html, re.DOTALL)


def test_the_policy_allows_what_is_there_and_nothing_else():
    html = report("tcp port 443")
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', html)[1].replace("&#x27;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    texts = [*scripts(html), *re.findall(r"<style>(.*?)</style>", html, re.DOTALL)]
    assert len(texts) == 3
    for text in texts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256-") == 3
    # Nothing is to be fetched: no address but names of XML's, which are none.
    assert set(re.findall(r"(?:https?:)?//[\w.]+/\S*", html)) <= {
        'http://www.w3.org/2000/svg",',
        "http://127.0.0.1",
    }


def test_modules_are_put_together_once_and_in_order():
    text = bundled("report.js")
    assert "import " not in re.sub(r"//.*|/\*.*?\*/", "", text, flags=re.DOTALL)
    assert not re.search(r"^export ", text, re.MULTILINE)
    assert "fetch(" not in text
    names = re.findall(r"^(?:async )?(?:function|const|class) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert text.index("function make(") < text.index("class Frame")


def test_every_import_is_of_what_is_there():
    for path in STATIC.glob("*.js"):
        for names, module in re.findall(r'import \{ (.*?) \} from "\./(.*?)"', path.read_text()):
            exported = (STATIC / module).read_text()
            for name in names.split(", "):
                assert re.search(
                    rf"^export (async )?(function|class|const) {name}\b", exported, re.MULTILINE
                )


def test_the_page_loads_all_modules_at_once():
    needed = {f"static/{name}" for name in modules_of("main.js")}
    html = (STATIC / "index.html").read_text()
    assert set(re.findall(r'modulepreload" href="(.*?)"', html)) == needed


def modules_of(name):
    found = re.findall(r'^import .* from "\./(.*?)"', (STATIC / name).read_text(), re.MULTILINE)
    return set(found).union(*map(modules_of, found))


def test_data_cannot_leave_its_element(tmp_path):
    folder = tmp_path / "<"
    folder.mkdir()
    capture = folder / "script><script>alert(1)<!--.pcap"
    shutil.copy(PCAPS / "ethernet.pcap", capture)
    html = report("-r", str(capture), "len < 100 or ip")
    assert "alert(1)" in html
    assert "<script>alert" not in html
    assert len(scripts(html)) == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert data["capture"] == str(capture)
    assert "<title>len &lt; 100 or ip - pfcompile</title>" in html


def test_a_report_in_a_browser(browser, tmp_path):
    path = tmp_path / "report.html"
    capture = tmp_path / "<img src=x onerror=alert(1)>.pcap"
    shutil.copy(PCAPS / "ethernet.pcap", capture)
    words = ("-r", str(capture), "--compare", "port 443", "tcp port 443")
    assert run("serve", "--html", str(path), *words).returncode == 0
    with opened(browser, "file://") as page:
        page.goto(path.as_uri())
        page.wait_for_selector("#packets tbody tr")
        assert page.input_value("#expression") == "tcp port 443"
        assert "A implies B" in page.inner_text(".relation")
        assert page.locator("img").count() == 0
        page.click("#packets tbody tr")
        assert "Packet 1 matches" in page.inner_text(".course")
        assert page.locator("#graph .on-path").count() > 3
        page.hover("#classic li:has-text('#0x1bb') >> nth=0")
        assert page.locator("#tree li.lit").count() == 1
        page.fill("#graph input", "0")
        assert "lower" in page.inner_text("#graph .pass")


def test_a_capture_gives_the_link_type():
    html = report("-r", PCAPS / "raw.pcap", "ip")
    assert '"link_type":"RAW"' in html
    html = report("-y", "EN10MB", "-r", PCAPS / "raw.pcap", "ip")
    assert '"foreign":' in html
    assert '"link_type":"EN10MB"' in html


def test_a_blank_expression():
    assert "<title>(blank) - pfcompile</title>" in report("")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["prt 80"], 2, "syntax error"),
        (["--compare", "prt", "ip"], 2, "syntax error"),
        (["-r", "nothing.pcap", "ip"], 1, "nothing.pcap"),
        (["-r", str(PCAPS / "make.py"), "ip"], 1, "unknown file format"),
        (["-r", "-", "ip"], 2, "takes a file"),
    ],
)
def test_what_is_wrong(words, status, said, tmp_path):
    path = tmp_path / "report.html"
    assert said in refused("serve", "--html", path, *words, status=status)
    assert not path.exists()


def test_files_that_cannot_be_written(tmp_path):
    assert "cannot be written" in refused("serve", "--html", tmp_path / "no" / "x", "ip", status=1)
    capture = tmp_path / "a.pcap"
    shutil.copy(PCAPS / "ethernet.pcap", capture)
    assert "would overwrite" in refused("serve", "--html", capture, "-r", capture, "ip")
