// Blind listening: which recording is which under a switch is hidden, and it is counted how often the original is told
// all the same. It all stays in this page, until the names are shown again.
(() => {
  const LETTERS = "ABCDEF";
  const tries = new WeakMap();  // of a comparison: how often it was told right, and how often it was tried
  const truths = new WeakMap();  // and what each of its players is
  const fill = (phrase, ...values) => values.reduce((said, value) => said.replace("{}", value), phrase);
  const all = (box, what) => [...box.querySelectorAll(what)];
  const radios = (box) => all(box, ".tb-switch [role=radio]");
  const playerOf = (box, radio) => box.querySelector(`.tb-player[data-of="${radio.dataset.of}"]`);
  const truth = (player) => {
    if (!truths.has(player)) {
      const wave = player.querySelector(".tb-track").style.getPropertyValue("--wave");
      truths.set(player, { name: player.dataset.name, duration: Number(player.dataset.duration), wave });
    }
    return truths.get(player);
  };

  // What a player says of itself: to eyes, and to whoever listens to the page.
  const call = (player, name, long, wave) => {
    const [track, go] = [player.querySelector(".tb-track"), player.querySelector("[data-do=go]")];
    const audio = player.querySelector("audio");
    audio.pause();
    audio.currentTime = 0;
    track.setAttribute("aria-label", track.getAttribute("aria-label").replace(player.dataset.name, name));
    go.setAttribute("aria-label", `${go.dataset.play} ${name}`);
    player.setAttribute("aria-label", name);
    track.setAttribute("aria-valuemax", Math.round(long));
    track.style.setProperty("--wave", wave);
    Object.assign(player.dataset, { name, duration: long });
    audio.dispatchEvent(new Event("seeked"));  // player.js paints it anew
  };

  const shuffle = (box) => {
    const all_of_them = radios(box);
    const shortest = Math.min(...all(box, ".tb-player").map((player) => truth(player).duration));
    const mixed = all_of_them.map((radio) => [Math.random(), radio]).sort(([a], [b]) => a - b).map(([, radio]) => radio);
    box.querySelector(".tb-switch").append(...mixed);
    mixed.forEach((radio, i) => {
      radio.textContent = LETTERS[i];
      call(playerOf(box, radio), LETTERS[i], shortest, "none");
    });
    box.querySelector(".tb-guess").replaceChildren(...mixed.map((radio) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "tb-button" });
      button.dataset.do = "guess";
      button.dataset.of = radio.dataset.of;
      button.textContent = fill(box.querySelector(".tb-blind").dataset.guess, radio.textContent);
      return button;
    }));
    box.querySelector(".tb-outcome").textContent = "";
    mixed[0].click();
  };

  const show = (box) => {
    const mixed = radios(box);
    const before = mixed.sort((a, b) => a.dataset.of - b.dataset.of);
    box.querySelector(".tb-switch").append(...before);
    for (const radio of before) {
      const player = playerOf(box, radio);
      const { name, duration, wave } = truth(player);
      radio.textContent = name;
      call(player, name, duration, wave);
      truths.delete(player);
    }
  };

  // How often guessing alone gets at least so many right: the upper tail of a binomial distribution.
  const chance = (right, n, q) => {
    let [sum, term] = [0, (1 - q) ** n];
    for (let k = 0; k <= n; k++) {
      if (k >= right) sum += term;
      term *= ((n - k) / (k + 1)) * (q / (1 - q));
    }
    return Math.min(1, sum);
  };

  const guess = (box, button) => {
    const [said, outcome] = [box.querySelector(".tb-blind").dataset, box.querySelector(".tb-outcome")];
    const original = radios(box).find((radio) => radio.dataset.of === "0");
    const [right, n] = tries.get(box) ?? [0, 0];
    const hit = button.dataset.of === "0";
    tries.set(box, [right + hit, n + 1]);
    for (const each of all(box, "[data-do=guess]")) each.disabled = true;
    const percent = Math.round(100 * chance(right + hit, n + 1, 1 / radios(box).length));
    outcome.textContent = [fill(hit ? said.right : said.wrong, original.textContent), fill(said.count, right + hit, n + 1),
      fill(said.chance, percent || "fewer than 1")].join(" ");
    box.querySelector("[data-do=shuffle]").focus({ preventScroll: true });
  };

  const hide = (box, hidden) => {
    box.classList.toggle("tb-hidden", hidden);
    box.querySelector(".tb-blind").hidden = !hidden;
    box.querySelector(hidden ? ".tb-switch [tabindex='0']" : "[data-do=blind]").focus({ preventScroll: true });
  };
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.(".tb-compare [data-do]");
    const box = button?.closest(".tb-compare");
    const does = button?.dataset.do;
    if (does === "blind") {
      tries.delete(box);
      for (const player of all(box, ".tb-player")) truths.delete(player);
      shuffle(box);
      hide(box, true);
    }
    if (does === "shuffle") { shuffle(box); box.querySelector(".tb-switch [tabindex='0']").focus({ preventScroll: true }); }
    if (does === "names") { show(box); hide(box, false); }
    if (does === "guess") guess(box, button);
  });
  // None is heard for longer than the shortest of them, which its length would tell.
  document.addEventListener("timeupdate", ({ target }) => {
    const player = target.closest?.(".tb-hidden .tb-player");
    if (!player || target.currentTime < Number(player.dataset.duration)) return;
    target.pause();
    target.currentTime = 0;
  }, true);
})();
