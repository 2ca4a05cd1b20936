// The large picture, and the base behind it.
//
// One request is on its way at a time, while the picture before it is painted; what was asked for meanwhile but for the newest is never sent.

import { blob, pictures } from './api.js';
import { $, download, failed } from './controls.js';
import { base, fileName, same, words } from './state.js';

// Names this page's views to the program, where several pages may be open.
const page = Math.random().toString(36).slice(2);
export const view = (name) => `${name}-${page}`;

export class View {
  #state;
  #drafts;
  #busy = false;
  #painted = Promise.resolve(); // the picture before
  #wanted = null;
  #base = null; // the settings of the base that is drawn

  constructor(state, drafts) {
    this.#state = state;
    this.#drafts = drafts;
    state.addEventListener('change', (event) => this.draw(event.detail.live));
    const compare = $('compare');
    compare.addEventListener('click', () => this.compare(compare.getAttribute('aria-pressed') !== 'true'));
    $('download').addEventListener('click', () => this.download());
  }

  draw(live = false) {
    this.#wanted = { settings: this.#state.settings, draft: live && this.#drafts };
    this.#pump();
  }

  async #pump() {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#wanted) {
      const { settings, draft } = this.#wanted;
      this.#wanted = null;
      try {
        const bytes = await blob('POST', 'pictures', { settings: [settings], view: view('main'), draft });
        await this.#painted;
        this.#painted = this.#paint(bytes, settings).catch(failed);
      } catch (error) {
        failed(error);
      }
    }
    this.#busy = false;
    if (!$('base').hidden) this.#drawBase().catch(failed);
  }

  async #paint(bytes, settings) {
    paint($('picture'), await createImageBitmap(bytes));
    $('picture').setAttribute('aria-label', `Picture: ${words(settings)}`);
    document.documentElement.dataset.drawn = Number(document.documentElement.dataset.drawn ?? 0) + 1;
  }

  // Shows the base in the picture's place, or the picture again.
  compare(on) {
    $('compare').setAttribute('aria-pressed', on);
    $('base').hidden = $('badge').hidden = !on;
    if (on) this.#drawBase().catch(failed);
  }

  async #drawBase() {
    const settings = base(this.#state.settings);
    if (this.#base && same(this.#base, settings)) return;
    paint($('base'), await pictures([settings], view('base')));
    this.#base = settings;
  }

  async download() {
    const settings = this.#state.settings;
    try {
      download(await blob('POST', 'download', settings), fileName(settings, 'png'));
    } catch (error) {
      failed(error);
    }
  }
}

export function paint(canvas, picture, index = 0) {
  const side = picture.height;
  if (canvas.width !== side) canvas.width = canvas.height = side;
  canvas.getContext('2d').drawImage(picture, index * side, 0, side, side, 0, 0, side, side);
}
