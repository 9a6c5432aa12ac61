// The page: asks what there is to serve, makes a form of it, sends what people fill in, shows what comes back.

import { details, distribution, sentence } from "./answer.js";
import { arms, mode } from "./arms.js";
import { createFields } from "./form.js";
import { ask, curl, key } from "./server.js";

const ROUTER_MILLISECONDS = 2000;
const OUTCOMES = {
  learned: "The router has learned it.",
  kept: "Kept until the episode is over.",
  repeated: "It was sent before, and counts once.",
  late: "Its episode had ended: not learned.",
  frozen: "The router is frozen: not learned.",
  unrouted: "A fallback had answered: not learned.",
};
const RAW = { name: "obs", type: "List[float]", description: "The model's inputs in its own order." };

const [title, keyForm, keyInput, keyError, keyKept, form, alertLine, trouble] = [
  "title", "key-form", "key", "key-error", "key-kept", "observation-form", "alert", "trouble",
].map(find);
const [goOn, rewardForm, rewardInput, rewardError, done] = ["continue", "reward-form", "reward", "reward-error", "done"].map(find);

let served; // what is served, once it is known: paths, size, discrete, single, names
let fields = [];
let answer; // the last one
let episode; // that it belongs to: id, state, steps
let routed = false; // whether the router is being shown

function find(id) {
  return document.getElementById(id);
}

/** Shows what is served, or asks for a key. */
async function begin() {
  trouble.textContent = "";
  try {
    const openapi = await ask("openapi.json");
    document.title = title.textContent = openapi.info.title;
    const { observations, parameters } = await ask("schema");
    if (!served) show(openapi, observations, parameters);
    keyForm.hidden = true;
    keyKept.hidden = !key.get();
    followRouter();
  } catch (refused) {
    fail(refused, trouble);
  }
}

function show({ paths, components }, observations, { discrete, tuple, actions }) {
  const size = components.schemas.RawObservation.properties.obs.minItems;
  served = { discrete, names: actions, raw: !paths["/predict/"], router: "/router" in paths };
  served.distribution = discrete && !tuple && !served.raw;
  const listed = Object.entries(observations).map(([name, one]) => ({ name, ...one }));
  fields = createFields(served.raw ? [RAW] : listed, size, actions);
  find("fields").replaceChildren(...fields.map((field) => field.element));
  find("most-likely").hidden = served.raw;
  form.hidden = find("answer").hidden = false;
}

/** Says why something was refused: in `place`, or, where a key is wanted, beside the key. */
function fail(refused, place) {
  if (refused.status === undefined) throw refused;
  if (refused.status !== 401) {
    place.textContent = refused.message;
    return;
  }
  if (key.get()) keyError.textContent = "The server doesn't accept this key.";
  key.forget();
  keyKept.hidden = true;
  keyForm.hidden = false;
  keyInput.focus();
}

keyForm.addEventListener("submit", (event) => {
  event.preventDefault();
  keyError.textContent = keyInput.value.trim() ? "" : "Type a key.";
  if (keyError.textContent) return;
  key.keep(keyInput.value.trim());
  keyInput.value = "";
  begin();
});

find("forget").addEventListener("click", () => {
  key.forget();
  location.reload();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const likeliest = event.submitter?.value === "most-likely";
  once(form, () => predict(served.raw ? "predict_raw/" : likeliest ? "predict_deterministic/" : "predict/"));
});

rewardForm.addEventListener("submit", (event) => {
  event.preventDefault();
  once(rewardForm, reward);
});

/** Does something for a form, unless it is still being done. */
async function once(busy, action) {
  if (busy.getAttribute("aria-busy") === "true") return;
  busy.setAttribute("aria-busy", "true");
  try {
    await action();
  } finally {
    busy.removeAttribute("aria-busy");
  }
}

async function predict(path) {
  alertLine.textContent = "";
  for (const field of fields) field.clear();
  // Not some(): each field shows what is wrong with it.
  if (fields.filter((field) => field.unreadable()).length) {
    showNoAnswer();
    return pointOut();
  }
  const pairs = fields.map((field) => [field.name, field.value()]).filter(([, value]) => value !== undefined);
  const goesOn = goOn.checked && episode;
  const context = goesOn ? { episode_id: episode.id, state: episode.state } : {};
  const body = { ...Object.fromEntries(pairs), ...context };
  showCommand(path, body);
  try {
    answer = await ask(path, body);
  } catch (refused) {
    showNoAnswer();
    if (refused.status === 422 && Array.isArray(refused.detail)) return place(refused.detail);
    return fail(refused, alertLine);
  }
  showEpisode(goesOn ? episode.steps + 1 : 1);
  showAnswer();
  await showDistribution(body);
  find("answer").scrollIntoView({ block: "nearest" });
}

