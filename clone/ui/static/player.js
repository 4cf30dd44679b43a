// The one player of the page: a button, the waveform, the time. Whatever has the class tb-player is one; it may come and go.
(() => {
  const STEP_S = 5, DRAWN_WITHIN_MS = 500;
  const sound = (player) => player.querySelector("audio");
  const of = (inside) => inside?.closest?.(".tb-player");
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const length = (player) => {
    const known = Number(player.dataset.duration);
    if (known) return known;
    const { duration } = sound(player);
    return Number.isFinite(duration) ? duration : 0;
  };

  const paint = (player) => {
    const [audio, whole] = [sound(player), length(player)];
    const at = whole ? Math.min(audio.currentTime, whole) : audio.currentTime;
    const [go, track, time] = ["[data-do=go]", ".tb-track", ".tb-clock"].map((each) => player.querySelector(each));
    const playing = !audio.paused && !audio.ended;
    player.classList.toggle("tb-playing", playing);
    go.setAttribute("aria-label", `${playing ? go.dataset.pause : go.dataset.play} ${player.dataset.name}`);
    track.style.setProperty("--at", whole ? `${100 * at / whole}%` : "0%");
    const said = whole ? `${clock(at)} / ${clock(whole)}` : clock(at);
    if (time.textContent === said) return;
    time.textContent = said;
    track.setAttribute("aria-valuemax", Math.round(whole));
    track.setAttribute("aria-valuenow", Math.round(at));
    track.setAttribute("aria-valuetext", said.replace("/", track.dataset.of));
  };
  // A player that is drawn anew while it plays, as more becomes known of its recording, goes on playing.
  let last = null;
  const goOn = () => {
    if (!last || Date.now() - last.when > DRAWN_WITHIN_MS) return;
    const again = [...document.querySelectorAll(".tb-player audio")].find((audio) => audio.src === last.src);
    if (!again || again === last.audio || last.audio.isConnected) return;
    again.currentTime = last.at;
    play(of(again));
  };

  // What is still being spoken sounds from its first frames on. Chromium, when it fetches a growing file itself, waits
  // until it has five seconds of it. A browser that can't be fed is given the link.
  const LIVE = "audio/mpeg", AHEAD_S = 240, BEHIND_S = 120;
  const once = (target, ...names) => new Promise((done) => {
    for (const name of names) target.addEventListener(name, done, { once: true });
  });
  const feed = async (audio) => {
    const link = audio.dataset.live;
    delete audio.dataset.live;
    if (!window.MediaSource?.isTypeSupported(LIVE)) { audio.src = link; return; }
    const [media, left] = [new MediaSource(), new AbortController()];
    media.addEventListener("sourceclose", () => left.abort());
    audio.src = URL.createObjectURL(media);
    try {
      await once(media, "sourceopen");
      URL.revokeObjectURL(audio.src);
      const buffer = media.addSourceBuffer(LIVE);
      const end = () => (buffer.buffered.length ? buffer.buffered.end(0) : 0);
      const chunks = (await fetch(link, { signal: left.signal })).body.getReader();
      for (let chunk = await chunks.read(); !chunk.done; chunk = await chunks.read()) {
        while (end() - audio.currentTime > AHEAD_S && media.readyState === "open")
          await Promise.race([once(audio, "timeupdate", "seeked"), once(media, "sourceclose")]);
        buffer.appendBuffer(chunk.value);
        await once(buffer, "updateend");
        if (audio.currentTime <= 2 * BEHIND_S) continue;
        buffer.remove(0, audio.currentTime - BEHIND_S);
        await once(buffer, "updateend");
      }
      media.endOfStream();
    } catch (error) {
      if (media.readyState === "open") media.endOfStream("network");
    }
  };
  const watch = () => new MutationObserver(() => {
    goOn();
    document.querySelectorAll("audio[data-live]").forEach(feed);
  }).observe(document.body, { childList: true, subtree: true });
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);

  // It does not begin by itself any more, either.
  const silence = (audio) => { audio.autoplay = false; audio.pause(); };
  let going = false;
  const follow = () => {
    const playing = [...document.querySelectorAll(".tb-player.tb-playing")];
    playing.forEach(paint);
    const audio = playing[0] && sound(playing[0]);
    if (audio) last = { audio, src: audio.src, at: audio.currentTime, when: Date.now() };
    going = playing.length > 0;
    if (going) requestAnimationFrame(follow);
  };
  for (const each of ["play", "pause", "ended", "seeked", "durationchange"])
    document.addEventListener(each, ({ target }) => {
      const player = of(target);
      if (!player) return;
      if (each === "play") {  // one sound at a time
        target.volume = Number(player.dataset.volume || 1);
        for (const other of document.querySelectorAll("audio")) if (other !== target) silence(other);
      }
      paint(player);
      if (!going) follow();
    }, true);

  const play = (player) => sound(player).play().catch(() => {});
  const toggle = (player) => { if (sound(player).paused) play(player); else sound(player).pause(); };
  const seek = (player, to) => {
    const whole = length(player);
    if (!whole) return;
    sound(player).currentTime = Math.max(0, Math.min(whole - 0.01, to));
    paint(player);
  };
  const place = (track, x) => {
    const box = track.getBoundingClientRect();
    return length(of(track)) * Math.max(0, Math.min(1, (x - box.left) / box.width));
  };
  // A click on a waveform in which a part can be dragged is told from a drag by page.js.
  window.tbSeek = (track, x) => { seek(of(track), place(track, x)); };

  document.addEventListener("click", ({ target }) => {
    const go = target.closest?.(".tb-player [data-do=go]");
    if (go) toggle(of(go));
    const choice = target.closest?.(".tb-compare [role=radio]");
    if (choice) choose(choice);
  });
  document.addEventListener("pointerdown", (event) => {
    const track = event.target.closest?.(".tb-track");
    if (!track || event.button || track.matches(".tb-wave")) return;
    event.preventDefault();
    track.focus();
    const move = ({ clientX }) => window.tbSeek(track, clientX);
    move(event);
    addEventListener("pointermove", move);
    addEventListener("pointerup", () => removeEventListener("pointermove", move), { once: true });
  });
  document.addEventListener("keydown", (event) => {
    const choice = event.target.closest?.(".tb-compare [role=radio]");
    const track = event.target.closest?.(".tb-track");
    if (choice && event.key.startsWith("Arrow")) {
      event.preventDefault();
      const all = [...choice.parentElement.children];
      const next = all[(all.indexOf(choice) + (/Right|Down/.test(event.key) ? 1 : all.length - 1)) % all.length];
      choose(next);
      next.focus();
    }
    if (!track) return;
    const [player, whole] = [of(track), length(of(track))];
    const at = sound(player).currentTime;
    const to = { ArrowRight: at + STEP_S, ArrowUp: at + STEP_S, ArrowLeft: at - STEP_S, ArrowDown: at - STEP_S,
      PageUp: at + whole / 10, PageDown: at - whole / 10, Home: 0, End: whole }[event.key];
    if (to === undefined && event.key !== " ") return;
    event.preventDefault();
    if (event.key === " ") toggle(player);
    else seek(player, to);
  });

  // Several recordings under one switch, which may be pressed while they play.
  const choose = (choice) => {
    const box = choice.closest(".tb-compare");
    const players = [...box.querySelectorAll(".tb-player")];
    const playing = players.some((player) => !sound(player).paused);
    for (const each of choice.parentElement.children) {
      each.setAttribute("aria-checked", String(each === choice));
      each.tabIndex = each === choice ? 0 : -1;
    }
    players.forEach((player) => { player.hidden = player.dataset.of !== choice.dataset.of; });
    const chosen = players.find((player) => !player.hidden);
    if (playing) play(chosen);
    paint(chosen);
  };

  // A take that is spoken has a length, a shape, and can be sought: what played while it grew goes on from its file, and
  // what was over before it began to play begins there.
  window.tbFinish = (place, done) => setTimeout(() => {
    const [player, file] = [document.querySelector(place), document.querySelector(done)];
    const audio = player && sound(player);
    if (!audio || !file || audio.src === file.href) return;
    const [at, begins] = [audio.ended ? 0 : audio.currentTime, audio.autoplay && !audio.played.length];
    const playing = begins || (!audio.paused && !audio.ended);
    player.dataset.duration = file.dataset.duration;
    player.querySelector(".tb-track").style.setProperty("--wave", file.dataset.wave);
    audio.autoplay = playing;
    audio.src = file.href;
    audio.currentTime = at;
    if (playing) play(player);
    paint(player);
  }, 0);

  // Of a whole that is played, the sentence that is heard is marked in the list, and told beside the player.
  let marked = null;
  const where = (audio) => {
    const [times, told] = [document.querySelector("#take-times [data-starts]"), document.querySelector("#where p")];
    const rows = [...document.querySelectorAll("#sentences-said [data-sentence]")];
    if (!times || !told) return;
    const begun = JSON.parse(times.dataset.starts).filter(([, at]) => at <= audio.currentTime + 0.05);
    const row = rows.find((each) => begun.length && each.dataset.sentence === String(begun.at(-1)[0]));
    for (const each of rows) if (each === row) each.setAttribute("aria-current", "true"); else each.removeAttribute("aria-current");
    const left = Number(times.dataset.duration) - audio.currentTime;
    told.textContent = row ? told.dataset.of.replace("{n}", rows.indexOf(row) + 1).replace("{all}", rows.length)
      + (left > 0 ? told.dataset.left.replace("{time}", clock(left)) : "") : "";
    if (row && row !== marked && !audio.paused && document.activeElement?.closest("form") === null)
      row.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    marked = row;
  };
  for (const each of ["timeupdate", "seeked", "play"])
    document.addEventListener(each, ({ target }) => { if (target.closest?.("#take")) where(target); }, true);
  window.tbSilence = (place) => { const audio = document.querySelector(`${place} audio`); if (audio) silence(audio); };
})();
