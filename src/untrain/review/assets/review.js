"use strict";
// The review page. With a server, decisions go there and come from there; in a page that is one file, they stay in it.
// Every text is set as text, never as markup.
(() => {
const $ = id => document.getElementById(id);
const built = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
let texts = {};
const t = (text, values = {}) => (texts[text] || text).replace(/\{(\w+)\}/g, (_, name) => values[name]);

// ---- Where decisions live -------------------------------------------------------------------------------------------
async function asked(path, options) {
  const response = await fetch(path, {credentials: "same-origin", ...options});
  const content = await response.json();
  if (!response.ok) throw new Error(content.error || response.statusText);
  return content;
}

const server = {
  version: "",
  begin: () => asked("/api/case"),
  async current() { return server.taken(await asked("/api/decisions?since=" + encodeURIComponent(server.version))); },
  async write(changes) {
    const body = JSON.stringify({changes});
    return server.taken(await asked("/api/decisions", {method: "POST", headers: {"Content-Type": "application/json"}, body}));
  },
  taken(content) { server.version = content.version; return content.answers; },
  example: position => asked("/api/example/" + position),
  alike: position => asked("/api/alike/" + position),
  members: label => asked("/api/class/" + label),
  picture: (position, size) => "/picture/" + size + "/" + position,
};

function page(content) {
  const kept = "untrain-review-" + content.digest;
  let all = new Map(content.answers.map(answer => [answer.position, answer])), before = "";
  const load = () => {
    let text = null;
    try { text = localStorage.getItem(kept); } catch { /* a page without storage keeps decisions until it is closed */ }
    if (text === null || text === before) return false;
    before = text;
    all = new Map(JSON.parse(text).map(answer => [answer.position, answer]));
    return true;
  };
  const list = () => [...all.values()];
  return {
    begin: async () => { load(); return content.case; },
    first: list,
    async current() { return load() ? list() : null; },
    async write(changes) {
      load();
      const latest = Math.max(Date.now(), ...list().map(answer => Date.parse(answer.decided) + 1 || 0));
      for (const change of changes) {
        const conflict = (all.get(change.position) || {}).conflict || "";
        if (!change.wrong && !conflict) { all.delete(change.position); continue; }
        const decided = change.wrong ? new Date(latest).toISOString() : "";
        all.set(change.position, {...change, conflict, decided, label: content.details[change.position].label});
      }
      before = JSON.stringify(list());
      try { localStorage.setItem(kept, before); } catch { tell(t("This browser keeps nothing: download the decisions before you close the page.")); }
      return list();
    },
    example: async position => content.details[position],
    alike: async position => content.alike[position],
    members: async label => content.case.suspects.filter(position => content.details[position].label === label),
    picture: position => content.pictures[position],
    file() {
      const rows = content.case.suspects.map(position => {
        const {wrong = "", corrected = null, conflict = "", decided = ""} = all.get(position) || {};
        const right = corrected === null ? "" : content.classCells[corrected];
        return [wrong, content.rows[position], right, conflict && '"' + conflict.replace(/"/g, '""') + '"', decided].join(",");
      });
      const text = ["wrong,id,label,suggested,score,corrected,conflict,decided", ...rows, ""].join("\r\n");
      return (/^[\x00-\x7f]*$/.test(text) ? "" : "\ufeff") + text;
    },
  };
}

// ---- State ----------------------------------------------------------------------------------------------------------
const inside = $("static");
const store = inside ? page(JSON.parse(inside.textContent)) : server;
let known, index = new Map(), answers = new Map(), order = [], at = null, past = [], shownAt = 0, finished = false;
let busy = Promise.resolve();
const filters = {label: "", suggested: "", score: "", status: ""};
const grid = {open: false, positions: [], chosen: new Set(), at: 0, from: 0, columns: 1, tiles: new Map()};

const answer = position => answers.get(position) || {wrong: "", corrected: null, conflict: ""};
const isDecided = position => answer(position).wrong !== "";
const name = label => known.classes[label];
const undecided = () => known.suspects.filter(position => !isDecided(position));

function take(list) {
  if (list) answers = new Map(list.map(each => [each.position, each]));
  return Boolean(list);
}

function tell(problem) { $("problem").textContent = problem; $("problem").hidden = !problem; }
function announce(text) { $("live").textContent = text; }

// ---- How many of those left are wrong: the same computation as untrain.review.remaining ------------------------------
function shareLeft(x, decided, wrong) {
  const mean = [0, 1, 0], precision = [1.5, .75, .25].map(deviation => deviation ** -2), three = [0, 1, 2];
  const design = value => [1, value, value * value];
  const chance = (mode, row) => 1 / (1 + Math.exp(-three.reduce((sum, i) => sum + mode[i] * row[i], 0)));
  const isLeft = x.map(() => true);
  decided.forEach(place => { isLeft[place] = false; });
  const left = x.filter((_, place) => isLeft[place]).map(design), rows = decided.map(place => design(x[place]));
  if (!left.length) return null;
  let mode = [...mean], hessian;
  for (let step = 0; step < 30; step++) {
    const gradient = three.map(i => -precision[i] * (mode[i] - mean[i]));
    hessian = three.map(i => three.map(j => i === j ? precision[i] : 0));
    rows.forEach((row, place) => {
      const p = chance(mode, row);
      three.forEach(i => { gradient[i] += row[i] * (wrong[place] - p); three.forEach(j => { hessian[i][j] += row[i] * row[j] * p * (1 - p); }); });
    });
    const move = times(inverse(hessian), gradient), size = Math.max(...move.map(Math.abs));
    mode = mode.map((value, i) => value + move[i] / Math.max(1, size));
    if (size < 1e-9) break;
  }
  const covariance = inverse(hessian), count = left.length, gradient = [0, 0, 0];
  let total = 0, own = 0;
  left.forEach(row => { const p = chance(mode, row), slope = p * (1 - p); total += p; own += slope; three.forEach(i => { gradient[i] += row[i] * slope / count; }); });
  const share = Math.min(Math.max(total / count, 1e-6), 1 - 1e-6);
  const variance = times(covariance, gradient).reduce((sum, value, i) => sum + value * gradient[i], 0) + own / count ** 2;
  const half = 1.96 * Math.sqrt(variance) / (share * (1 - share)), middle = Math.log(share / (1 - share));
  const back = value => 1 / (1 + Math.exp(-value));
  return {value: share, low: Math.floor(back(middle - half) * count) / count, high: Math.ceil(back(middle + half) * count) / count};
}
const times = (matrix, vector) => matrix.map(row => row.reduce((sum, value, i) => sum + value * vector[i], 0));
function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const A = e * i - f * h, B = f * g - d * i, C = d * h - e * g, determinant = a * A + b * B + c * C;
  return [[A, c * h - b * i, b * f - c * e], [B, a * i - c * g, c * d - a * f], [C, b * g - a * h, a * e - b * d]]
    .map(row => row.map(value => value / determinant));
}

// ---- Order and filters ------------------------------------------------------------------------------------------------
function matches(position) {
  const place = index.get(position);
  return (filters.label === "" || known.labels[place] === +filters.label)
    && (filters.suggested === "" || known.suggested[place] === +filters.suggested)
    && (filters.score === "" || known.scores[place] >= +filters.score);
}
function hasStatus(position) {
  const {wrong, conflict} = answer(position);
  return {"": true, undecided: !wrong, conflict: Boolean(conflict) && !wrong}[filters.status] ?? wrong === filters.status;
}
function sift() {
  order = known.suspects.filter(position => matches(position) && hasStatus(position));
  $("matching").textContent = t("{count} of {all} match", {count: order.length, all: known.suspects.length});
}

// ---- Deciding -----------------------------------------------------------------------------------------------------------
function words({wrong, corrected, conflict}) {
  if (wrong === "yes") return corrected === null ? "⌫ " + t("drop") : "✗ " + t("wrong, it is {name}", {name: name(corrected)});
  if (wrong === "no") return "✓ " + t("label is right");
  if (wrong === "unsure") return "? " + t("don't know");
  return conflict ? "⚡ " + t("reviewers differ: {answers}", {answers: conflict}) : "";
}

function later(work) {
  busy = busy.then(work).catch(error => tell(error instanceof TypeError ? t("The server does not answer; nothing more is saved until it runs again.") : error.message));
  return busy;
}

async function written(changes) {
  take(await store.write(changes.map(({position, wrong, corrected}) => ({position, wrong, corrected}))));
  tell("");
}

function targets() {
  if (!grid.open) return at === null ? [] : [at];
  return grid.chosen.size ? [...grid.chosen] : grid.positions.slice(grid.at, grid.at + 1);
}

function decide(make) {
  return later(async () => {
    const changes = [];
    for (const position of targets()) {
      const change = make(position);
      if (change) changes.push({position, corrected: null, ...change});
    }
    if (!changes.length) { announce(t("There is no suggestion to take; choose a class.")); return; }
    const earlier = changes.map(({position}) => ({position, wrong: answer(position).wrong, corrected: answer(position).corrected ?? null}));
    await written(changes);
    past.push(earlier);
    const said = changes.length > 1 ? t("{count} examples decided", {count: changes.length}) : words(answer(changes[0].position));
    grid.chosen.clear();
    if (!grid.open) await advance();
    refresh();
    announce(said + ". " + $("count").textContent + (at === null || grid.open ? "" : ". " + t("Next: {claim}", {claim: claim(at)})));
  });
}

const suggestion = position => { const place = index.get(position); return place === undefined ? null : known.suggested[place]; };
const givenLabel = position => index.has(position) ? known.labels[index.get(position)] : grid.label;
const takeSuggestion = position => {
  const label = suggestion(position);
  return label === null || label === givenLabel(position) ? null : {wrong: "yes", corrected: label};
};
const toClass = label => position => label === givenLabel(position) ? {wrong: "no"} : {wrong: "yes", corrected: label};

function undo() {
  return later(async () => {
    let changes = past.pop();
    if (!changes) {
      const latest = [...answers.values()].map(each => each.decided).filter(Boolean).sort().pop();
      if (!latest) { announce(t("There is nothing to undo.")); return; }
      changes = [...answers.values()].filter(each => each.decided === latest).map(each => ({position: each.position, wrong: "", corrected: null}));
    }
    await written(changes);
    sift();
    if (!grid.open) await show(changes[0].position);
    refresh();
    announce(t("Undone. ") + $("count").textContent);
  });
}

// The next that is undecided, after this one or from the start.
function following() {
  const pool = known.suspects.filter(matches);
  const start = pool.indexOf(at);
  return [...pool.slice(start + 1), ...pool.slice(0, start)].find(position => !isDecided(position));
}

async function advance() {
  const next = following();
  if (next === undefined) { finished = true; return; }
  await show(next);
}

function move(by) {
  return later(async () => {
    if (!order.length) return;
    const here = order.indexOf(at);
    const place = here < 0 ? order.findIndex(position => index.get(position) > index.get(at)) : here + by;
    await show(order[Math.min(Math.max(place, 0), order.length - 1)]);
    refresh();
    announce(claim(at) + ". " + words(answer(at)));
  });
}

// ---- One example ----------------------------------------------------------------------------------------------------------
const claim = position => suggestion(position) === null ? name(givenLabel(position)) : name(givenLabel(position)) + " → " + name(suggestion(position));

function image(position, size, description) {
  const picture = built("img", {alt: description, className: known.small ? "pixels" : "", decoding: "async"});
  picture.src = store.picture(position, size) || "data:,";
  return picture;
}

const number = value => Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(2) : String(+value.toPrecision(4));

function table(columns, label, suggested) {
  const head = [t("column"), t("value"), t("typical of {name}", {name: name(label)})];
  if (suggested !== null) head.push(t("typical of {name}", {name: name(suggested)}));
  const body = built("tbody", {}, ...columns.map(column => built("tr", {},
    built("td", {textContent: column.name}),
    built("td", {textContent: number(column.value), className: Math.abs(column.away) > 3 ? "far" : ""}),
    built("td", {textContent: number(column.typical)}),
    ...(suggested === null ? [] : [built("td", {textContent: number(column.suggested)})]))));
  return built("table", {}, built("caption", {className: "hidden", textContent: t("Columns that differ most from the class")}),
    built("thead", {}, built("tr", {}, ...head.map(text => built("th", {textContent: text, scope: "col"})))), body);
}

// What comes next is asked for while a person looks at this one.
const asking = new Map();
function example(position) {
  if (!asking.has(position)) {
    if (asking.size > 8) asking.delete(asking.keys().next().value);
    const answered = store.example(position);
    answered.catch(() => asking.delete(position));
    asking.set(position, answered);
  }
  return asking.get(position);
}
function ahead() {
  const next = following();
  if (next === undefined || next === at) return;
  example(next).catch(() => { /* it is asked for again when it is shown */ });
  if (known.kind === "picture") new Image().src = store.picture(next, "large") || "data:,";
}

async function show(position) {
  finished = false;
  const asked = example(position);
  at = position;
  if (known.kind === "picture") $("stage").replaceChildren(image(position, "large", t("labeled {name}", {name: name(givenLabel(position))})));
  const shown = await asked;
  if (at !== position) return;
  if (known.kind !== "picture") {
    $("stage").replaceChildren(shown.columns.length ? table(shown.columns, shown.label, shown.suggested) : built("p", {className: "written", textContent: shown.text}));
  }
  $("claim").replaceChildren(built("span", {className: "given"}, built("small", {textContent: t("label")}), name(shown.label)));
  if (shown.suggested !== null) $("claim").append("→", built("span", {className: "suggested"}, built("small", {textContent: t("suggested")}), name(shown.suggested)));
  const score = shown.score === null ? "" : known.probabilities ? t("wrong with probability {share} %", {share: (100 * shown.score).toFixed(1)}) : t("score {score}", {score: number(shown.score)});
  $("identity").textContent = [shown.id, score].filter(Boolean).join(" · ");
  $("view").replaceChildren(...(shown.view.length ? [built("h3", {textContent: t("What the model predicts (it has learned from this label)")}),
    built("div", {className: "shares"}, ...shown.view.flatMap(({label, share}) => [built("span", {textContent: name(label)}),
      built("meter", {value: share, min: 0, max: 1, ariaLabel: name(label)}), built("span", {textContent: (100 * share).toFixed(0) + " %"})]))] : []));
  showAlike(position);
}

// The nearest examples come when they are found; nobody waits for them.
async function showAlike(position) {
  if (known.kind === "row" || known.kind === "none") { ahead(); return; }
  $("alike").setAttribute("aria-busy", "true");
  const groups = await store.alike(position).catch(() => []);
  if (at !== position) return;
  $("alike").removeAttribute("aria-busy");
  $("alike").replaceChildren(...groups.flatMap(({label, positions, texts}) => [
    built("h3", {textContent: t("Nearest examples labeled {name}", {name: name(label)})}),
    known.kind === "text" ? built("ul", {className: "snippets"}, ...texts.map(text => built("li", {textContent: text})))
      : built("div", {className: "row"}, ...positions.map(each => image(each, "small", t("labeled {name}", {name: name(label)}))))]));
  performance.mark("alike");
  ahead();
}

// ---- Grid: only what is on the screen exists --------------------------------------------------------------------------------
const TILE = 112, HEIGHT = 134;
const tall = () => ({picture: HEIGHT, text: 120})[known.kind] || 64;

async function fillGrid() {
  const of = $("grid-of").value;
  grid.label = of === "" ? null : +of;
  grid.positions = of === "" ? [...order] : await store.members(+of);
  grid.chosen.clear();
  grid.at = grid.from = 0;
  $("tiles").scrollTop = 0;
}

function drawGrid() {
  const box = $("tiles"), text = known.kind !== "picture";
  const width = text ? 240 : TILE, height = tall();
  grid.columns = Math.max(1, Math.floor(box.clientWidth / width));
  $("sheet").style.height = Math.ceil(grid.positions.length / grid.columns) * height + "px";
  box.setAttribute("aria-rowcount", Math.ceil(grid.positions.length / grid.columns));
  const first = Math.max(0, Math.floor(box.scrollTop / height) - 1) * grid.columns;
  const last = Math.min(grid.positions.length, (Math.ceil((box.scrollTop + box.clientHeight) / height) + 1) * grid.columns);
  const wanted = new Set();
  for (let place = first; place < last; place++) wanted.add(grid.positions[place]);
  for (const [position, tile] of grid.tiles) if (!wanted.has(position)) { tile.remove(); grid.tiles.delete(position); }
  for (let place = first; place < last; place++) {
    const position = grid.positions[place], tile = grid.tiles.get(position) || newTile(position);
    const given = answer(position), mark = {yes: given.corrected === null ? "⌫" : "✗", no: "✓", unsure: "?"}[given.wrong] || "";
    tile.className = "tile" + (index.has(position) ? " suspect" : "") + (given.wrong ? " decided" : "") + (place === grid.at ? " current" : "");
    tile.id = "tile-" + position;
    Object.assign(tile.style, {left: place % grid.columns * width + "px", top: Math.floor(place / grid.columns) * height + "px", width: width - 6 + "px", height: height - 6 + "px"});
    tile.setAttribute("aria-selected", grid.chosen.has(position));
    tile.setAttribute("aria-label", claim(position) + ". " + words(given));
    const label = tile.querySelector(".text");
    const snippet = known.snippets[index.get(position)];
    if (snippet) tile.querySelector(".snippet").textContent = snippet;
    label.textContent = given.wrong === "yes" && given.corrected !== null ? "→ " + name(given.corrected) : claim(position);
    const corner = tile.querySelector(".mark-answer");
    corner.hidden = !mark; corner.textContent = mark; corner.classList.remove("yes", "no", "unsure");
    if (given.wrong) corner.classList.add(given.wrong);
  }
  box.setAttribute("aria-activedescendant", grid.positions.length ? "tile-" + grid.positions[grid.at] : "");
  $("selected").textContent = t("{count} of {all} selected", {count: grid.chosen.size, all: grid.positions.length});
}

function newTile(position) {
  const tile = built("div", {}, ...(known.kind === "picture" ? [image(position, "small", "")] : []), built("div", {className: "text"}), ...(known.kind === "text" ? [built("div", {className: "snippet"})] : []), built("span", {className: "mark-answer"}));
  tile.setAttribute("role", "gridcell");
  tile.addEventListener("click", event => {
    const place = grid.positions.indexOf(position);
    if (event.shiftKey) select(grid.from, place); else { toggle(position); grid.from = place; }
    grid.at = place;
    drawGrid();
  });
  tile.addEventListener("dblclick", () => open(position));
  grid.tiles.set(position, tile);
  $("sheet").append(tile);
  return tile;
}
const toggle = position => grid.chosen.delete(position) || grid.chosen.add(position);
const select = (from, to) => { for (let place = Math.min(from, to); place <= Math.max(from, to); place++) grid.chosen.add(grid.positions[place]); };

function moveInGrid(by, extend) {
  const next = Math.min(Math.max(grid.at + by, 0), grid.positions.length - 1);
  if (extend) select(grid.at, next); else grid.from = next;
  grid.at = next;
  const height = tall(), top = Math.floor(next / grid.columns) * height, box = $("tiles");
  box.scrollTop = Math.min(Math.max(box.scrollTop, top + height - box.clientHeight), top);
  drawGrid();
}

function open(position) { later(async () => { grid.open = false; if (index.has(position)) await show(position); refresh(); $("main").focus(); }); }
function toggleGrid() {
  later(async () => {
    grid.open = !grid.open;
    if (grid.open) await fillGrid();
    else if (at !== null && isDecided(at)) await advance();
    refresh();
    (grid.open ? $("tiles") : $("main")).focus();
  });
}

// ---- The whole page ------------------------------------------------------------------------------------------------------------
function refresh() {
  const all = known.suspects.length, left = undecided().length, done = all - left;
  $("progress").max = all || 1; $("progress").value = done;
  $("count").textContent = t("{done} of {all} decided", {done, all});
  const moments = [...answers.values()].map(each => Date.parse(each.decided)).filter(Boolean).sort((a, b) => a - b);
  const gaps = moments.slice(-40).slice(1).map((moment, place) => moment - moments.slice(-40)[place]).filter(gap => gap > 0 && gap < 120000).sort((a, b) => a - b);
  const gap = gaps.length >= 5 ? gaps[gaps.length >> 1] : 0;
  $("pace").textContent = gap && left ? t("{pace} a minute, about {minutes} min left", {pace: (60000 / gap).toFixed(0), minutes: Math.max(1, Math.round(left * gap / 60000))}) : "";
  const judged = known.suspects.map((position, place) => [place, answer(position).wrong]).filter(([, wrong]) => wrong === "yes" || wrong === "no");
  const open = known.suspects.map((position, place) => [place, isDecided(position) && !["yes", "no"].includes(answer(position).wrong)]).filter(([, unsure]) => unsure).map(([place]) => place);
  const keep = known.coordinates.map((_, place) => place).filter(place => !open.includes(place));
  const places = new Map(keep.map((place, at) => [place, at]));
  const share = shareLeft(keep.map(place => known.coordinates[place]), judged.map(([place]) => places.get(place)), judged.map(([, wrong]) => +(wrong === "yes")));
  const percent = value => (100 * value).toFixed(value < .1 ? 1 : 0);
  $("estimate").textContent = share && judged.length ? t("of those left, about {share} % are wrong ({low} to {high} %)", {share: percent(share.value), low: percent(share.low), high: percent(share.high)}) : "";
  if (left) finished = false;
  $("grid").hidden = !grid.open;
  $("open-grid").setAttribute("aria-pressed", grid.open);
  $("done").hidden = grid.open || !(finished || !all || !left);
  $("single").hidden = grid.open || at === null;
  $("answer").replaceChildren();
  if (at !== null && words(answer(at))) $("answer").append(built("span", {className: "badge " + (answer(at).wrong || "conflict"), textContent: words(answer(at))}));
  document.querySelector('[data-key="y"]').disabled = !grid.open && at !== null && !takeSuggestion(at);
  if (grid.open) drawGrid();
}

function pick() {
  const list = $("picker-list"), text = $("picker-text");
  let chosen = 0, shown = [];
  const draw = () => {
    const wanted = text.value.toLowerCase();
    shown = known.classes.map((_, label) => label).filter(label => name(label).toLowerCase().includes(wanted)).slice(0, 60);
    chosen = Math.min(chosen, Math.max(shown.length - 1, 0));
    list.replaceChildren(...shown.map((label, place) => {
      const item = built("li", {textContent: name(label), onclick: () => take(place)});
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", place === chosen);
      return item;
    }));
    list.querySelector('[aria-selected="true"]')?.scrollIntoView({block: "nearest"});
  };
  const take = place => { $("picker").close(); if (shown[place] !== undefined) decide(toClass(shown[place])); };
  text.value = "";
  text.oninput = () => { chosen = 0; draw(); };
  text.onkeydown = event => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { chosen = Math.min(Math.max(chosen + (event.key === "ArrowDown" ? 1 : -1), 0), shown.length - 1); draw(); event.preventDefault(); }
    if (event.key === "Enter") { event.preventDefault(); take(chosen); }
  };
  draw();
  $("picker").showModal();
  text.focus();
}

const ACTIONS = {
  y: () => decide(takeSuggestion), n: () => decide(() => ({wrong: "no"})), s: () => decide(() => ({wrong: "unsure"})),
  d: () => decide(() => ({wrong: "yes"})), u: undo, c: pick, g: toggleGrid, "?": () => $("help").showModal(),
};

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (document.querySelector("dialog[open]") || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid.columns, ArrowDown: grid.columns}[key];
  const label = known.keys.indexOf(key);
  const screen = Math.max(1, Math.floor($("tiles").clientHeight / tall()) - 1) * grid.columns, all = grid.positions.length;
  const leap = {Home: -all, End: all, PageUp: -screen, PageDown: screen}[key];
  if (grid.open && (step || leap)) moveInGrid(step || leap, event.shiftKey);
  else if (grid.open && key === " ") { toggle(grid.positions[grid.at]); grid.from = grid.at; drawGrid(); }
  else if (grid.open && key === "Enter") open(grid.positions[grid.at]);
  else if (grid.open && key === "Escape") toggleGrid();
  else if (step) move(Math.sign(step));
  else if (ACTIONS[key]) ACTIONS[key]();
  else if (label >= 0 && key) decide(toClass(label));
  else return;
  event.preventDefault();
}

function options(select, pairs) { select.replaceChildren(...pairs.map(([value, text]) => built("option", {value, textContent: text}))); }

function prepare() {
  const any = ["", t("all")], numbered = used => [any, ...known.classes.map((text, label) => [String(label), text]).filter(([label]) => used.has(+label))];
  options($("filter-label"), numbered(new Set(known.labels)));
  options($("filter-suggested"), numbered(new Set(known.suggested)));
  options($("filter-status"), [any, ["undecided", t("undecided")], ["yes", t("wrong")], ["no", t("right")], ["unsure", t("don't know")], ["conflict", t("reviewers differ")]]);
  options($("grid-of"), [["", t("suspects that match")], ...known.classes.map((text, label) => [String(label), t("all labeled {name}", {name: text})])]);
  for (const filter of Object.keys(filters)) $("filter-" + filter).addEventListener("change", event => {
    filters[filter] = event.target.value;
    sift();
    later(async () => { if (order.length && !order.includes(at)) await show(order[0]); if (grid.open) await fillGrid(); refresh(); });
  });
  $("grid-of").addEventListener("change", () => later(async () => { await fillGrid(); refresh(); $("tiles").focus(); }));
  $("data").textContent = known.data;
  $("classes").append(...known.classes.map((text, label) => {
    const button = built("button", {type: "button", title: text}, ...(known.keys[label] ? [built("kbd", {textContent: known.keys[label]}), " "] : []), text);
    button.addEventListener("click", () => decide(toClass(label)));
    return button;
  }).slice(0, 60));
  $("commands").append(...known.commands.flatMap(([what, command]) => [built("dt", {textContent: t(what)}), built("dd", {}, built("code", {textContent: command}))]));
  for (const button of document.querySelectorAll("[data-key]")) button.addEventListener("click", () => ACTIONS[button.dataset.key]());
  $("open-grid").addEventListener("click", toggleGrid);
  $("open-help").addEventListener("click", ACTIONS["?"]);
  $("tiles").addEventListener("scroll", () => requestAnimationFrame(drawGrid), {passive: true});
  addEventListener("resize", () => { if (grid.open) drawGrid(); });
  document.addEventListener("keydown", press);
  $("download")?.addEventListener("click", () => {
    const link = built("a", {download: "suspects.csv", href: URL.createObjectURL(new Blob([store.file()], {type: "text/csv"}))});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

async function begin() {
  const current = store.first ? null : store.current();
  known = await store.begin();
  texts = known.texts;
  known.suspects.forEach((position, place) => index.set(position, place));
  take(store.first ? store.first() : await current);
  prepare();
  sift();
  const first = known.suspects.find(position => !isDecided(position)) ?? known.suspects[0];
  if (first !== undefined) await show(first);
  refresh();
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
  setInterval(() => {
    if (!document.hidden) later(async () => { if (take(await store.current())) { refresh(); } if (!$("problem").hidden) tell(""); });
  }, 1000);
}
begin().catch(error => tell(error.message));
if (inside) globalThis.review = {file: () => store.file()};
globalThis.reviewShareLeft = shareLeft;
})();
