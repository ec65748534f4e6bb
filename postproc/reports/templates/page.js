"use strict";
const status = document.getElementById("status");

function sort(head) {
  const table = head.closest("table");
  const column = head.cellIndex;
  const isNumber = head.dataset.kind === "number";
  const current = head.getAttribute("aria-sort");
  // Numbers start with the largest, names with the first.
  const first = isNumber ? "descending" : "ascending";
  const second = isNumber ? "ascending" : "descending";
  const order = current === first ? second : first;
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => {
    const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
    if (x === "" || y === "") return (x === "") - (y === "");
    return sign * (isNumber ? x - y : x.localeCompare(y, undefined, { numeric: true }));
  };
  const rows = [...table.tBodies[0].rows].sort(compare);
  table.tBodies[0].append(...rows);
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  status.textContent = `${document.getElementById(table.getAttribute("aria-labelledby")).textContent}: sorted by ${head.textContent}, ${order}`;
}

for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}

// A bar that hides until it is used does not tell that there is more to see.
function tell(box) {
  box.previousElementSibling.classList.toggle("cut", box.scrollWidth > box.clientWidth + 1);
}
const watch = new ResizeObserver((entries) => entries.forEach(({ target }) => tell(target)));
for (const box of document.querySelectorAll(".table > .scroll")) {
  tell(box);
  watch.observe(box);
}

// Without this script all panels show and nothing chooses among them.
for (const choice of document.querySelectorAll("fieldset.switch")) {
  const inputs = [...choice.querySelectorAll("input")];
  const show = () => {
    for (const input of inputs) document.getElementById(input.value).hidden = !input.checked;
  };
  choice.addEventListener("change", show);
  choice.hidden = false;
  show();
}
