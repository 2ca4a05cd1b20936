// Sliders, and the few words and dialogs that all parts of the page share.

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

let sliders = 0;

// A labelled slider with its number beside it. `set(value, live)` is told what was chosen; `show` moves it.
export function slider({ label, min, max, step, value, set }) {
  const id = `slider-${sliders++}`;
  const range = element('input', { type: 'range', id, min, max, step, value });
  // Numbers that are typed may go further than the slider.
  const number = element('input', { type: 'number', step, value });
  number.setAttribute('aria-label', `${label}, as a number`);
  const row = element('div', { className: 'slider' }, [element('label', { htmlFor: id, textContent: label }), range, number]);
  range.addEventListener('input', () => { number.value = range.value; set(Number(range.value), true); });
  range.addEventListener('change', () => set(Number(range.value), false));
  range.addEventListener('dblclick', () => set(value, false));
  number.addEventListener('change', () => {
    const typed = number.valueAsNumber;
    if (Number.isFinite(typed)) set(typed, false);
    else number.value = range.value;
  });
  const show = (now) => {
    range.value = now;
    if (document.activeElement !== number || number.valueAsNumber !== now) number.value = now;
  };
  return { row, show };
}

export function options(select, names, chosen) {
  select.replaceChildren(...names.map((name) => element('option', { value: name, textContent: name, selected: name === chosen })));
}

// Messages

const box = $('message');
box.querySelector('button').addEventListener('click', () => { box.hidden = true; });

export function say(text, isNote = false) {
  box.classList.toggle('note', isNote);
  box.querySelector('p').textContent = text;
  box.hidden = false;
}

export function unsay() { box.hidden = true; }

export function failed(error) {
  if (error.name === 'AbortError' || error.superseded) return;
  say(error.message);
}

// Work that takes a while, one at a time, and can be cancelled. `work` gets the signal that says so.

const bar = $('task');
let running = null;

export async function task(text, work) {
  running?.abort();
  const own = new AbortController();
  running = own;
  bar.querySelector('p').textContent = text;
  bar.hidden = false;
  try {
    return await work(own.signal);
  } catch (error) {
    failed(error);
    return undefined;
  } finally {
    if (running === own) {
      running = null;
      bar.hidden = true;
    }
  }
}

bar.querySelector('button').addEventListener('click', () => running?.abort());

// Dialogs

for (const dialog of document.querySelectorAll('dialog')) {
  dialog.querySelector('.close').addEventListener('click', () => dialog.close());
}

const result = $('result');
const picture = result.querySelector('img');
const video = result.querySelector('video');
let url;
result.addEventListener('close', () => {
  video.removeAttribute('src');
  URL.revokeObjectURL(url);
});

export function showResult(title, blob, name) {
  url = URL.createObjectURL(blob);
  result.querySelector('h2').textContent = title;
  const isVideo = blob.type.startsWith('video/');
  const shown = isVideo ? video : picture;
  shown.src = url;
  picture.alt = title;
  video.ariaLabel = title;
  picture.hidden = isVideo;
  video.hidden = !isVideo;
  Object.assign(result.querySelector('a'), { href: url, download: name });
  result.showModal();
}

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element('a', { href: url, download: name }).click();
  // The browser has begun by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
