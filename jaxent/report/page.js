// Sorts a table by the column whose heading is pressed; again, the other way round.

// The headings of single columns, each with its column: headings span rows and columns.
function singleColumnHeads(table) {
  const heads = [];
  const taken = []; // taken[row][column]: a heading already covers this
  [...table.tHead.rows].forEach((row, r) => {
    let column = 0;
    for (const head of row.cells) {
      while (taken[r] && taken[r][column]) column++;
      for (let i = 0; i < head.rowSpan; i++) {
        taken[r + i] ||= [];
        for (let j = 0; j < head.colSpan; j++) taken[r + i][column + j] = true;
      }
      if (head.colSpan === 1) heads.push([head, column]);
      column += head.colSpan;
    }
  });
  return heads;
}

// The text of a cell without the numbers of its footnotes.
function cellText(cell) {
  const bare = cell.cloneNode(true);
  for (const note of bare.querySelectorAll("sup")) note.remove();
  return bare.textContent.trim();
}

// The number that a text begins with, or null.
function leadingNumber(text) {
  const match = text.match(/^[-+]?[0-9.]+(e[-+]?[0-9]+)?/);
  return match ? parseFloat(match[0]) : null;
}

// Numbers before words, whichever way the numbers are sorted.
function compare(a, b, direction) {
  if ((a.value === null) !== (b.value === null)) return a.value === null ? 1 : -1;
  if (a.value === null) return direction * a.text.localeCompare(b.text);
  return direction * (a.value - b.value);
}

function sortRows(body, column, direction) {
  const rows = [...body.rows].map((row) => {
    const text = cellText(row.cells[column]);
    return { row, text, value: leadingNumber(text) };
  });
  rows.sort((a, b) => compare(a, b, direction));
  body.append(...rows.map((entry) => entry.row));
}

function makeSortable(table) {
  const heads = singleColumnHeads(table);
  for (const [head, column] of heads) {
    head.setAttribute("aria-sort", "none");
    head.tabIndex = 0;
    const press = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const [other] of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      sortRows(table.tBodies[0], column, up ? 1 : -1);
    };
    head.addEventListener("click", press);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        press();
      }
    });
  }
}

document.querySelectorAll(".table table").forEach(makeSortable);
