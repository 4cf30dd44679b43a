// The request as code: tabs, and what copies the program that is shown.
// Given by the framework: element.
const tabs = () => [...element.querySelectorAll('[role=tab]')];
const choose = (tab) => {
  for (const each of tabs()) {
    const own = each === tab;
    each.setAttribute('aria-selected', String(own));
    each.tabIndex = own ? 0 : -1;
    document.getElementById(each.getAttribute('aria-controls')).hidden = !own;
  }
};
element.addEventListener('click', async (event) => {
  const tab = event.target.closest('[role=tab]');
  if (tab) choose(tab);
  const copy = event.target.closest('[data-do=copy]');
  if (!copy) return;
  await navigator.clipboard.writeText(element.querySelector('[role=tabpanel]:not([hidden]) pre').textContent);
  element.querySelector('[role=status]').textContent = copy.dataset.copied;
});
element.addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !event.target.closest('[role=tab]')) return;
  const all = tabs();
  const next = all[(all.indexOf(event.target) + step + all.length) % all.length];
  choose(next);
  next.focus();
});
