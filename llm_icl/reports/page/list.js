// A list of any length: only the rows in view are made. One tab stop; arrow keys move the choice.

const ROW = 28; // px, as in the style

let lists = 0;

const listOf = (label, rowOf, onChoose) => {
  const name = `row${lists++ || ""}`;
  const space = make("div");
  const list = make("div", { class: "list", role: "listbox", tabindex: 0, "aria-label": label }, space);
  let count = 0;
  let selected = -1;
  const draw = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
    const last = Math.min(count, first + Math.ceil((list.clientHeight || 400) / ROW) + 10);
    const rows = [];
    for (let i = first; i < last; i++) {
      const row = make("div", { role: "option", id: `${name}-${i}`, "aria-selected": i === selected, "aria-setsize": count,
        "aria-posinset": i + 1, style: `top: ${i * ROW}px`, onclick: () => choose(i) }, ...rowOf(i));
      rows.push(row);
    }
    space.replaceChildren(...rows);
  };
  const choose = (i) => {
    selected = i;
    if (i * ROW < list.scrollTop) list.scrollTop = i * ROW;
    if ((i + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (i + 1) * ROW - list.clientHeight;
    list.setAttribute("aria-activedescendant", `${name}-${i}`);
    draw();
    onChoose(i);
  };
  list.addEventListener("scroll", () => requestAnimationFrame(draw));
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -count, End: count }[event.key];
    if (!by || !count) return;
    event.preventDefault();
    choose(Math.max(0, Math.min(count - 1, (selected < 0 && by > 0 ? -1 : selected) + by)));
  });
  const fill = (length) => {
    count = length;
    selected = -1;
    list.scrollTop = 0;
    list.removeAttribute("aria-activedescendant");
    space.style.height = `${count * ROW}px`;
    draw();
  };
  return { element: list, fill, choose };
};

// A labelled choice; options are [value, text] pairs.
const selectOf = (label, options, onchange) => {
  const select = make("select", { onchange }, ...options.map(([value, text]) => make("option", { value }, text)));
  return { element: make("label", {}, label, select), select };
};
