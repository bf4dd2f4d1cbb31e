"use strict";
// Unpacks what the map of cells is drawn from, a column when it is asked for.
const mapData = (data) => {
  const NOT_MEASURED = 255;
  const binned = data.side > 0;

  const unpack = async (text, Type) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Type(await new Response(stream).arrayBuffer());
  };

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

  // Cells of each category, those without one under the last number.
  const counted = (one) => {
    const counts = new Uint32Array(256);
    if (one.start) one.held.forEach((code, k) => (counts[code] += one.number[k]));
    else for (const code of one.codes) counts[code] += 1;
    return counts;
  };

  return { NOT_MEASURED, binned, unpack, codes, counted };
};
