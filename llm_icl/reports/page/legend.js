// Which learners are shown: the same in all figures and in the overview, and part of the address.

const byDefault = new Map(all(".key").map((key) => [key.dataset.series, key.getAttribute("aria-pressed") === "true"]));
const chosen = new Map(); // what differs from that

const readChoice = () => {
  chosen.clear();
  address.list("show").forEach((name) => chosen.set(name, true));
  address.list("hide").forEach((name) => chosen.set(name, false));
};
const isShown = (name) => chosen.get(name) ?? byDefault.get(name) ?? true;

// Within a figure, or everywhere.
const applyChoice = (within = document) => {
  for (const mark of all(".drawing svg.marks [data-says]", within)) {
    const [series] = mark.dataset.says.split("\n");
    if (byDefault.has(series)) mark.classList.toggle("off", !isShown(series));
  }
  if (within !== document) return;
  all(".key").forEach((key) => key.setAttribute("aria-pressed", isShown(key.dataset.series)));
  all(".matrix [data-series]").forEach((cell) => { cell.hidden = !isShown(cell.dataset.series); });
};

const toggle = (name) => {
  chosen.set(name, !isShown(name));
  if (chosen.get(name) === byDefault.get(name)) chosen.delete(name);
  const named = (shown) => [...chosen].filter(([, value]) => value === shown).map(([key]) => key);
  address.set("show", named(true));
  address.set("hide", named(false));
  applyChoice();
};
