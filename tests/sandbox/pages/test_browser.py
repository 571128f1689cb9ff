"""The pages in a real browser: found, clicked and read as a person does, by keyboard too."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from tests.browser import IN_A_BROWSER
from tests.sandbox.caller import Caller
from tests.sandbox.pages.conftest import PAGES

pytestmark = IN_A_BROWSER


class Tab:
    """A page of the browser, with what it complained of and whom it asked."""

    def __init__(self, browser: Any, sandbox: Sandbox, **options: Any) -> None:
        self.sandbox = sandbox
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._note)

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.sandbox.url, "data:")):
            self.foreign.append(request.url)

    def open(self, path: str) -> Any:
        self.page.goto(self.sandbox.url + path)
        return self.page

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
        assert (self.complaints, self.foreign) == ([], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_each_page_is_readable(chromium: Any, filled: Sandbox, scheme: str, width: int) -> None:
    """Nothing is wider than the screen, and a checker of accessibility finds nothing, contrast included."""
    from axe_playwright_python.sync_playwright import Axe

    size = {"width": width, "height": 900}
    with Tab(chromium, filled, viewport=size, color_scheme=scheme, bypass_csp=True) as tab:
        for name, path in PAGES.items():
            page = tab.open(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            found = Axe().run(page).response["violations"]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == [], name


def test_an_item_is_found_and_seen_as_a_user(chromium: Any, filled: Sandbox) -> None:
    with Tab(chromium, filled) as tab:
        page = tab.open("/")
        page.get_by_role("link", name="hr", exact=True).click()
        page.get_by_role("link", name="Items", exact=True).click()
        page.get_by_label("Id starts with").fill("file://a")
        page.get_by_role("button", name="Find").click()
        page.get_by_role("link", name="file://a").click()
        for user in ("cid@corp.com", "nobody@corp.com"):
            page.get_by_label("As user").fill(user)
            page.get_by_role("button", name="See", exact=True).click()
            sees = "sees" if filled.can_see("hr", "file://a", user) else "does not see"
            assert page.get_by_text(f"{user} {sees} the item.").is_visible()


def test_a_fault_is_added_by_its_form_and_met(chromium: Any, sandbox: Sandbox) -> None:
    with Tab(chromium, sandbox) as tab:
        page = tab.open("/")
        page.get_by_role("link", name="Faults and clock").click()
        page.locator("select[name=kind]").select_option("answer")
        page.locator("select[name=route]").select_option("item.put")
        page.get_by_label("Status (answer)").fill("503")
        page.get_by_role("button", name="Plan", exact=True).click()
        assert page.get_by_role("row", name="answer").is_visible()
        assert Caller(sandbox).put("file://a").status_code == 503
        page.reload()
        assert page.get_by_text("None: every call goes well.").is_visible()
        page.get_by_role("link", name="Calls and quotas").click()
        assert page.get_by_role("row", name="item.put").get_by_text("503").is_visible()


def test_the_keyboard_is_enough(chromium: Any, filled: Sandbox) -> None:
    """From the top: past the navigation by its skip link, and to an item by Tab and Enter."""
    with Tab(chromium, filled) as tab:
        page = tab.open("/ui/items?source=files")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "file://c":
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/ui/item?**")
        assert page.get_by_role("heading", name="file://c").is_visible()


def test_a_download_is_the_body(chromium: Any, filled: Sandbox) -> None:
    with Tab(chromium, filled) as tab:
        page = tab.open("/ui/item?source=hr&id=file%3A//b")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        content = download.value.path().read_text()
        assert content == (filled.item("hr", "file://b") or {})["data"]
