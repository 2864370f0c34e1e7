// Every answer of every learner, from columns of numbers: filters, a list, and what is behind one answer.

const NO_PROBABILITY = 65535;

// The columns, and where the answers of each cell begin: learner by learner, problem by problem, position by position.
const answersOf = async (panel, index) => {
  const column = (name) => panel.querySelector(`.column[data-name="${name}"]`);
  const [codes, probabilities, truths, bits, shown] = await Promise.all(
    ["answers", "probabilities", "truths", "bits", "shown"].map((name) => bytesOf(column(name))));
  let answer = 0;
  let query = 0;
  let bit = 0;
  let label = 0;
  const cells = index.cells.map((cell) => {
    const [problems, positions] = [cell.ids.length, cell.positions.length];
    const begun = { ...cell, problems, width: positions, answer, query, bit, label };
    answer += cell.learners.length * problems * positions;
    query += problems * positions;
    bit += problems * cell.points * cell.n;
    label += problems * cell.points;
    return begun;
  });
  const given = new Uint8Array(codes);
  const missing = new Set(["too_long", "error"].map((status) => index.statuses.indexOf(status) + 3));
  return { cells, size: answer, asked: given.reduce((sum, code) => sum + (code > 0), 0), missing, codes: given,
    probabilities: new Uint16Array(probabilities),
    truths: new Uint8Array(truths), bits: new Uint8Array(bits), shown: new Uint8Array(shown), texts: new Map(),
    parameters: null };
};

// One answer by its number.
const answerAt = (data, id) => {
  const cell = data.cells.findLast((one) => one.answer <= id);
  const inside = id - cell.answer;
  const queries = cell.problems * cell.width;
  const learner = Math.floor(inside / queries);
  const query = inside % queries;
  const problem = Math.floor(query / cell.width);
  const truth = data.truths[cell.query + query];
  return { id, cell, learner, query, problem, position: cell.positions[query % cell.width], code: data.codes[id],
    truth: truthOf(truth), seen: Boolean(truth & 2), probability: data.probabilities[id] };
};

// The label; null where no answer is right or wrong.
const truthOf = (truth) => truth & 4 ? null : truth & 1;

// Codes: 0 not asked, 1 and 2 the answers 0 and 1, then the statuses of what is no answer.
const kindOf = (code, truth) =>
  code > 2 ? "none" : truth === null ? "answered" : code - 1 === truth ? "right" : "wrong";

// Whether two codes are different answers as `compare` counts them: all that count but are no answer are alike.
const differ = (data, one, other) => {
  const label = (code) => code > 2 ? 0 : code;
  return [one, other].every((code) => code > 0 && !data.missing.has(code)) && label(one) !== label(other);
};

// Numbers of the answers that pass; `wanted` are task, n, seed, learner, position, kind, other.
const passing = (data, wanted) => {
  const found = new Uint32Array(data.size);
  let count = 0;
  for (const cell of data.cells) {
    if ((wanted.task && cell.task !== wanted.task) || (wanted.n && String(cell.n) !== wanted.n)) continue;
    const queries = cell.problems * cell.width;
    const seeds = wanted.seed ? cell.ids.map(([seed]) => String(seed)) : null;
    const other = wanted.other ? cell.learners.indexOf(wanted.other) : -1;
    if (wanted.other && other < 0) continue;
    const split = wanted.kind === "differ" && !wanted.other ? differing(data, cell) : null;
    cell.learners.forEach((name, learner) => {
      if (wanted.learner && name !== wanted.learner) return;
      const start = cell.answer + learner * queries;
      for (let query = 0; query < queries; query++) {
        const code = data.codes[start + query];
        if (code === 0) continue;
        if (seeds && seeds[Math.floor(query / cell.width)] !== wanted.seed) continue;
        if (wanted.position && String(cell.positions[query % cell.width]) !== wanted.position) continue;
        if (wanted.kind === "differ") {
          if (split && !split[query]) continue;
          if (other >= 0 && !differ(data, code, data.codes[cell.answer + other * queries + query])) continue;
        } else if (wanted.kind && kindOf(code, truthOf(data.truths[cell.query + query])) !== wanted.kind) continue;
        found[count++] = start + query;
      }
    });
  }
  return found.subarray(0, count);
};

// Queries of a cell to which some learners answer 0 and some 1.
const differing = (data, cell) => {
  const queries = cell.problems * cell.width;
  const given = new Uint8Array(queries);
  cell.learners.forEach((_, learner) => {
    const start = cell.answer + learner * queries;
    for (let query = 0; query < queries; query++) {
      const code = data.codes[start + query];
      if (code === 1 || code === 2) given[query] |= code;
    }
  });
  return given.map((answers) => answers === 3 ? 1 : 0);
};

