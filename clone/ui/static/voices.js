// The list of voices: found, sorted and finished here, so that typing asks the server for nothing.
// Given by the framework: element, trigger(event, data), props, watch(name, callback).
const AT_ONCE = 50;
const finder = element.querySelector('.tb-finder');
const list = element.querySelector('.tb-list');
const more = element.querySelector('.tb-more');
const found = element.querySelector('.tb-found');
const told = element.querySelector('.tb-told');
const dress = element.querySelector('.tb-dress').content;
const undress = element.querySelector('.tb-undress').content;
const search = finder.querySelector('input');
const [sort, show, tag] = finder.querySelectorAll('select');
const nothing = element.querySelector('.tb-nothing');
const picked = element.querySelector('.tb-picked');
const tagging = picked.querySelector('form');
const undoing = element.querySelector('.tb-undo-all');
const all = element.querySelector('.tb-pick-all input');
const says = finder.dataset;
const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
let voices = [];  // {id, row, order, text, name, tags, like, ends, until, dressed}
let fitting = [];  // those that are found
let late = false;
let cost = '', skew = 0, shown = AT_ONCE;

const plain = (text) => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
const fill = (phrase, ...values) => values.reduce((said, value) => said.replace('{}', value), phrase);
const count = (n) => n.toLocaleString('en-US');
const now = () => Date.now() / 1000 + skew;
const read = (html) => {
  const box = document.createElement('template');
  box.innerHTML = html;
  return box.content;
};
const voiceOf = (row, order) => {
  const { voice: id, ends, like, undo } = row.dataset;
  const name = row.querySelector('strong').textContent;
  return {
    id, row, order, name, tags: [...row.querySelectorAll('em')].map((each) => each.textContent), text: plain(`${row.textContent} ${id}`), like: like === undefined ? -9 : Number(like),
    ends: ends ? Number(ends) : Infinity, until: undo ? Date.now() / 1000 + Number(undo) : 0, dressed: false, open: false, picked: false,
    hosted: 'hosted' in row.dataset,
  };
};

const SORTS = {
  newest: (a, b) => a.order - b.order,
  name: (a, b) => collator.compare(a.name, b.name) || a.order - b.order,
  expires: (a, b) => (a.ends === b.ends ? a.order - b.order : a.ends - b.ends),
  likeness: (a, b) => b.like - a.like || a.order - b.order,
};

function span(seconds) {
  const minutes = Math.max(1, Math.floor(seconds / 60)), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days) return `${days} ${days > 1 ? 'days' : 'day'}${hours % 24 ? ` ${hours % 24} h` : ''}`;
  return hours ? `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ''}` : `${minutes} min`;
}

function stays({ row, ends }) {
  const place = row.querySelector('.tb-stays');
  if (!place) return;
  const left = ends - now();
  place.textContent = ends === Infinity ? says.kept : left <= 0 ? says.over : fill(says.ends, span(left));
  place.classList.toggle('tb-soon', left < 86400);
}

function countdown({ row, until }) {
  const button = row.querySelector('[data-do=undo]');
  if (button) button.firstChild.data = fill(says.undo, Math.ceil(until - Date.now() / 1000));
}

function finish(voice) {
  voice.dressed = true;
  const { row, id, name, until } = voice;
  const [strong, note, facts] = ['strong', 'p', 'span'].map((each) => row.querySelector(each));
  const tags = [...row.querySelectorAll('em')];
  row.append((until ? undress : dress).cloneNode(true));
  const part = (place) => row.querySelector(place);
  const button = (does) => part(`[data-do=${does}]`);
  for (const each of row.querySelectorAll('button:not(.tb-go)')) {
    const whose = document.createElement('span');
    whose.className = 'tb-only-heard';
    whose.textContent = ` ${name}`;
    each.append(whose);
  }
  if (until) {
    row.classList.add('tb-gone');
    part('.tb-undo span').textContent = fill(says.gone, name);
    strong.remove();
    countdown(voice);
    return;
  }
  part('.tb-named').prepend(strong);
  part('.tb-pick').checked = voice.picked;
  part('.tb-pick').setAttribute('aria-label', `${part('.tb-pick').getAttribute('aria-label')} ${name}`);
  part('.tb-go').setAttribute('aria-label', `${says.play} ${name}`);
  menu(voice, voice.open);
  const has = row.dataset.has, hosted = 'hosted' in row.dataset, kept = voice.ends === Infinity;
  part('.tb-coded code').textContent = id;
  part('.tb-facts').append(facts);
  part('.tb-tags').append(...tags.flatMap((each) => [' ', each]));
  if (tags.length) button('tags').firstChild.data = says.tags;
  if (note) {
    part('.tb-noted').prepend(note);
    button('note').firstChild.data = says.note;
  }
  button('play-p').hidden = !has.includes('p');
  button('play-r').hidden = !has.includes('r');
  button('keep').hidden = kept || hosted;
  button('offer').hidden = kept || !hosted;
  button('export').hidden = hosted;
  part('.tb-pay').setAttribute('aria-label', `${part('.tb-pay').getAttribute('aria-label')} ${name}`);
  part('.tb-pay span').append(cost);
  for (const each of row.querySelectorAll('.tb-does button[hidden]')) each.remove();
}

