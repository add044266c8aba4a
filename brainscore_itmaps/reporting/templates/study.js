"use strict";

const table = document.getElementById("results");
const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], rows = [...body.rows];
const points = [...document.querySelectorAll(".point")];
const words = document.getElementById("words");
const choices = [...document.querySelectorAll("[data-filter]")];

/** Return the value of a cell to sort by: a number in a column of numbers, else its text; null if it is empty. */
function valueOf(row, index) {
  const cell = row.cells[index];
  if (heads[index].dataset.kind === "text") return cell.textContent;
  return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
}

function sort(index) {
  const downward = heads[index].getAttribute("aria-sort") === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[index].setAttribute("aria-sort", downward ? "descending" : "ascending");
  const sign = downward ? -1 : 1;
  rows.sort((first, second) => {
    const [a, b] = [valueOf(first, index), valueOf(second, index)];
    if (a === b) return first.dataset.row - second.dataset.row;
    if (a === null || a === "") return 1;
    if (b === null || b === "") return -1;
    return typeof a === "string" ? sign * a.localeCompare(b, undefined, { numeric: true }) : sign * (a - b);
  });
  body.append(...rows);
}

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const visible = new Set();
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const fits = choices.every((choice) => choice.value === "" || row.dataset[choice.dataset.filter] === choice.value);
    row.hidden = !(fits && wanted.every((word) => text.includes(word)));
    if (!row.hidden) visible.add(row.dataset.row);
  }
  for (const point of points) point.classList.toggle("off", !visible.has(point.dataset.row));
  document.getElementById("shown").textContent = `${visible.size} of ${rows.length} rows`;
}

heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => sort(index)));
words.addEventListener("input", filter);
choices.forEach((choice) => choice.addEventListener("change", filter));

/** Show the chosen columns, and remember them in the address, so that a link shows the same. */
const boxes = [...document.querySelectorAll("#columns input")], given = /^#columns=([\w,]*)$/.exec(location.hash);
function showColumns() {
  for (const box of boxes) table.classList.toggle(`column-${box.dataset.column}`, box.checked);
}
if (given) for (const box of boxes) box.checked = given[1].split(",").includes(box.value);
for (const box of boxes) {
  box.addEventListener("change", () => {
    showColumns();
    history.replaceState(null, "", `#columns=${boxes.filter((each) => each.checked).map((each) => each.value)}`);
  });
}
showColumns();

const panels = [...document.querySelectorAll(".scatter")], panel = document.getElementById("panel");
function show() {
  panels.forEach((figure, number) => { figure.hidden = String(number) !== panel.value; });
}
if (panel) {
  panel.addEventListener("change", show);
  show();
}
document.querySelectorAll(".only-script").forEach((part) => { part.hidden = false; });
filter();
