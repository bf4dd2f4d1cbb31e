"use strict";
// Draws the map of cells on a canvas: colour by any column, legend that isolates, hover, zoom, save.
// A mark is a cell or, where there are too many, a square of the map with all cells that lie in it.
// Without it, or in a browser that cannot unpack the data, the static picture stays in its place.
(() => {
  const source = document.getElementById("map-data");
  if (!source || typeof DecompressionStream === "undefined") return;
  const data = JSON.parse(source.textContent);
  const NOT_MEASURED = 255;
  const FAINT = "#e3e6e9";

  const element = (id) => document.getElementById(id);
  const canvas = element("map-canvas");
  const context = canvas.getContext("2d");
  const select = element("map-colour");
  const legend = element("map-legend");
  const hover = element("map-hover");
  const labels = element("map-labels");

  const unpack = async (text, Type) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Type(await new Response(stream).arrayBuffer());
  };
  const binned = data.side > 0;
  const span = binned ? data.side : 65535;

  // A column of cells becomes one code a cell. A category of squares becomes what is in each square:
  // from start[i] on, its categories (held) with their cells (number), the most frequent first.
  // A column that follows from the sample is the samples' column, each code put in its place.
  const codes = async (one) => {
    if (one.codes) return;
    if (one.by !== undefined) {
      await codes(data.columns[one.by]);
      followSample(one, data.columns[one.by]);
      return;
    }
    if (!binned || one.kind === "value") {
      one.codes = await unpack(one.data, Uint8Array);
      return;
    }
    const [entries, held, number] = await Promise.all([
      unpack(one.data.entries, Uint16Array), unpack(one.data.codes, Uint8Array), unpack(one.data.counts, Uint32Array),
    ]);
    const start = new Uint32Array(entries.length + 1);
    for (let i = 0; i < entries.length; i++) start[i + 1] = start[i] + entries[i];
    Object.assign(one, { start, held, number, codes: Uint8Array.from(entries, (_, i) => held[start[i]]) });
  };

  const followSample = (one, sample) => {
    const own = (code) => (code === NOT_MEASURED ? code : one.of_sample[code]);
    if (!binned) {
      one.codes = sample.codes.map(own);
      return;
    }
    const start = new Uint32Array(sample.codes.length + 1);
    const held = [];
    const number = [];
    for (let i = 0; i < sample.codes.length; i++) {
      const cells = new Map();
      for (let k = sample.start[i]; k < sample.start[i + 1]; k++) {
        const code = own(sample.held[k]);
        cells.set(code, (cells.get(code) ?? 0) + sample.number[k]);
      }
      const last = (code) => Number(code === NOT_MEASURED);
      for (const [code, n] of [...cells].sort((a, b) => last(a[0]) - last(b[0]) || b[1] - a[1] || a[0] - b[0])) {
        held.push(code);
        number.push(n);
      }
      start[i + 1] = held.length;
    }
    const most = Uint8Array.from({ length: sample.codes.length }, (_, i) => held[start[i]]);
    Object.assign(one, { start, held: Uint8Array.from(held), number: Uint32Array.from(number), codes: most });
  };

  let x, y, sizes, largest = 1, column, isolated = new Set();
  const marks = () => x.length;
  const view = { scale: 1, left: 0, top: 0 };
  const MARGIN = 14;

  const size = () => ({ width: canvas.clientWidth, height: canvas.clientHeight });
  const toScreen = (i) => {
    const { width, height } = size();
    const side = Math.min(width, height) - 2 * MARGIN;
    const across = (width - side) / 2;
    const down = (height - side) / 2;
    return [
      (across + ((x[i] + (binned ? 0.5 : 0)) / span) * side) * view.scale + view.left,
      (down + (1 - (y[i] + (binned ? 0.5 : 0)) / span) * side) * view.scale + view.top,
    ];
  };
  const square = () => ((Math.min(...Object.values(size())) - 2 * MARGIN) / span) * view.scale;

  // What of a mark is shown: a category, or of a square the most frequent of those singled out.
  const shown = (i) => {
    const all = { code: column.codes[i], cells: binned ? sizes[i] : 1 };
    if (column.kind === "value" || !isolated.size) return all;
    if (!binned) return isolated.has(all.code) ? all : { code: -1, cells: 1 };
    const chosen = { code: -1, cells: 0 };
    for (let k = column.start[i]; k < column.start[i + 1]; k++) {
      if (!isolated.has(column.held[k])) continue;
      if (chosen.code < 0) chosen.code = column.held[k];
      chosen.cells += column.number[k];
    }
    return chosen;
  };

  const colourOf = (code) => {
    if (code === NOT_MEASURED || code < 0) return FAINT;
    if (column.kind === "value") {
      return data.ramp[Math.round((code / (NOT_MEASURED - 1)) * (data.ramp.length - 1))];
    }
    return column.colours[code];
  };

  // Faint cells first, then low before high, so that what is asked for is never hidden.
  const drawingOrder = () => {
    const faint = [];
    const rest = [];
    for (let i = 0; i < marks(); i++) {
      (colourOf(shown(i).code) === FAINT ? faint : rest).push(i);
    }
    if (column.kind === "value") rest.sort((a, b) => column.codes[a] - column.codes[b]);
    return [faint, rest];
  };

  const drawDots = (faint, rest) => {
    const base = Math.max(0.8, Math.min(3.2, (size().width / 900) * Math.sqrt(40000 / data.cells)));
    const radius = base * Math.min(2, Math.sqrt(view.scale));
    for (const [cells, dot, alpha] of [[faint, radius * 0.7, 1], [rest, radius, 0.85]]) {
      context.globalAlpha = alpha;
      for (const i of cells) {
        const [across, down] = toScreen(i);
        context.fillStyle = colourOf(shown(i).code);
        context.beginPath();
        context.arc(across, down, dot, 0, 2 * Math.PI);
        context.fill();
      }
    }
  };

  // The more cells of a category, the fuller its colour, by their logarithm. A value has its own colour.
  const drawSquares = (faint, rest) => {
    const side = square();
    const ratio = window.devicePixelRatio || 1;
    const edge = (at) => Math.round(at * ratio) / ratio; // on whole pixels, so that no seam shows
    for (const i of [...faint, ...rest]) {
      const [across, down] = toScreen(i);
      const { code, cells } = shown(i);
      context.fillStyle = colourOf(code);
      const full = code < 0 || column.kind === "value";
      context.globalAlpha = full ? 1 : 0.3 + (0.7 * Math.log1p(cells)) / Math.log1p(largest);
      const [left, top] = [edge(across - side / 2), edge(down - side / 2)];
      context.fillRect(left, top, edge(across + side / 2) - left, edge(down + side / 2) - top);
    }
  };

  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = size();
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    (binned ? drawSquares : drawDots)(...drawingOrder());
    context.globalAlpha = 1;
    if (labels.checked && column.kind === "category") drawLabels();
    canvas.setAttribute("aria-label", `Map of ${data.cells.toLocaleString("en-GB")} cells coloured by ${column.name}`);
  };

  // The value below which half of the weight lies; places are [value, weight].
  const median = (places) => {
    places.sort((a, b) => a[0] - b[0]);
    let left = places.reduce((sum, [, weight]) => sum + weight, 0) / 2;
    return places.find(([, weight]) => (left -= weight) < 0)[0];
  };

  const drawLabels = () => {
    const places = column.names.map(() => [[], []]);
    for (let i = 0; i < marks(); i++) {
      const { code, cells } = shown(i);
      if (code === NOT_MEASURED || code < 0) continue;
      const [across, down] = toScreen(i);
      places[code][0].push([across, cells]);
      places[code][1].push([down, cells]);
    }
    context.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.strokeStyle = "rgba(255, 255, 255, 0.9)";
    context.fillStyle = "#1b1f24";
    column.names.forEach((name, code) => {
      if (!places[code][0].length) return;
      const text = name.length > 28 ? `${name.slice(0, 27)}…` : name;
      const at = [median(places[code][0]), median(places[code][1])];
      context.strokeText(text, ...at);
      context.fillText(text, ...at);
    });
  };

  const node = (tag, text, classes) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (classes) made.className = classes;
    return made;
  };

  const writeLegend = () => {
    legend.replaceChildren();
    const counts = new Uint32Array(256);
    if (column.start) column.held.forEach((code, k) => (counts[code] += column.number[k]));
    else for (const code of column.codes) counts[code] += 1;
    const missing = column.missing ?? counts[NOT_MEASURED];
    if (column.kind === "value") {
      const ramp = node("div", undefined, "ramp");
      ramp.style.background = `linear-gradient(to right, ${data.ramp.join(", ")})`;
      const ends = node("div", undefined, "ends");
      ends.append(node("span", column.low.toLocaleString("en-GB")), node("span", `≥ ${column.high.toLocaleString("en-GB")}`));
      legend.append(ramp, ends);
    } else {
      column.names.forEach((name, code) => {
        const button = node("button");
        button.type = "button";
        button.setAttribute("aria-pressed", String(isolated.has(code)));
        const dot = node("i");
        dot.style.background = column.colours[code];
        button.append(dot, node("span", name), node("span", counts[code].toLocaleString("en-GB")));
        button.addEventListener("click", () => {
          if (!isolated.delete(code)) isolated.add(code);
          button.setAttribute("aria-pressed", String(isolated.has(code)));
          draw();
        });
        legend.append(button);
      });
    }
    if (missing) {
      const what = column.kind === "value" ? "not measured" : "not given";
      const pale = binned ? "Pale where no cell has a value" : "Pale dots";
      legend.append(node("p", `${pale}: ${what} (${missing.toLocaleString("en-GB")} cells)`, "quiet"));
    }
    if (binned) {
      const how = column.kind === "value" ? "its colour is their mean" : "the fuller its colour, the more";
      legend.append(node("p", `A square holds 1 to ${largest.toLocaleString("en-GB")} cells; ${how}.`, "quiet"));
    }
  };

  const show = async (index) => {
    const wanted = data.columns[index];
    await codes(wanted);
    if (Number(select.value) !== index) return; // another was chosen meanwhile
    column = wanted;
    isolated = new Set();
    writeLegend();
    draw();
  };

  const zoom = (factor, across, down) => {
    const { width, height } = size();
    const at = [across ?? width / 2, down ?? height / 2];
    const scale = Math.max(1, Math.min(40, view.scale * factor));
    const change = scale / view.scale;
    view.left = at[0] - (at[0] - view.left) * change;
    view.top = at[1] - (at[1] - view.top) * change;
    view.scale = scale;
    if (scale === 1) view.left = view.top = 0;
    draw();
  };
  const reset = () => zoom(0);

  const nearest = (across, down) => {
    let best = -1;
    let distance = binned ? Math.max(64, square() ** 2 / 2) : 64;
    for (let i = 0; i < marks(); i++) {
      const [a, d] = toScreen(i);
      const apart = (a - across) ** 2 + (d - down) ** 2;
      if (apart < distance) [best, distance] = [i, apart];
    }
    return best;
  };

  const MOST = 3;
  const inSquare = (one, i) => {
    const parts = [];
    for (let k = one.start[i]; k < one.start[i + 1] && parts.length < MOST; k++) {
      const name = one.held[k] === NOT_MEASURED ? "not given" : one.names[one.held[k]];
      parts.push(`${name} ${Math.round((100 * one.number[k]) / sizes[i])} %`);
    }
    const left = one.start[i + 1] - one.start[i] - parts.length;
    return parts.join(", ") + (left > 0 ? ` and ${left} more` : "");
  };

  const valueAt = (one, i) => {
    if (one.start) return inSquare(one, i);
    const code = one.codes[i];
    if (code === NOT_MEASURED) return one.kind === "value" ? "not measured" : "not given";
    if (one.kind === "category") return one.names[code];
    return (one.low + (code / (NOT_MEASURED - 1)) * (one.high - one.low)).toPrecision(3);
  };

  const tell = (event) => {
    const i = nearest(event.offsetX, event.offsetY);
    hover.hidden = i < 0;
    if (i < 0) return;
    const told = new Set([...data.columns.filter((one) => one.told), column]);
    const lines = [...told].map((one) => `${one.name}${binned && one.kind === "value" ? " (mean)" : ""}: ${valueAt(one, i)}`);
    if (binned) lines.unshift(`${sizes[i].toLocaleString("en-GB")} ${sizes[i] === 1 ? "cell" : "cells"}`);
    hover.replaceChildren(...lines.map((line) => node("div", line)));
    const { width } = size();
    const right = event.offsetX > width / 2;
    hover.style.left = right ? "auto" : `${event.offsetX + 12}px`;
    hover.style.right = right ? `${width - event.offsetX + 12}px` : "auto";
    hover.style.top = `${event.offsetY + 8}px`;
  };

  const listen = () => {
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, y: event.clientY, left: view.left, top: view.top };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return tell(event);
      if (view.scale === 1) return;
      view.left = from.left + event.clientX - from.x;
      view.top = from.top + event.clientY - from.y;
      hover.hidden = true;
      draw();
    });
    canvas.addEventListener("pointerup", () => (from = null));
    canvas.addEventListener("pointercancel", () => (from = null));
    canvas.addEventListener("pointerleave", () => (hover.hidden = true));
    canvas.addEventListener("dblclick", (event) => zoom(2, event.offsetX, event.offsetY));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.25 : 0.8, event.offsetX, event.offsetY);
    }, { passive: false });
    const step = 40;
    const keys = {
      "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: reset,
      ArrowLeft: () => { view.left += step; draw(); }, ArrowRight: () => { view.left -= step; draw(); },
      ArrowUp: () => { view.top += step; draw(); }, ArrowDown: () => { view.top -= step; draw(); },
    };
    canvas.addEventListener("keydown", (event) => {
      const act = keys[event.key];
      if (!act || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      act();
    });
    element("map-in").addEventListener("click", () => zoom(1.5));
    element("map-out").addEventListener("click", () => zoom(1 / 1.5));
    element("map-reset").addEventListener("click", reset);
    element("map-save").addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = canvas.toDataURL("image/png");
      link.download = "umap.png";
      link.click();
    });
    labels.addEventListener("change", draw);
    select.addEventListener("change", () => show(Number(select.value)));
    new ResizeObserver(() => column && draw()).observe(canvas.parentElement);
  };

  const start = async () => {
    const Place = binned ? Uint8Array : Uint16Array;
    [x, y] = await Promise.all([unpack(data.x, Place), unpack(data.y, Place)]);
    if (binned) {
      sizes = await unpack(data.sizes, Uint32Array);
      largest = sizes.reduce((a, b) => Math.max(a, b), 1);
    }
    const groups = new Map();
    data.columns.forEach((one, index) => {
      if (!groups.has(one.group)) {
        const group = node("optgroup");
        group.label = one.group;
        groups.set(one.group, group);
        select.append(group);
      }
      const option = node("option", one.name);
      option.value = index;
      groups.get(one.group).append(option);
    });
    for (const one of data.columns) {
      one.told = one.kind === "category" && ["cell type", "cluster", "sample"].includes(one.name);
      if (one.told) await codes(one);
    }
    element("map").closest("figure").classList.add("interactive");
    await show(0);
    listen();
  };
  start();
})();
