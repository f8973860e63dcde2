"use strict";
// Without this the page shows all it has; with it, points speak, groups stand out, the table sorts.

const all = (selector) => [...document.querySelectorAll(selector)];

// Points: the nearest one within reach tells of itself, and shows where else it is.
const card = document.createElement("div");
card.className = "card";
card.hidden = true;
card.setAttribute("role", "status");
document.body.append(card);

const REACH = 26;
let shown = null;

function show(result) {
  if (result === shown) return;
  shown = result;
  for (const element of all(".on")) element.classList.remove("on");
  if (result === null) return;
  for (const element of all(`[data-result="${result}"], [data-row="${result}"]`)) element.classList.add("on");
}

for (const svg of all("figure svg")) {
  const points = [...svg.querySelectorAll("[data-result]")].map((element) => {
    const title = element.querySelector("title");
    const lines = title.textContent.split("\n");
    title.remove();
    return { element, lines };
  });
  const at = (event) => {
    let nearest = null;
    let least = REACH;
    for (const point of points) {
      const box = point.element.getBoundingClientRect();
      const dx = event.clientX - (box.left + box.width / 2);
      const dy = event.clientY - (box.top + box.height / 2);
      const distance = Math.hypot(dx, dy);
      if (distance < least && !point.element.classList.contains("dim")) {
        nearest = point;
        least = distance;
      }
    }
    card.hidden = nearest === null;
    show(nearest && nearest.element.dataset.result);
    if (nearest === null) return;
    card.replaceChildren(...nearest.lines.map((line) => {
      const row = document.createElement("div");
      row.textContent = line;
      return row;
    }));
    const left = Math.min(event.clientX + 14, innerWidth - card.offsetWidth - 8);
    const above = event.clientY - card.offsetHeight - 14;
    card.style.left = `${Math.max(8, left)}px`;
    card.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  svg.addEventListener("pointermove", at);
  svg.addEventListener("pointerdown", at);
  svg.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "mouse") return; // a finger that is lifted leaves its card
    card.hidden = true;
    show(null);
  });
}
addEventListener("scroll", () => { card.hidden = true; show(null); }, { passive: true });

// Groups: one at a time stands out.
const buttons = all("[data-only]");
for (const button of buttons) {
  button.addEventListener("click", () => {
    const only = button.getAttribute("aria-pressed") === "true" ? null : button.dataset.only;
    for (const each of buttons) each.setAttribute("aria-pressed", String(each.dataset.only === only));
    for (const element of all("[data-group]")) {
      const other = only !== null && element.dataset.group !== only;
      if (element.tagName === "TR") element.hidden = other;
      else element.classList.toggle("dim", other);
    }
  });
}

// The table: a click sorts, another one the other way round. What is lossy stays last, and before
// it what has no value.
const headings = all("#results thead th");
const body = document.querySelector("#results tbody");
headings.forEach((heading, column) => {
  heading.querySelector("button").addEventListener("click", () => {
    const numeric = heading.classList.contains("number");
    const before = heading.getAttribute("aria-sort");
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const order = before === first ? second : first;
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.value;
    const rows = [...body.rows].sort((a, b) => {
      if (a.dataset.lossy !== b.dataset.lossy) return a.dataset.lossy - b.dataset.lossy;
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (numeric ? x - y : x.localeCompare(y));
    });
    body.append(...rows);
    for (const each of headings) each.setAttribute("aria-sort", each === heading ? order : "none");
  });
});
