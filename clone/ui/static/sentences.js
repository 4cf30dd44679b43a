// The ready sentences: one takes the place of another, and follows what was typed.
// Given by the framework: element.
element.addEventListener('click', (event) => {
  const chip = event.target.closest('[data-text]');
  const box = document.querySelector('#text textarea');
  if (!chip || !box) return;
  const ready = [...element.querySelectorAll('[data-text]')].map((each) => each.dataset.text);
  const typed = box.value.trim();
  box.value = !typed || ready.includes(typed) ? chip.dataset.text : box.value.trimEnd() + ' ' + chip.dataset.text;
  box.dispatchEvent(new Event('input', { bubbles: true }));
});
