// The sentences of a document: each is heard, spoken again, mended, or taken as another take.
// Given by the framework: element, trigger(event, data).
const of = (inside) => inside.closest('[data-sentence]');
const edit = (row, open) => {
  const form = row.querySelector('form');
  form.hidden = !open;
  if (open) form.querySelector('input').focus();
  else row.querySelector('[data-do=edit]').focus();
};
element.addEventListener('click', ({ target }) => {
  const does = target.closest('[data-do]')?.dataset.do;
  const row = does && of(target);
  if (!row) return;
  if (does === 'edit' || does === 'close') edit(row, does === 'edit' && row.querySelector('form').hidden);
  else trigger(does, { sentence: row.dataset.sentence });
});
element.addEventListener('change', ({ target }) => {
  if (target.matches('select')) trigger('select', { sentence: of(target).dataset.sentence, take: target.value });
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const row = of(event.target), text = event.target.querySelector('input').value;
  edit(row, false);
  trigger('edit', { sentence: row.dataset.sentence, text });
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && event.target.closest('form')) edit(of(event.target), false);
});
