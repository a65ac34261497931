/** The monitor page: asks once a second, whoever answers, and shows it. */

import { byId, setText } from "./dom.js";
import { count } from "./format.js";
import { here, others } from "./instances.js";
import { age } from "./monitor-format.js";
import { alertsOf, newsOf, remember, totals } from "./monitor-model.js";
import { InstancesView, SystemView, showAlerts } from "./monitor-view.js";

const EVERY_MS = 1000;
const DEADLINE_MS = 3000;

let bases = [here]; // the instances, the one that served this page first
const system = new SystemView(byId("tiles"));
const cards = new InstancesView(byId("instances"));
let instances = new Map();
let answered = null; // the last answer, and when it came
let isAsking = false;

start();

async function start() {
  await look();
  setInterval(look, EVERY_MS);
  document.addEventListener("visibilitychange", look);
  const config = await ask("/page-config").catch(() => null);
  bases = [here, ...others(config?.peer_urls)];
}

/** The answer of the first instance that gives one. A browser that has asked for a password sends it to its own site. */
async function ask(path) {
  let failure;
  for (const base of bases) {
    try {
      const options = { credentials: "same-origin", signal: AbortSignal.timeout(DEADLINE_MS) };
      const response = await fetch(`${base}/api/v1${path}`, options);
      const answer = await response.json();
      if (response.ok) return answer;
      failure ??= new Error(answer.error?.message ?? response.statusText);
    } catch {
      // Away: the next one may answer.
    }
  }
  throw failure ?? new Error("no instance answers");
}

/** One question and its answer. Not while nobody looks, and not while the last one is still on its way. */
async function look() {
  if (document.hidden || isAsking) return;
  isAsking = true;
  try {
    take(await ask("/monitor"));
  } catch (error) {
    showSilence(error);
  } finally {
    isAsking = false;
  }
}

function take(answer) {
  const before = instances;
  instances = remember(before, answer);
  answered = { ...answer, came: Date.now() };
  const others = answer.is_board_away ? "; the others are out of sight" : "";
  showLink(answer.is_board_away ? "waiting" : "live", `Live, from ${answer.instance_id}${others}`);
  const news = newsOf(before, instances);
  if (news) setText(byId("announcer"), news);
  show(answer.at);
}

/** Nobody answers: what is shown is of then, and the page says so. */
function showSilence(error) {
  const reason = error.message[0].toUpperCase() + error.message.slice(1);
  if (!answered) return showLink("silent", `${reason}. Asking again …`);
  const silence = (Date.now() - answered.came) / 1000;
  showLink("silent", `${reason}; this is ${age(silence)} old. Asking again …`);
  instances = new Map([...instances].map(([id, one]) => [id, one.status === "left" ? one : { ...one, status: "unknown" }]));
  return show(answered.at + silence);
}

function show(at) {
  const { up, known } = totals(instances);
  const alerts = alertsOf(instances).length;
  document.title = `${up < known ? `${up} of ${known} up, ` : ""}${alerts ? `${count(alerts, "alert")}, ` : ""}Breakwire monitor`;
  system.show(instances);
  showAlerts(byId("alerts"), byId("no-alerts"), instances, at);
  cards.show(instances, at, answered.instance_id);
}

function showLink(state, text) {
  const pill = byId("link");
  pill.dataset.state = state;
  pill.querySelector(".dot").className = `dot ${{ live: "good", waiting: "warn", silent: "bad" }[state]}`;
  setText(byId("link-text"), text);
}
