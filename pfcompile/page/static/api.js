// Questions to the server. The token comes once, behind the `#` of the address that was printed,
// and is kept for this origin, so that links without it go on working in this browser.

const KEY = "pfcompile.token";

/** What the server says instead of an answer. */
export class Refused extends Error {}

let offered = null; // from the address; kept once the server has taken it

/** Take the token out of the address; what is left of the address is the page's state. */
export function takeToken() {
  const state = new URLSearchParams(location.hash.slice(1));
  if (!state.has("token")) return;
  offered = state.get("token");
  state.delete("token");
  history.replaceState(null, "", state.size ? `#${state}` : location.pathname);
}

let kept = null; // where storage is switched off

function keep(token) {
  kept = token;
  try {
    localStorage.setItem(KEY, token);
  } catch {
    // Then the token lives as long as the page does.
  }
}

function keptToken() {
  if (kept !== null) return kept;
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** Return the answer to a question; `signal` ends the wait, and the server's work. */
export async function ask(what, question = null, signal = null) {
  const isBytes = question instanceof Blob;
  const token = offered ?? keptToken();
  const response = await fetch(`api/${what}`, {
    method: question === null ? "GET" : "POST",
    headers: { Authorization: `Bearer ${token}` },
    body: question === null || isBytes ? question : JSON.stringify(question),
    signal,
  }).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is pfcompile serve still running?");
  });
  if (response.ok && offered === token) {
    keep(token);
    offered = null;
  } else if (response.status === 401 && token !== keptToken()) {
    offered = null; // a link with a wrong token does not take the right one away
    return ask(what, question, signal);
  }
  const answer = await response.json().catch(() => ({ refused: `the server failed (${response.status})` }));
  if (!response.ok) throw new Refused(answer.refused ?? `the server failed (${response.status})`);
  return answer;
}

/** A question that is asked anew again and again: only its last answer counts. */
export class Latest {
  constructor(what) {
    this.what = what;
    this.controller = null;
  }

  /** Return the answer, or null where another question was asked meanwhile. */
  async ask(question) {
    this.controller?.abort();
    const controller = new AbortController();
    this.controller = controller;
    try {
      const answer = await ask(this.what, question, controller.signal);
      return this.controller === controller ? answer : null;
    } catch (error) {
      if (error.name === "AbortError" || this.controller !== controller) return null;
      throw error;
    }
  }
}