function menu(voice, open) {
  voice.open = open;
  voice.row.querySelector('.tb-menu').hidden = !open;
  voice.row.querySelector('[data-do=menu]').setAttribute('aria-expanded', String(open));
}

// What is done with several at once: each is asked for by itself, as if its own button had been pressed.
function chosen() {
  return voices.filter((voice) => voice.picked && !voice.until);
}
function count_chosen() {
  const some = chosen(), among = new Set(fitting);
  const [n, n_unseen] = [some.length, some.filter((voice) => !among.has(voice)).length];
  if (n === 0) tagging.hidden = true;
  picked.hidden = n === 0;
  picked.querySelector('span').textContent = n_unseen ? fill(says.unseen, count(n), count(n_unseen)) : fill(says.picked, count(n));
  all.checked = n > n_unseen && n - n_unseen === fitting.length;
  all.indeterminate = n > n_unseen && !all.checked;
}
function pick(some, on) {
  for (const voice of some) {
    voice.picked = on;
    const box = voice.row.querySelector('.tb-pick');
    if (box) box.checked = on;
  }
  count_chosen();
}

// The tags there are, to choose one of; however they are capitalised.
const key_of = (word) => word.normalize('NFC').toLowerCase();
function offer_tags() {
  const there = new Map(), was = tag.value;
  for (const voice of voices) for (const word of voice.tags) if (!there.has(key_of(word))) there.set(key_of(word), word);
  const options = [...there].sort(([, a], [, b]) => collator.compare(a, b)).map(([key, word]) => new Option(word, key));
  tag.replaceChildren(new Option(says.any, ''), ...options);
  tag.value = there.has(was) ? was : '';
  tag.parentElement.hidden = !there.size;
}

const WEEK_S = 7 * 86400;
const SHOWS = {
  all: () => true,
  soon: ({ ends }) => ends !== Infinity && ends - now() < WEEK_S,
  kept: ({ ends }) => ends === Infinity,
  hosted: ({ hosted }) => hosted,
};

function draw() {
  const wanted = plain(search.value).split(/\s+/).filter(Boolean);
  const alive = voices.filter((voice) => !voice.until);
  const shows = SHOWS[show.value] || SHOWS.all;
  const fits = voices.filter((voice) => voice.until || (shows(voice) && wanted.every((word) => voice.text.includes(word))
    && (!tag.value || voice.tags.some((word) => key_of(word) === tag.value))));
  fits.sort(SORTS[sort.value] || SORTS.newest);
  fitting = fits.filter((voice) => !voice.until);
  const n = fitting.length;
  const seen = fits.slice(0, shown);
  seen.filter((voice) => !voice.dressed).forEach((voice) => { finish(voice); stays(voice); });
  const ul = list.querySelector('ul');
  if (!ul) return;
  // Only what changes is moved, or an open editor would lose its focus.
  const rows = seen.map((voice) => voice.row);
  const there = [...ul.children];
  if (there.length > rows.length || there.some((row, at) => row !== rows[at])) ul.replaceChildren(...rows);
  else ul.append(...rows.slice(there.length));
  more.hidden = fits.length <= shown;
  const whole = fill(alive.length === 1 ? says.one : says.all, count(alive.length));
  nothing.hidden = n > 0 || !alive.length;
  if (!nothing.hidden) nothing.querySelector('p').textContent = wanted.length ? fill(says.none, search.value.trim()) : says.fits;
  count_chosen();
  const sum = n < alive.length ? fill(says.some, count(n), whole) : whole;
  if (found.textContent !== sum) found.textContent = sum;
  all.disabled = n === 0;
  tell_gone();
}

// Several that were forgotten come back with one press, too.
function tell_gone() {
  const n = voices.filter((voice) => voice.until).length;
  undoing.hidden = n < 2;
  undoing.querySelector('span').textContent = fill(says.several, count(n));
}

