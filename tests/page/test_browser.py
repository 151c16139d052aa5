"""The page in a browser: what a person sees and does there."""

from __future__ import annotations

import json
import re
import struct

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.page.conftest import PCAPS, opened
from tests.page.serving import serving

EXPRESSION = "#expression"


def stages_of(page, text):
    """Write an expression, and wait for its tree."""
    page.fill(EXPRESSION, text)
    page.wait_for_function(
        """([text]) => [...document.querySelectorAll("#tree li .text")].some(
            (row) => row.textContent === text)""",
        arg=[text],
    )


def texts(page, selector):
    return page.locator(selector).all_inner_texts()


def open_capture(page, name="ethernet.pcap"):
    page.set_input_files("#capture", PCAPS / name)
    page.wait_for_selector("#packets tbody tr")


def test_mistakes_are_underlined_while_one_writes(page):
    page.locator(EXPRESSION).press_sequentially("tcp prt 80")
    page.wait_for_selector(".mirror .error")
    assert texts(page, ".mirror .error") == ["prt"]
    assert page.get_attribute(EXPRESSION, "aria-invalid") == "true"
    assert "did you mean 'port'?" in page.inner_text("#remarks")
    # Whoever goes to the mistake has it selected.
    page.click("#remarks button")
    selected = page.evaluate(
        "[document.activeElement.selectionStart, document.activeElement.selectionEnd]"
    )
    assert selected == [4, 7]
    page.keyboard.type("port")
    page.wait_for_selector("#tree li:has-text('tcp port 80')")
    assert page.locator(".mirror .error").count() == 0
    assert page.get_attribute(EXPRESSION, "aria-invalid") == "false"


def test_what_is_missing_at_the_end_is_underlined_there(page):
    page.fill(EXPRESSION, "tcp port")
    page.wait_for_selector(".mirror .error")
    box = page.locator(".mirror .error").last.bounding_box()
    assert box["width"] > 2


def test_warnings_are_underlined_in_another_way(page):
    page.fill(EXPRESSION, "not port 80 and 443")
    page.wait_for_selector("#remarks .warning")
    assert "PF112" in page.inner_text("#remarks")
    style = "(element) => getComputedStyle(element).textDecorationStyle"
    assert page.eval_on_selector(".mirror .warning", style) == "dotted"
    page.fill(EXPRESSION, "not prt")
    page.wait_for_selector(".mirror .error")
    page.hover("#tree li >> nth=0")  # these are another expression's: nothing of this one is lit
    assert page.locator(".mirror .lit").count() == 0
    assert page.eval_on_selector(".mirror .error", style) == "wavy"
    assert page.locator("#remarks .warning").count() == 0
    assert "not port 80 and 443" in page.inner_text(".notice:not([role])")
    page.fill(EXPRESSION, "not port 80 and 443")
    page.wait_for_selector("#remarks .error", state="detached")
    page.wait_for_selector("#remarks .warning")


def test_what_belongs_together_is_lit_together(page):
    stages_of(page, "arp")
    page.fill(EXPRESSION, "arp or tcp port 443")
    page.wait_for_selector("#tree li:has-text('tcp port 443')")
    page.hover("#tree li:has-text('arp')")
    assert texts(page, ".mirror .lit") == ["arp"]
    assert any("#0x806" in each for each in texts(page, "#classic li.lit"))
    assert page.locator("#extended li.lit").count() > 0
    assert page.locator("#graph .node.lit").count() > 0
    # From an instruction to the words that asked for it.
    page.hover("#classic li:has-text('#0x1bb') >> nth=0")
    assert " ".join(texts(page, ".mirror .lit")) == "tcp   port   443"
    assert texts(page, "#tree li.lit .text") == ["tcp port 443"]
    # From an extended one, too.
    page.hover("#extended li:has-text('== 443') >> nth=0")
    assert texts(page, "#tree li.lit .text") == ["tcp port 443"]
    assert any("#0x1bb" in each for each in texts(page, "#classic li.lit"))
    # From a block.
    page.hover("#graph .node:has-text('0x806')")
    assert any("#0x806" in each for each in texts(page, "#classic li.lit"))
    # From a word of the expression, whose text area lies above the mirror.
    box = page.locator(".mirror span:text-is('arp')").bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
    assert texts(page, "#tree li.lit .text") == ["arp"]
    page.mouse.move(1, 1)
    assert page.locator(".lit").count() == 0


