// New domains that are asked for on the page: expansions, how far they are, and domains that need no training.

import { blob, json } from './api.js';
import { $, element, failed, task } from './controls.js';
import { crop } from './files.js';

const EVERY = 1000; // milliseconds

const path = (name, rest = '') => `runs/${encodeURIComponent(name)}${rest}`;

const domains = () => $('learn-domains').value.split('\n').map((line) => line.trim()).filter((line) => line !== '');

export class Learn {
  #models;
  #timer = null;
  #pictures = new Map(); // by name: the step it is of, and its address

  constructor(models) {
    this.#models = models;
    $('learn-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const wanted = { domains: domains(), steps: $('learn-steps').valueAsNumber };
      this.#ask('PUT', path($('learn-name').value.trim()), wanted);
    });
    $('adapt-words').addEventListener('click', () => {
      if ($('learn-form').reportValidity()) this.#adapt('', { domains: domains() });
    });
    $('adapt-picture').addEventListener('change', (event) => {
      const [file] = event.target.files;
      // The same file may be chosen again.
      event.target.value = '';
      if (file && $('learn-name').reportValidity()) this.#adapt(`/${crop()}`, file);
    });
    $('learn-panel').addEventListener('toggle', () => this.#watch());
  }

  // In one pass; then the model that has them is shown.
  async #adapt(rest, body) {
    const address = `domains/${encodeURIComponent($('learn-name').value.trim())}${rest}`;
    const made = await task('Making domains…', (signal) => json('POST', address, body, { signal }));
    if (made) this.#models.open(made.model, made.notes);
  }

  #ask(method, address, body) {
    json(method, address, body).then(({ runs }) => this.#show(runs)).catch(failed);
  }

  // Asks again while something is being learnt and seen.
  #watch() {
    clearTimeout(this.#timer);
    if ($('learn-panel').open) this.#ask('GET', 'runs');
  }

  #show(runs) {
    $('runs').replaceChildren(...runs.map((run) => this.#tile(run)));
    clearTimeout(this.#timer);
    const goesOn = runs.some(({ progress }) => progress.state === 'running');
    if (goesOn && $('learn-panel').open) this.#timer = setTimeout(() => this.#watch(), EVERY);
  }

  #tile({ name, progress }) {
    const picture = element('img', { alt: `The same people in the domains of ${name}`, hidden: true });
    this.#draw(picture, name, progress).catch(failed);
    const bar = element('progress', { max: Math.max(progress.steps, 1), value: progress.step });
    bar.setAttribute('aria-label', `Steps of ${name}`);
    const ask = (act) => () => this.#ask('POST', path(name, act));
    const acts = {
      running: ['Stop', ask('/stop')],
      stopped: ['Resume', ask('/resume')],
      done: ['Open', () => this.#models.open(`runs/${name}`)],
    }[progress.state];
    const buttons = acts ? [element('button', { type: 'button', textContent: acts[0] })] : [];
    buttons[0]?.addEventListener('click', acts[1]);
    return element('li', { className: 'run' }, [
      element('p', { textContent: name }),
      picture,
      bar,
      element('p', { className: 'hint', textContent: words(progress) }),
      element('div', { className: 'buttons' }, buttons),
    ]);
  }

  // The picture that is there, and a newer one once it is loaded.
  async #draw(picture, name, { picture: step }) {
    let known = this.#pictures.get(name);
    if (step !== null && known?.step !== step) {
      const loaded = await blob('GET', path(name, '/picture'));
      if (known) URL.revokeObjectURL(known.url);
      known = { step, url: URL.createObjectURL(loaded) };
      this.#pictures.set(name, known);
    }
    if (!known) return;
    picture.src = known.url;
    picture.hidden = false;
  }
}

function words({ state, step, steps, seconds_left: left, losses, told }) {
  if (state === 'failed') return told ?? 'It ended before the first step.';
  if (state === 'done') return 'Learnt.';
  const parts = [steps === 0 ? 'begins' : `step ${step} of ${steps}`];
  if (state === 'stopped') parts.push(told ?? 'stopped');
  else if (left !== null) parts.push(left < 90 ? `${Math.ceil(left)} s left` : `${Math.ceil(left / 60)} min left`);
  for (const [name, loss] of Object.entries(losses)) parts.push(`${name} ${loss.toPrecision(3)}`);
  return parts.join(', ');
}
