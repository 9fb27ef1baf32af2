"use strict";
// Rows of a table are sorted by the column whose heading is pressed; once more turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], rows = [...body.rows];
  const value = (row, column) => {
    const text = row.cells[column].firstChild?.textContent.trim() ?? "", number = parseFloat(text);
    return text === "–" || text === "" ? null : Number.isNaN(number) || column === 0 ? text : number;
  };
  const compared = (one, other) => typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), undefined, {numeric: true});
  heads.forEach((head, column) => {
    const button = Object.assign(document.createElement("button"), {type: "button"});
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending", sign = order === "ascending" ? 1 : -1;
      for (const other of heads) other.setAttribute("aria-sort", other === head ? order : "none");
      body.append(...rows.map(row => [value(row, column), row]).sort(([one], [other]) =>
        one === null || other === null ? (one === null) - (other === null) : sign * compared(one, other)).map(([, row]) => row));
    });
  });
}
