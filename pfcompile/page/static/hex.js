// The bytes of a packet.

import { counted, make } from "./dom.js";

/** Return rows of 16 bytes, those marked that lie in one of `marked`: [first, behind the last]. */
export function hexDump(hex, marked, leftOut) {
  if (hex === "") return null;
  const isMarked = (at) => marked.some(([first, end]) => first <= at && at < end);
  const dump = make("pre", { class: "hex", role: "region", tabindex: 0, "aria-label": "The packet's bytes" });
  const bytes = hex.match(/../g);
  for (let row = 0; row < bytes.length; row += 16) {
    dump.append(make("span", { class: "at" }, `${row.toString(16).padStart(4, "0")} `));
    bytes.slice(row, row + 16).forEach((byte, i) => {
      dump.append(" ", isMarked(row + i) ? make("mark", {}, byte) : byte);
    });
    dump.append("\n");
  }
  if (leftOut) dump.append(`${counted(leftOut, "more byte")}`);
  return dump;
}