// Prompts and replies of a cell, by learner and problem.
const textsOf = async (panel, data, cell) => {
  const name = `texts-${data.cells.indexOf(cell)}`;
  if (!data.texts.has(name)) {
    const column = panel.querySelector(`.column[data-name="${name}"]`);
    const rows = column ? JSON.parse(await textOf(column)) : [];
    const found = new Map();
    for (const [learner, problem, positions, prompt, reply] of rows) {
      const key = learner * cell.problems + problem;
      if (!found.has(key)) found.set(key, []);
      found.get(key).push({ positions, prompt, reply, lower: `${prompt}\n${reply}`.toLowerCase() });
    }
    data.texts.set(name, found);
  }
  return data.texts.get(name);
};

const exchangesOf = (texts, answer) =>
  (texts.get(answer.learner * answer.cell.problems + answer.problem) ?? [])
    .filter(({ positions }) => positions.includes(answer.position));

const containing = async (panel, data, ids, words) => {
  const lower = words.toLowerCase();
  const found = [];
  let texts = new Map();
  let cell = null;
  let key = -1;
  let hits = [];
  for (const id of ids) {
    const answer = answerAt(data, id);
    if (answer.cell !== cell) {
      cell = answer.cell;
      texts = await textsOf(panel, data, cell);
      key = -1;
    }
    if (!texts.size) continue;
    const of = answer.learner * cell.problems + answer.problem;
    if (of !== key) {
      key = of;
      hits = (texts.get(key) ?? []).filter((one) => one.lower.includes(lower));
    }
    if (hits.some(({ positions }) => positions.includes(answer.position))) found.push(id);
  }
  return Uint32Array.from(found);
};

const saysOf = (data, index, answer) => {
  const said = answer.code > 2 ? index.statuses[answer.code - 3].replace("_", " ") : String(answer.code - 1);
  return answer.probability === NO_PROBABILITY ? said : `${said}, P(1) = ${(answer.probability / 1000).toFixed(3)}`;
};

// What is behind one answer: the function, the points, the prompt and reply, and what every learner answered.
const detailOf = async (panel, data, index, answer) => {
  const { cell, problem, query } = answer;
  const queries = cell.problems * cell.width;
  const [seed, number] = cell.ids[problem];
  data.parameters ??= JSON.parse(await textOf(panel.querySelector(".column[data-name=functions]")));
  const functionText = data.parameters[data.cells.indexOf(cell)][problem] ?? "";
  const title = `${cell.title}: problem ${number}${seed ? `, seed ${seed}` : ""}, position ${answer.position}`;
  const trueLabel = answer.truth === null ? "" : `; the true label is ${answer.truth}`;
  const points = [];
  const size = cell.sizes?.[problem] ?? cell.points; // runs may have drawn different numbers of points
  for (let k = 0; k < size && k <= answer.position; k++) {
    const start = cell.bit + (problem * cell.points + k) * cell.n;
    let bits = "";
    for (let i = start; i < start + cell.n; i++) bits += (data.bits[i >> 3] >> (7 - (i & 7))) & 1;
    const at = cell.label + problem * cell.points + k;
    const label = (data.shown[at >> 3] >> (7 - (at & 7))) & 1;
    points.push(make("div", { class: k === answer.position ? "query" : "" },
      `${String(k).padStart(3)}  ${bits}  ${k === answer.position ? `?${trueLabel && ` (true label ${answer.truth})`}` : label}`));
  }
  const permuted = cell.learners[answer.learner].includes(index.shuffled)
    ? "This control was shown the labels of the points below in another order." : "";
  const rows = cell.learners.map((name, learner) => {
    const one = answerAt(data, cell.answer + learner * queries + query);
    if (one.code === 0) return null;
    const kind = kindOf(one.code, one.truth);
    return make("tr", { class: learner === answer.learner ? "strong" : "" }, make("th", { scope: "row" }, name),
      make("td", { "data-label": "answer" }, saysOf(data, index, one)),
      ...(index.scored ? [make("td", { "data-label": "" }, kind === "none" ? "no answer" : kind)] : []));
  }).filter(Boolean);
  const head = make("tr", {}, ...["learner", "answer", ...(index.scored ? ["right"] : [])].map((name) => make("th", { scope: "col" }, name)));
  const texts = exchangesOf(await textsOf(panel, data, cell), answer);
  const exchanges = texts.flatMap(({ prompt, reply }) => [
    make("h4", {}, "Prompt"), make("pre", { tabindex: 0 }, prompt),
    make("h4", {}, "Reply"), make("pre", { tabindex: 0 }, reply || "(the probabilities of the labels only)")]);
  return [
    make("h3", {}, title),
    make("p", { class: "soft" }, `${answer.seen ? "The query is among its examples" : "The query is unseen"}`
      + `${trueLabel}.${functionText ? ` Function: ${functionText}` : ""}`),
    permuted && make("p", { class: "soft" }, permuted),
    points.length ? make("pre", { class: "points", tabindex: 0, "aria-label": "Points with their labels" }, ...points) : "",
    make("div", { class: "wide" }, make("table", {}, make("caption", {}, "What every learner answered"),
      make("thead", {}, head), make("tbody", {}, ...rows))),
    ...(exchanges.length ? exchanges : [make("p", { class: "soft" }, cell.texts
      ? "This learner has no prompt, or its prompt is not in the sample." : "No prompts are kept for this cell.")]),
  ];
};

