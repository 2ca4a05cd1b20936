// Several seeds with the settings of the picture. A click chooses one.

import { pictures } from './api.js';
import { $, element, failed } from './controls.js';
import { paint, view } from './view.js';

const COUNT = 8;
const LAST = 2 ** 32 - COUNT;
// Only when the sliders rest: the large picture goes first.
const REST = 250;

export class Strip {
  #state;
  #drafts;
  #first = 0;
  #timer = null;
  #buttons;

  constructor(state, drafts) {
    this.#state = state;
    this.#drafts = drafts;
    this.#buttons = Array.from({ length: COUNT }, (_, index) => {
      const button = element('button', { type: 'button' }, [element('canvas', { width: 1, height: 1 }), element('span')]);
      button.addEventListener('click', () => state.change((settings) => { settings.source = { seed: this.#first + index }; }));
      return button;
    });
    $('strip').replaceChildren(...this.#buttons);
    $('strip-back').addEventListener('click', () => this.#turn(-COUNT));
    $('strip-on').addEventListener('click', () => this.#turn(COUNT));
    state.addEventListener('change', () => this.#later());
    this.#label();
  }

  #turn(by) {
    this.#first = Math.min(Math.max(this.#first + by, 0), LAST);
    this.#later(0);
  }

  #later(wait = REST) {
    const { seed } = this.#state.settings.source;
    if (seed !== undefined && wait && (seed < this.#first || seed >= this.#first + COUNT)) {
      this.#first = Math.min(seed - (seed % COUNT), LAST);
    }
    this.#label();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.draw().catch(failed), wait);
  }

  #label() {
    this.#buttons.forEach((button, index) => {
      const seed = this.#first + index;
      button.lastChild.textContent = seed;
      button.setAttribute('aria-label', `Seed ${seed}`);
      button.setAttribute('aria-current', String(this.#state.settings.source.seed === seed));
    });
    $('strip-back').disabled = this.#first === 0;
  }

  async draw() {
    const first = this.#first;
    const all = this.#buttons.map((_, index) => ({ ...this.#state.settings, source: { seed: first + index } }));
    const picture = await pictures(all, view('strip'), this.#drafts);
    if (first !== this.#first) return;
    this.#buttons.forEach((button, index) => paint(button.firstChild, picture, index));
  }
}
