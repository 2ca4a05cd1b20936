// Pictures from outside: photos, which are looked for, and pictures of this program, which say their settings.

import { json } from './api.js';
import { $, failed, say, task, unsay } from './controls.js';

// What of a picture is taken, as addresses have it.
export const crop = () =>
  [$('crop').value, ...($('crop').value === 'face' ? [$('face').value] : [])].filter(Boolean).join('-');

export class Files {
  #state;
  #photos;
  #most;

  // `noFaces` says why photos cannot be cropped by their faces, if they cannot.
  constructor(state, photos, most, noFaces) {
    this.#state = state;
    this.#photos = photos;
    this.#most = most;
    if (photos) {
      $('steps').value = photos.steps;
      $('steps').min = photos.least;
      $('photo-hint').textContent = `A photo's place among the generator's pictures: ${photos.how}. Or drop a picture anywhere.`;
      this.#crop(noFaces);
    } else {
      $('steps').hidden = $('steps-label').hidden = $('crop-row').hidden = true;
      $('photo-hint').textContent = 'Opens pictures that were downloaded here. Photos need a perceptual network, which this program does not have at hand.';
    }
    $('photo').addEventListener('change', (event) => {
      const [file] = event.target.files;
      // The same file may be chosen again.
      event.target.value = '';
      if (file) this.take(file);
    });
    this.#listen();
  }

  #crop(noFaces) {
    if (noFaces) {
      $('crop').querySelector('[value="face"]').disabled = true;
      $('photo-hint').textContent += ` To crop by the face: ${noFaces}; then reload the page.`;
    }
    const show = () => { $('face').hidden = $('face-label').hidden = $('crop').value !== 'face'; };
    $('crop').addEventListener('change', show);
    // A browser may keep what was chosen when the page is loaded again.
    show();
  }

  #listen() {
    const hint = $('drop-hint');
    const hasFile = (event) => event.dataTransfer?.types.includes('Files');
    let depth = 0;
    addEventListener('dragenter', (event) => { if (hasFile(event)) { depth++; hint.hidden = false; } });
    addEventListener('dragleave', (event) => { if (hasFile(event) && --depth <= 0) { depth = 0; hint.hidden = true; } });
    addEventListener('dragover', (event) => { if (hasFile(event)) event.preventDefault(); });
    addEventListener('drop', (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      depth = 0;
      hint.hidden = true;
      const [file] = event.dataTransfer.files;
      if (file) this.take(file);
    });
  }

  async take(file) {
    unsay();
    if (file.size > this.#most) {
      say(`${file.name} has more than ${Math.floor(this.#most / 2 ** 20)} MB, the most that is taken.`);
      return;
    }
    try {
      if (file.type === 'image/png' && (await this.open(file))) return;
      if (!this.#photos) throw new Error(`${file.name} has no settings in it, and photos cannot be found here.`);
      await this.#find(file);
    } catch (error) {
      failed(error);
    }
  }

  // Takes the settings that a picture has in it; whether it has any.
  async open(file) {
    const { settings, notes } = await json('POST', 'open', file);
    if (!settings) return false;
    this.#state.take(settings);
    if (notes.length) say(`${notes.join('; ')}.`, true);
    return true;
  }

  async #find(file) {
    const steps = $('steps').valueAsNumber;
    const wanted = Number.isInteger(steps) ? steps : this.#photos.steps;
    const found = await task(`Looking for ${file.name}…`, (signal) => json('POST', `photo/${wanted}/${crop()}`, file, { signal }));
    if (!found) return;
    // At its own place: a truncation would be another face.
    this.#state.change((now) => Object.assign(now, { source: { photo: found.photo }, truncation: 1 }));
    say([`Found ${file.name}: ${found.likeness}`, ...found.notes].join('; ') + '.', true);
  }
}
