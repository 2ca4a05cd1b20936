// Which model is shown. The program opens another one; then the page begins anew, with what of the settings that model has.

import { json } from './api.js';
import { $, options, say, task } from './controls.js';

const KEPT = 'domex-studio';

export class Models {
  #state;
  #shown;

  constructor(state, names, shown) {
    this.#state = state;
    this.#shown = shown;
    const select = $('models');
    options(select, names, shown);
    select.addEventListener('change', () => this.open(select.value));
  }

  // `notes` are told on the page that begins anew, beside what of the settings is left out.
  async open(name, notes = []) {
    const body = { name, settings: this.#state.settings };
    const opened = await task(`Opening ${name}…`, (signal) => json('POST', 'model', body, { signal }));
    if (!opened) {
      $('models').value = this.#shown;
      return;
    }
    sessionStorage.setItem(KEPT, JSON.stringify({ ...opened, notes: [...notes, ...opened.notes] }));
    location.reload();
  }
}

// The settings to begin with, once after another model was opened.
export function kept() {
  const text = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  if (!text) return null;
  const { settings, notes } = JSON.parse(text);
  if (notes.length) say(`${notes.join('; ')}.`, true);
  return settings;
}
