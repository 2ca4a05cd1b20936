// Saved settings, each a picture in the workspace.

import { blob, json, Refused } from './api.js';
import { $, element, failed } from './controls.js';

// There is a preset of that name.
const CONFLICT = 409;

const path = (name) => `presets/${encodeURIComponent(name)}`;

export class Presets {
  #state;
  #files;

  constructor(state, files, workspace) {
    this.#state = state;
    this.#files = files;
    $('workspace').textContent = `Pictures with settings in them, in ${workspace}.`;
    $('preset-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#save($('preset-name').value.trim()).catch(failed);
    });
    json('GET', 'presets').then(({ presets }) => this.#show(presets)).catch(failed);
  }

  async #save(name) {
    const put = (replace) => json('PUT', path(name), { settings: this.#state.settings, replace });
    let saved;
    try {
      saved = await put(false);
    } catch (error) {
      const exists = error instanceof Refused && error.status === CONFLICT;
      if (!exists || !confirm(`${error.message} Replace it?`)) throw error;
      saved = await put(true);
    }
    $('preset-name').value = '';
    this.#show(saved.presets);
  }

  #show(names) {
    $('presets').replaceChildren(...names.map((name) => this.#tile(name)));
  }

  #tile(name) {
    const picture = element('img', { alt: '' });
    const load = element('button', { type: 'button' }, [picture]);
    load.setAttribute('aria-label', `Load ${name}`);
    let file;
    blob('GET', path(name)).then((loaded) => {
      file = loaded;
      picture.src = URL.createObjectURL(loaded);
      picture.onload = () => URL.revokeObjectURL(picture.src);
    }).catch(failed);
    load.addEventListener('click', () => { if (file) this.#files.open(file).catch(failed); });
    const remove = element('button', { type: 'button', textContent: '×' });
    remove.setAttribute('aria-label', `Delete ${name}`);
    remove.addEventListener('click', () => {
      if (!confirm(`Delete the preset ${name}?`)) return;
      json('DELETE', path(name)).then(({ presets }) => this.#show(presets)).catch(failed);
    });
    return element('li', { className: 'tile' }, [
      load,
      element('p', { textContent: name }),
      element('div', { className: 'buttons' }, [remove]),
    ]);
  }
}
