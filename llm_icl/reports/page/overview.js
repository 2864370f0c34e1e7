// Which rows of an overview are shown: those of one task, of one n, with one verdict. Its columns are chosen in its legend.

const overviews = all(".overview table").map((matrix, place) => {
  const heads = [...matrix.tHead.rows[0].cells].filter((head) => "chosen" in head.dataset);
  const rows = [...matrix.tBodies[0].rows];
  const said = (row, i) => row.cells[i].textContent.trim();
  const count = make("span", { class: "soft", role: "status" });
  const keyOf = (name) => `rows-${name}${place ? place + 1 : ""}`;
  const apply = () => {
    for (const { name, select } of choices) address.set(keyOf(name), select.value);
    for (const row of rows) row.hidden = choices.some(({ i, select }) => select.value && said(row, i) !== select.value);
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
  };
  const choices = heads.map((head) => [head.textContent.trim(), head.cellIndex])
    .map(([name, i]) => ({ name, i, values: [...new Set(rows.map((row) => said(row, i)))] }))
    .filter(({ values }) => values.length > 1)
    .map((one) => ({ ...one, ...selectOf(one.name, [["", "all"], ...one.values.map((value) => [value, value])], apply) }));
  const controls = matrix.closest(".overview").querySelector(".controls");
  controls.replaceChildren(...choices.map(({ element }) => element), count);
  controls.hidden = !choices.length;
  return () => { // to what the address says
    for (const { name, select } of choices) {
      select.value = address.get(keyOf(name));
      if (select.selectedIndex < 0) select.value = "";
    }
    apply();
  };
});
