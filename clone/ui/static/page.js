// What the page does in the browser by itself: Gradio's events call window.tb…, the rest listens to the document.
(() => {
  // What of a component the framework is to change; it keeps the rest.
  const update = (changes) => ({ ...changes, __type__: "update" });

  // What the framework leaves unnamed for people who listen to the page.
  const name = (element) => {
    for (const empty of element.querySelectorAll(".empty[aria-label]")) empty.setAttribute("role", "img");
    for (const wrong of element.querySelectorAll(".upload-container[aria-label], .playback[aria-label]"))
      wrong.removeAttribute("aria-label");
    for (const text of element.querySelectorAll("textarea:not([aria-label]), input:not([aria-label])")) {
      const info = text.closest(".block")?.querySelector("[data-testid=block-info]");
      if (info && !text.labels?.length) text.setAttribute("aria-label", info.textContent.trim());
    }
    for (const button of element.querySelectorAll("button.label-wrap")) {
      const open = String(button.classList.contains("open"));
      if (button.getAttribute("aria-expanded") !== open) button.setAttribute("aria-expanded", open);
    }
  };
  // What somebody has written outlives a reload, in this tab alone.
  document.addEventListener("input", ({ target }) => {
    const place = target.closest("#text, #speak-text");
    if (place) sessionStorage.setItem(`timbre-${place.id}`, target.value);
  });
  window.tbDrafts = (...places) => places.map((place) => {
    const value = sessionStorage.getItem(`timbre-${place}`);
    return update(value === null ? {} : { value });
  });

  // Which tab this is, known to it alone, so that it finds after a reload what it had before. A tab that was duplicated
  // starts with a copy of that: the lock, which a page holds as long as it is there, tells the two apart. A page that
  // is loaded anew waits long for the lock of the one before it, as a slow machine lets go of it late.
  const anew = performance.getEntriesByType("navigation")[0]?.type === "reload";
  const hold = (tab) => new Promise((held) => {
    if (!navigator.locks) held(true);
    else navigator.locks.request(`timbre-${tab.slice(0, 8)}`, { signal: AbortSignal.timeout(anew ? 30000 : 2000) },
      () => { held(true); return new Promise(() => {}); }).catch(() => held(false));
  });
  const named = async () => {
    try {
      const kept = sessionStorage.getItem("timbre-tab");
      if (kept && await hold(kept)) return kept;
      const random = String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32)));
      const made = btoa(random).replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
      sessionStorage.setItem("timbre-tab", made);
      await hold(made);
      return made;
    } catch {
      return "";  // the browser keeps nothing
    }
  };
  // What comes for a component before the page has drawn it is lost: a tab says that it is there once it is drawn.
  const drawn = async (place) => {
    for (let n = 0; n < 200 && !document.querySelector(place); n++) await new Promise((on) => setTimeout(on, 50));
  };
  let tab;
  window.tbTab = async () => {
    await drawn("#voice-note");
    return (tab ??= named());
  };
  // A phone that was away, and whose connection broke meanwhile, says that it is back.
  const back = () => { if (!document.hidden) document.querySelector("#back")?.click(); };
  addEventListener("online", back);
  document.addEventListener("visibilitychange", back);

  // Of which recording consent was given. The framework may tell of a change late, or of the same recording again.
  let given = "";
  window.tbAgree = (now) => { if (!window.tbAgreed) given = now; };
  window.tbAgreeAnew = (now) => {
    const another = now !== given;
    given = now;
    if (!another || !window.tbAgreed) return update({});
    window.tbAgreed = false;
    return update({ value: false });
  };

  // A picture that is drawn, or drawn anew, shows which part is chosen by then.
  const drawnBefore = new WeakSet();
  const markDrawn = () => {
    const picture = document.querySelector(".tb-picture");
    const [use, from, long] = ["use input", "start input[type=number]", "length input[type=number]"].map((each) =>
      document.querySelector(`#part-${each}`));
    if (!picture || !use || !from || !long || drawnBefore.has(picture)) return;
    drawnBefore.add(picture);
    window.tbMark(use.checked, Number(from.value), Number(long.value));
  };
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; name(document.body); markDrawn(); });
  };
  const start = () => {
    document.documentElement.lang = "en";
    new MutationObserver(later).observe(document.body,
      { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "aria-label"] });
    later();
  };
  // The framework may put this script in before or after the page is there.
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);

  // The server says how long a run took when its stage began; here the seconds go on.
  const seen = new WeakMap();
  setInterval(() => {
    for (const time of document.querySelectorAll(".tb-time")) {
      if (!seen.has(time)) seen.set(time, Date.now() - 1000 * Number(time.dataset.elapsed));
      time.textContent = `${Math.round((Date.now() - seen.get(time)) / 1000)} s`;
    }
  }, 500);

  // Characters are counted as Python counts them: by code point.
  window.tbCount = (text, limit) => {
    const n = [...(text || "")].length;
    const said = `${n.toLocaleString("en-US")} of ${limit.toLocaleString("en-US")} characters`;
    return `<p class="tb-count${n > limit ? " tb-over" : ""}">${said}</p>`;
  };

  // The part to clone from moves with its sliders, and the sliders with the part when it is dragged.
  const draw = (picture, start, length) => {
    const mark = picture.querySelector(".tb-stretch");
    const whole = Number(picture.dataset.duration);
    mark.hidden = false;
    mark.style.left = `${100 * Math.min(1, start / whole)}%`;
    mark.style.width = `${100 * Math.min(1 - start / whole, length / whole)}%`;
  };
  window.tbMark = (used, start, length) => {
    const picture = document.querySelector(".tb-picture");
    if (!picture || !Number.isFinite(start) || !Number.isFinite(length)) return;
    draw(picture, start, length);
    picture.classList.toggle("tb-used", Boolean(used));
    for (const person of document.querySelectorAll(".tb-people input"))  // whoever's part it is, if it is anybody's
      person.checked = Boolean(used) && Math.abs(person.dataset.start - start) < 0.15 && Math.abs(person.dataset.length - length) < 0.15;
  };
  const DRAGGED_PX = 4;
  const number = (id) => document.querySelector(`#${id} input[type=number]`);
  const enter = (input, value) => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, String(Number(value.toFixed(1))));
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.dispatchEvent(new Event("blur"));
  };
  // Whose voice it is to be: the part of that person is set. Consent was another person's, once a voice was made.
  document.addEventListener("change", ({ target }) => {
    if (!target.matches?.(".tb-people input")) return;
    const [use, consent] = ["#part-use input", "#consent input"].map((each) => document.querySelector(each));
    enter(number("part-start"), Number(target.dataset.start));
    enter(number("part-length"), Number(target.dataset.length));
    if (!use.checked) use.click();
    if (window.tbAgreed && consent.checked) consent.click();
    window.tbAgreed = false;
  });
  document.addEventListener("pointerdown", (event) => {
    const wave = event.target.closest?.(".tb-wave");
    const [from, long, use] = [number("part-start"), number("part-length"), document.querySelector("#part-use input")];
    if (!wave || event.button) return;
    event.preventDefault();
    wave.focus();
    if (!from || !long || !use) return window.tbSeek(wave, event.clientX);
    const picture = wave.closest(".tb-picture");
    const whole = Number(picture.dataset.duration);
    const box = wave.getBoundingClientRect();
    const at = (x) => whole * Math.max(0, Math.min(1, (x - box.left) / box.width));
    const near = Math.max(0.01 * whole, 12 * whole / box.width);
    let [start, length] = [Number(from.value), Number(long.value)];
    const grip = Math.abs(at(event.clientX) - start) < near ? "start"
      : Math.abs(at(event.clientX) - start - length) < near ? "end" : "all";
    const inside = at(event.clientX) > start && at(event.clientX) < start + length;
    const held = grip === "all" ? (inside ? at(event.clientX) - start : length / 2) : 0;
    const [least, most] = [Number(long.min) || 0, Number(long.max) || whole];
    let moved = false;
    const move = (to) => {
      moved ||= Math.abs(to.clientX - event.clientX) > DRAGGED_PX;
      if (!moved) return;
      const here = at(to.clientX);
      const end = start + length;
      if (grip === "start") {
        start = Math.max(0, end - most, Math.min(here, end - least));
        length = end - start;
      } else if (grip === "end") length = Math.max(least, Math.min(most, here - start, whole - start));
      else start = Math.max(0, Math.min(whole - length, here - held));
      draw(picture, start, length);
    };
    const drop = () => {
      removeEventListener("pointermove", move);
      if (!moved) return window.tbSeek(wave, event.clientX);  // a click is a place to listen from
      enter(from, start);
      enter(long, length);
      if (!use.checked) use.click();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", drop, { once: true });
  });

  // Whatever the microphone gives to the recorder is measured here too, and sent nowhere.
  const listen = (stream) => {
    const box = document.querySelector(".tb-meter");
    const stop = document.querySelector(".tb-stop");
    if (!box || !stop) return;
    const [bar, said] = [box.querySelector("i"), box.querySelector("p")];
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const from = Date.now();
    let [loudest, told] = [0, ""];
    const tell = (text) => { if (text !== told) said.textContent = told = text; };
    box.hidden = stop.hidden = false;
    document.body.classList.add("tb-recording");
    const look = () => {
      if (!stream.active || stream.getTracks().every((track) => track.readyState === "ended")) {
        context.close();
        box.hidden = stop.hidden = true;
        document.body.classList.remove("tb-recording");
        return;
      }
      analyser.getFloatTimeDomainData(samples);
      const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      loudest = Math.max(loudest * 0.995, peak);
      bar.style.width = `${Math.max(0, Math.min(100, 100 + (20 * Math.log10(peak + 1e-6)) * 100 / 50))}%`;
      const seconds = Math.floor((Date.now() - from) / 1000);
      box.querySelector("b").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      const level = loudest > 0.98 ? box.dataset.loud : seconds > 2 && loudest < 0.05 ? box.dataset.quiet : "";
      const left = seconds < 10 ? box.dataset.short.replace("{}", 10 - seconds)
        : seconds < 60 ? box.dataset.more.replace("{}", 60 - seconds) : box.dataset.enough;
      if (level) tell(level); else if (seconds % 5 === 0 || !told || told.startsWith(box.dataset.loud)) tell(left);
      requestAnimationFrame(look);
    };
    look();
  };
  const media = navigator.mediaDevices;
  if (media?.getUserMedia) {
    const ask = media.getUserMedia.bind(media);
    media.getUserMedia = async (wanted) => {
      const stream = await ask(wanted);
      if (wanted?.audio && stream.getAudioTracks().length) listen(stream);
      return stream;
    };
  }

  // What is read aloud, a sentence at a time; and the button that ends a recording, wherever the page is scrolled to.
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.(".tb-stop")) document.querySelector("#recorded .stop-button")?.click();
    const turn = { next: 1, back: -1 }[target.closest?.(".tb-script [data-do]")?.dataset.do];
    if (!turn) return;
    const box = target.closest(".tb-script");
    const all = [...box.querySelectorAll(":scope > p")];
    const at = Math.max(0, Math.min(all.length - 1, all.findIndex((each) => !each.hidden) + turn));
    all.forEach((each, i) => { each.hidden = i !== at; });
    box.querySelector(".tb-facts span").textContent = at + 1;
  });

  // Of the ways to give a recording, only the one that is chosen is seen.
  window.tbShowSource = (source, sources) => sources.map((each) => update({ visible: each === source }));

  // A refusal goes from its place; whatever else is said there stays.
  window.tbUnsaid = (place) => update(document.querySelector(`${place} .tb-refuse`) ? { value: "" } : {});

  // The button that stops a run, while it stops; and it and the one that starts it, once the run is over.
  window.tbCancelling = (said) => update({ value: said });
  window.tbAtRest = (cancel) => [update({ visible: false, value: cancel }), update({ visible: true })];

  // A request that is shown as code is written anew a moment after the last change, while it is open and drawn.
  const changed = {};
  window.tbCode = (name, tries = 100) => {
    clearTimeout(changed[name]);
    changed[name] = setTimeout(() => {
      if (!document.querySelector(`#${name}-drawer > .label-wrap.open`)) return;
      if (document.querySelector(`#${name} .tb-code`)) document.querySelector(`#${name}-now`)?.click();
      else if (tries) window.tbCode(name, tries - 1);
    }, 300);
  };

  // A mark is put where somebody writes.
  window.tbInsert = (place, mark) => {
    const text = document.querySelector(place);
    const [from, to] = [text.selectionStart, text.selectionEnd];
    text.setRangeText(mark, from, to, "end");
    text.dispatchEvent(new Event("input", { bubbles: true }));
    text.focus();
  };

  // A file that was asked for is saved as soon as it is there.
  window.tbSave = (place) => document.querySelector(`${place} a[download]`)?.click();

  // What somebody asked for, an element or its selector, is brought into view, once it is there.
  window.tbShow = (place, block = "nearest") => setTimeout(() => {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const target = typeof place === "string" ? document.querySelector(place) : place;
    target?.scrollIntoView({ block, behavior: calm ? "auto" : "smooth" });
  }, 100);

  // How words are said is kept in this browser: for a voice, and for all.
  const READINGS = "timbre-readings";
  const readings = () => {
    try { return JSON.parse(localStorage.getItem(READINGS)) || {}; } catch { return {}; }
  };
  const boxes = () => ["own", "all"].map((each) => document.querySelector(`#readings-${each} textarea`));
  const keep = (voice, own, all) => {
    const kept = { ...readings(), ...(voice ? { [voice]: own } : {}), "*": all };
    for (const each of Object.keys(kept)) if (!kept[each]) delete kept[each];
    try { localStorage.setItem(READINGS, JSON.stringify(kept)); } catch { /* the browser keeps nothing */ }
  };
  // What somebody has begun to write is not taken away by what comes late; another voice has words of its own.
  let recalled = null, typed = [];
  document.addEventListener("input", ({ target }) => {
    const at = boxes().indexOf(target);
    if (at >= 0) typed[at] = target.value;
  }, true);
  window.tbReadings = (voice) => {
    const changed = recalled && recalled !== voice;
    const written = changed ? [] : boxes().map((each) => each?.value);
    if (changed) typed = [];
    if (voice) recalled = voice;
    return [written[0] || readings()[voice] || "", written[1] || readings()["*"] || ""];
  };
  window.tbKeepReadings = (voice, own, all) => {
    const late = boxes().filter((box, at) => box && typed[at] !== undefined && box.value !== typed[at]);
    if (!late.length) return keep(voice, own, all);
    boxes().forEach((box, at) => {  // on its way when somebody began to write
      if (!late.includes(box)) return;
      box.value = typed[at];
      box.dispatchEvent(new Event("input", { bubbles: true }));
    });
  };
  // What is sent is what stands in the boxes when it is sent, whatever news of them is under way; closed, they are not there.
  window.tbSaid = (said, voice) => {
    const [own, all] = boxes();
    if (own && all) keep(said.at(voice), own.value, all.value);
    return [...said.slice(0, -1), `${readings()[said.at(voice)] || ""}\n${readings()["*"] || ""}`];
  };
  // A word that was not heard is given a pronunciation where somebody goes on writing with the voice.
  let mending = "";
  document.addEventListener("click", ({ target }) => {
    const word = target.closest?.("[data-mend]")?.dataset.mend;
    if (!word) return;
    mending = word;
    document.querySelector("#again")?.click();
  });
  const mend = (tries = 60) => {
    const box = document.querySelector("#readings-own textarea");
    const bar = document.querySelector("#speak-how > button.label-wrap");
    if (bar && bar.getAttribute("aria-expanded") !== "true" && tries % 20 === 0) bar.click();
    if (!box?.getClientRects().length) return tries && setTimeout(mend, 50, tries - 1);
    box.value += `${box.value && !box.value.endsWith("\n") ? "\n" : ""}${mending} = `;
    mending = "";
    box.dispatchEvent(new Event("input", { bubbles: true }));
    box.focus();
    window.tbShow(box, "center");
  };
  window.tbToTheText = () => { if (mending) mend(); else window.tbFocus("#speak-text textarea"); };

  // When a run ends, that is the first refusal, or the new voice; after a cancel nothing moves.
  window.tbShowOutcome = () => setTimeout(() => {
    const refusal = [...document.querySelectorAll(".tb-refuse")].find((each) => each.getClientRects().length);
    if (refusal) {
      window.tbShow(refusal, "center");
      window.tbFocus(refusal);
    } else if (!document.querySelector("#progress .tb-note")) {
      window.tbAgreed = true;
      window.tbShow("#result", "start");
      window.tbFocus("#result h2");
    }
  }, 0);
})();