// The keys of a panel in the address: a report of several kinds has several panels.
const keyOf = (panel) => {
  const place = all(".panel.problems").indexOf(panel);
  return (name) => place > 0 ? `${name}${place + 1}` : name;
};

const explore = async (panel) => {
  const index = JSON.parse(await textOf(panel.querySelector(".index")));
  const data = await answersOf(panel, index);
  const key = keyOf(panel);
  const some = (values) => [["", "all"], ...[...new Set(values)].map((value) => [String(value), String(value)])];
  const names = data.cells.flatMap((cell) => cell.learners);
  const seeds = [...new Set(data.cells.flatMap((cell) => cell.ids.map(([seed]) => seed)))];
  const scored = index.scored ? [["right", "right"], ["wrong", "wrong"]] : [];
  const kinds = [["", "all"], ...scored, ["none", "no answer"], ["differ", "learners differ"]];
  let ids = new Uint32Array();
  let turn = 0;
  const list = listOf("Answers", (i) => {
    const answer = answerAt(data, ids[i]);
    const kind = kindOf(answer.code, answer.truth);
    const [seed, number] = answer.cell.ids[answer.problem];
    const said = kind === "answered" ? [] : [make("span", { class: kind }, kind === "none" ? "no answer" : kind)];
    return [...said, make("span", { class: "soft" }, saysOf(data, index, answer)),
      make("span", {}, `problem ${number}${seed ? ` (seed ${seed})` : ""}, position ${answer.position}`),
      make("span", {}, `${answer.cell.title}: ${answer.cell.learners[answer.learner]}`)];
  }, (i) => open(ids[i]));
  const detail = make("div", { class: "detail" });
  const count = make("p", { class: "soft", role: "status" });
  const open = async (id) => {
    address.set(key("item"), String(id));
    detail.replaceChildren(...await detailOf(panel, data, index, answerAt(data, id)));
    const points = detail.querySelector(".points");
    if (points) points.scrollTop = points.scrollHeight; // the query is the last
  };
  const filter = async () => {
    const mine = ++turn;
    const wanted = Object.fromEntries(Object.entries(choices).map(([name, { select }]) => [name, select.value]));
    if (wanted.kind !== "differ") wanted.other = "";
    choices.other.element.hidden = wanted.kind !== "differ";
    for (const [name, value] of Object.entries({ ...wanted, text: text.value })) address.set(key(name), value);
    let found = passing(data, wanted);
    if (text.value) found = await containing(panel, data, found, text.value);
    if (mine !== turn) return;
    ids = found;
    count.textContent = `${ids.length.toLocaleString("en")} of ${data.asked.toLocaleString("en")} answers`;
    panel.dataset.count = ids.length;
    panel.dataset.turn = turn;
    list.fill(ids.length);
  };
  const choices = {
    task: selectOf("task", some(data.cells.map((cell) => cell.task)), filter),
    n: selectOf("n", some(data.cells.map((cell) => cell.n)), filter),
    ...(seeds.length > 1 && { seed: selectOf("seed", some(seeds), filter) }),
    learner: selectOf("learner", some(names), filter),
    position: selectOf("position", some(data.cells.flatMap((cell) => cell.positions).sort((a, b) => a - b)), filter),
    kind: selectOf("answers", kinds, filter),
    other: selectOf("from", [["", "any learner"], ...some(names).slice(1)], filter),
  };
  const text = make("input", { type: "search", oninput: () => filter() });
  panel.querySelector(".controls").replaceChildren(
    ...Object.values(choices).map(({ element }) => element), make("label", {}, "text in prompt or reply", text));
  panel.append(count, make("div", { class: "explore" }, list.element, detail));
  const restore = async () => {
    for (const [name, { select }] of Object.entries(choices)) select.value = address.get(key(name));
    if (!choices.learner.select.value && !address.get(key("kind")) && !address.get(key("item"))) choices.learner.select.value = index.first;
    text.value = address.get(key("text"));
    const item = address.get(key("item"));
    await filter();
    if (/^\d+$/.test(item) && Number(item) < data.size) await open(Number(item));
  };
  await restore();
  panel.addEventListener("show", restore);
  panel.dataset.drawn = "all";
};