/** Shows each problem beside the field that it is about. */
function place(problems) {
  for (const { loc: [, name, index], msg } of problems) {
    const field = fields.find((one) => one.name === name);
    if (field) field.show(msg, field.isList ? index : undefined);
    else alertLine.append(alertLine.textContent ? "; " : "", name === undefined ? msg : `${name}: ${msg}`);
  }
  pointOut();
}

function pointOut() {
  const wrong = fields.filter((field) => field.wrong.textContent);
  if (wrong.length) alertLine.append(alertLine.textContent ? "; " : "", `To correct: ${wrong.map((field) => field.name).join(", ")}`);
  form.querySelector("[aria-invalid=true]")?.focus();
}

function showCommand(path, body) {
  find("curl").textContent = curl(path, body);
  find("copied").textContent = "";
  find("request").hidden = false;
}

function showEpisode(steps) {
  const { episode_id: id, state } = answer;
  if (id === undefined && state === undefined) return;
  if (!episode && state !== undefined && find("episode").hidden) goOn.checked = true; // a policy with a memory
  episode = { id, state, steps };
  find("episode-hint").textContent = `The answer is step ${steps} of it.`;
  find("episode").hidden = false;
}

function showAnswer() {
  find("action").replaceChildren(...sentence(answer, served.discrete));
  find("details").replaceChildren(...details(answer, served.discrete));
  rewardForm.hidden = answer.decision_id === undefined;
  done.checked = false;
  clearReward();
}

function showNoAnswer() {
  find("action").textContent = "No answer.";
  find("details").replaceChildren();
  find("distribution").replaceChildren();
  rewardForm.hidden = true;
}

/** Shows the distribution that the answer was drawn from: with a router, that of the policy that answered. */
async function showDistribution(asked) {
  const drawn = find("distribution");
  if (!served.distribution) return;
  const { episode_id, policy, moved, actions } = answer;
  const body = { ...asked, episode_id, state: moved ? undefined : asked.state };
  try {
    drawn.replaceChildren(distribution(await ask("distribution/", body), actions[0], served.names, policy));
  } catch (refused) {
    drawn.textContent = `The distribution isn't told: ${refused.message}`;
  }
}

function clearReward() {
  rewardError.textContent = find("rewarded").textContent = "";
  rewardInput.removeAttribute("aria-invalid");
}

async function reward() {
  clearReward();
  const amount = rewardInput.value === "" ? null : Number(rewardInput.value);
  const body = { decision_id: answer.decision_id, reward: amount, done: done.checked };
  showCommand("feedback", body);
  try {
    const { outcome } = await ask("feedback", body);
    find("rewarded").textContent = OUTCOMES[outcome] ?? outcome;
  } catch (refused) {
    fail(refused, rewardError);
    if (refused.status !== 422) return;
    rewardInput.setAttribute("aria-invalid", "true");
    return rewardInput.focus();
  }
  if (done.checked) {
    episode = undefined;
    find("episode-hint").textContent = "It is over; the next answer begins another.";
  }
}

/** Shows the router's policies from now on. */
function followRouter() {
  if (!served.router || routed) return;
  routed = true;
  find("router").hidden = false;
  showRouter();
}

async function showRouter() {
  try {
    if (!document.hidden) {
      const status = await ask("router");
      find("router-mode").textContent = mode(status);
      find("router-alert").textContent = status.storeAway ? `Rewards aren't taken now: ${status.storeAway}` : "";
      find("arms").replaceChildren(arms(status, answer?.policy));
    }
  } catch (refused) {
    fail(refused, find("router-alert"));
    if (refused.status === 401) routed = false; // until there is a key again
  }
  if (routed) setTimeout(showRouter, ROUTER_MILLISECONDS);
}

find("copy").addEventListener("click", async () => {
  const text = find("curl");
  getSelection().selectAllChildren(text);
  try {
    await navigator.clipboard.writeText(text.textContent);
  } catch {
    document.execCommand("copy"); // all there is without TLS
  }
  find("copied").textContent = "Copied.";
});

begin();
