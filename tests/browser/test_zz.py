from tests.browser.test_sample import *
def test_dbg(visit, clip):
    page = visit(); page.on("console", lambda m: print("C", m.text))
    page.click("#closer button.label-wrap")
    page.set_input_files("#prompt-audio input[type=file]", clip)
    text = page.locator("#prompt-text textarea")
    text.fill("Something else altogether.")
    expect(page.locator("#prompt-match")).to_contain_text("not enough")
    page.click("#clone")
    expect(page.locator("#prompt-note")).to_contain_text("matches the prompt clip by")
    print(page.locator("#prompt-note").inner_html())
    text.fill("You have to move slowly, she said, and you must never breathe on them.")
    page.wait_for_timeout(3000)
    print(page.locator("#prompt-note").inner_html())
    expect(page.locator("#prompt-match mark")).to_have_count(0)
    print(page.locator("#prompt-note").inner_html())
    print(page.locator("#closer").inner_text())
    assert 0
