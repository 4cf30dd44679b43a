// Original and clone under one switch, which may be pressed while they play.
// Given by the framework: element.
const [original, clone] = ['original', 'clone'].map((name) => () => element.querySelector(`audio[data-of=${name}]`));
const radio = () => element.querySelector('[role=radio][aria-checked=true]');
const chosen = () => radio().dataset.of === 'clone' ? clone() : original();
const said = (playing) => {
  const button = element.querySelector('[data-do=play]');
  button.textContent = playing ? button.dataset.pause : button.dataset.play;
};
const play = () => {
  for (const audio of [original(), clone()]) {
    audio.volume = Number(audio.dataset.volume);
    audio.onended = () => said(false);
    if (audio !== chosen()) audio.pause();
  }
  chosen().play();
  said(true);
};
const choose = (radio) => {
  const playing = !original().paused || !clone().paused;
  for (const each of element.querySelectorAll('[role=radio]')) {
    each.setAttribute('aria-checked', String(each === radio));
    each.tabIndex = each === radio ? 0 : -1;
  }
  if (playing) play();
};
element.addEventListener('click', (event) => {
  const pressed = event.target.closest('[role=radio]');
  if (pressed) choose(pressed);
  if (!event.target.closest('[data-do=play]')) return;
  if (chosen().paused) play();
  else { chosen().pause(); said(false); }
});
element.addEventListener('keydown', (event) => {
  if (!event.target.closest('[role=radio]') || !event.key.startsWith('Arrow')) return;
  event.preventDefault();
  const other = element.querySelector('[role=radio][aria-checked=false]');
  choose(other);
  other.focus();
});
