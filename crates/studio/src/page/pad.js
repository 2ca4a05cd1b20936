// Two domains on two axes.

import { $, options } from './controls.js';

const round = (value) => Math.round(value * 100) / 100;

export class Pad {
  #state;
  #range;

  constructor(state, domains, range) {
    this.#state = state;
    this.#range = range;
    const [x, y] = [$('pad-x'), $('pad-y')];
    options(x, domains, domains[0]);
    options(y, domains, domains[1]);
    for (const [own, other] of [[x, y], [y, x]]) {
      own.addEventListener('change', () => {
        // One domain cannot be on both axes.
        if (own.value === other.value) other.value = domains.find((name) => name !== own.value);
        this.show();
      });
    }
    const at = (value) => ((value - range.min) / (range.max - range.min)) * 100;
    const [zero, one] = [at(0), at(1)];
    $('pad').querySelector('.unit').setAttribute('d', `M${zero} ${100 - zero}H${one}V${100 - one}H${zero}Z`);
    $('pad').querySelector('.zero').setAttribute('d', `M0 ${100 - zero}H100M${zero} 0V100`);
    this.#listen($('pad'));
    state.addEventListener('change', () => this.show());
    this.show();
  }

  get domains() { return [$('pad-x').value, $('pad-y').value]; }

  #listen(pad) {
    let dragging = false;
    const move = (event, live) => {
      const box = pad.getBoundingClientRect();
      const { min, max } = this.#range;
      this.#set(
        min + ((event.clientX - box.left) / box.width) * (max - min),
        max - ((event.clientY - box.top) / box.height) * (max - min),
        live,
      );
    };
    pad.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      dragging = true;
      pad.setPointerCapture(event.pointerId);
      move(event, true);
    });
    pad.addEventListener('pointermove', (event) => { if (dragging) move(event, true); });
    const end = (event) => {
      if (!dragging) return;
      dragging = false;
      move(event, false);
    };
    pad.addEventListener('pointerup', end);
    pad.addEventListener('pointercancel', end);
    pad.addEventListener('keydown', (event) => {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1], Home: null };
      if (!(event.key in ways)) return;
      event.preventDefault();
      const way = ways[event.key];
      const [x, y] = this.#values();
      const step = event.shiftKey ? 0.25 : 0.05;
      if (way) this.#set(x + way[0] * step, y + way[1] * step, false);
      else this.#set(0, 0, false);
    });
  }

  #values() {
    const { domains } = this.#state.settings;
    return this.domains.map((name) => domains[name] ?? 0);
  }

  #set(x, y, live) {
    const { min, max } = this.#range;
    const within = (value) => round(Math.min(Math.max(value, min), max));
    const [nameX, nameY] = this.domains;
    this.#state.change(({ domains }) => {
      domains[nameX] = within(x);
      domains[nameY] = within(y);
    }, { live });
  }

  show() {
    const { min, max } = this.#range;
    const [x, y] = this.#values();
    const [nameX, nameY] = this.domains;
    const knob = $('pad').querySelector('.knob');
    const at = (value) => `${Math.min(Math.max(((value - min) / (max - min)) * 100, 0), 100)}%`;
    knob.style.left = at(x);
    knob.style.bottom = at(y);
    $('pad').querySelector('.axis-x').textContent = `${nameX} →`;
    $('pad').querySelector('.axis-y').textContent = `↑ ${nameY}`;
    $('pad').setAttribute('aria-label', `${nameX} ${x} across, ${nameY} ${y} up`);
  }
}
