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
const [sort, show] = finder.querySelectorAll('select');
const nothing = element.querySelector('.tb-nothing');
const picked = element.querySelector('.tb-picked');
const says = finder.dataset;
const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
let voices = [];  // {id, row, order, text, name, like, ends, until, dressed}
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
    id, row, order, name, text: plain(`${row.textContent} ${id}`), like: like === undefined ? -9 : Number(like),
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
  if (voice.dressed) return;
  voice.dressed = true;
  const { row, id, name, until } = voice;
  const [strong, note, facts] = ['strong', 'p', 'span'].map((each) => row.querySelector(each));
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
  if (note) {
    part('.tb-noted').prepend(note);
    button('note').firstChild.data = says.note;
  }
  button('play-p').hidden = !has.includes('p');
  button('play-r').hidden = !has.includes('r');
  button('keep').hidden = kept || hosted;
  button('offer').hidden = kept || !hosted;
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
  const n = chosen().length;
  picked.hidden = n === 0;
  picked.querySelector('span').textContent = fill(says.picked, count(n));
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
  const fits = voices.filter((voice) => voice.until || (shows(voice) && wanted.every((word) => voice.text.includes(word))));
  fits.sort(SORTS[sort.value] || SORTS.newest);
  const n = fits.filter((voice) => !voice.until).length;
  const seen = fits.slice(0, shown);
  seen.forEach((voice) => { finish(voice); stays(voice); });
  const ul = list.querySelector('ul');
  if (!ul) return;
  // Only what changes is moved, or an open editor would lose its focus.
  const rows = seen.map((voice) => voice.row);
  if (rows.length !== ul.children.length || rows.some((row, at) => row !== ul.children[at])) ul.replaceChildren(...rows);
  more.hidden = fits.length <= shown;
  const all = fill(alive.length === 1 ? says.one : says.all, count(alive.length));
  nothing.hidden = n > 0 || !alive.length;
  if (!nothing.hidden) nothing.querySelector('p').textContent = wanted.length ? fill(says.none, search.value.trim()) : says.fits;
  count_chosen();
  const sum = n < alive.length ? fill(says.some, count(n), all) : all;
  if (found.textContent !== sum) found.textContent = sum;
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
  if (finder.hidden) search.value = '';
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
    if (voices[at].until) Object.assign(voices[at], { ends: old.ends, like: old.like });
    old.row.replaceWith(row);
    changed.push([voices[at], old, focused]);
  }
  draw();
  const says_of = changed.filter(([{ until }, old]) => until || old.until)
    .map(([{ until, name }]) => fill(until ? says.gone : says.back, name));
  if (says_of.length) told.textContent = says_of.join(' ');
  for (const [{ until, row }, old, focused] of changed) {
    const back = until ? 'undo' : old.doing === 'note' ? 'note' : old.until ? 'delete' : 'name';
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

function edit(row, what, open) {
  const form = row.querySelector(`[data-edit=${what}]`);
  const input = form.querySelector('input');
  const place = row.querySelector(what === 'name' ? '.tb-named' : '.tb-noted'), button = row.querySelector(`[data-do=${what}]`);
  form.hidden = !open;
  place.hidden = open;
  if (!open) {
    button.focus();
    if (late) take();
    return;
  }
  input.value = place.querySelector('strong, p')?.textContent || '';
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
  delete: 'delete', undo: 'undo',
};

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (!button) return;
  const does = button.dataset.do;
  if (does === 'clear') {
    [search.value, show.value] = ['', 'all'];
    anew();
    search.focus();
  }
  if (does === 'pick-none') {
    for (const voice of chosen()) { voice.picked = false; voice.row.querySelector('.tb-pick').checked = false; }
    count_chosen();
  }
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
  if (does === 'name' || does === 'note') edit(row, does, true);
  if (does === 'close') edit(row, button.closest('form').dataset.edit, false);
  if (does === 'copy') copied(button, voice);
  if (EVENTS[does]) trigger(EVENTS[does], { voice, kind: does === 'play-r' ? 'reference' : 'preview' });
  if (late) take();
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target, row = form.closest('[data-voice]'), what = form.dataset.edit;
  const old = row.querySelector(what === 'name' ? 'strong' : '.tb-noted p')?.textContent || '';
  const value = form.querySelector('input').value;
  const voice = voices.find((each) => each.row === row);
  if (voice) voice.doing = what;
  edit(row, what, false);
  if (value.trim() !== old) trigger('edit', { voice: row.dataset.voice, [what]: value });
});
element.addEventListener('keydown', (event) => {
  const form = event.target.closest('.tb-edit');
  if (event.key === 'Escape' && form) edit(form.closest('[data-voice]'), form.dataset.edit, false);
});
element.addEventListener('change', ({ target }) => {
  const voice = target.matches('.tb-pick') && voices.find((each) => each.row.contains(target));
  if (!voice) return;
  voice.picked = target.checked;
  count_chosen();
});
const anew = () => { shown = AT_ONCE; draw(); };
search.addEventListener('input', anew);
sort.addEventListener('change', anew);
show.addEventListener('change', anew);
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
