// Requests to the program. Every failure is an Error whose message can be shown as it is.

// The token stands behind # in the address, which the browser keeps to itself.
const token = location.hash.slice(1);

export class Refused extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }

  // A newer request, or another model, took the place of this one.
  get superseded() {
    return this.status === NO_CONTENT;
  }
}

const NO_CONTENT = 204;

async function call(method, path, body, { signal } = {}) {
  const headers = { 'X-Domex-Studio': token || 'page' };
  if (body !== undefined && !(body instanceof Blob)) {
    headers['Content-Type'] = 'application/json';
    body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(`api/${path}`, { method, headers, body, signal });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused('The program does not answer. It may have been ended; start it again, then reload this page.');
  }
  if (response.ok && response.status !== NO_CONTENT) return response;
  const told = await response.json().catch(() => ({}));
  throw new Refused(sentence(told.error ?? `The program answered ${response.status}.`), response.status);
}

function sentence(text) {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

export const json = async (method, path, body, options) => (await call(method, path, body, options)).json();
export const blob = async (method, path, body, options) => (await call(method, path, body, options)).blob();

// Pictures of settings, as one bitmap with all of them side by side.
export async function pictures(settings, view, draft = false, options = {}) {
  return createImageBitmap(await blob('POST', 'pictures', { settings, view, draft }, options));
}
