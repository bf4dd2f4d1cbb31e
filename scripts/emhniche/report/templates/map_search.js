"use strict";
// Finds the column that the map of cells is coloured by: a selection, and a field that narrows it.
// The selection holds the columns whose name, or group, has every word of the field.
const mapSearch = (columns, { select, search, said, now, show }) => {
  let found = columns;

  const option = (text, value) => Object.assign(document.createElement("option"), { textContent: text, value });

  const list = () => {
    const groups = new Map();
    for (const one of found) {
      if (!groups.has(one.group)) groups.set(one.group, Object.assign(document.createElement("optgroup"), { label: one.group }));
      groups.get(one.group).append(option(one.name, columns.indexOf(one)));
    }
    select.replaceChildren(...groups.values());
    if (!found.includes(columns[now()])) { // the map keeps its colours until another is chosen
      select.prepend(Object.assign(option(found.length ? `${found.length} found: choose one` : "nothing found", ""), { disabled: true }));
    }
    select.value = found.includes(columns[now()]) ? now() : "";
  };

  const wanted = () => search.value.trim().toLowerCase();
  const isIt = ({ name }) => name.toLowerCase() === wanted();
  const begins = ({ name }) => name.toLowerCase().startsWith(wanted());
  const best = () => found.find(isIt) ?? found.find(begins) ?? found[0];

  const choose = (one) => {
    show(columns.indexOf(one));
    list();
  };

  const narrow = () => {
    const words = wanted().split(/\s+/);
    const text = (one) => `${one.name} ${one.group}`.toLowerCase();
    found = columns.filter((one) => words.every((word) => text(one).includes(word)));
    said.textContent = wanted() ? `${found.length} of ${columns.length}` : "";
    if (wanted() && (found.length === 1 || found.some(isIt))) choose(best());
    else list();
  };

  list();
  select.addEventListener("change", () => show(Number(select.value)));
  search.addEventListener("input", narrow);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found.length) choose(best());
  });
};
