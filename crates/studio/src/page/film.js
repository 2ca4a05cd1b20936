// Keyframes, and the film through them.

import { blob, pictures } from './api.js';
import { $, element, failed, showResult, task } from './controls.js';
import { words } from './state.js';
import { paint } from './view.js';

export class Film {
  #state;
  #keyframes = [];

  constructor(state) {
    this.#state = state;
    $('add-keyframe').addEventListener('click', () => this.add());
    $('clear-keyframes').addEventListener('click', () => { this.#keyframes = []; this.#show(); });
    $('film').addEventListener('click', () => this.#make());
    this.#show();
  }

  async add() {
    const settings = this.#state.settings;
    const canvas = element('canvas', { width: 1, height: 1 });
    this.#keyframes.push({ settings, canvas });
    $('film-panel').open = true;
    this.#show();
    try {
      paint(canvas, await pictures([settings], undefined, true));
    } catch (error) {
      failed(error);
    }
  }

  #show() {
    const tiles = this.#keyframes.map((keyframe, index) => {
      const { settings, canvas } = keyframe;
      const button = (text, label, act, disabled = false) => {
        const made = element('button', { type: 'button', textContent: text, disabled });
        made.setAttribute('aria-label', `${label} keyframe ${index + 1}`);
        made.addEventListener('click', act);
        return made;
      };
      const show = button('', 'Show', () => this.#state.take(settings));
      show.append(canvas);
      const last = this.#keyframes.length - 1;
      return element('li', { className: 'tile', title: words(settings) }, [
        show,
        element('div', { className: 'buttons' }, [
          button('‹', 'Move earlier', () => this.#move(index, -1), index === 0),
          button('×', 'Remove', () => { this.#keyframes.splice(index, 1); this.#show(); }),
          button('›', 'Move later', () => this.#move(index, 1), index === last),
        ]),
      ]);
    });
    $('keyframes').replaceChildren(...tiles);
    $('film').disabled = this.#keyframes.length < 2;
    $('clear-keyframes').disabled = this.#keyframes.length === 0;
  }

  #move(index, by) {
    const [keyframe] = this.#keyframes.splice(index, 1);
    this.#keyframes.splice(index + by, 0, keyframe);
    this.#show();
  }

  async #make() {
    const format = $('film-format').value;
    const asked = {
      keyframes: this.#keyframes.map((keyframe) => keyframe.settings),
      frames: $('film-frames').valueAsNumber,
      fps: $('film-fps').valueAsNumber,
      closed: $('film-closed').checked,
      format,
    };
    const made = await task('Drawing the film…', (signal) => blob('POST', 'film', asked, { signal }));
    if (made) showResult('Film', made, `film.${format}`);
  }
}
