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

/** Answers the JSON. Throws a Problem, also when nobody answers; an abort stays an AbortError. */
const ask = async (url, options) => {
  let response;
  try {
    response = await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ status: 0, code: "UNREACHABLE", detail: "The engine can’t be reached now.", retryable: true });
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw new Problem({
    code: "UNEXPECTED",
    detail: `The engine answered ${response.status}.`,
    ...answer,
    status: response.status,
  });
};

const csrfToken = () => document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? "";
