"use strict";
// Sorts, searches and saves tables, saves figures, copies text. Without it the page still shows all.
(() => {
  document.documentElement.classList.add("script");

  const MISSING = ["", "\u2013"];
  const NUMBER = /^[<>]?[+-]?[\d.]+(e[+-]?\d+)?( ?%| (to|of) .*)?$/;
  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    const plain = (cell.dataset.value ?? text).replaceAll(",", "").replaceAll("\u2212", "-");
    const number = NUMBER.test(plain) ? Number.parseFloat(plain.replace(/^[<>]/, "")) : Number.NaN;
    return { text, number, missing: MISSING.includes(text) };
  };

  // Numbers by size, words by alphabet, and what is missing always last.
  const compare = (a, b, direction) => {
    if (a.missing || b.missing) return a.missing - b.missing;
    const aNumber = !Number.isNaN(a.number);
    const bNumber = !Number.isNaN(b.number);
    if (aNumber && bNumber) return direction * (a.number - b.number);
    if (aNumber !== bNumber) return aNumber ? -1 : 1;
    return direction * a.text.localeCompare(b.text, "en-GB", { numeric: true });
  };

  for (const button of document.querySelectorAll("thead button")) {
    button.addEventListener("click", () => {
      const heading = button.closest("th");
      const table = heading.closest("table");
      const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const column = heading.cellIndex;
      const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: value(row, column) }));
      rows.sort((a, b) => compare(a.key, b.key, direction));
      table.tBodies[0].append(...rows.map((item) => item.row));
    });
  }

  const labelled = (text, title, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.title = title;
    button.addEventListener("click", act);
    return button;
  };

  // What is wider than the page says that it scrolls; what is folded away has no width yet.
  // Only what scrolls is a stop for the keyboard. A figure can be shown whole instead, if smaller.
  const hint = (box) => {
    const whole = box.classList.contains("whole");
    const cut = box.scrollWidth > box.clientWidth + 1;
    box.classList.toggle("cut", cut);
    if (cut || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
    const before = box.previousElementSibling;
    const said = before?.classList.contains("hint") ? before : null;
    if (whole) return;
    if (!cut) said?.remove();
    if (!cut || said) return;
    const line = document.createElement("p");
    line.className = "hint";
    line.textContent = SCROLL;
    box.before(line);
    if (box.matches(".drawing")) line.append(" \u00b7 ", fitting(box, line));
  };
  const SCROLL = "Scroll sideways for the rest \u2192";
  const fitting = (box, line) => {
    const button = labelled("Show it whole", "Fits the figure to the width of the page", () => {
      const whole = box.classList.toggle("whole");
      line.firstChild.textContent = whole ? "" : SCROLL;
      line.childNodes[1].textContent = whole ? "" : " \u00b7 ";
      button.textContent = whole ? "Show it large" : "Show it whole";
      hint(box);
    });
    return button;
  };
  const watch = new ResizeObserver((entries) => entries.forEach((one) => hint(one.target)));
  for (const box of document.querySelectorAll(".scroll, figure .drawing")) watch.observe(box);

  for (const input of document.querySelectorAll("input[data-filter]")) {
    const table = document.getElementById(input.dataset.filter);
    const shown = document.getElementById(`${input.dataset.filter}-shown`);
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
        count += row.hidden ? 0 : 1;
      }
      shown.textContent = `${count.toLocaleString("en-GB")} rows`;
    });
  }

  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // What the table shows: its headings, and the rows that the search leaves, in their order.
  const written = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
  const saveTable = (table) => {
    const rows = [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((row) => !row.hidden)];
    const lines = rows.map((row) => [...row.cells].map(written).join("\t"));
    const own = table.id || `${document.title} ${table.getAttribute("aria-labelledby") ?? "table"}`;
    save(new Blob([`${lines.join("\n")}\n`], { type: "text/tab-separated-values" }), `${fileName(own)}.tsv`);
  };
  const fileName = (text) => text.replace(/[^\p{L}\p{N}.-]+/gu, "_").replace(/^[._]+/, "").slice(0, 80) || "table";

  for (const table of document.querySelectorAll(".scroll > table")) {
    if (table.querySelector("[rowspan]")) continue; // read as a text, not as rows
    const box = table.parentElement;
    const before = box.previousElementSibling;
    let line = before?.matches(".table-caption") ? before : null;
    if (!line) {
      line = document.createElement("p");
      line.className = "table-caption";
      box.before(line);
    }
    const tool = document.createElement("span");
    tool.className = "tools table-tools";
    tool.append(labelled("Save table as TSV", "Saves the rows that are shown, in this order", () => saveTable(table)));
    line.append(line.querySelector("a") ? " \u00b7 " : " ", tool);
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    const text = document.getElementById(button.dataset.copy);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.innerText.trim());
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text); // where pages may not copy, the reader can
        button.textContent = "Selected: copy it with Ctrl+C";
      }
    });
  }

  const saveFigure = (svg, name, kind) => {
    const copy = svg.cloneNode(true);
    const { width, height } = svg.viewBox.baseVal;
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const text = new XMLSerializer().serializeToString(copy);
    if (kind === "svg") {
      save(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`);
      return;
    }
    const image = new Image();
    image.addEventListener("load", () => {
      const canvas = document.createElement("canvas");
      canvas.width = width * 3;
      canvas.height = height * 3;
      const context = canvas.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(blob, `${name}.png`));
    });
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  };

  for (const button of document.querySelectorAll("button[data-save]")) {
    const figure = button.closest("figure");
    const svg = figure.querySelector("svg");
    button.addEventListener("click", () => saveFigure(svg, figure.id.replace("figure-", ""), button.dataset.save));
  }
})();
