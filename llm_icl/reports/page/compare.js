// Two learners on the same problems: the paired difference in each cell, as it was computed for the report.

const compare = async (panel) => {
  const index = JSON.parse(await textOf(panel.querySelector(".index")));
  const pairs = new Map(index.pairs.map(([first, second, rows]) => [`${first},${second}`, rows]));
  const out = make("div");
  const points = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`;
  const interval = (low, high) => low === null ? " [too few]" : ` [${points(low)}, ${points(high)}]`;
  const rowsOf = (a, b) => pairs.get(`${a},${b}`)
    ?? pairs.get(`${b},${a}`)?.map(([cell, value, low, high, ...rest]) =>
      [cell, -value, high === null ? null : -high, low === null ? null : -low, ...rest]);
  const show = () => {
    const [a, b] = [first.select, second.select].map((select) => index.names.indexOf(select.value));
    address.set("compare", [first.select.value, second.select.value]);
    const rows = a === b ? null : rowsOf(a, b);
    if (!rows) {
      out.replaceChildren(make("p", {}, a === b ? "Choose two different learners." : "They share no problems."));
      return;
    }
    const body = rows.map(([cell, value, low, high, problems, differing]) => {
      const { title, task, n } = index.cells[cell];
      const look = () => {
        const problems = problemsBeside(panel);
        if (!problems) return;
        const key = keyOf(problems);
        for (const [name, wanted] of Object.entries({ task, n: String(n), learner: index.names[a], kind: "differ",
          other: index.names[b], item: "", position: "", text: "" })) address.set(key(name), wanted);
        reveal(problems.closest("details.part").id);
        problems.dispatchEvent(new Event("show"));
      };
      return make("tr", {}, make("th", { scope: "row" }, title),
        make("td", { "data-label": "difference" }, differing ? points(value) + interval(low, high) : "identical"),
        make("td", { "data-label": "problems" }, String(problems)),
        make("td", { "data-label": "problems that differ" }, differing
          ? make("button", { type: "button", onclick: look }, `${differing}: show them`) : "0"));
    });
    const names = ["cell", "difference (points) [95 %]", "problems", "problems that differ"];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    const caption = `Accuracy of ${index.names[a]} minus ${index.names[b]}, paired by problem`;
    out.replaceChildren(make("div", { class: "wide", role: "region", tabindex: 0, "aria-label": caption },
      make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body))));
  };
  const options = index.names.map((name) => [name, name]);
  const first = selectOf("first", options, show);
  const second = selectOf("second", options, show);
  panel.querySelector(".controls").replaceChildren(first.element, second.element);
  panel.append(out);
  const restore = () => {
    const [a, b] = address.list("compare");
    first.select.value = a ?? index.first[0];
    second.select.value = b ?? index.first[1];
    show();
  };
  restore();
  panel.dataset.drawn = "all";
};

// The problems of the same report.
const problemsBeside = (from) => {
  const panels = all(".panel.problems");
  return panels.find((panel) => from.closest("section section")?.contains(panel)) ?? panels[0];
};
