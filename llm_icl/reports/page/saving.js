// Saves a figure as it is chosen: on white, with its legend, under its own name.

const SVG = "http://www.w3.org/2000/svg";
const part = (tag, attributes, text = "") => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
};

const drawingToSave = (figure) => {
  const drawing = figure.querySelector("svg.marks").cloneNode(true);
  all(".off", drawing).forEach((mark) => mark.remove());
  const keys = all(".key[aria-pressed=true]", figure.querySelector(".legend") ? figure : figure.closest(".beside")?.parentElement ?? figure);
  const width = Number(drawing.getAttribute("width"));
  let height = Number(drawing.getAttribute("height"));
  const seen = new Set();
  let x = 12;
  let y = height + 14;
  for (const key of keys) {
    const name = key.dataset.series;
    if (seen.has(name)) continue;
    seen.add(name);
    const wide = 34 + 6.6 * name.length;
    if (x > 12 && x + wide > width) [x, y] = [12, y + 18];
    const line = key.querySelector("line");
    drawing.append(
      part("line", { x1: x, x2: x + 20, y1: y - 4, y2: y - 4, stroke: line.getAttribute("stroke"), "stroke-width": 3,
        "stroke-dasharray": line.getAttribute("stroke-dasharray") ?? "" }),
      part("text", { x: x + 26, y, "font-family": "sans-serif", "font-size": 11, fill: "#1c1e21" }, name),
    );
    x += wide + 12;
  }
  if (seen.size) height = y + 10;
  drawing.prepend(part("rect", { width, height, fill: "#ffffff" }));
  drawing.setAttribute("xmlns", SVG);
  drawing.setAttribute("height", height);
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return { source: new XMLSerializer().serializeToString(drawing), width, height };
};

const download = (address, name) => make("a", { href: address, download: name }).click();

const savable = (figure) => {
  const name = figure.dataset.file;
  const asSvg = () => {
    const { source } = drawingToSave(figure);
    const link = URL.createObjectURL(new Blob([source], { type: "image/svg+xml" }));
    download(link, `${name}.svg`);
    setTimeout(() => URL.revokeObjectURL(link), 1000);
  };
  const asPng = () => {
    const { source, width, height } = drawingToSave(figure);
    const image = new Image();
    image.onload = () => {
      const canvas = make("canvas", { width: 3 * width, height: 3 * height });
      canvas.getContext("2d").drawImage(image, 0, 0, 3 * width, 3 * height);
      download(canvas.toDataURL("image/png"), `${name}.png`);
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  };
  const title = figure.querySelector("figcaption").textContent;
  for (const [form, save] of [["SVG", asSvg], ["PNG", asPng]]) {
    figure.append(make("button", { type: "button", class: "save", "aria-label": `Save ${form}: ${title}`, onclick: save },
      `Save ${form}`));
  }
};
