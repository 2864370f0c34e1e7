// Figures are packed until the part that they are in is opened.

const unpacked = new Map(); // from an element to its drawing

const unpack = async (packed) => {
  if (!unpacked.has(packed)) unpacked.set(packed, await textOf(packed));
  return unpacked.get(packed);
};

const insert = (packed) => {
  const figure = packed.closest("figure");
  packed.parentElement.innerHTML = unpacked.get(packed); // made by the report's own drawing, which escapes all text
  applyChoice(figure);
};

const isOpen = (element) => {
  for (let part = element.closest("details"); part; part = part.parentElement.closest("details")) {
    if (!part.open) return false;
  }
  return true;
};

const drawOpened = async (within = document) => {
  for (const packed of all("script.packed", within).filter(isOpen)) {
    await unpack(packed);
    if (packed.isConnected) insert(packed);
  }
};

// A printer takes the page as it is at once: drawings are unpacked before, when there is nothing else to do.
const prepareToPrint = async () => {
  for (const packed of all("script.packed")) {
    await unpack(packed);
    await new Promise((go) => (window.requestIdleCallback ?? setTimeout)(go));
  }
  document.body.dataset.ready = "print";
};

const openedToPrint = [];

const printed = () => {
  openedToPrint.push(...all("details:not([open])"));
  openedToPrint.forEach((part) => { part.open = true; });
  all("script.packed").filter((packed) => unpacked.has(packed)).forEach(insert);
};

const closeAgain = () => openedToPrint.splice(0).forEach((part) => { part.open = false; });
