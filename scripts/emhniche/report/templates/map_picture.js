"use strict";
// Saves the map of cells as it is shown, with its title and legend, as PNG or SVG.
const mapPicture = (() => {
  const INK = "#1b1f24";
  const QUIET = "#57606a";
  const RULE = "#d8dee4";
  const FONT = "Arial, 'Liberation Sans', Helvetica, sans-serif";
  const PAD = 14;
  const HEAD = 48; // above the map: two lines
  const ROW = 18;
  const COLUMN = 230; // of the legend
  const PIXELS = 1800; // at least, across the map
  const LAYERS = 20;

  const pen = document.createElement("canvas").getContext("2d");
  const fontOf = ({ size, bold }) => `${bold ? "600 " : ""}${size}px ${FONT}`;
  const widthOf = (text, font) => {
    pen.font = fontOf(font);
    return pen.measureText(text).width;
  };
  const fitted = (text, font, room) => {
    if (widthOf(text, font) <= room) return text;
    let [low, high] = [0, text.length];
    while (low < high) {
      const half = (low + high + 1) >> 1;
      if (widthOf(`${text.slice(0, half)}…`, font) <= room) low = half;
      else high = half - 1;
    }
    return `${text.slice(0, low)}…`;
  };

  const wrapped = (text, font, room) => {
    const lines = [];
    for (const word of text.split(" ")) {
      const longer = lines.length ? `${lines.at(-1)} ${word}` : word;
      if (lines.length && widthOf(longer, font) <= room) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines;
  };

  // What stands around the map, as texts, dots and bands with their places.
  const around = ({ width, height, title, subtitle, heading, rows, ramp, notes }) => {
    const marks = [];
    const write = (x, y, text, { size = 12, bold = false, colour = INK, end = false, room = COLUMN - PAD } = {}) =>
      marks.push({ kind: "text", x, y, text: fitted(text, { size, bold }, room), size, bold, colour, end });
    const small = { size: 11, colour: QUIET };
    const told = notes.flatMap((note) => wrapped(note, small, COLUMN - 2 * PAD));
    const inColumn = Math.max(4, Math.floor(height / ROW));
    const columns = Math.max(1, Math.ceil(((ramp ? 2 : 0) + (heading ? 1 : 0) + rows.length + told.length) / inColumn));
    const total = { width: width + columns * COLUMN + 2 * PAD, height: height + HEAD + PAD };
    write(PAD, 18, title, { size: 15, bold: true, room: total.width - 2 * PAD });
    write(PAD, 37, subtitle, { colour: QUIET, room: total.width - 2 * PAD });
    let line = 0;
    const place = () => {
      const at = [width + 2 * PAD + Math.floor(line / inColumn) * COLUMN, HEAD + (line % inColumn) * ROW + ROW / 2];
      line += 1;
      return at;
    };
    if (ramp) {
      const [x, y] = place();
      const band = (COLUMN - 2 * PAD) / ramp.colours.length;
      ramp.colours.forEach((colour, i) => marks.push({ kind: "band", x: x + i * band, y: y - 6, width: band + 0.5, height: 12, colour }));
      const [, below] = place();
      write(x, below, ramp.low, { room: COLUMN / 2 });
      write(x + COLUMN - 2 * PAD, below, ramp.high, { end: true, room: COLUMN / 2 });
    }
    if (heading) {
      const [x, y] = place();
      write(x, y, heading.name, { bold: true, room: COLUMN - 2 * PAD - 60 });
      write(x + COLUMN - 2 * PAD, y, heading.count, { end: true, colour: QUIET });
    }
    for (const { name, count, colour } of rows) {
      const [x, y] = place();
      marks.push({ kind: "dot", x: x + 5, y, radius: 5, colour });
      write(x + 16, y, name, { room: COLUMN - 2 * PAD - 24 - widthOf(count, { size: 12 }) });
      write(x + COLUMN - 2 * PAD, y, count, { end: true });
    }
    for (const note of told) write(...place(), note, small);
    return { marks, total };
  };

  const png = (scene) => {
    const { marks, total } = around(scene);
    const canvas = document.createElement("canvas");
    const ratio = Math.max(2, Math.ceil(PIXELS / scene.width));
    canvas.width = Math.round(total.width * ratio);
    canvas.height = Math.round(total.height * ratio);
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(scene.drawn(ratio), PAD * ratio, HEAD * ratio);
    context.scale(ratio, ratio);
    context.strokeStyle = RULE;
    context.strokeRect(PAD, HEAD, scene.width, scene.height);
    context.textBaseline = "middle";
    for (const one of marks) {
      context.fillStyle = one.colour;
      if (one.kind === "text") {
        context.font = fontOf(one);
        context.textAlign = one.end ? "right" : "left";
        context.fillText(one.text, one.x, one.y);
      } else if (one.kind === "band") context.fillRect(one.x, one.y, one.width, one.height);
      else {
        context.beginPath();
        context.arc(one.x, one.y, one.radius, 0, 2 * Math.PI);
        context.fill();
      }
    }
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };

  const element = (tag, values, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const BASE = 0.35; // of a letter's size: from its middle to its base line
  const round = (number) => String(Math.round(number * 10) / 10);

  // Cells of a colour are one path: a line too short to be seen with round ends is a dot, and takes
  // a fifth of the room of a circle. Categories are drawn in layers, so that none hides the others.
  const dots = ({ cells, radius, alpha, sorted }) => {
    const group = element("g", { fill: "none", "stroke-linecap": "round", "stroke-width": round(2 * radius), "stroke-opacity": alpha });
    const inLayer = sorted ? cells.length : Math.ceil(cells.length / LAYERS);
    for (let from = 0; from < cells.length; from += inLayer) {
      const paths = new Map();
      for (const [x, y, colour] of cells.slice(from, from + inLayer)) {
        if (!paths.has(colour)) paths.set(colour, []);
        paths.get(colour).push(`M${round(x)} ${round(y)}h.01`);
      }
      for (const [colour, lines] of paths) group.append(element("path", { stroke: colour, d: lines.join("") }));
    }
    return group;
  };

  const svg = (scene) => {
    const { marks, total } = around(scene);
    const { width, height } = scene;
    const size = { width: round(total.width), height: round(total.height) };
    const root = element("svg", { ...size, viewBox: `0 0 ${size.width} ${size.height}`, "font-family": FONT });
    root.append(element("title", {}, `${scene.title}. ${scene.subtitle}`));
    root.append(element("rect", { ...size, fill: "#fff" }));
    const map = element("svg", { x: PAD, y: HEAD, width: round(width), height: round(height), overflow: "hidden" });
    map.append(...scene.layers().map(dots));
    map.append(element("rect", { width: round(width), height: round(height), fill: "none", stroke: RULE }));
    const halo = { "paint-order": "stroke", stroke: "#fff", "stroke-opacity": 0.9, "stroke-width": 3, "stroke-linejoin": "round" };
    const middle = { "text-anchor": "middle", fill: INK, "font-weight": 600, "font-size": 12 };
    for (const { text, x, y } of scene.names) map.append(element("text", { x: round(x), y: round(y + 12 * BASE), ...middle, ...halo }, text));
    root.append(map);
    for (const one of marks) {
      const fill = one.colour;
      const at = { x: round(one.x), y: round(one.y), fill };
      if (one.kind === "text") {
        const font = { "font-size": one.size, ...(one.bold && { "font-weight": 600 }), ...(one.end && { "text-anchor": "end" }) };
        root.append(element("text", { ...at, y: round(one.y + one.size * BASE), ...font }, one.text));
      } else if (one.kind === "band") root.append(element("rect", { ...at, width: round(one.width), height: one.height }));
      else root.append(element("circle", { cx: at.x, cy: at.y, r: one.radius, fill }));
    }
    const text = new XMLSerializer().serializeToString(root);
    return new Blob([`<?xml version="1.0" encoding="utf-8"?>\n${text}\n`], { type: "image/svg+xml" });
  };

  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name.replace(/[^\p{L}\p{N}.-]+/gu, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  return { png, svg, save };
})();
