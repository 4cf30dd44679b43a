// Where the keyboard is: it is never lost when what it was on goes away, and it is brought to what comes next.
(() => {
  // Of each pair one is there at a time, in the same place.
  const TWINS = { clone: "cancel", cancel: "clone", speak: "speak-cancel", "speak-cancel": "speak", try: "try-cancel",
    "try-cancel": "try", other: "other-cancel", "other-cancel": "other",
    batch: "batch-cancel", "batch-cancel": "batch", import: "import-cancel", "import-cancel": "import" };
  const CAN = "button, a[href], input, textarea, select, summary, [tabindex='0']";
  const TRY_EVERY_MS = 50, TRY_N = 40;
  let [last, around] = [null, []];

  const seen = (element) => Boolean(element?.isConnected && element.getClientRects().length);
  const nowhere = () => !document.activeElement || document.activeElement === document.body;
  const vanished = () => nowhere() && last && !seen(last);

  // Progress lies beneath what was pressed. What sticks to the bottom counts as near to it: hence the middle.
  const showProgress = () => {
    const progress = document.querySelector("#progress");
    if (progress && progress.getBoundingClientRect().bottom > innerHeight) window.tbShow(progress, "center");
  };

  const restore = () => {
    if (!vanished()) return;
    const twins = [TWINS[last.id], last.id].map((id) => document.getElementById(id));
    const near = last.id in TWINS ? twins : around.flatMap((each) => [...each.querySelectorAll(CAN)]);  // the nearest first
    const next = near.find((each) => seen(each) && !each.disabled);
    next?.focus({ preventScroll: true });
    if (next?.id === "cancel") setTimeout(showProgress, TRY_EVERY_MS);
  };
  document.addEventListener("focusin", ({ target }) => {
    [last, around] = [target, []];
    const card = target.closest(".tb-card");
    for (let each = target.parentElement; card?.contains(each); each = each.parentElement) around.push(each);
  });
  document.addEventListener("pointerdown", ({ target }) => { if (!target.closest?.(CAN)) last = null; });
  let waiting = false;
  const later = () => {
    if (waiting || !last) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; restore(); });
  };
  const start = () => new MutationObserver(later).observe(document.body,
    { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "style", "hidden"] });
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);

  // A list of choices lets the keyboard go when something was chosen, and may stay open when it is left: here the
  // keyboard stays, and the list is closed.
  const isChoice = (target) => target.getAttribute?.("role") === "combobox";
  const shut = (target) => target.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
  document.addEventListener("keydown", ({ key, target }) => {
    if (key !== "Enter" || !isChoice(target)) return;
    setTimeout(() => {
      if (!nowhere() || !seen(target)) return;
      target.focus({ preventScroll: true });
      shut(target);
    }, TRY_EVERY_MS);
  });
  document.addEventListener("focusout", ({ target }) => {
    if (!isChoice(target)) return;
    setTimeout(() => { if (document.activeElement !== target && target.ariaExpanded === "true") shut(target); }, TRY_EVERY_MS);
  });

  // From a place that has no voice yet to where one is cloned.
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.("a[href='#clone']")) return;
    event.preventDefault();
    document.querySelector("#places [role=tab]").click();
    window.tbFocus("#source input:checked");
  });

  // Bring the keyboard to what was asked for, an element or its selector, as soon as it is there; not from where somebody has gone meanwhile.
  window.tbFocus = (place, tries = TRY_N) => {
    const target = (typeof place === "string" ? [...document.querySelectorAll(place)] : [place]).find(seen);
    if (!target && tries) return setTimeout(window.tbFocus, TRY_EVERY_MS, place, tries - 1);
    if (!target || !(nowhere() || vanished() || !seen(document.activeElement) || document.activeElement.id in TWINS)) return;
    if (!target.matches(CAN)) target.tabIndex = -1;
    target.focus({ preventScroll: true });
  };
})();
