// Packed data: gzip in base64, read by the browser itself and off the page's thread.

const streamOf = async (packed) => {
  const { body } = await fetch(`data:application/gzip;base64,${packed.textContent.trim()}`);
  return new Response(body.pipeThrough(new DecompressionStream("gzip")));
};
const textOf = async (packed) => (await streamOf(packed)).text();
const bytesOf = async (packed) => (await streamOf(packed)).arrayBuffer();

// An element with attributes and children; texts are text, never markup.
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
