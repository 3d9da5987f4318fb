"""The button Copy report in the accordion."""

from conftest import PREVIEWS


def test_the_report_is_shown_selected_and_copied(open_tab):
    tab = open_tab()
    tab.field("tau_end").fill("0.8")
    tab.open_fold("advanced_fold")
    tab.button("Copy report").click()
    report = tab.page.locator("textarea.noise-rectification-report")
    report.wait_for()
    text = report.input_value()
    assert text.startswith("Noise Rectification ") and "tau_end = 0.8" in text and "message: steps 1" in text
    assert report.evaluate("area => area.selectionEnd - area.selectionStart === area.value.length && area.readOnly")
    tab.until_status("report")  # copied, or to be copied if the answer took longer than the browser's patience with a click
    tab.screenshot("report")


def test_a_server_that_does_not_answer(open_tab):
    tab = open_tab()
    tab.open_fold("advanced_fold")
    tab.page.route(f"**{PREVIEWS}", lambda route: route.fulfill(status=200, body="no JSON"))
    tab.button("Copy report").click()
    tab.until_status("No report: the server does not answer.")
    assert tab.page.locator("textarea.noise-rectification-report").count() == 0
