"use strict";
// Draws the map of cells on a canvas: colour by any column, legend that isolates, hover, zoom, save.
// A mark is a cell or, where there are too many, a square of the map with all cells that lie in it.
// Without it, or in a browser that cannot unpack the data, the static picture stays in its place.
(() => {
  const source = document.getElementById("map-data");
  if (!source || typeof DecompressionStream === "undefined") return;
  const data = JSON.parse(source.textContent);
  const { NOT_MEASURED, binned, unpack, codes, counted } = mapData(data);
  const FAINT = "#e3e6e9"; // not measured, not given, not singled out
  const ZERO = "#bfc6cd"; // no count of a gene
  const INK = "#1b1f24";

  const element = (id) => document.getElementById(id);
  const canvas = element("map-canvas");
  const select = element("map-colour");
  const legend = element("map-legend");
  const hover = element("map-hover");
  const labels = element("map-labels");
  const span = binned ? data.side : 65535;

  let x, y, sizes, largest = 1, column, wanted = 0, isolated = new Set();
  const marks = () => x.length;
  const view = { scale: 1, left: 0, top: 0 };
  const MARGIN = 14;

  const size = () => ({ width: canvas.clientWidth, height: canvas.clientHeight });
  const share = (i) => [(x[i] + (binned ? 0.5 : 0)) / span, (y[i] + (binned ? 0.5 : 0)) / span];
  const onScreen = ([across, up]) => {
    const { width, height } = size();
    const side = Math.min(width, height) - 2 * MARGIN;
    return [
      ((width - side) / 2 + across * side) * view.scale + view.left,
      ((height - side) / 2 + (1 - up) * side) * view.scale + view.top,
    ];
  };
  const toScreen = (i) => onScreen(share(i));
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
      if (code === 0 && column.zeros !== undefined) return ZERO;
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

  const dots = (faint, rest) => {
    const base = Math.max(0.8, Math.min(3.2, (size().width / 900) * Math.sqrt(40000 / data.cells)));
    const radius = base * Math.min(2, Math.sqrt(view.scale));
    return [[faint, radius * 0.7, 1], [rest, radius, 0.85]];
  };

  const drawDots = (pen, faint, rest) => {
    for (const [cells, dot, alpha] of dots(faint, rest)) {
      pen.globalAlpha = alpha;
      for (const i of cells) {
        const [across, down] = toScreen(i);
        pen.fillStyle = colourOf(shown(i).code);
        pen.beginPath();
        pen.arc(across, down, dot, 0, 2 * Math.PI);
        pen.fill();
      }
    }
  };

  // The more cells of a category, the fuller its colour, by their logarithm. A value has its own colour.
  const drawSquares = (pen, faint, rest, ratio) => {
    const side = square();
    const edge = (at) => Math.round(at * ratio) / ratio; // on whole pixels, so that no seam shows
    for (const i of [...faint, ...rest]) {
      const [across, down] = toScreen(i);
      const { code, cells } = shown(i);
      pen.fillStyle = colourOf(code);
      const full = code < 0 || column.kind === "value";
      pen.globalAlpha = full ? 1 : 0.3 + (0.7 * Math.log1p(cells)) / Math.log1p(largest);
      const [left, top] = [edge(across - side / 2), edge(down - side / 2)];
      pen.fillRect(left, top, edge(across + side / 2) - left, edge(down + side / 2) - top);
    }
  };

  const drawOn = (target, ratio) => {
    const { width, height } = size();
    target.width = Math.round(width * ratio);
    target.height = Math.round(height * ratio);
    const pen = target.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    (binned ? drawSquares : drawDots)(pen, ...drawingOrder(), ratio);
    pen.globalAlpha = 1;
    drawNames(pen);
    return target;
  };

  const draw = () => {
    drawOn(canvas, window.devicePixelRatio || 1);
    canvas.setAttribute("aria-label", `Map of ${count(data.cells)} cells coloured by ${column.name}`);
  };

  // Categories that are places have their names on the map; under all others stand the lineages.
  const lineages = data.columns.find((one) => one.places);
  const named = () => (column.places ? column : lineages);
  const names = () => {
    const one = named();
    if (!labels.checked || !one) return [];
    one.islands ??= mapNames.islands(one, share);
    const pen = canvas.getContext("2d");
    pen.font = nameFont();
    return mapNames.placed(one.islands.filter(({ code }) => one !== column || !isolated.size || isolated.has(code)), {
      nameOf: (code) => one.names[code], onScreen, widthOf: (text) => pen.measureText(text).width, height: 15, frame: size(),
    });
  };
  const nameFont = () => `600 12px ${getComputedStyle(document.body).fontFamily}`;
  const drawNames = (pen) => {
    const placed = names();
    Object.assign(pen, {
      font: nameFont(), textAlign: "center", textBaseline: "middle", lineWidth: 3, lineJoin: "round",
      strokeStyle: "rgba(255, 255, 255, 0.9)", fillStyle: INK,
    });
    for (const { text, x: across, y: down } of placed) {
      pen.strokeText(text, across, down);
      pen.fillText(text, across, down);
    }
  };

  const node = (tag, text, classes) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (classes) made.className = classes;
    return made;
  };
  const count = (number) => number.toLocaleString("en-GB");
  const twoDigits = (number) =>
    number.toLocaleString("en-GB", Math.abs(number) < 100 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 0 });
  const short = (text) => (text.length > 80 ? `${text.slice(0, 79)}…` : text);

  // What the legend says, on the page and in a saved picture.
  const told = () => {
    const counts = counted(column);
    const missing = column.missing ?? counts[NOT_MEASURED];
    const title = column.unit ? `${column.name}, ${column.unit}` : column.name;
    const said = { title, rows: [], notes: [] };
    if (column.kind === "value") {
      const { low, high, zeros } = column;
      const least = zeros === undefined ? twoDigits(low) : "> 0";
      if (high > low) said.ramp = { colours: data.ramp, low: least, high: `≥ ${twoDigits(high)}` };
      else if (zeros === undefined) said.rows.push({ name: `${twoDigits(low)} in every cell`, colour: data.ramp[0], count: "" });
      if (zeros) said.rows.push({ name: binned ? "0 in every cell" : "0", colour: ZERO, count: binned ? "" : `${count(zeros)} cells` });
    } else {
      column.names.forEach((name, code) => said.rows.push({ name, code, colour: column.colours[code], count: count(counts[code]) }));
    }
    const value = column.kind === "value";
    if (missing) said.rows.push({ name: value ? "not measured" : "not given", colour: FAINT, count: count(missing) + (value ? " cells" : "") });
    if (binned) {
      const how = value ? "its colour is their mean" : "the fuller its colour, the more";
      said.notes.push(`A square holds 1 to ${count(largest)} cells; ${how}.`);
    }
    return said;
  };

  const legendRow = ({ name, code, colour, count: cells }) => {
    const row = node(code === undefined ? "p" : "button", undefined, "row");
    const dot = node("i");
    dot.style.background = colour;
    const text = node("span", name);
    text.title = name;
    row.append(dot, text, node("span", cells));
    if (code === undefined) return row;
    row.type = "button";
    row.setAttribute("aria-pressed", String(isolated.has(code)));
    row.addEventListener("click", () => {
      if (!isolated.delete(code)) isolated.add(code);
      row.setAttribute("aria-pressed", String(isolated.has(code)));
      draw();
    });
    return row;
  };

  const writeLegend = () => {
    const { title, rows, ramp, notes } = told();
    const heading = node("p", undefined, "title");
    heading.append(node("b", title), node("span", ramp ? "" : "cells"));
    legend.replaceChildren(heading);
    if (ramp) {
      const band = node("div", undefined, "ramp");
      band.style.background = `linear-gradient(to right, ${ramp.colours.join(", ")})`;
      const ends = node("div", undefined, "ends");
      ends.append(node("span", ramp.low), node("span", ramp.high));
      legend.append(band, ends);
    }
    legend.append(...rows.map(legendRow), ...notes.map((note) => node("p", note, "quiet")));
    legend.scrollTop = 0;
    element("map-names").textContent = column.places ? "names" : "lineage names";
    tellMore();
  };
  const tellMore = () => (element("map-more").hidden = legend.scrollHeight <= legend.clientHeight + 1);

  const save = async (kind) => {
    const said = told();
    const chosen = said.rows.filter((row) => isolated.has(row.code));
    const simulated = document.querySelector(".banner") ? " · simulated data" : "";
    const scene = {
      ...said, ...size(), names: names(), title: `Coloured by ${said.title}`,
      rows: chosen.length ? [...chosen, { name: "all others", colour: FAINT, count: "" }] : said.rows,
      heading: column.kind === "category" ? { name: column.name, count: "cells" } : null,
      subtitle: `UMAP of ${count(data.cells)} cells${simulated} · ${document.title}`,
      drawn: (ratio) => drawOn(document.createElement("canvas"), ratio),
      layers: () => dots(...drawingOrder()).map(([cells, radius, alpha]) => ({
        radius, alpha, sorted: column.kind === "value",
        cells: cells.map((i) => [...toScreen(i), colourOf(shown(i).code)]).filter(([a, d]) => inFrame(a, d)),
      })),
    };
    const blob = await mapPicture[kind](scene);
    mapPicture.save(blob, `umap_${column.name.slice(0, 60)}.${kind}`);
  };
  const inFrame = (across, down) => across > -4 && down > -4 && across < size().width + 4 && down < size().height + 4;

  const show = async (index) => {
    wanted = index;
    await codes(data.columns[index]);
    if (wanted !== index) return; // another was chosen meanwhile
    column = data.columns[index];
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
    if (code === 0 && one.zeros !== undefined) return "0";
    return (one.low + (code / (NOT_MEASURED - 1)) * (one.high - one.low)).toPrecision(3);
  };

  const tell = (event) => {
    const i = nearest(event.offsetX, event.offsetY);
    hover.hidden = i < 0;
    if (i < 0) return;
    const columns = new Set([...data.columns.filter((one) => one.told), column]);
    const lines = [...columns].map((one) => `${one.name}${binned && one.kind === "value" ? " (mean)" : ""}: ${valueAt(one, i)}`);
    if (binned) lines.unshift(`${count(sizes[i])} ${sizes[i] === 1 ? "cell" : "cells"}`);
    hover.replaceChildren(...lines.map((line) => node("div", short(line))));
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
    for (const kind of ["png", "svg"]) element(`map-${kind}`).addEventListener("click", () => save(kind));
    element("map-svg").hidden = binned; // squares beyond some hundred thousand cells are a picture
    labels.addEventListener("change", draw);
    new ResizeObserver(() => {
      if (!column) return;
      draw();
      tellMore();
    }).observe(canvas.parentElement);
  };

  const start = async () => {
    const Place = binned ? Uint8Array : Uint16Array;
    [x, y] = await Promise.all([unpack(data.x, Place), unpack(data.y, Place)]);
    if (binned) {
      sizes = await unpack(data.sizes, Uint32Array);
      largest = sizes.reduce((a, b) => Math.max(a, b), 1);
    }
    mapSearch(data.columns, { select, search: element("map-search"), said: element("map-found"), now: () => wanted, show });
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
