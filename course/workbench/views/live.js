// The live view in the browser: one ES module, no build, nothing from the network.
// Python makes the rows and says what each one changed; this file filters, folds, draws and steps.

const ROW = 28, GUTTER = 88, LANE = 80, TRAVEL_MS = 420, PLAY_MS = 650, SHOWN_ALIKE = 12, FEWEST = 3, TAIL = 30, MOST_CLIENTS = 12;
const QUIET_GROUPS = ["connection", "presence"]; // there are many of them: shown when asked for
const SVG = "http://www.w3.org/2000/svg";
const MANAGERS = ["process", "server", "link", "client", "connections", "outboxes", "leases", "channels", "queue",
  "conversations", "outbox", "presence"];
const ICONS = {
  first: "M3 3h2v10H3z M13 3v10L6 8z", back: "M11 3v10L4 8z", play: "M4 2.5v11l9-5.5z", pause: "M4 3h3v10H4z M9 3h3v10H9z",
  next: "M5 3v10l7-5z", last: "M11 3h2v10h-2z M3 3v10l7-5z",
};
const BADGES = { client: "●", instance: "■", redis: "◆", store: "▤" };

// -- what there is: the rows, kept in step with Python ------------------------------------------------------

class Flow {
  constructor(model) {
    this.model = model;
    this.listeners = new Set();
    this.take(model.get("snapshot") || {});
    model.on("msg:custom", (news) => this.hear(news));
  }

  take(all) {
    this.rows = all.rows || [];
    this.first = all.first || 0;
    this.base = new Map((all.base || []).map(([lane, manager, entry, value]) => [key(lane, manager, entry), value]));
    this.messages = new Map((all.messages || []).map((message) => [message.number, message]));
    this.kept = all.kept || 4000;
    this.groups = all.groups || {};
    this.hues = all.hues || ["blue"];
    this.chosen = all.chosen || [];
    this.takeNow(all);
  }

  takeNow(news) {
    this.lanes = news.lanes || [];
    this.byId = new Map(this.lanes.map((lane) => [lane.id, lane]));
    this.missing = news.missing || [];
    this.moreMissing = news.more_missing || 0;
    this.status = news.status || "live";
    this.folded = news.folded || 0;
  }

  hear(news) {
    if (news.kind === "everything") this.take(news);
    if (news.kind === "news") {
      const next = this.first + this.rows.length;
      const fresh = news.rows.filter((row) => row.number >= next);
      if (fresh.length && fresh[0].number > next) return this.model.send({ kind: "resync" }); // something was missed
      this.rows.push(...fresh);
      for (const message of news.messages) this.messages.set(message.number, message);
      this.takeNow(news);
      this.forget();
    }
    for (const listener of this.listeners) listener();
  }

  forget() {
    while (this.rows.length > this.kept) {
      apply(this.base, this.rows.shift().changes, true);
      this.first += 1;
    }
  }

  label(lane) {
    return this.byId.get(lane)?.label ?? lane;
  }

  hue(row) {
    if (row.phase === "fault" || row.phase === "missing") return row.phase;
    return row.message == null ? "plain" : this.hues[(row.message - 1) % this.hues.length];
  }
}

const key = (lane, manager, entry) => [lane, manager, entry].join("\u0000");

function apply(state, changes, forwards) {
  for (const [lane, manager, entry, before, after] of forwards ? changes : [...changes].reverse()) {
    const value = forwards ? after : before;
    if (value == null) state.delete(key(lane, manager, entry));
    else state.set(key(lane, manager, entry), value);
  }
}

// -- what is shown: filtered, with what is missing put in, and folded ---------------------------------------

function visibleItems(flow, filter, unfolded) {
  const byMessage = new Map();
  for (const one of flow.missing) {
    const row = missingRow(flow, one);
    if (row) byMessage.set(row.after, [...(byMessage.get(row.after) || []), row]);
  }
  const items = [];
  for (const row of flow.rows) {
    if (shows(flow, filter, row)) items.push(row);
    for (const lost of byMessage.get(row.number) || []) if (shows(flow, filter, lost)) items.push(lost);
  }
  return foldAlike(items, unfolded);
}

