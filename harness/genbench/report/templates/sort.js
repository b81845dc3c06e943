for (const table of document.querySelectorAll("table.comparison")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const body = table.tBodies[0];
      const key = (row) => row.cells[index].dataset.value;
      const compare = (a, b) => {
        if (index === 0) return a.cells[0].textContent.localeCompare(b.cells[0].textContent, undefined, { numeric: true });
        return Number(key(a)) - Number(key(b));
      };
      const rows = [...body.rows];
      const known = rows.filter((row) => index === 0 || key(row) !== undefined);
      const rest = rows.filter((row) => !known.includes(row));
      known.sort((a, b) => (ascending ? compare(a, b) : compare(b, a)));
      body.append(...known, ...rest);
    });
  });
}