// The whole list, as the server knows it; what was forgotten a moment ago keeps its place.
function take() {
  if (list.querySelector('.tb-edit:not([hidden]), .tb-pay:not([hidden])')) {  // not beneath somebody's fingers
    late = true;
    return;
  }
  late = false;
  const [at, does] = [document.activeElement?.closest('[data-voice]')?.dataset.voice, document.activeElement?.dataset.do];
  const box = read(props.value || '');
  const ul = box.querySelector('ul');
  const rows = [...box.querySelectorAll('li[data-voice]')];
  const ids = new Set(rows.map((row) => row.dataset.voice));
  const gone = voices.filter((voice) => voice.until && !ids.has(voice.id));
  if (ul) {
    cost = ul.dataset.cost;
    skew = Number(ul.dataset.now) - Date.now() / 1000;
  }
  const before = new Map(voices.map((voice) => [voice.id, voice]));
  voices = rows.map((row, at) => voiceOf(row, at));
  for (const voice of voices) {
    const { open = false, picked = false } = before.get(voice.id) || {};
    Object.assign(voice, { open, picked });
  }
  for (const voice of gone) voices.push({ ...voice, order: voice.order - 0.5 });
  finder.hidden = voices.length < 2;
  offer_tags();
  if (finder.hidden) [search.value, show.value, tag.value] = ['', 'all', ''];
  if (ul) ul.replaceChildren();
  else if (gone.length) box.replaceChildren(Object.assign(document.createElement('ul'), { className: 'tb-voices' }));
  list.replaceChildren(box);
  draw();
  if (at && does) list.querySelector(`[data-voice="${CSS.escape(at)}"] [data-do=${CSS.escape(does)}]`)?.focus();
}

// One row or several, after something was done with them.
function change() {
  const changed = [];
  for (const row of [...read(props.changed || '').querySelectorAll('li[data-voice]')]) {
    const at = voices.findIndex((voice) => voice.id === row.dataset.voice);
    if (at < 0) continue;
    const old = voices[at];
    const focused = old.row.contains(document.activeElement);
    voices[at] = { ...voiceOf(row, old.order), open: old.open };
    voices[at].picked = old.picked && !voices[at].until;
    if (voices[at].until) Object.assign(voices[at], { ends: old.ends, like: old.like, tags: old.tags });
    old.row.replaceWith(row);
    changed.push([voices[at], old, focused]);
  }
  const done = tagged, busy = tagging.contains(document.activeElement);
  if (done) [tagged, tagging.hidden, tagging.querySelector('input').value] = [false, true, ''];
  if (done && busy) tag_all(false);
  offer_tags();
  draw();
  const says_of = changed.filter(([{ until }, old]) => until || old.until)
    .map(([{ until, name }]) => fill(until ? says.gone : says.back, name));
  const in_short = changed[0]?.[0].until ? says.several : says.returned;
  if (says_of.length) told.textContent = says_of.length < 4 ? says_of.join(' ') : fill(in_short, count(says_of.length));
  if (says_of.length > 1 && !seen_focus()) (undoing.hidden ? search : undoing.querySelector('button')).focus();
  for (const [{ until, row }, old, focused] of changed) {
    const back = until ? 'undo' : old.until ? 'delete' : old.doing || 'name';
    const ways = [back, 'menu'].map((each) => row.querySelector(`[data-do=${each}]`));
    if (focused) ways.find((each) => each && !each.closest('[hidden]'))?.focus();
  }
}

function drop(voice) {
  const focused = voice.row.contains(document.activeElement);
  const next = voice.row.nextElementSibling || voice.row.previousElementSibling;
  voices = voices.filter((each) => each !== voice);
  if (!voices.length) {
    list.replaceChildren(element.querySelector('.tb-none').content.cloneNode(true));
  }
  draw();
  if (!focused) return;
  (next?.querySelector('button') || list.querySelector('.tb-none-yet a') || search).focus();
}

const PLACES = { name: '.tb-named', note: '.tb-noted', tags: '.tb-tags' };
const written = (row, what) => (what === 'tags' ? [...row.querySelectorAll('.tb-tags em')].map((each) => each.textContent).join(', ')
  : row.querySelector(PLACES[what]).querySelector('strong, p')?.textContent || '');
function edit(row, what, open) {
  const form = row.querySelector(`[data-edit=${what}]`);
  const input = form.querySelector('input');
  const place = row.querySelector(PLACES[what]), button = row.querySelector(`[data-do=${what}]`);
  form.hidden = !open;
  place.hidden = open;
  if (!open) {
    button.focus();
    if (late) take();
    return;
  }
  input.value = written(row, what);
  input.focus();
  input.select();
}

