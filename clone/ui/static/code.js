// Requests as code: tabs, what copies the program that is shown, and what lends a recording to it.
// The code is written anew while fields change: the language that was chosen stays chosen.
// Given by the framework: element, trigger(event, data).
let language = 0;
const tabs = (group) => [...group.querySelectorAll('[role=tab]')];
const show = () => {
  for (const group of element.querySelectorAll('.tb-code'))
    tabs(group).forEach((each, i) => {
      const own = i === language;
      if ((each.getAttribute('aria-selected') === 'true') === own) return;
      each.setAttribute('aria-selected', String(own));
      each.tabIndex = own ? 0 : -1;
      document.getElementById(each.getAttribute('aria-controls')).hidden = !own;
    });
};
const choose = (tab) => {
  language = tabs(tab.closest('.tb-code')).indexOf(tab);
  show();
};
// The framework changes what is there rather than to put something new in its place.
new MutationObserver(show).observe(element, { childList: true, subtree: true, attributeFilter: ['aria-selected', 'hidden'] });
element.addEventListener('click', async (event) => {
  const tab = event.target.closest('[role=tab]');
  if (tab) choose(tab);
  if (event.target.closest('[data-do=lend]')) trigger('apply');
  const copy = event.target.closest('[data-do=copy]');
  if (!copy) return;
  const group = copy.closest('.tb-code');
  await navigator.clipboard.writeText(group.querySelector('[role=tabpanel]:not([hidden]) pre').textContent);
  group.querySelector('[role=status]').textContent = copy.dataset.copied;
});
element.addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const tab = event.target.closest('[role=tab]');
  if (!step || !tab) return;
  const all = tabs(tab.closest('.tb-code'));
  const next = all[(all.indexOf(tab) + step + all.length) % all.length];
  choose(next);
  next.focus();
});
