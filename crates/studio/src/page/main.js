// Puts the page together.

import { json } from './api.js';
import { $, element, failed, options, slider } from './controls.js';
import { Files } from './files.js';
import { Film } from './film.js';
import { Learn } from './learn.js';
import { Mixing } from './mixing.js';
import { Models, kept } from './models.js';
import { Pad } from './pad.js';
import { Presets } from './presets.js';
import { Region } from './region.js';
import { sheet } from './sheet.js';
import { State } from './state.js';
import { Strip } from './strip.js';
import { View } from './view.js';

// Of every domain: against it, the base at 0, as it was learnt at 1, beyond.
const STRENGTH = { min: -1, max: 1.5, step: 0.01 };
const COUNTS = [5, 10, 20, 32];
const LAST_SEED = 2 ** 32 - 1;

const START = { source: { seed: 0 }, truncation: 1, domains: {}, directions: {} };

async function start() {
  const { info, model, models, version, most_upload, no_faces, workspace } = await json('GET', 'info');
  $('kind').textContent = `${info.kind}, ${info.resolution} × ${info.resolution} pixels, domex ${version}`;
  document.title = `${info.model} · domex studio`;

  const state = new State(START);
  const view = new View(state, info.drafts);
  view.draw();
  seeds(state);
  truncation(state);
  domains(state, info.domains);
  directions(state, info.directions);
  new Mixing(state, info.styles, randomSeed);
  new Region(state, info.regions);
  history(state);
  new Strip(state, info.drafts).draw().catch(failed);
  const film = new Film(state);
  const files = new Files(state, info.photos, most_upload, no_faces);
  new Presets(state, files, workspace);
  new Learn(new Models(state, models, model));
  keys(state, view, film);
  const settings = kept();
  if (settings) state.take(settings);
}

function seeds(state) {
  const seed = $('seed');
  const show = () => { seed.value = state.settings.source.seed ?? ''; seed.placeholder = 'photo'; };
  seed.addEventListener('change', () => {
    const typed = seed.valueAsNumber;
    if (Number.isInteger(typed) && typed >= 0 && typed <= LAST_SEED) choose(state, typed);
    else show();
  });
  $('random').addEventListener('click', () => random(state));
  $('reset').addEventListener('click', () => state.change((now) => {
    Object.assign(now, { truncation: 1, domains: {}, directions: {} });
    delete now.mixing;
    delete now.region;
  }));
  state.addEventListener('change', show);
}

const choose = (state, seed) => state.change((now) => { now.source = { seed }; });
// Few digits: such a seed can be told to somebody.
const randomSeed = () => Math.floor(Math.random() * 100_000);
const random = (state) => choose(state, randomSeed());

function truncation(state) {
  const { row, show } = slider({
    label: 'Truncation', min: 0, max: 1.5, step: 0.01, value: 1,
    set: (value, live) => state.change((now) => { now.truncation = value; }, { live }),
  });
  $('truncation').append(row);
  state.addEventListener('change', () => show(state.settings.truncation));
}

// Sliders of one part of the settings, by name.
function many(state, part, rows) {
  return rows.map(({ key, label, range }) => {
    const { row, show } = slider({
      ...range, label, value: 0,
      set: (value, live) => state.change((now) => { now[part][key] = value; }, { live }),
    });
    const update = () => show(state.settings[part][key] ?? 0);
    state.addEventListener('change', update);
    update();
    return row;
  });
}

function domains(state, names) {
  if (names.length === 0) {
    $('domains').append(element('p', { className: 'hint', textContent: 'This model has no domains. `domex expand` gives it some.' }));
  }
  $('domains').append(...many(state, 'domains', names.map((name) => ({ key: name, label: name, range: STRENGTH }))));
  if (names.length < 2) $('pad-panel').hidden = true;
  else sheet(state, new Pad(state, names, STRENGTH));
}

function directions(state, found) {
  const rows = many(state, 'directions', found.map(({ dimension, reach }) => ({
    key: dimension, label: `Direction ${dimension}`, range: { min: -reach, max: reach, step: reach / 100 },
  })));
  $('directions').append(...rows);
  const counts = COUNTS.filter((count) => count < found.length).concat(found.length);
  options($('direction-count'), counts.map(String), String(counts[0]));
  const show = () => rows.forEach((row, index) => { row.hidden = index >= Number($('direction-count').value); });
  $('direction-count').addEventListener('change', show);
  show();
  $('directions-panel').hidden = found.length === 0;
}

function history(state) {
  const show = () => { $('undo').disabled = !state.canUndo; $('redo').disabled = !state.canRedo; };
  $('undo').addEventListener('click', () => state.undo());
  $('redo').addEventListener('click', () => state.redo());
  state.addEventListener('change', show);
  show();
}

function keys(state, view, film) {
  const help = $('keys');
  $('show-keys').addEventListener('click', () => help.showModal());
  let held = false;
  const step = (by) => {
    const { seed } = state.settings.source;
    if (seed !== undefined && seed + by >= 0 && seed + by <= LAST_SEED) choose(state, seed + by);
  };
  const acts = {
    b: () => { held = true; view.compare(true); },
    '[': () => step(-1),
    ']': () => step(1),
    r: () => random(state),
    d: () => view.download(),
    k: () => film.add(),
    '?': () => help.showModal(),
  };
  addEventListener('keydown', (event) => {
    const isTyping = event.target.matches('input:not([type="range"], [type="checkbox"]), select, textarea');
    if (isTyping || document.querySelector('dialog[open]')) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && (key === 'z' || key === 'y')) {
      event.preventDefault();
      if (key === 'y' || event.shiftKey) state.redo();
      else state.undo();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat) {
      acts[key]?.(event);
    }
  });
  addEventListener('keyup', (event) => {
    if (!held || event.key.toLowerCase() !== 'b') return;
    held = false;
    view.compare(false);
  });
}

start().catch(failed);
