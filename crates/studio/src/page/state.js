// The settings of the picture, with undo and redo.
//
// `change` events say that they are others now; `event.detail.live` that a slider is still being moved.

const MOST = 200;

export class State extends EventTarget {
  #past = [];
  #future = [];
  #committed;

  constructor(settings) {
    super();
    this.settings = settings;
    this.#committed = settings;
  }

  // `edit` changes a copy. Without `live` the change can be undone in one step, with all live ones before it.
  change(edit, { live = false } = {}) {
    const next = structuredClone(this.settings);
    edit(next);
    drop(next.domains);
    drop(next.directions);
    this.settings = next;
    if (!live) this.#commit();
    this.#tell(live);
  }

  // Other settings in place of all that are there.
  take(settings) {
    this.change((now) => {
      for (const key of Object.keys(now)) delete now[key];
      Object.assign(now, structuredClone(settings));
    });
  }

  #commit() {
    if (same(this.#committed, this.settings)) return;
    this.#past.push(this.#committed);
    if (this.#past.length > MOST) this.#past.shift();
    this.#future = [];
    this.#committed = this.settings;
  }

  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#future.length > 0; }

  undo() { this.#step(this.#past, this.#future); }
  redo() { this.#step(this.#future, this.#past); }

  #step(from, to) {
    if (from.length === 0) return;
    to.push(this.#committed);
    this.#committed = from.pop();
    this.settings = this.#committed;
    this.#tell(false);
  }

  #tell(live) {
    this.dispatchEvent(new CustomEvent('change', { detail: { live } }));
  }
}

// A strength of 0 is no strength.
function drop(numbers) {
  for (const [name, value] of Object.entries(numbers)) if (value === 0) delete numbers[name];
}

export const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function sorted(value) {
  if (value === null || typeof value !== 'object') return value;
  return Object.keys(value).sort().map((key) => [key, sorted(value[key])]);
}

// Without domains and directions.
export const base = (settings) => ({ ...settings, domains: {}, directions: {} });

// In words, for who does not see the picture and as a title.
export function words({ source, truncation, domains, directions, mixing, region }) {
  const parts = ['seed' in source ? `seed ${source.seed}` : 'photo'];
  if (truncation !== 1) parts.push(`truncation ${truncation}`);
  for (const [name, value] of Object.entries(domains)) parts.push(`${name} ${value}`);
  for (const [number, value] of Object.entries(directions)) parts.push(`direction ${number} ${value}`);
  if (mixing) parts.push(`layers ${mixing.first} to ${mixing.last} of seed ${mixing.seed}`);
  if (region) parts.push('in a region');
  return parts.join(', ');
}

// As the name of a file.
export function fileName(settings, ending) {
  const name = words(settings).replace(/[^\p{L}\p{N}.-]+/gu, '-').slice(0, 80);
  return `${name}.${ending}`;
}
