// What is opened and chosen is in the address, #ANCHOR&key=value&…, so that a view can be sent to a colleague.

const address = (() => {
  let anchor = "";
  let values = new Map();
  const plain = (text) => {
    try {
      return decodeURIComponent(text);
    } catch { return text; } // written by hand, with a % that encodes nothing
  };
  const read = () => {
    const parts = location.hash.slice(1).split("&").filter(Boolean);
    anchor = parts.length && !parts[0].includes("=") ? plain(parts.shift()) : "";
    values = new Map(parts.map((part) => {
      const [key, value = ""] = part.split("=");
      return [key, value.split(",").filter(Boolean).map(plain)];
    }));
  };
  const write = (how = "replaceState") => {
    const parts = [...values].filter(([, list]) => list.length)
      .map(([key, list]) => `${key}=${list.map(encodeURIComponent).join(",")}`);
    const hash = [anchor && encodeURIComponent(anchor), ...parts].filter(Boolean).join("&");
    try {
      history[how](null, "", `#${hash}`);
    } catch { /* a page within another one has no address of its own */ }
  };
  read();
  return {
    read,
    get anchor() { return anchor; },
    go: (value) => { anchor = value; write("pushState"); },
    list: (key) => values.get(key) ?? [],
    get: (key) => values.get(key)?.[0] ?? "",
    set: (key, list) => { values.set(key, [list].flat().filter((value) => value !== "")); write(); },
  };
})();
