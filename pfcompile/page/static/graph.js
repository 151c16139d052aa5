// A graph as SVG, from places that the server has worked out.

import { makeSvg } from "./dom.js";

const MARGIN = 28; // pixels, for the counts beside the boxes

/**
 * Return the drawing: its element, its nodes and their elements in one order.
 *
 * `flow` has how many packets came to each block and took each way out of it, `path` the labels of
 * the blocks on one packet's way; either may be null.
 */
export function drawGraph(drawing, flow, path) {
  const most = flow === null ? 0 : Math.max(1, ...Object.values(flow.blocks).map((f) => f.reached));
  const edges = drawing.edges.map((edge) => withPackets(edge, drawing.nodes, flow, path));
  const elements = drawing.nodes.map((node, number) => drawNode(node, packetsAt(number, drawing.nodes, edges, flow, path), most));
  const [width, height] = [drawing.width + 2 * MARGIN, drawing.height + MARGIN];
  const svg = makeSvg(
    "svg",
    {
      class: "graph",
      role: "group",
      "aria-label": "Decision graph",
      viewBox: `${-MARGIN} ${-MARGIN / 2} ${width} ${height}`,
      width,
      height,
    },
    ...edges.map((edge) => drawEdge(edge, most)),
    ...elements,
  );
  if (elements.length) elements[0].setAttribute("tabindex", 0);
  return { element: svg, nodes: drawing.nodes, elements };
}

/** Return a way with the number of packets that took it, and whether the one packet did. */
function withPackets(edge, nodes, flow, path) {
  const [from, to] = [nodes[edge.source].label, nodes[edge.target].label];
  const counts = flow?.blocks[from];
  const taken = counts === undefined ? null : edge.kind === "no" ? counts.no : counts.yes;
  const isOnPath = path !== null && path.some((label, i) => label === from && path[i + 1] === to);
  return { ...edge, taken, isOnPath };
}

/** Return how many packets came to a box, and whether the one packet did. */
function packetsAt(number, nodes, edges, flow, path) {
  const { label } = nodes[number];
  const into = edges.filter((edge) => edge.target === number);
  // Of an end that is drawn several times, each box has those that came to it.
  const isOneOfSeveral = nodes.some((other, i) => i !== number && other.label === label);
  const all = flow?.blocks[label]?.reached ?? null;
  const came = into.reduce((sum, edge) => sum + (edge.taken ?? 0), 0);
  const isOnPath = isOneOfSeveral ? into.some((edge) => edge.isOnPath) : path?.includes(label) ?? false;
  return { reached: isOneOfSeveral && all !== null ? came : all, isOnPath };
}

function drawNode(node, { reached, isOnPath }, most) {
  const { x, y, width, height } = node;
  const count = reached === null ? "" : reached.toLocaleString("en");
  const middle = { x: x + width / 2, y: y + height / 2 };
  const names = ["node", node.kind, isOnPath ? "on-path" : "", reached === null ? "" : "heated"];
  const group = makeSvg(
    "g",
    {
      class: names.filter(Boolean).join(" "),
      role: "button",
      tabindex: -1,
      "aria-label": `b${node.label}: ${node.text} ${node.detail}${count && `, ${count} packets`}`,
    },
    makeSvg("rect", { x, y, width, height, rx: node.kind === "test" ? 5 : height / 2 }),
    makeSvg("text", { x: middle.x, y: middle.y - (node.detail ? 8 : 0), class: "words" }, node.text),
    node.detail ? makeSvg("text", { x: middle.x, y: middle.y + 10, class: "detail" }, node.detail) : null,
  );
  if (count) {
    group.style.setProperty("--heat", Math.sqrt(reached / most));
    group.append(makeSvg("text", { x: x + width + 4, y: y + 6, class: "flow" }, count));
  }
  return group;
}

function drawEdge(edge, most) {
  const [start, ...rest] = edge.points;
  const line = makeSvg("path", { d: `M${start}C${rest.join(" ")}` });
  if (edge.taken !== null) line.style.setProperty("stroke-width", 1 + 3 * Math.sqrt(edge.taken / most));
  const [before, tip] = edge.points.slice(-2);
  const angle = Math.atan2(tip[1] - before[1], tip[0] - before[0]);
  const wing = (turn) => [tip[0] - 8 * Math.cos(angle + turn), tip[1] - 8 * Math.sin(angle + turn)];
  const arrow = makeSvg("path", { class: "tip", d: `M${tip}L${wing(0.4)}L${wing(-0.4)}Z` });
  const names = ["edge", edge.kind, edge.isOnPath ? "on-path" : "", edge.taken === 0 ? "cold" : ""];
  const [x, y] = edge.word;
  const word = edge.kind === "on" ? null : makeSvg("text", { x, y, class: "way" }, edge.kind);
  return makeSvg("g", { class: names.filter(Boolean).join(" ") }, line, arrow, word);
}
