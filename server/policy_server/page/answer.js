// What the server answered, for people.

import { bar, element, percent, short } from "./elements.js";

const MOST_BARS = 24;
const MOST_WORDS = 4;

/** Returns the words for what the policy does: names where the schema has them, else the numbers. */
function words(answer) {
  const all = answer.action_names ?? answer.actions.map((action) => String(round(action)));
  return all.length > MOST_WORDS ? `${all.slice(0, MOST_WORDS).join(", ")}, …` : all.join(", ");
}

function round(action) {
  return Number.isInteger(action) ? action : Number(action.toPrecision(6));
}

/** Returns the sentence that says what was answered. */
export function sentence(answer, discrete) {
  const chance = discrete ? `with probability ${short(answer.probability)}` : `with density ${short(answer.probability)}`;
  return [element("strong", {}, words(answer)), ` ${chance}`];
}

/** Returns the values of actions that are real numbers or have several components; else what a router says, or nothing. */
export function details(answer, discrete) {
  const facts = [];
  if (answer.actions.length > 1 || !discrete) {
    answer.actions.forEach((action, component) => facts.push([`Component ${component}`, String(action)]));
  } else if (answer.action_names) {
    facts.push(["Action", String(answer.actions[0])]);
  }
  if (answer.policy !== undefined) {
    facts.push(["Policy", answer.policy]);
    facts.push(["Propensity", answer.propensity === null ? "none: it wasn't drawn" : short(answer.propensity)]);
    if (answer.moved) facts.push(["Moved", "the episode's former policy is gone"]);
    if (answer.fallback) facts.push(["Fallback", "the chosen policy couldn't answer; nobody learns from this"]);
  }
  const list = element("dl");
  for (const [name, value] of facts) list.append(element("dt", {}, name), element("dd", {}, value));
  return facts.length ? [list] : [];
}

/** Returns the probability of each action as bars, of many actions the likeliest; `taken` is the one that was taken. */
export function distribution(table, taken, names, policy) {
  let rows = Object.entries(table).map(([action, probability]) => [Number(action), probability]);
  const all = rows.length;
  if (all > MOST_BARS) rows = rows.sort((one, other) => other[1] - one[1]).slice(0, MOST_BARS);
  const of = policy === undefined ? "" : ` under policy ${policy}`;
  const part = all > MOST_BARS ? `, the ${MOST_BARS} likeliest of ${all} actions` : "";
  const body = element("tbody");
  for (const [action, probability] of rows) {
    const label = element("th", { scope: "row" }, names?.[action] ?? String(action));
    if (action === taken) label.append(" ", element("span", { className: "badge" }, "taken"));
    const number = element("td", { className: "number" }, percent(probability));
    const row = element("tr", {}, label, element("td", {}, bar(probability)), number);
    row.classList.toggle("marked", action === taken);
    body.append(row);
  }
  const caption = element("caption", {}, `Probability of each action${of}${part}`);
  return element("table", { className: "bars" }, caption, body);
}