function missingRow(flow, one) {
  const message = flow.messages.get(one.message);
  if (!message) return null;
  return {
    number: `${one.message} ${one.target}`, after: Math.max(message.last_row, flow.first), at: null,
    source: one.source, target: one.target, what: `never arrived: ${one.reason}`, phase: "missing",
    group: "message", hop: "missing", alike: `missing ${flow.byId.get(one.target)?.home} ${one.reason}`, message: one.message,
    user: flow.label(one.target), ids: {}, detail: { reason: one.reason }, frame: null, changes: [],
  };
}

function shows(flow, filter, row) {
  if (!filter.groups.has(row.group)) return false;
  if (row.group === "fault") return true; // what was done belongs to every story
  if (filter.message && row.message !== Number(filter.message)) return false;
  if (filter.hop && row.hop !== filter.hop) return false;
  if (!filter.user) return true;
  const sender = flow.messages.get(row.message)?.sender;
  return [row.user, flow.label(row.source), flow.label(row.target), sender].includes(filter.user);
}

// The same rule as in folding.py: after SHOWN_ALIKE rows alike the next ones are counted, until something unusual.
function foldAlike(rows, unfolded) {
  const seen = new Map(), items = [];
  let run = [];
  const close = () => {
    if (run.length >= FEWEST && !unfolded.has(run[0].number)) items.push({ fold: run });
    else items.push(...run);
    run = [];
  };
  rows.forEach((row, place) => {
    if (!row.alike) seen.clear();
    else seen.set(row.alike, (seen.get(row.alike) || 0) + 1);
    if (row.alike && seen.get(row.alike) > SHOWN_ALIKE && place < rows.length - TAIL) run.push(row);
    else { close(); items.push(row); }
  });
  close();
  return items;
}

// -- small helpers ------------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value === "boolean") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function draw(tag, attributes = {}, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text != null) node.textContent = text;
  return node;
}

function icon(name) {
  const node = draw("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" });
  node.append(draw("path", { d: ICONS[name], fill: "currentColor" }));
  return node;
}

const cut = (text, length) => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);
const when = (row) => (row.at == null ? "never" : `${row.at.toFixed(2)} ms`);
const isStill = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

function pretty(frame) {
  try { return JSON.stringify(JSON.parse(frame), null, 2); } catch { return frame; }
}

// -- one view on a page -------------------------------------------------------------------------------------

class View {
  constructor(flow, el) {
    this.flow = flow;
    const quiet = new Set(QUIET_GROUPS);
    this.filter = { message: flow.chosen.length === 1 ? String(flow.chosen[0]) : "", user: "", hop: "",
      groups: new Set(Object.keys(flow.groups).filter((group) => !quiet.has(group))) };
    this.unfolded = new Set();
    this.follows = true; // the newest step is the current one, until somebody steps back
    this.asTable = false;
    this.current = null; // a row
    this.state = new Map();
    this.stateAt = null;
    this.build(el);
    this.listener = () => this.update();
    flow.listeners.add(this.listener);
    this.resizing = new ResizeObserver(() => this.resized());
    this.resizing.observe(this.scroll);
    this.update();
  }

  end() {
    clearInterval(this.playing);
    this.flow.listeners.delete(this.listener);
    this.resizing.disconnect();
  }

  // -- the parts of the page --

