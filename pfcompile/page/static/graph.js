// A graph as SVG, from places that the server has worked out.

import { make, makeSvg } from "./dom.js";

const WORDS = { yes: "yes", no: "no", on: "" };

/**
 * Return the drawing: its element, its nodes and their elements in one order.
 *
 * `flow` has how many packets came to each block and took each way out of it, `path` the labels of
 * the blocks on one packet's way; either may be null.
 */
export function drawGraph(drawing, flow, path) {
  const most = flow === null ? 0 : Math.max(1, ...Object.values(flow.blocks).map((f) => f.reached));
  const onPath = (edge) => path !== null && path.some((l, i) => l === edge.source && path[i + 1] === edge.target);
  const elements = drawing.nodes.map((node) => drawNode(node, flow, most, path));
  const svg = makeSvg(
    "svg",
    {
      class: "graph",
      role: "group",
      "aria-label": "Decision graph",
      viewBox: `0 0 ${drawing.width} ${drawing.height}`,
      width: drawing.width,
      height: drawing.height,
    },
    ...drawing.edges.map((edge) => drawEdge(edge, flow, most, onPath(edge))),
    ...elements,
  );
  if (elements.length) elements[0].setAttribute("tabindex", 0);
  return { element: svg, nodes: drawing.nodes, elements };
}

function drawNode(node, flow, most, path) {
  const { x, y, width, height } = node;
  const counts = flow?.blocks[node.label];
  const reached = counts === undefined ? "" : `, ${counts.reached.toLocaleString("en")} packets`;
  const group = makeSvg(
    "g",
    {
      class: `node ${node.kind}${path?.includes(node.label) ? " on-path" : ""}${counts ? " heated" : ""}`,
      role: "button",
      tabindex: -1,
      "aria-label": `b${node.label}: ${node.text}${reached}`,
    },
    makeSvg("rect", { x, y, width, height, rx: node.kind === "branch" ? 4 : height / 2 }),
    makeSvg("text", { x: x + width / 2, y: y + height / 2, class: "test" }, node.text),
  );
  if (counts !== undefined) {
    group.style.setProperty("--heat", Math.sqrt(counts.reached / most));
    group.append(
      makeSvg("text", { x: x + width + 4, y: y + 4, class: "flow" }, counts.reached.toLocaleString("en")),
    );
  }
  return group;
}

function drawEdge(edge, flow, most, isOnPath) {
  const counts = flow?.blocks[edge.source];
  const taken = counts === undefined ? undefined : edge.kind === "no" ? counts.no : counts.yes;
  const points = edge.points;
  const line = makeSvg("path", { d: curve(points) });
  const [tip, before] = [points.at(-1), points.at(-2)];
  const angle = Math.atan2(tip[1] - before[1], tip[0] - before[0]);
  const wing = (turn) => [tip[0] - 7 * Math.cos(angle + turn), tip[1] - 7 * Math.sin(angle + turn)];
  const arrow = makeSvg("path", { class: "tip", d: `M${tip}L${wing(0.4)}L${wing(-0.4)}Z` });
  const group = makeSvg("g", { class: `edge ${edge.kind}${isOnPath ? " on-path" : ""}${taken === 0 ? " cold" : ""}` }, line, arrow);
  if (taken !== undefined) line.style.setProperty("stroke-width", 1 + 3 * Math.sqrt(taken / most));
  const [start, next] = points;
  const along = 14 / Math.max(1, Math.hypot(next[0] - start[0], next[1] - start[1]));
  const at = { x: start[0] + (next[0] - start[0]) * along + (edge.kind === "no" ? 5 : -5), y: start[1] + 14 };
  if (WORDS[edge.kind]) group.append(makeSvg("text", { ...at, class: "way" }, WORDS[edge.kind]));
  return group;
}

/** Return a path through points: straight, with rounded bends. */
function curve(points) {
  let d = `M${points[0]}`;
  for (let i = 1; i < points.length - 1; i++) {
    const [x, y] = points[i];
    const toward = ([px, py]) => {
      const length = Math.hypot(px - x, py - y) || 1;
      const r = Math.min(10, length / 2);
      return [x + ((px - x) / length) * r, y + ((py - y) / length) * r];
    };
    d += `L${toward(points[i - 1])}Q${[x, y]} ${toward(points[i + 1])}`;
  }
  return `${d}L${points.at(-1)}`;
}
