
"use strict";
// Everything below is a convenience: without it the page shows the same.
const table = document.querySelector("table.tests");
const rows = table ? [...table.tBodies[0].rows] : [];

const filter = document.getElementById("filter");
if (filter && rows.length > 1) {
  filter.closest("div").hidden = false;
  const count = document.getElementById("count");
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${shown} of ${rows.length}` : "";
  };
  filter.addEventListener("input", show);
}

// A click on a heading sorts, another one turns it around.
const value = (row, column) => {
  const cell = row.cells[column];
  if (cell.classList.contains("n")) return cell.dataset.v === undefined ? Infinity : Number(cell.dataset.v);
  return cell.textContent;
};
const heads = table ? [...table.tHead.rows[0].cells] : [];
heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.textContent = "";
  head.append(button);
  button.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = (a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      return typeof x === "number" ? x - y || 0 : x.localeCompare(y, "en", { numeric: true });
    };
    rows.sort((a, b) => (down ? -compare(a, b) : compare(a, b)));
    table.tBodies[0].append(...rows);
  });
});

// Arrow keys walk the heat map; Escape closes what a cell opened and goes back to it.
const grid = [...document.querySelectorAll("table.heat tbody tr")].map((row) => [...row.cells].slice(1));
document.querySelector("table.heat")?.addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!step) return;
  let y = grid.findIndex((row) => row.includes(event.target.closest("td")));
  if (y < 0) return;
  let x = grid[y].indexOf(event.target.closest("td"));
  for (;;) {
    y += step[0];
    x += step[1];
    const cell = grid[y]?.[x];
    if (!cell) return;
    const link = cell.querySelector("a");
    if (link) {
      event.preventDefault();
      link.focus();
      return;
    }
  }
});
document.addEventListener("keydown", (event) => {
  const open = document.querySelector(".cell:target");
  if (event.key !== "Escape" || !open) return;
  const link = document.querySelector(`.heat a[href="#${open.id}"]`);
  location.hash = "map";
  link?.focus();
});