def test_a_long_list_is_shown_too(page):
    hosts = " or ".join(f"host 10.{i // 250}.{i % 250}.7" for i in range(500))
    page.fill(EXPRESSION, hosts)
    page.wait_for_selector("#tree li:has-text('host 10.1.249.7')")
    assert page.locator("#classic li").count() > 1000
    assert "too many" in page.inner_text("#graph .missing")
    page.fill("#graph input", "0")
    assert "…" in page.text_content("#graph .detail >> nth=1")
    # What it means is said last, above the tree, and would move another row under the mouse.
    page.wait_for_selector("#meaning li:has-text('10.1.249.7')")
    page.hover("#tree li:has-text('host 10.0.3.7')")
    lit = "() => [...document.querySelectorAll('.mirror .lit')].map(e => e.textContent).join('')"
    page.wait_for_function(f"({lit})() === 'host 10.0.3.7'")
    assert texts(page, ".mirror .lit") == ["host", " ", "10.0.3.7"]
    # It is looked for together with all others.
    assert page.locator("#classic li.lit").count() > 500
    assert page.locator("#graph .node.lit").count() > 0


def test_the_keyboard_reaches_everything(page):
    stages_of(page, "arp")
    page.fill(EXPRESSION, "arp or tcp port 443")
    page.wait_for_selector("#tree li:has-text('tcp port 443')")
    page.focus("#tree summary")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert texts(page, "#tree li.lit .text") == ["arp"]
    page.keyboard.press("End")
    assert texts(page, "#tree li.lit .text") == ["tcp port 443"]
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "expression"
    assert texts(page, "#tree li.lit .text") == ["tcp port 443"]  # chosen, so it stays
    page.keyboard.press("Escape")
    assert page.locator(".lit").count() == 0
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert texts(page, "#tree li.lit .text") == ["arp"]
    # Tab leads from panel to panel, with one stop in each list.
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('[id]')?.id ?? ''"))
    assert {"tree", "graph", "classic", "extended", "packets", "compare", "other"} <= reached
    page.focus("#classic li")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")


def test_from_pass_to_pass(page):
    page.fill(EXPRESSION, "arp or tcp port 443")
    page.wait_for_selector("#tree li:has-text('port 443')")
    count = int(page.get_attribute("#graph input", "max")) + 1
    assert f"{count} of {count}" in page.inner_text("#graph .pass")
    last = page.locator("#graph .node").count()
    page.fill("#graph input", "0")
    assert "1 of" in page.inner_text("#graph .pass")
    assert "lower" in page.inner_text("#graph .pass")
    assert page.locator("#graph .node").count() > last
    assert re.search(r"[#&]pass=0", page.url)
    page.hover("#graph .node:has-text('443') >> nth=0")
    assert texts(page, "#tree li.lit .text") == ["tcp port 443"]
    page.focus("#tree li")
    for _ in range(count):
        page.keyboard.press("]")
    assert page.locator("#graph .node").count() == last
    assert "pass=" not in page.url


def test_a_capture_and_why_its_packets_match(page):
    stages_of(page, "tcp port 443")
    open_capture(page)
    assert page.locator("#packets tbody tr").count() == 22
    assert "3 of 22 match" in page.inner_text("#packets summary")
    assert page.text_content("#graph .node .flow >> nth=0") == "22"
    assert page.inner_text("#classic li >> nth=0").startswith("22")
    assert page.inner_text("#tree li .count") == "3 of 22"
    page.check("#packets input[value=true]")
    assert page.locator("#packets tbody tr").count() == 3
    page.focus("#packets tbody tr")
    page.keyboard.press("Enter")
    page.wait_for_selector(".course .terms")
    assert "Packet 1 matches" in page.inner_text(".course")
    assert "01" in texts(page, ".course mark")
    assert "To turn the verdict: set byte" in page.inner_text(".course")
    assert page.locator("#graph .node.on-path").count() > 3
    # Another expression, the same capture.
    stages_of(page, "arp")
    page.wait_for_function(
        "() => document.querySelector('#packets summary').innerText.includes('2 of 22')"
    )
    assert page.locator("#graph .on-path").count() == 0
    # A capture's link type is chosen with it.
    open_capture(page, "raw.pcap")
    page.wait_for_function("() => document.querySelector('#link-type').value === 'RAW'")