function copied(button, id) {
  navigator.clipboard?.writeText(id).then(() => {
    const was = button.firstChild.data;
    button.firstChild.data = says.copied;
    setTimeout(() => { button.firstChild.data = was; }, 1500);
  });
}

const EVENTS = {
  'play-p': 'play', 'play-r': 'play', play: 'play', speak: 'select', keep: 'like', pay: 'apply', share: 'download',
  delete: 'delete', undo: 'undo', export: 'copy',
};
let tagged = false;  // whether tags were sent for several, and the answer is awaited
const tag_all = (open) => {
  tagging.hidden = !open;
  (open ? tagging.querySelector('input') : picked.querySelector('[data-do=tag-all]')).focus();
};
const seen_focus = () => document.activeElement?.getClientRects().length && document.activeElement !== document.body;

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (!button) return;
  const does = button.dataset.do;
  if (does === 'clear') {
    [search.value, show.value, tag.value] = ['', 'all', ''];
    anew();
    search.focus();
  }
  if (does === 'pick-none') {
    pick(chosen(), false);
    search.focus();
  }
  if (does === 'tag-all') tag_all(tagging.hidden);
  if (does === 'close' && tagging.contains(button)) tag_all(false);
  if (does === 'export-all') trigger('copy', { voices: chosen().map(({ id }) => id) });
  if (does === 'undo-all') trigger('undo', { voices: voices.filter((voice) => voice.until).map(({ id }) => id) });
  if (does === 'keep-all' || does === 'forget-all') {
    const some = chosen().filter(({ ends, hosted }) => does === 'forget-all' || (ends === Infinity ? false : !hosted));
    if (some.length) trigger(does === 'keep-all' ? 'like' : 'delete', { voices: some.map(({ id }) => id) });
  }
  if (does === 'more') {
    shown += AT_ONCE;
    draw();
    list.querySelectorAll('li')[shown - AT_ONCE]?.querySelector('button').focus();
    return;
  }
  const row = button.closest('[data-voice]');
  if (!row) return;
  const voice = row.dataset.voice;
  if (does === 'menu') {
    const own = voices.find((each) => each.row === row);
    menu(own, !own.open);
    return;
  }
  const pay = row.querySelector('.tb-pay');
  if (pay) pay.hidden = does !== 'offer';
  if (does === 'offer') pay.querySelector('button').focus();
  if (does === 'decline') row.querySelector('[data-do=offer]').focus();
  if (does in PLACES) edit(row, does, true);
  if (does === 'close') edit(row, button.closest('form').dataset.edit, false);
  if (does === 'copy') copied(button, voice);
  if (EVENTS[does]) trigger(EVENTS[does], { voice, kind: does === 'play-r' ? 'reference' : 'preview' });
  if (late) take();
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target, row = form.closest('[data-voice]'), what = form.dataset.edit;
  const value = form.querySelector('input').value;
  if (!row) {
    tagged = Boolean(value.trim());
    if (tagged) trigger('edit', { voices: chosen().map(({ id }) => id), [event.submitter?.value || 'add']: value });
    return;
  }
  const old = written(row, what);
  const voice = voices.find((each) => each.row === row);
  if (voice) voice.doing = what;
  edit(row, what, false);
  if (value.trim() !== old) trigger('edit', { voice: row.dataset.voice, [what]: value });
});
element.addEventListener('keydown', (event) => {
  const form = event.target.closest('.tb-edit');
  if (event.key !== 'Escape' || !form) return;
  if (form === tagging) tag_all(false);
  else edit(form.closest('[data-voice]'), form.dataset.edit, false);
});
element.addEventListener('change', ({ target }) => {
  if (target === all) pick(fitting, all.checked);
  const voice = target.matches('.tb-pick') && voices.find((each) => each.row.contains(target));
  if (!voice) return;
  voice.picked = target.checked;
  count_chosen();
});
const anew = () => { shown = AT_ONCE; draw(); };
search.addEventListener('input', anew);
sort.addEventListener('change', anew);
show.addEventListener('change', anew);
tag.addEventListener('change', anew);
new IntersectionObserver(([seen]) => {
  if (!seen.isIntersecting || more.hidden) return;
  shown += AT_ONCE;
  draw();
}, { rootMargin: '600px' }).observe(more);

let seconds = 0;
const tick = setInterval(() => {
  if (!element.isConnected) return clearInterval(tick);
  for (const voice of voices.filter((each) => each.until)) {
    if (voice.until <= Date.now() / 1000) drop(voice);
    else countdown(voice);
  }
  if (++seconds % 30 === 0) voices.forEach(stays);
}, 1000);
watch('value', take);
watch('changed', change);
take();
