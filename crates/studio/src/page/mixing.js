// Style mixing: some layers take the styles of another seed.

import { $ } from './controls.js';

export class Mixing {
  #state;
  #fields = { seed: $('mixing-seed'), first: $('mixing-first'), last: $('mixing-last') };

  // `styles` is how many layers there are.
  constructor(state, styles, random) {
    this.#state = state;
    if (styles === 0) {
      $('mixing-panel').hidden = true;
      return;
    }
    const { first, last } = this.#fields;
    first.max = last.max = styles - 1;
    // As `domex mix` has it.
    last.value = Math.min(6, styles - 1);
    for (const field of Object.values(this.#fields)) field.addEventListener('change', () => this.#set());
    $('mixing-random').addEventListener('click', () => {
      this.#fields.seed.value = random();
      this.#set();
    });
    $('mixing-none').addEventListener('click', () => {
      this.#fields.seed.value = '';
      this.#set();
    });
    state.addEventListener('change', () => this.#show());
  }

  #set() {
    const { seed, first, last } = this.#fields;
    if (seed.value === '') {
      this.#state.change((now) => { delete now.mixing; });
      return;
    }
    const fields = Object.values(this.#fields);
    const wrong = fields.find((field) => !field.reportValidity());
    if (wrong) return;
    if (first.valueAsNumber > last.valueAsNumber) last.value = first.value;
    const mixing = { seed: seed.valueAsNumber, first: first.valueAsNumber, last: last.valueAsNumber };
    this.#state.change((now) => { now.mixing = mixing; });
  }

  #show() {
    const { mixing } = this.#state.settings;
    this.#fields.seed.value = mixing?.seed ?? '';
    if (!mixing) return;
    this.#fields.first.value = mixing.first;
    this.#fields.last.value = mixing.last;
  }
}