def test_a_capture_from_the_command_line(browser):
    words = ("-r", str(PCAPS / "raw.pcap"), "ip")
    with serving(*words) as server, opened(browser, server.origin) as page:
        page.goto(server.url)
        page.wait_for_selector("#packets tbody tr")
        assert "raw.pcap: " in page.inner_text(".file")
        assert page.input_value("#link-type") == "RAW"


def test_a_capture_that_is_damaged_and_one_that_is_none(page, tmp_path):
    stages_of(page, "arp")
    open_capture(page, "cut-short.pcap")
    page.wait_for_selector("#packets .hint:has-text('byte ')")
    nothing = tmp_path / "nothing.txt"
    nothing.write_text("this is no capture")
    page.set_input_files("#capture", nothing)
    page.wait_for_selector("#packets .hint:has-text('unknown file format')")
    assert page.is_hidden("#packets table")
    assert page.locator(".count, .flow").count() == 0


def test_two_expressions_and_a_packet_that_tells_them_apart(page):
    stages_of(page, "tcp port 443")
    page.fill("#other", "port 443")
    page.wait_for_selector(".relation")
    assert "A implies B" in page.inner_text(".relation")
    assert "Only B takes this packet" in page.inner_text(".witness")
    assert "01 bb" in page.inner_text(".witness .hex")
    page.fill("#other", "prt")
    page.wait_for_selector("#compare .mirror .error")
    assert page.locator(".relation").count() == 0
    page.fill("#other", "tcp src or dst port 443")
    page.wait_for_selector(".relation:has-text('equal')")


def test_an_answer_to_what_is_no_longer_asked_is_not_shown(page):
    held = []
    page.route("**/api/comparison", lambda route: held.append(route))  # noqa: PLW0108 - it sets attributes on it
    stages_of(page, "tcp port 443")
    with page.expect_request("**/api/comparison"):
        page.fill("#other", "port 443")
    page.wait_for_selector("#compare .answer[aria-busy=true]", state="attached")
    page.fill("#other", "")
    page.wait_for_selector("#compare .answer[aria-busy=false]", state="attached")
    with page.expect_response("**/api/comparison") as answer:
        held[0].continue_()
    assert answer.value.json()["relation"] == "A implies B"
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert page.locator(".relation").count() == 0


def test_a_link_keeps_all_of_it(page, server):
    page.fill(EXPRESSION, "ip or arp & tricky=1%23")
    page.wait_for_selector(".mirror .error")
    text = "ip and udp[0:2] & 0xff = 7"
    page.fill(EXPRESSION, text)
    page.wait_for_selector("#tree li:has-text('udp')")
    page.select_option("#link-type", "RAW")
    page.fill("#other", "ip and udp")
    page.wait_for_selector(".relation")
    page.fill("#graph input", "1")
    link = page.url
    assert server.token not in link
    other = page.context.new_page()  # the token is kept for this origin
    other.goto(link)
    other.wait_for_selector(".relation")
    assert other.input_value(EXPRESSION) == text
    assert other.input_value("#link-type") == "RAW"
    assert other.input_value("#other") == "ip and udp"
    assert other.input_value("#graph input") == "1"
    assert other.url == link
    page.goto(f"{server.origin}/#e=arp")
    page.wait_for_selector("#tree li:has-text('arp')")


def test_without_the_token_nothing_is_shown(browser, server):
    with opened(browser, server.origin, tolerated="status of 401") as page:
        page.goto(f"{server.origin}/#e=arp")
        page.wait_for_selector("[role=alert]:has-text('token')")
        assert page.locator("#tree li").count() == 0
        # A wrong one, in a link of somebody's, does not take the right one away.
        page.goto(server.url)
        page.wait_for_selector("#classic li")
        page.goto(f"{server.origin}/#token=wrong&e=arp")
        page.wait_for_selector("#tree li:has-text('arp')")
        page.reload()
        page.wait_for_selector("#tree li:has-text('arp')")


