// The REST API, asked as any client asks it: by the session of the page, with its CSRF token.

/** A refusal, as the API says it: a stable `code`, a sentence, the fields, and whether to try again. */
export class Problem extends Error {
  constructor({ status, code, detail, errors = [], retryable = false }) {
    super(detail);
    Object.assign(this, { status, code, detail, errors, retryable });
  }

  /** What it says of each field: `{amount: "…"}`. */
  get byField() {
    return Object.fromEntries(this.errors.map((error) => [error.field, error.message]));
  }
}

export const get = (path, { params = {}, signal } = {}) => {
  const query = new URLSearchParams(params).toString();
  return ask(query ? `${path}?${query}` : path, { signal });
};

export const post = (path, { body = {}, signal } = {}) =>
  ask(path, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrfToken() },
    signal,
  });

/**
 * Answers the JSON. Throws a Problem, also when nobody answers or the answer is cut off; an abort stays an AbortError.
 * The document hears of a session that has ended: `signed-out`.
 */
const ask = async (url, options) => {
  let response;
  let answer;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
    answer = parsed(await response.text());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.ok && !answer) throw unreachable();
  if (response.ok) return answer;
  if (response.status === 401) document.dispatchEvent(new Event("signed-out"));
  throw new Problem({
    code: "UNEXPECTED",
    detail: `The engine answered ${response.status}.`,
    ...answer,
    status: response.status,
  });
};

/** Nothing, if it is not of the API: a proxy may answer in its stead. */
const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

const unreachable = () =>
  new Problem({ status: 0, code: "UNREACHABLE", detail: "The engine can’t be reached now.", retryable: true });

const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? "";
