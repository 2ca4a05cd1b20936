// Where in the picture domains and directions show: cells that are painted.

import { $, options } from './controls.js';

const CELLS = 16;
const EVERYWHERE = 'f'.repeat(CELLS * CELLS);

// Shapes for who does not paint: whether a cell, from 0 to 1 across and down, belongs to it.
const SHAPES = {
  everywhere: () => true,
  'left half': (x) => x < 0.5,
  'right half': (x) => x > 0.5,
  'upper half': (x, y) => y < 0.5,
  'lower half': (x, y) => y > 0.5,
  middle: (x, y) => Math.hypot(x - 0.5, y - 0.5) < 0.35,
  surroundings: (x, y) => Math.hypot(x - 0.5, y - 0.5) >= 0.35,
};

const PAINTED = 'painted';

export class Region {
  #state;
  #veil = $('region');
  #painting = false;

  constructor(state, regions) {
    this.#state = state;
    if (!regions) {
      $('region-panel').hidden = true;
      return;
    }
    this.#veil.width = this.#veil.height = CELLS;
    options($('region-shape'), [...Object.keys(SHAPES), PAINTED], 'everywhere');
    $('region-shape').addEventListener('change', (event) => {
      if (event.target.value === PAINTED) this.#paint(true);
      else this.#set(shaped(event.target.value), false);
    });
    $('region-paint').addEventListener('click', () => this.#paint($('region-paint').getAttribute('aria-pressed') !== 'true'));
    this.#listen();
    state.addEventListener('change', () => this.#show());
  }

  get #cells() { return this.#state.settings.region ?? EVERYWHERE; }

  #set(region, live) {
    this.#state.change((now) => {
      if (region === EVERYWHERE) delete now.region;
      else now.region = region;
    }, { live });
  }

  #paint(on) {
    $('region-paint').setAttribute('aria-pressed', on);
    this.#veil.hidden = !on;
    this.#show();
  }

  #listen() {
    const stroke = (event, live) => {
      const box = this.#veil.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      const reach = $('region-brush').valueAsNumber / 100;
      const digit = $('region-erase').checked ? '0' : 'f';
      const old = this.#cells;
      this.#set(cells((a, b, index) => (Math.hypot(a - x, b - y) <= reach ? digit : old[index])), live);
    };
    this.#veil.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      this.#painting = true;
      this.#veil.setPointerCapture(event.pointerId);
      // The first stroke says where domains show at all.
      if (!$('region-erase').checked && this.#cells === EVERYWHERE) this.#set('0'.repeat(CELLS * CELLS), true);
      stroke(event, true);
    });
    this.#veil.addEventListener('pointermove', (event) => { if (this.#painting) stroke(event, true); });
    const end = (event) => {
      if (!this.#painting) return;
      this.#painting = false;
      stroke(event, false);
    };
    this.#veil.addEventListener('pointerup', end);
    this.#veil.addEventListener('pointercancel', end);
  }

  // Dark where the base is seen.
  #show() {
    $('region-shape').value = Object.keys(SHAPES).find((name) => shaped(name) === this.#cells) ?? PAINTED;
    if (this.#veil.hidden) return;
    const context = this.#veil.getContext('2d');
    const veil = context.createImageData(CELLS, CELLS);
    for (let index = 0; index < CELLS * CELLS; index++) {
      veil.data[4 * index + 3] = 150 * (1 - parseInt(this.#cells[index], 16) / 15);
    }
    context.putImageData(veil, 0, 0);
  }
}

function shaped(name) {
  return cells((x, y) => (SHAPES[name](x, y) ? 'f' : '0'));
}

function cells(digit) {
  const at = (index) => digit(((index % CELLS) + 0.5) / CELLS, (Math.floor(index / CELLS) + 0.5) / CELLS, index);
  return Array.from({ length: CELLS * CELLS }, (_, index) => at(index)).join('');
}