  build(el) {
    const button = (label, text, act, more = {}) => make("button", { class: "bw-button", type: "button",
      "aria-label": label, title: label, onclick: act, ...more }, text);
    this.pill = make("span", { class: "bw-pill" });
    this.play = button("Play (Space)", icon("play"), () => this.togglePlay());
    this.slider = make("input", { type: "range", min: 0, value: 0, class: "bw-slider", "aria-label": "Step",
      oninput: () => this.goTo(Number(this.slider.value)) });
    this.counter = make("span", { class: "bw-counter" });
    const bar = make("div", { class: "bw-bar" }, make("strong", {}, "Live view"), this.pill,
      button("First step (Home)", icon("first"), () => this.goTo(0)), button("Step back (←)", icon("back"), () => this.step(-1)),
      this.play, button("Step forward (→)", icon("next"), () => this.step(1)),
      button("Last step, and follow (End)", icon("last"), () => this.goTo(Infinity)), this.slider, this.counter);

    const choose = (name) => make("select", { class: "bw-select", "aria-label": `Filter by ${name}`,
      onchange: (event) => { this.filter[name] = event.target.value; this.update(); } });
    this.selects = { message: choose("message"), user: choose("user"), hop: choose("hop") };
    this.chips = make("span", { class: "bw-chips", role: "group", "aria-label": "Kinds of steps" });
    this.tableButton = button("Show as a table", "Table", () => this.toggleTable(), { "aria-pressed": "false" });
    const filters = make("div", { class: "bw-filters" }, ...Object.values(this.selects), this.chips, this.tableButton);

    this.head = draw("svg", { class: "bw-head", "aria-hidden": "true" });
    this.canvas = draw("svg", { class: "bw-canvas", "aria-hidden": "true" });
    this.space = make("div", { class: "bw-space" }, this.canvas);
    this.scroll = make("div", { class: "bw-scroll", tabindex: 0, role: "group", "data-lm-suppress-shortcuts": "true",
      "aria-label": "Steps as a drawing. Arrow keys step, Space plays; the table has the same in words.",
      onscroll: () => this.paint() }, this.head, this.space);
    this.table = make("div", { class: "bw-table", tabindex: 0, hidden: true, "data-lm-suppress-shortcuts": "true" });
    this.step1 = make("section", { class: "bw-card", "aria-label": "This step" });
    this.board = make("section", { class: "bw-card bw-board", "aria-label": "What every manager holds" });
    this.unseen = make("p", { class: "bw-older", hidden: true });
    this.say = make("div", { class: "bw-unseen", "aria-live": "polite", role: "status" });
    const side = make("div", { class: "bw-side" }, this.step1, this.board);
    this.root = make("div", { class: "bw-live", role: "region", "aria-label": "Live view of the chat system",
      "data-lm-suppress-shortcuts": "true", onkeydown: (event) => this.onKey(event) }, bar, filters, this.unseen,
      make("div", { class: "bw-main" }, make("div", { class: "bw-stage" }, this.scroll, this.table), side), this.say);
    el.append(this.root);
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const tag = event.target.tagName;
    if (tag === "SELECT" || (tag === "BUTTON" && event.key === " ") || tag === "SUMMARY") return event.stopPropagation();
    const act = { ArrowRight: () => this.step(1), ArrowDown: () => this.step(1), ArrowLeft: () => this.step(-1),
      ArrowUp: () => this.step(-1), Home: () => this.goTo(0), End: () => this.goTo(Infinity),
      " ": () => this.togglePlay() }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  // -- what is new, or filtered otherwise --

  update() {
    const before = this.items ? this.items.length : 0;
    this.items = visibleItems(this.flow, this.filter, this.unfolded);
    this.steps = this.items.filter((item) => !item.fold);
    const at = this.steps.findIndex((row) => row.number === this.current?.number);
    if (this.follows || at < 0) this.current = this.steps[this.steps.length - 1] ?? null;
    this.fillFilters();
    this.fillBar();
    this.place();
    this.show({ quietly: true, scroll: this.follows, fresh: this.follows ? this.items.length - before : 0 });
  }

  fillBar() {
    const { status } = this.flow;
    this.pill.textContent = status;
    this.pill.dataset.status = status.split(":")[0];
    const { moreMissing } = this.flow, unseen = [];
    const older = this.flow.first;
    if (older > 0) unseen.push(`… ${older} earlier steps, folded into the state before the first one`);
    if (moreMissing > 0) unseen.push(`… ${moreMissing} more arrows that never arrived`);
    this.unseen.textContent = unseen.join(" · ");
    this.unseen.hidden = !unseen.length;
    this.slider.max = Math.max(0, this.steps.length - 1);
  }

  fillFilters() {
    const { flow } = this;
    const fill = (name, all, entries) => {
      const select = this.selects[name], shape = JSON.stringify(entries);
      if (select.dataset.shape === shape) return;
      select.dataset.shape = shape;
      select.replaceChildren(make("option", { value: "" }, all),
        ...entries.map(([value, text]) => make("option", { value }, cut(text, 42))));
      select.value = this.filter[name];
    };
    fill("message", "all messages", [...flow.messages.values()].map((message) => [message.number, message.label]));
    fill("user", "all users", flow.lanes.filter((lane) => lane.kind === "client").map((lane) => [lane.label, lane.label]));
    fill("hop", "all hops", [...new Set(flow.rows.map((row) => row.hop))].sort().map((hop) => [hop, hop]));
    const counts = {};
    for (const row of flow.rows) counts[row.group] = (counts[row.group] || 0) + 1;
    this.chips.replaceChildren(...Object.entries(flow.groups).filter(([group]) => counts[group]).map(([group, name]) =>
      make("button", { class: "bw-chip", type: "button", "aria-pressed": String(this.filter.groups.has(group)),
        onclick: () => this.toggleGroup(group) }, `${name} `, make("span", {}, String(counts[group])))));
  }

  toggleGroup(group) {
    const { groups } = this.filter;
    if (!groups.delete(group)) groups.add(group);
    this.update();
  }

  toggleTable() {
    this.asTable = !this.asTable;
    this.tableButton.setAttribute("aria-pressed", String(this.asTable));
    this.table.hidden = !this.asTable;
    this.scroll.hidden = this.asTable;
    this.paint();
  }

  // -- stepping --

  get position() {
    return this.steps.findIndex((row) => row.number === this.current?.number);
  }

  step(by) {
    this.goTo(this.position + by);
  }

  goTo(place) {
    if (!this.steps.length) return;
    const last = this.steps.length - 1, to = Math.min(Math.max(place, 0), last);
    this.follows = to === last && place >= last;
    this.current = this.steps[to];
    this.show({ scroll: true, fresh: 1 });
  }

  choose(row) {
    this.follows = false;
    this.current = row;
    this.show({ fresh: 1 });
  }

  togglePlay() {
    if (this.playing) return this.pause();
    if (this.position >= this.steps.length - 1) this.goTo(0);
    this.play.replaceChildren(icon("pause"));
    this.play.setAttribute("aria-label", "Pause (Space)");
    this.playing = setInterval(() => {
      if (this.position >= this.steps.length - 1) this.pause();
      else this.step(1);
    }, PLAY_MS);
  }

  pause() {
    clearInterval(this.playing);
    this.playing = null;
    this.play.replaceChildren(icon("play"));
    this.play.setAttribute("aria-label", "Play (Space)");
  }

  // -- the managers' state after the current step: forwards or backwards from where it was --

  moveState() {
    const { flow, current } = this;
    const target = current == null ? flow.first - 1 : current.after ?? current.number;
    if (this.stateAt == null || this.stateAt < flow.first - 1) {
      this.state = new Map(flow.base);
      this.stateAt = flow.first - 1;
    }
    while (this.stateAt < target) apply(this.state, flow.rows[++this.stateAt - flow.first]?.changes ?? [], true);
    while (this.stateAt > target) apply(this.state, flow.rows[this.stateAt-- - flow.first]?.changes ?? [], false);
  }

  show({ quietly = false, scroll = false, fresh = 0 } = {}) {
    this.moveState();
    const place = this.position;
    this.slider.value = Math.max(0, place);
    const text = this.current ? `step ${place + 1} of ${this.steps.length}` : "no steps yet";
    this.counter.textContent = this.current ? `${text} · ${when(this.current)}` : text;
    this.slider.setAttribute("aria-valuetext", this.current ? this.inWords(this.current) : text);
    if (!quietly && this.current) this.say.textContent = `Step ${place + 1} of ${this.steps.length}: ${this.inWords(this.current)}`;
    this.fillStep();
    this.fillBoard();
    this.measure();
    if (scroll) this.scrollToCurrent();
    this.paint(fresh);
  }

  inWords(row) {
    const from = this.flow.label(row.source), to = this.flow.label(row.target);
    const changes = row.changes.map(([lane, manager, entry, before, after]) =>
      `${this.flow.label(lane)} ${manager} ${entry}: ${before ?? "nothing"} becomes ${after ?? "nothing"}`);
    const way = from === to ? `at ${from}` : `from ${from} to ${to}`;
    return [`${row.what}, ${way}, ${when(row)}`, ...changes].join(". ");
  }

  scrollToCurrent() {
    const index = this.items.indexOf(this.current);
    if (index < 0) return;
    const top = index * ROW, height = this.scroll.clientHeight - 44;
    if (top < this.scroll.scrollTop || top + ROW * 2 > this.scroll.scrollTop + height)
      this.scroll.scrollTop = Math.max(0, top - height + ROW * 4);
  }

  // -- the drawing: only the rows in sight --

  place() {
    const { flow } = this;
    const used = new Set(this.steps.flatMap((row) => [row.source, row.target]));
    const clients = flow.lanes.filter((lane) => lane.kind === "client" && used.has(lane.id));
    const crowded = clients.length > 10, shown = {};
    this.column = new Map();
    this.columns = [];
    for (const lane of flow.lanes) {
      if (lane.kind === "client" && !used.has(lane.id)) continue;
      const number = (shown[lane.home] = (shown[lane.home] || 0) + (lane.kind === "client"));
      if (lane.kind === "client" && crowded && number > 3) {
        let rest = this.columns.find((one) => one.rest && one.home === lane.home);
        if (!rest) this.columns.push((rest = { id: `rest ${lane.home}`, kind: "client", home: lane.home, rest: 0, label: "" }));
        rest.rest += 1;
        rest.label = `+ ${rest.rest} more`;
        this.column.set(lane.id, rest);
      } else {
        this.columns.push(lane);
        this.column.set(lane.id, lane);
      }
    }
  }

  paint(fresh = 0) {
    if (this.asTable) return this.paintTable();
    if (!this.measure()) return;
    this.paintHead();
    this.paintRows(fresh);
  }

  measure() {
    if (!this.scroll.clientWidth) return false;
    const width = Math.max(this.scroll.clientWidth - 2, GUTTER + LANE * this.columns.length);
    const gap = (width - GUTTER - 8) / Math.max(this.columns.length, 1);
    this.xs = new Map(this.columns.map((lane, number) => [lane.id, GUTTER + gap * (number + 0.5)]));
    this.gap = gap;
    this.width = width;
    this.space.style.height = `${Math.max(this.items.length, 2) * ROW + 12}px`;
    this.space.style.width = `${width}px`;
    return true;
  }

  resized() {
    if (this.measure() && this.follows) this.scrollToCurrent();
    this.paint();
  }

  x(lane) {
    return this.xs.get(this.column.get(lane)?.id) ?? GUTTER;
  }

  paintHead() {
    this.head.setAttribute("width", this.width);
    this.head.setAttribute("height", 44);
    this.head.replaceChildren();
    for (const lane of this.columns) {
      const x = this.xs.get(lane.id), name = this.gap < 104 ? lane.label : `${BADGES[lane.kind]} ${lane.label}`;
      const wide = Math.min(Math.max(58, 7.4 * name.length + 16), this.gap - 4);
      const state = this.healthOf(lane.id, this.state);
      const chip = draw("g", { class: `bw-lane bw-${lane.kind} ${state.class}` });
      chip.append(draw("rect", { x: x - wide / 2, y: 8, width: wide, height: 26, rx: lane.kind === "client" ? 13 : 5 }),
        draw("text", { x, y: 25, "text-anchor": "middle" }, cut(name, Math.floor((wide - 4) / 6.9))));
      if (state.text) chip.append(draw("text", { x, y: 42, "text-anchor": "middle", class: "bw-badge" }, state.text));
      chip.append(draw("title", {}, `${lane.label}${state.text ? `: ${state.text}` : ""}`));
      this.head.append(chip);
    }
  }

  healthOf(lane, state) {
    const get = (manager, entry) => state.get(key(lane, manager, entry));
    const process = get("process", "state"), socket = get("client", "socket");
    if (process && process !== "running") return { class: "bw-dead", text: process };
    if (get("server", "state")) return { class: "bw-ill", text: get("server", "state") };
    if (get("link", "to Redis")) return { class: "bw-ill", text: `link ${get("link", "to Redis")}` };
    if (socket?.startsWith("closed")) return { class: "bw-dead", text: socket };
    if (get("client", "reading")) return { class: "bw-ill", text: get("client", "reading") };
    return { class: "", text: "" };
  }

  paintRows(fresh) {
    const top = this.scroll.scrollTop, height = this.scroll.clientHeight || 360;
    const from = Math.max(0, Math.floor(top / ROW) - 3), to = Math.min(this.items.length, Math.ceil((top + height) / ROW) + 3);
    this.canvas.setAttribute("width", this.width);
    this.canvas.setAttribute("height", Math.max(to - from, 2) * ROW + 12);
    this.canvas.style.top = `${from * ROW}px`;
    this.canvas.replaceChildren(this.markers());
    this.paintLanes(from, to);
    if (!this.items.length) this.canvas.append(draw("text", { class: "bw-nothing", x: this.width / 2, y: 34,
      "text-anchor": "middle" }, this.flow.rows.length ? "nothing passes the filters" : "nothing has happened yet"));
    for (let index = from; index < to; index++) {
      const item = this.items[index], y = (index - from) * ROW;
      const node = item.fold ? this.foldNode(item, y) : this.rowNode(item, y);
      this.canvas.append(node);
      if (fresh > 0 && index >= this.items.length - fresh && this.follows && !item.fold) this.travel(item, y);
      else if (fresh === 1 && item === this.current) this.travel(item, y);
    }
  }

  markers() {
    const defs = draw("defs");
    for (const hue of [...this.flow.hues, "plain", "missing", "fault"]) {
      const marker = draw("marker", { id: `bw-arrow-${hue}`, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 7,
        markerHeight: 7, orient: "auto", class: `bw-hue-${hue}` });
      marker.append(draw("path", { d: "M0 0 L10 5 L0 10 z", fill: "currentColor" }));
      defs.append(marker);
    }
    return defs;
  }

  // A lane is dotted where nobody is there: state is followed from row to row, backwards from the current one.
  paintLanes(from, to) {
    const height = Math.max(to - from, 2) * ROW + 12;
    const ends = this.lifeOf();
    for (const lane of this.columns) {
      const x = this.xs.get(lane.id), changes = ends.get(lane.id) || [];
      let y = 0, isDead = false;
      for (const [index, dead] of changes) {
        const at = (index - from) * ROW + ROW / 2;
        if (at <= 0) { isDead = dead; continue; }
        if (at >= height) break;
        this.canvas.append(draw("line", { x1: x, x2: x, y1: y, y2: at, class: isDead ? "bw-line bw-gone" : "bw-line" }));
        [y, isDead] = [at, dead];
      }
      this.canvas.append(draw("line", { x1: x, x2: x, y1: y, y2: height, class: isDead ? "bw-line bw-gone" : "bw-line" }));
    }
  }

  // Also of rows that the filters hide: then the place is that of the next one shown.
  lifeOf() {
    const lives = new Map(), shown = this.items.map((item) => {
      const row = item.fold ? item.fold[0] : item;
      return row.after ?? row.number;
    });
    let index = 0;
    for (const row of this.flow.rows) {
      while (index < shown.length && shown[index] < row.number) index++;
      for (const [lane, manager, entry, , after] of row.changes) {
        const isGone = { process: after !== "running", server: after != null, client: after?.startsWith("closed") }[manager];
        if (isGone == null || (manager === "client" && entry !== "socket")) continue;
        lives.set(lane, [...(lives.get(lane) || []), [index, isGone]]);
      }
    }
    return lives;
  }

  rowNode(row, y) {
    const hue = this.flow.hue(row), isCurrent = row.number === this.current?.number;
    const node = draw("g", { class: `bw-row bw-hue-${hue} bw-${row.phase}${isCurrent ? " bw-current" : ""}`,
      transform: `translate(0 ${y})`, "data-number": row.number, "data-hop": row.hop });
    node.append(draw("rect", { class: "bw-hit", x: 2, y: 1, width: this.width - 4, height: ROW - 2, rx: 5 }),
      draw("text", { class: "bw-time", x: GUTTER - 14, y: ROW / 2 + 4, "text-anchor": "end" }, when(row)));
    const from = this.x(row.source), to = this.x(row.target);
    if (row.phase === "fault") this.addFault(node, row, from, to);
    else if (Math.abs(from - to) < 1) this.addNote(node, row.what, from);
    else this.addArrow(node, row, from, to);
    node.addEventListener("click", () => this.choose(row));
    return node;
  }

  addArrow(node, row, from, to) {
    const isMissing = row.phase === "missing", hue = this.flow.hue(row), end = isMissing ? (from + to * 2) / 3 : to;
    node.append(draw("line", { class: "bw-arrow", x1: from, x2: end, y1: ROW - 7, y2: ROW - 7,
      "marker-end": isMissing ? "" : `url(#bw-arrow-${hue})` }));
    if (isMissing) node.append(draw("text", { class: "bw-cross", x: end, y: ROW - 2, "text-anchor": "middle" }, "✗"));
    const half = row.what.length * 3.1, near = Math.abs(to - from) < 260 ? (from + to) / 2 : to + Math.sign(from - to) * (half + 12);
    const x = Math.min(Math.max(near, GUTTER + half), this.width - half - 6);
    node.append(draw("text", { class: "bw-what", x, y: ROW - 12, "text-anchor": "middle" }, row.what));
  }

  addNote(node, what, x) {
    const wide = what.length * 6.3 + 18, at = Math.min(Math.max(x, GUTTER + wide / 2), this.width - wide / 2 - 4);
    node.append(draw("rect", { class: "bw-note", x: at - wide / 2, y: 4, width: wide, height: ROW - 8, rx: 10 }),
      draw("text", { class: "bw-what", x: at, y: ROW / 2 + 4, "text-anchor": "middle" }, what));
  }

  addFault(node, row, from, to) {
    node.append(draw("line", { class: "bw-rule", x1: GUTTER - 6, x2: this.width - 6, y1: ROW / 2, y2: ROW / 2 }));
    if (from !== to) node.append(draw("line", { class: "bw-arrow", x1: from, x2: to, y1: ROW / 2, y2: ROW / 2 }));
    this.addNote(node, `⚡ ${row.what}`, (from + to) / 2);
  }

  foldNode(item, y) {
    const node = draw("g", { class: "bw-row bw-fold", transform: `translate(0 ${y})`, "data-fold": item.fold.length });
    node.append(draw("rect", { class: "bw-hit", x: 2, y: 1, width: this.width - 4, height: ROW - 2, rx: 5 }),
      draw("text", { class: "bw-what", x: (GUTTER + this.width) / 2, y: ROW / 2 + 4, "text-anchor": "middle" },
        `… ${item.fold.length} more like this`));
    node.addEventListener("click", () => this.unfold(item));
    return node;
  }

  unfold(item) {
    this.unfolded.add(item.fold[0].number);
    this.follows = false;
    this.update();
  }

  travel(row, y) {
    const from = this.x(row.source), to = this.x(row.target);
    if (from === to || row.phase === "missing" || row.phase === "fault" || isStill()) return;
    const dot = draw("circle", { class: `bw-dot bw-hue-${this.flow.hue(row)}`, r: 5.5, cx: 0, cy: y + ROW - 7 });
    this.canvas.append(dot);
    const glide = dot.animate([{ transform: `translateX(${from}px)` }, { transform: `translateX(${to}px)` }],
      { duration: TRAVEL_MS, easing: "cubic-bezier(.4,0,.3,1)", fill: "forwards" });
    glide.onfinish = () => dot.remove();
  }

  // -- the table: the same in words --

  paintTable() {
    const MOST = 300, hidden = Math.max(0, this.items.length - MOST);
    const head = make("tr", {}, ...["step", "when", "from", "to", "what", "changes"].map((name) => make("th", { scope: "col" }, name)));
    const rows = this.items.slice(hidden).map((item) => item.fold
      ? make("tr", { class: "bw-fold" }, make("td", { colspan: 6 }, make("button", { class: "bw-button", type: "button",
        onclick: () => this.unfold(item) }, `… ${item.fold.length} more like this`)))
      : this.tableRow(item));
    const note = hidden ? make("caption", {}, `… ${hidden} earlier lines: filter, or step back in the drawing`) : null;
    this.table.replaceChildren(make("table", {}, note, make("thead", {}, head), make("tbody", {}, ...rows)));
  }

  tableRow(row) {
    const { flow } = this, isCurrent = row.number === this.current?.number;
    const changes = row.changes.map(([lane, manager, entry, before, after]) =>
      `${flow.label(lane)} ${manager} ${entry}: ${before ?? "—"} → ${after ?? "—"}`).join("; ");
    const link = make("button", { class: "bw-button", type: "button", onclick: () => this.choose(row) },
      String(this.steps.indexOf(row) + 1));
    return make("tr", { class: `bw-hue-${flow.hue(row)}${isCurrent ? " bw-current" : ""}`, "aria-current": isCurrent ? "step" : "false" },
      make("td", {}, link), ...[when(row), flow.label(row.source), row.source === row.target ? "" : flow.label(row.target),
        row.what, changes].map((text) => make("td", {}, text)));
  }

  // -- beside the drawing: this step, and what the managers hold --

  fillStep() {
    const { flow, current } = this;
    if (!current) return this.step1.replaceChildren(make("p", { class: "bw-faint" }, "Steps appear here as they happen."));
    const from = flow.label(current.source), to = flow.label(current.target), message = flow.messages.get(current.message);
    const facts = [["when", when(current)], ["hop", current.hop], ...(message ? [["message", message.label]] : []),
      ...Object.entries(current.ids), ...Object.entries(current.detail)];
    const frame = current.frame ?? message?.frame;
    const list = make("table", { class: "bw-facts" }, ...facts.map(([name, value]) => make("tr", {},
      make("th", { scope: "row" }, name), make("td", {}, typeof value === "object" ? JSON.stringify(value) : String(value)))));
    const said = current.frame ? "The frame" : "The message's frame, as a client saw it";
    this.step1.replaceChildren(
      make("h4", { class: `bw-hue-${flow.hue(current)}` }, make("i", { class: "bw-spot" }), current.what),
      make("p", { class: "bw-faint" }, from === to ? `at ${from}` : `${from} → ${to}`), list,
      frame ? make("details", { class: "bw-frame", open: true }, make("summary", {}, said), make("pre", {}, pretty(frame)))
        : make("p", { class: "bw-faint" }, current.message == null ? "" : "No frame of it is known: no client of the lab has had one, or it is too long ago."));
  }

  fillBoard() {
    const changed = new Map((this.current?.changes || []).map(([lane, manager, entry, before, after]) =>
      [key(lane, manager, entry), { before, after }]));
    const entries = new Map([...this.state].map(([name, value]) => [name, { value }]));
    for (const [name, change] of changed) entries.set(name, { value: change.after, ...change, isNew: true });
    const open = new Set([...this.board.querySelectorAll("details[open]")].map((node) => node.dataset.lane));
    const isFirst = !this.board.querySelector("details");
    const parts = [make("h4", {}, "What the managers hold"),
      make("p", { class: "bw-faint" }, changed.size ? "after this step; before → after is marked" : "after this step, which changed nothing")];
    const byLane = new Map();
    for (const [name, entry] of entries) {
      const path = name.split("\u0000");
      byLane.set(path[0], [...(byLane.get(path[0]) || []), [path, entry]]);
    }
    const isTouchedLane = (lane) => (byLane.get(lane.id) || []).some(([, entry]) => entry.isNew);
    const clients = this.flow.lanes.filter((lane) => lane.kind === "client");
    const few = clients.filter((lane, number) => number < MOST_CLIENTS || isTouchedLane(lane));
    for (const lane of [...this.flow.lanes.filter((one) => one.kind !== "client"), ...few]) {
      const mine = byLane.get(lane.id) || [];
      if (!mine.length) continue;
      const isTouched = mine.some(([, entry]) => entry.isNew);
      const health = this.healthOf(lane.id, this.state);
      const details = make("details", { "data-lane": lane.id }, make("summary", {},
        make("b", {}, `${BADGES[lane.kind]} ${lane.label}`), isTouched ? make("span", { class: "bw-mark" }, "changed") : null,
        health.text ? make("span", { class: "bw-mark bw-bad" }, health.text) : null), this.managersOf(mine));
      details.open = isTouched || open.has(lane.id) || (isFirst && lane.kind === "instance");
      parts.push(details);
    }
    if (few.length < clients.length) parts.push(make("p", { class: "bw-faint" }, `… ${clients.length - few.length} more clients: filter by user`));
    const top = this.board.scrollTop;
    this.board.replaceChildren(...parts);
    const first = this.board.querySelector(".bw-changed");
    this.board.scrollTop = top;
    if (!first) return;
    const seen = this.board.getBoundingClientRect(), there = first.getBoundingClientRect();
    if (there.top < seen.top + 40 || there.bottom > seen.bottom) this.board.scrollTop += there.top - seen.top - 70;
  }

  managersOf(entries) {
    const table = make("table", {});
    for (const manager of MANAGERS) {
      const mine = entries.filter(([[, name]]) => name === manager).sort(([[, , a]], [[, , b]]) => (a < b ? -1 : 1));
      mine.forEach(([[, , entry], { value, before, isNew }], number) => {
        const cell = make("td", { class: isNew ? "bw-changed" : "" });
        if (isNew) cell.append(make("s", {}, before ?? "nothing"), " → ", make("b", {}, value ?? "nothing"));
        else cell.append(value);
        table.append(make("tr", {}, make("th", { scope: "row" }, number ? "" : manager), make("td", {}, entry), cell));
      });
    }
    return table;
  }
}

// -- anywidget ----------------------------------------------------------------------------------------------

// A view gets another face of its model than ``initialize`` does, and only that one has heard everything since the
// view was made. So the flow is found again by the key that Python gives it.
const flows = new Map();

function flowOf(model) {
  const name = model.get("key");
  if (!flows.has(name)) flows.set(name, new Flow(model));
  return flows.get(name);
}

export default {
  initialize({ model }) {
    flowOf(model);
    return () => flows.delete(model.get("key"));
  },
  render({ model, el }) {
    const view = new View(flowOf(model), el);
    return () => view.end();
  },
};
