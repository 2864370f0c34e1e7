// Brings the page to life, and to the view that the address says.

const PANELS = { problems: explore, compare };

const startPanels = async () => {
  for (const panel of all(".panel:not([data-started])").filter(isOpen)) {
    if ("started" in panel.dataset) continue; // by another part that was opened meanwhile
    panel.dataset.started = "";
    await PANELS[panel.classList[1]](panel);
  }
};

const opened = async (part) => {
  if (part.open) {
    await drawOpened(part);
    await startPanels();
  }
  const parts = all("details.part[id]");
  address.set("open", parts.filter((one) => one.open && !one.dataset.open).map((one) => one.id));
  address.set("closed", parts.filter((one) => !one.open && one.dataset.open).map((one) => one.id));
};

// Opens a part with all that it is in, and goes there.
const reveal = (id) => {
  const part = document.getElementById(id);
  if (!part) return;
  for (let each = part.closest("details"); each; each = each.parentElement.closest("details")) each.open = true;
  part.scrollIntoView();
  part.querySelector("summary")?.focus({ preventScroll: true });
};

const restore = async () => {
  readChoice();
  applyChoice();
  overviews.forEach((show) => show());
  address.list("closed").map((id) => document.getElementById(id)).forEach((part) => { if (part) part.open = false; });
  address.list("open").map((id) => document.getElementById(id)).forEach((part) => { if (part) part.open = true; });
  if (address.anchor) reveal(address.anchor);
  await drawOpened();
  await startPanels();
};

all("details.part[open]").forEach((part) => { part.dataset.open = "true"; });
all("details").forEach((part) => part.addEventListener("toggle", () => opened(part)));
all("figure").forEach((figure) => { readable(figure); savable(figure); });
addEventListener("hashchange", async () => {
  address.read();
  const started = all(".panel[data-started]");
  await restore();
  started.forEach((panel) => panel.dispatchEvent(new Event("show"))); // what is chosen in them is in the address too
});
addEventListener("beforeprint", printed);
addEventListener("afterprint", closeAgain);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault(); // what is chosen stays in the address
    const id = decodeURIComponent(link.hash.slice(1));
    address.go(id);
    reveal(id);
  }
  const key = event.target.closest(".key");
  if (key) toggle(key.dataset.series);
  const more = event.target.closest("button.more");
  if (more) {
    const less = more.closest("table").classList.toggle("less");
    more.setAttribute("aria-pressed", !less);
    more.textContent = less ? "more columns" : "fewer columns";
  }
  const why = event.target.closest("button.why");
  for (const button of all("button.why")) {
    const open = button === why && button.nextElementSibling.hidden;
    button.nextElementSibling.hidden = !open;
    button.setAttribute("aria-expanded", open);
  }
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  all(".meaning").forEach((meaning) => { meaning.hidden = true; });
  all("button.why").forEach((button) => button.setAttribute("aria-expanded", false));
});
restore().then(() => {
  document.body.dataset.drawn = "all";
  prepareToPrint();
});
