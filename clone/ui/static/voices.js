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
const sort = finder.querySelector('select');
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
    ends: ends ? Number(ends) : Infinity, until: undo ? Date.now() / 1000 + Number(undo) : 0, dressed: false,
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
  for (const each of row.querySelectorAll('button')) {
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
  for (const each of row.querySelectorAll('button[hidden]')) each.remove();
}

function draw() {
  const wanted = plain(search.value).split(/\s+/).filter(Boolean);
  const alive = voices.filter((voice) => !voice.until);
  const fits = voices.filter((voice) => voice.until || wanted.every((word) => voice.text.includes(word)));
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
  const sum = wanted.length ? fill(says.some, count(n), all) : all;
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
  voices = rows.map((row, at) => voiceOf(row, at));
  for (const voice of gone) voices.push({ ...voice, order: voice.order - 0.5 });
  finder.hidden = voices.length < 2;
  if (finder.hidden) search.value = '';
  if (ul) ul.replaceChildren();
  else if (gone.length) box.replaceChildren(Object.assign(document.createElement('ul'), { className: 'tb-voices' }));
  list.replaceChildren(box);
  draw();
  if (at && does) list.querySelector(`[data-voice="${CSS.escape(at)}"] [data-do=${CSS.escape(does)}]`)?.focus();
}

// One row, after something was done with it.
function change() {
  const row = read(props.changed || '').querySelector('li[data-voice]');
  const at = row ? voices.findIndex((voice) => voice.id === row.dataset.voice) : -1;
  if (at < 0) return;
  const old = voices[at];
  const focused = old.row.contains(document.activeElement);
  voices[at] = voiceOf(row, old.order);
  if (voices[at].until) Object.assign(voices[at], { ends: old.ends, like: old.like });
  old.row.replaceWith(row);
  draw();
  const { until, name } = voices[at];
  if (until) told.textContent = fill(says.gone, name);
  if (old.until) told.textContent = fill(says.back, name);
  const back = until ? 'undo' : old.doing === 'note' ? 'note' : old.until ? 'delete' : 'name';
  if (focused) row.querySelector(`[data-do=${back}]`)?.focus();
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
  const place = row.querySelector(what === 'name' ? '.tb-named' : '.tb-noted');
  form.hidden = !open;
  place.hidden = open;
  if (!open) {
    place.querySelector('button').focus();
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
  if (does === 'more') {
    shown += AT_ONCE;
    draw();
    list.querySelectorAll('li')[shown - AT_ONCE]?.querySelector('button').focus();
    return;
  }
  const row = button.closest('[data-voice]');
  if (!row) return;
  const voice = row.dataset.voice;
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
const anew = () => { shown = AT_ONCE; draw(); };
search.addEventListener('input', anew);
sort.addEventListener('change', anew);
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