def test_a_server_that_has_ended(browser):
    with serving() as server, opened(browser, server.origin, tolerated="ERR_CONNECTION") as page:
        page.goto(server.url)
        page.wait_for_selector("#classic li")
        server.process.terminate()
        assert server.process.wait(60) == 0
        page.fill(EXPRESSION, "arp")
        page.wait_for_selector("[role=alert]:has-text('still running')")


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(390, 844, "light"), (1366, 768, "dark"), (2560, 1300, "light")],
)
def test_it_is_accessible_and_fits(browser, server, width, height, scheme):
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": height}}
    with opened(browser, server.origin, **options) as page:
        page.goto(server.url)
        page.wait_for_selector("#classic li")
        page.fill(EXPRESSION, "not port 80 and 443")
        page.wait_for_selector("#remarks .warning")
        open_capture(page)
        page.fill("#other", "tcp port 443")
        page.wait_for_selector(".witness")
        page.click("#packets tbody tr")
        page.wait_for_selector(".course .terms")
        for summary in page.locator(".notes summary").all():
            summary.click()
        page.click("#classic li >> nth=3")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 2560:
            return  # it has the colours and the parts of the first
        check_accessibility(page)
        if scheme == "dark":
            page.fill(EXPRESSION, "tcp prt 80")
            page.wait_for_selector("#remarks .error")
            page.click("button:has-text('Keys')")
            check_accessibility(page)


def check_accessibility(page):
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    grave = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert grave == [], json.dumps(grave, indent=1)[:4000]


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</textarea><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "host <b>x</b>",
    "javascript:alert(1)",
    "tcp port 443 or \u202e\u2066 <script>",
)


def hostile_capture():
    """Return a pcapng file with markup wherever it has text."""

    def option(code, text):
        data = text.encode()
        return struct.pack("<HH", code, len(data)) + data + bytes(-len(data) % 4)

    def block(kind, body):
        length = len(body) + 12
        return struct.pack("<II", kind, length) + body + struct.pack("<I", length)

    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    options = b"".join(option(code, markup) for code in (1, 2, 3)) + bytes(4)
    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)
    interface = block(1, struct.pack("<HHI", 1, 0, 0) + options)
    packet = (markup * 3).encode()[:120]
    padded = packet + bytes(-len(packet) % 4)
    comment = option(1, markup) + bytes(4)
    header = struct.pack("<IIIII", 0, 0, 0, len(packet), len(packet))
    return section + interface + block(6, header + padded + comment)


def test_nothing_that_is_given_becomes_markup(browser, server, tmp_path):
    # Without the policy, too: what keeps text from becoming markup must not be the policy alone.
    with opened(browser, server.origin, bypass_csp=True) as page:
        page.goto(server.url)
        page.wait_for_selector("#classic li")
        elements = "document.querySelectorAll('img, script, iframe, object, embed, b').length"
        usual = page.evaluate(elements)
        for text in HOSTILE:
            page.fill(EXPRESSION, text)
            page.wait_for_selector("#remarks .error")
            page.fill("#other", text)
            assert page.input_value("#other") == text
            assert page.evaluate(elements) == usual
        stages_of(page, "arp")
        path = tmp_path / "<img src=x onerror=alert(3)>.pcapng"
        path.write_bytes(hostile_capture())
        page.set_input_files("#capture", path)
        page.wait_for_selector("#packets tbody tr")
        assert "<img src=x onerror=alert(3)>.pcapng: 1 packet" in page.inner_text(".file")
        page.click("#packets tbody tr")
        page.wait_for_selector(".course .terms")
        assert page.evaluate(elements) == usual
        # A link that somebody else has made.
        page.goto(f"{server.origin}/#e={HOSTILE[0]}&b={HOSTILE[1]}&y=<b>&pass=<b>")
        page.wait_for_selector("#remarks .error")
        assert page.evaluate(elements) == usual


def test_the_policy_keeps_scripts_from_running(browser, server):
    with opened(browser, server.origin, tolerated="requires 'Trusted|Security Policy") as page:
        page.goto(server.url)
        page.wait_for_selector("#classic li")
        refused = page.evaluate(
            """() => {
              const found = [];
              const attempt = (deed) => {
                try { deed(); found.push("done"); } catch (error) { found.push(error.name); }
              };
              attempt(() => { document.body.innerHTML = "<b>x</b>"; });
              attempt(() => { document.createElement("script").text = "window.ran = 1"; });
              attempt(() => { document.body.setAttribute("onclick", "window.ran = 1"); });
              document.body.click();
              return [found, window.ran];
            }"""
        )
        assert refused[0][:2] == ["TypeError", "TypeError"]
        assert refused[1] is None


def test_it_is_there_soon(page, server):
    """Report how long loading takes; what is asserted is far from it, since machines are busy."""
    page.goto("about:blank")
    page.goto(server.url)
    page.wait_for_selector("#classic li")
    timing = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
    ready = page.evaluate("performance.now()")
    print(f"loaded in {timing['loadEventEnd']:.0f} ms, stages shown in {ready:.0f} ms")
    assert timing["loadEventEnd"] < 20_000
