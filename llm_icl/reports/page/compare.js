// Two learners on the same problems, or one on those of two seeds: the difference in each cell, as it was computed for
// the report.

const EVERY = "all"; // the problems of all seeds

const compare = async (panel) => {
  const index = JSON.parse(await textOf(panel.querySelector(".index")));
  const pairs = new Map(index.pairs.map(([a, b, seed, rows]) => [`${a},${b},${seed ?? EVERY}`, rows]));
  const between = new Map(index.between.map(([a, one, other, rows]) => [`${a},${one},${other}`, rows]));
  const out = make("div");
  const points = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)}`;
  const interval = (low, high) => low === null ? " [too few]" : ` [${points(low)}, ${points(high)}]`;
  const flipped = (low, high) => [high === null ? null : -high, low === null ? null : -low];
  const sharedOf = (a, b, seed) => pairs.get(`${a},${b},${seed}`)
    ?? pairs.get(`${b},${a},${seed}`)?.map(([cell, value, low, high, ...rest]) =>
      [cell, -value, ...flipped(low, high), ...rest]);
  const betweenOf = (a, one, other) => between.get(`${a},${one},${other}`)
    ?? between.get(`${a},${other},${one}`)?.map(([cell, value, low, high, problems, others]) =>
      [cell, -value, ...flipped(low, high), others, problems]);

  // Opens the problems on which two differ.
  const look = (a, b, seed, cell) => {
    const problems = problemsBeside(panel);
    if (!problems) return;
    const key = keyOf(problems);
    const { task, n } = index.cells[cell];
    for (const [name, wanted] of Object.entries({ task, n: String(n), seed: seed === EVERY ? "" : seed, kind: "differ",
      learner: index.names[a], other: index.names[b], item: "", position: "", text: "" })) address.set(key(name), wanted);
    reveal(problems.closest("details.part").id);
    problems.dispatchEvent(new Event("show"));
  };
  const table = (caption, names, rows) => {
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name)));
    const body = rows.map(([cell, ...values]) => make("tr", {}, make("th", { scope: "row" }, index.cells[cell].title),
      ...values.map((value, i) => make("td", { "data-label": names[i + 1] }, value))));
    return make("div", { class: "wide", role: "group", tabindex: 0, "aria-label": caption },
      make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body)));
  };
  const shared = (a, b, seed) => {
    const rows = sharedOf(a, b, seed);
    if (!rows) {
      return make("p", {}, a < 0 || b < 0 ? "Choose two of these learners."
        : "Nothing was computed for these two: they share no problems, or neither is a model or network of this report.");
    }
    const on = seed === EVERY ? "" : ` on seed ${seed}`;
    return table(`Accuracy of ${index.names[a]} minus ${index.names[b]}${on}, paired by problem`,
      ["cell", "difference (points) [95 %]", "problems", "problems that differ"],
      rows.map(([cell, value, low, high, problems, differing]) => [cell,
        differing ? points(value) + interval(low, high) : "identical", String(problems), differing
          ? make("button", { type: "button", onclick: () => look(a, b, seed, cell) }, `${differing}: show them`) : "0"]));
  };
  const apart = (a, one, other) => {
    const rows = betweenOf(a, one, other);
    if (!rows) return make("p", {}, "It has no answers on one of these seeds.");
    return table(`Accuracy of ${index.names[a]} on seed ${one} minus that on seed ${other}, of different problems`,
      ["cell", "difference (points) [95 %]", `problems of seed ${one}`, `problems of seed ${other}`],
      rows.map(([cell, value, low, high, ...problems]) =>
        [cell, points(value) + interval(low, high), ...problems.map(String)]));
  };
  const show = () => {
    const [a, b] = [first.select, second.select].map((select) => index.names.indexOf(select.value));
    const [one, other] = index.seeds.length ? [firstSeed.select.value, secondSeed.select.value] : [EVERY, EVERY];
    address.set("compare", [first.select.value, second.select.value]);
    if (index.seeds.length) address.set("seeds", [one, other]);
    const found = () => {
      if (one === other) return a === b ? make("p", {}, "Choose two different learners.") : shared(a, b, one);
      if (a === b && one !== EVERY && other !== EVERY) return apart(a, one, other);
      return make("p", {}, "Choose the same problems for both, or one learner on two seeds.");
    };
    out.replaceChildren(found());
  };
  const options = index.names.map((name) => [name, name]);
  const seeds = [[EVERY, "all problems"], ...index.seeds.map((seed) => [String(seed), `seed ${seed}`])];
  const first = selectOf("first", options, show);
  const second = selectOf("second", options, show);
  const firstSeed = selectOf("first on", seeds, show);
  const secondSeed = selectOf("second on", seeds, show);
  const chosen = index.seeds.length ? [first, firstSeed, second, secondSeed] : [first, second];
  panel.querySelector(".controls").replaceChildren(...chosen.map(({ element }) => element));
  panel.append(out);
  const restore = () => {
    const [a, b] = address.list("compare");
    first.select.value = a ?? index.names[0];
    second.select.value = b ?? index.names[1] ?? index.names[0];
    const [one, other] = address.list("seeds");
    firstSeed.select.value = one ?? EVERY;
    secondSeed.select.value = other ?? EVERY;
    show();
  };
  panel.addEventListener("show", restore);
  restore();
  panel.dataset.drawn = "all";
};

// The problems of the same report.
const problemsBeside = (from) => {
  const panels = all(".panel.problems");
  return panels.find((panel) => from.closest("section section")?.contains(panel)) ?? panels[0];
};
