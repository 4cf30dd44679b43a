// What was spoken before: opened again, or forgotten.
// Given by the framework: element, trigger(event, data).
element.addEventListener('click', ({ target }) => {
  const does = target.closest('[data-do=select], [data-do=delete]')?.dataset.do;
  if (does) trigger(does, { document: target.closest('[data-document]').dataset.document });
});
