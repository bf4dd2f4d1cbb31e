"use strict";
// Where on the map of cells do the names of a column's categories stand?
// A category has a name on each of its islands that holds enough of its cells, near a cell in the middle.
const mapNames = (() => {
  const SIDE = 48; // squares along the map in which cells are neighbours
  const NEAR = 2; // squares between neighbours
  const LARGE = 0.15; // share of a category's cells that makes an island large
  const FEW = 0.001; // share of all cells below which an island has no name
  const LONGEST = 28;
  const GAP = 2;

  // The squares of each category: place in the square and number of cells.
  const squares = (column, share) => {
    const found = column.names.map(() => new Map());
    const add = (code, i, cells) => {
      if (code >= found.length) return; // not given
      const [across, up] = share(i);
      const key = Math.min(SIDE - 1, Math.floor(up * SIDE)) * SIDE + Math.min(SIDE - 1, Math.floor(across * SIDE));
      const one = found[code].get(key) ?? { key, cells: 0, across: 0, up: 0 };
      one.cells += cells;
      one.across += across * cells;
      one.up += up * cells;
      found[code].set(key, one);
    };
    for (let i = 0; i < column.codes.length; i++) {
      if (!column.start) add(column.codes[i], i, 1);
      else for (let k = column.start[i]; k < column.start[i + 1]; k++) add(column.held[k], i, column.number[k]);
    }
    return found;
  };

  const island = (first, left) => {
    const own = [first];
    left.delete(first.key);
    for (let i = 0; i < own.length; i++) {
      const [across, up] = [own[i].key % SIDE, Math.floor(own[i].key / SIDE)];
      for (let b = Math.max(0, up - NEAR); b <= Math.min(SIDE - 1, up + NEAR); b++) {
        for (let a = Math.max(0, across - NEAR); a <= Math.min(SIDE - 1, across + NEAR); a++) {
          const next = left.get(b * SIDE + a);
          if (!next) continue;
          own.push(next);
          left.delete(next.key);
        }
      }
    }
    return own;
  };

  // The value below which half of the cells lie.
  const median = (own, value) => {
    const sorted = [...own].sort((a, b) => value(a) - value(b));
    let left = sorted.reduce((sum, one) => sum + one.cells, 0) / 2;
    return value(sorted.find((one) => (left -= one.cells) < 0) ?? sorted.at(-1));
  };

  const middle = (own) => {
    const across = (one) => one.across / one.cells;
    const up = (one) => one.up / one.cells;
    const aim = [median(own, across), median(own, up)];
    const apart = (one) => (across(one) - aim[0]) ** 2 + (up(one) - aim[1]) ** 2;
    const nearest = own.reduce((best, one) => (apart(one) < apart(best) ? one : best));
    return [across(nearest), up(nearest)];
  };

  // The islands of a column, the largest first; share(i) is the place of mark i, from 0 to 1.
  const islands = (column, share) => {
    const found = [];
    const cells = (own) => own.reduce((sum, square) => sum + square.cells, 0);
    const categories = squares(column, share);
    const least = FEW * cells(categories.flatMap((one) => [...one.values()]));
    categories.forEach((left, code) => {
      const own = [];
      while (left.size) own.push(island(left.values().next().value, left));
      const sizes = own.map(cells);
      const total = sizes.reduce((a, b) => a + b, 0);
      const largest = Math.max(...sizes);
      own.forEach((one, i) => {
        if (sizes[i] < least || (sizes[i] < largest && sizes[i] < LARGE * total)) return;
        found.push({ code, cells: sizes[i], share: middle(one) });
      });
    });
    return found.sort((a, b) => b.cells - a.cells);
  };

  // The names that can be read: those on the picture that overlap no name of a larger island.
  const placed = (found, { nameOf, onScreen, widthOf, height, frame }) => {
    const kept = [];
    for (const { code, share } of found) {
      const name = nameOf(code);
      const text = name.length > LONGEST ? `${name.slice(0, LONGEST - 1)}…` : name;
      const [across, down] = onScreen(share);
      if (across < 0 || down < 0 || across > frame.width || down > frame.height) continue;
      const half = widthOf(text) / 2 + GAP;
      const x = Math.max(half, Math.min(frame.width - half, across));
      const y = Math.max(height / 2, Math.min(frame.height - height / 2, down));
      const hidden = kept.some((one) => Math.abs(one.x - x) < one.half + half && Math.abs(one.y - y) < height);
      if (!hidden) kept.push({ text, x, y, half, code });
    }
    return kept;
  };

  return { islands, placed };
})();
