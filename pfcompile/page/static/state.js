// The state that a link keeps: it stands behind the `#` of the address.

const NAMES = ["e", "y", "b", "pass"];

/** Return the state of the address: e the expression, y its link type, b another one, pass. */
export function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(NAMES.filter((name) => given.has(name)).map((name) => [name, given.get(name)]));
}

/** Put a state into the address; what is empty or null is left out. */
export function writeState(state) {
  const kept = NAMES.filter((name) => state[name] !== null && state[name] !== undefined && state[name] !== "");
  const text = new URLSearchParams(kept.map((name) => [name, state[name]])).toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname);
}
