// Reads figures: by mouse, by tap and by arrow keys. Each mark says, on three lines, whose it is, where, and its value.

const tip = document.getElementById("tip");

// The places of a figure's visible marks in px of the page; marks at one place are read together, if not alone.
const stopsOf = (figure) => {
  const single = "single" in figure.dataset;
  const stops = new Map();
  for (const mark of all(".drawing svg.marks [data-says]:not(.off)", figure)) {
    const [series, place, value] = mark.dataset.says.split("\n");
    if (!place) continue;
    const box = mark.getBoundingClientRect();
    const at = { x: box.x + box.width / 2 + scrollX, y: box.y + box.height / 2 + scrollY };
    const key = single ? `${series}\n${place}` : place;
    if (!stops.has(key)) stops.set(key, { place, ...at, marks: [] });
    stops.get(key).marks.push({ series, value, mark });
  }
  return [...stops.values()].sort((a, b) => a.x - b.x || a.y - b.y);
};

const hideTip = () => {
  tip.hidden = true;
  all(".at").forEach((mark) => mark.classList.remove("at"));
};

const showTip = (stop, x, y) => {
  hideTip();
  const rows = stop.marks.map(({ series, value }) =>
    make("tr", {}, make("th", { scope: "row" }, series), make("td", {}, value)));
  tip.replaceChildren(make("table", {}, make("caption", {}, stop.place), make("tbody", {}, ...rows)));
  stop.marks.forEach(({ mark }) => mark.classList.add("at"));
  tip.hidden = false;
  const columns = Math.ceil((rows.length + 1) / (innerHeight / 32)); // more learners than fit below each other
  tip.classList.toggle("many", columns > 1);
  tip.style.maxWidth = columns > 1 ? `min(${18 * columns}rem, 95vw)` : "";
  tip.querySelector("tbody").style.cssText = columns > 1
    ? `display: grid; grid-auto-flow: column; grid-template-rows: repeat(${Math.ceil(rows.length / columns)}, auto)` : "";
  const { width, height } = tip.getBoundingClientRect();
  const right = scrollX + document.documentElement.clientWidth - width - 8;
  const below = y + 16 + height < scrollY + innerHeight;
  tip.style.left = `${Math.max(scrollX + 8, Math.min(x + 14, right))}px`;
  tip.style.top = `${below ? y + 14 : Math.max(scrollY + 4, y - height - 14)}px`;
};

const nearest = (stops, x, y, single) => {
  const distance = (stop) => single ? Math.hypot(stop.x - x, stop.y - y) : Math.abs(stop.x - x);
  return stops.reduce((best, stop) => (!best || distance(stop) < distance(best) ? stop : best), null);
};

// The next stop in the direction of an arrow: along the axis, or, among marks that are read alone, the nearest there.
const beyond = (stops, from, key, single) => {
  const i = stops.indexOf(from);
  if (key === "Home") return stops[0];
  if (key === "End") return stops.at(-1);
  if (!single) return stops[Math.min(stops.length - 1, Math.max(0, i + (key === "ArrowRight" ? 1 : -1)))];
  const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key];
  const ahead = stops.filter((stop) => (stop.x - from.x) * dx + (stop.y - from.y) * dy > 0.5);
  const aside = (stop) => Math.abs((stop.x - from.x) * dy) + Math.abs((stop.y - from.y) * dx);
  const away = (stop) => Math.abs((stop.x - from.x) * dx) + Math.abs((stop.y - from.y) * dy) + 3 * aside(stop);
  return ahead.reduce((best, stop) => (!best || away(stop) < away(best) ? stop : best), null) ?? from;
};

const readable = (figure) => {
  const place = figure.querySelector(".wide");
  const single = "single" in figure.dataset;
  let stops = [];
  let current = null;
  const renew = () => { stops = stopsOf(figure); };
  const point = (event) => {
    if (!stops.length || event.type !== "pointermove") renew();
    current = nearest(stops, event.pageX, event.pageY, single);
    if (current) showTip(current, event.pageX, event.pageY);
  };
  place.addEventListener("pointerenter", renew);
  place.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") point(event); });
  place.addEventListener("click", point);
  place.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") hideTip(); });
  place.addEventListener("blur", () => { current = null; hideTip(); });
  place.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hideTip();
    const arrows = single ? ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"] : ["ArrowLeft", "ArrowRight"];
    if (![...arrows, "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    const before = current;
    renew();
    if (!stops.length) return;
    const same = before && stops.find((stop) => stop.place === before.place
      && stop.marks[0].series === before.marks[0].series);
    current = same ? beyond(stops, same, event.key, single) : event.key === "End" ? stops.at(-1) : stops[0];
    const y = current.marks.length > 1 ? place.getBoundingClientRect().y + scrollY + 20 : current.y;
    showTip(current, current.x, y);
  });
};
