"""How fast a list of voices is drawn and scrolled in a real Chromium: ``python -m bench.voices_page [--voices N]``.

Timed is from the moment the list's answer has arrived in the browser to the frame that shows it, each time by opening
the place anew; then scrolling to the end of the list, a screen at a time, each from the wheel to the frame that shows
it. Beside each turn a fixed piece of work is timed in the same page: by how much that varies, the machine was busy
with something else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.driving import CHROMIUM, FLAGS, App, go
from tests.running import COLD
from tests.voices import keep

N_VOICES = 1_000
N_OPENED = 11
DRAWN_WITHIN_MS = 200
WORDS = ("drama", "deep", "English", "warm", "trailer", "audiobook", "Deutsch", "child")

WATCH = """
(() => {
  // When the answer with the list is there, and when the frame after it was drawn is shown.
  const ask = window.fetch.bind(window);
  const marks = window.listMarks = { arrived: 0, drawn: 0 };
  const shown = () => requestAnimationFrame(() => setTimeout(() => { marks.drawn = performance.now(); }));
  const fetch = async (...given) => {
    const answer = await ask(...given);
    if (!String(given[0]?.url || given[0]).includes('/queue/data') || !answer.body) return answer;
    const text = new TextDecoder();
    const seen = new TransformStream({ transform(chunk, onward) {
      if (text.decode(chunk, { stream: true }).includes('tb-voices')) {
        [marks.arrived, marks.drawn] = [performance.now(), 0];
        const list = document.querySelector('#voices .tb-list');
        const watch = new MutationObserver(() => { watch.disconnect(); shown(); });
        watch.observe(list, { childList: true });
      }
      onward.enqueue(chunk);
    } });
    return new Response(answer.body.pipeThrough(seen), { headers: answer.headers, status: answer.status });
  };
  window.fetch = fetch;
})();
"""
FIXED_WORK = """() => {
  const begun = performance.now();
  let sum = 0;
  for (let n = 0; n < 2e7; n++) sum = (sum + n * n) % 1000003;
  return performance.now() - begun + 0 * sum;
}"""
SCROLL = """async () => {
  const taken = [];
  const frame = () => new Promise((on) => requestAnimationFrame(() => setTimeout(on)));
  const [main, rows] = [document.scrollingElement, () => document.querySelectorAll('#voices li[data-voice]')];
  for (let still = 0; still < 5;) {
    const before = [main.scrollTop, rows().length].join();
    const begun = performance.now();
    main.scrollBy(0, innerHeight * 0.9);
    await frame();
    taken.push(performance.now() - begun);
    await frame();
    still = before === [main.scrollTop, rows().length].join() ? still + 1 : 0;
  }
  return [taken, rows().length];
}"""


def measure(n_voices: int, n_opened: int = N_OPENED) -> dict[str, float]:
    """Return milliseconds: drawn (median, worst), a screen further (median, worst), the fixed work (median, worst)."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = Path(folder) / "home"
        tags = [(WORDS[i % 8], WORDS[(i // 8) % 8]) for i in range(n_voices)]
        keep(home, [{"name": f"Narrator {i}", "tags": tags[i]} for i in range(n_voices)], b"no sound")
        app = App(home, COLD)
        app.start()
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.add_init_script(WATCH)
            page.goto(app.owner_url)
            page.wait_for_selector("#clone")
            drawn, work = zip(*(_opened(page) for _ in range(n_opened)), strict=True)
            further, n_rows = page.evaluate(SCROLL)
        finally:
            chromium.close()
            app.stop()
    assert n_rows == n_voices, f"{n_rows} rows were scrolled to"
    return {
        "drawn_ms": statistics.median(drawn[1:]),
        "drawn_worst_ms": max(drawn[1:]),
        "first_drawn_ms": drawn[0],
        "screen_ms": statistics.median(further),
        "screen_worst_ms": max(further),
        "n_screens": len(further),
        "work_ms": statistics.median(work),
        "work_worst_ms": max(work),
        "load": os.getloadavg()[0],
    }


def _opened(page: Page) -> tuple[float, float]:
    """Open the place of the voices once more; return how long drawing took, and the fixed work beside it."""
    go(page, "Clone")
    page.evaluate("listMarks.drawn = 0")
    work_ms = page.evaluate(FIXED_WORK)
    go(page, "Voices")
    page.wait_for_function("listMarks.drawn > listMarks.arrived")
    return page.evaluate("listMarks.drawn - listMarks.arrived"), work_ms


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.voices_page", description="Measure how a list of voices is drawn.")
    parser.add_argument("--voices", type=int, default=N_VOICES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    given = parser.parse_args()
    found = measure(given.voices)
    print(f"{given.voices:,} voices, drawn {N_OPENED} times; load of the machine {found['load']:.1f}")
    print(
        f"drawn            {found['drawn_ms']:6.0f} ms after the answer (worst {found['drawn_worst_ms']:.0f}; at most "
        f"{DRAWN_WITHIN_MS}); the first time {found['first_drawn_ms']:.0f} ms"
    )
    print(
        f"a screen further {found['screen_ms']:6.0f} ms (worst {found['screen_worst_ms']:.0f}), "
        f"{found['n_screens']:.0f} of them to the end"
    )
    print(f"fixed work       {found['work_ms']:6.0f} ms (worst {found['work_worst_ms']:.0f}): the machine's own noise")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
