// Requests whose end is not known: each is kept or dismissed.
// Given by the framework: element, trigger(event, data).
element.addEventListener('submit', (event) => {
  event.preventDefault();
  const form = event.target;
  trigger('apply', {entry: form.dataset.entry, voice: form.querySelector('input')?.value || ''});
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do=dismiss]');
  if (button) trigger('delete', {entry: button.closest('form').dataset.entry});
});
