// A new voice is given another name, and kept. Given by the framework: element, trigger(event, data).
const form = () => element.querySelector('form');
const edit = (open) => {
  form().hidden = !open;
  const field = form().querySelector('input');
  if (open) [field.value] = [field.defaultValue];
  (open ? field : element.querySelector('[data-do=name]')).focus();
};
element.addEventListener('click', ({ target }) => {
  const does = target.closest('[data-do]')?.dataset.do;
  if (does === 'name' || does === 'close') edit(does === 'name');
  if (does === 'keep') trigger('like');
  if (does === 'offer') trigger('select');  // it costs money: asked for where voices are listed
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const name = form().querySelector('input').value;
  edit(false);
  trigger('edit', { name });
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !form().hidden) edit(false);
});
