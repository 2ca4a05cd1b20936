// A contact sheet of the two domains of the pad.

import { blob } from './api.js';
import { $, showResult, task } from './controls.js';

export function sheet(state, pad) {
  $('sheet').addEventListener('click', async () => {
    const [x, y] = pad.domains;
    const axis = (domain) => ({ domain, from: 0, to: 1, steps: Number($('sheet-steps').value) });
    const asked = { settings: state.settings, x: axis(x), y: axis(y) };
    const made = await task('Drawing the contact sheet…', (signal) => blob('POST', 'sheet', asked, { signal }));
    if (made) showResult(`${x} and ${y}`, made, `${x}-${y}.png`);
  });
}
