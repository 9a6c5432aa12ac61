// A router's policies as they are now.

import { bar, element, percent, short } from "./elements.js";

const STATES = { Out: "out", NotLoaded: "not loaded" };

/** Returns the sentence that says how the router chooses. */
export function mode(status) {
  return status.frozen ? `${status.mode}, frozen: it learns nothing now` : status.mode;
}

/** Returns the policies as a table; `chosen` is the one that answered last. */
export function arms(status, chosen) {
  const heads = [["Policy"], ["Share"], ["Mean reward", "number"], ["Rewards / decisions", "number"]];
  const head = element("tr");
  for (const [text, className = ""] of heads) head.append(element("th", { scope: "col", className }, text));
  const body = element("tbody");
  for (const arm of status.arms) body.append(...rows(arm, arm.name === chosen));
  return element("table", {}, element("thead", {}, head), body);
}

function rows(arm, chosen) {
  const name = element("th", { scope: "row" }, arm.name);
  if (arm.shadow) name.append(" ", element("span", { className: "badge" }, "shadow"));
  if (chosen) name.append(" ", element("span", { className: "badge" }, "answered"));
  if (STATES[arm.state]) name.append(" ", element("span", { className: "badge wrong" }, STATES[arm.state]));
  const drawn = arm.weight !== null;
  const share = element("td", {}, drawn ? percent(arm.weight) : "not drawn", ...(drawn ? [bar(arm.weight)] : []));
  const mean = element("td", { className: "number" }, arm.meanReward === null ? "none yet" : short(arm.meanReward));
  const counts = element("td", { className: "number" }, `${arm.rewards} / ${arm.decisions}`);
  const made = element("tr", {}, name, share, mean, counts);
  made.classList.toggle("marked", chosen);
  return arm.detail ? [made, element("tr", {}, element("td", { className: "hint detail", colSpan: 4 }, arm.detail))] : [made];
}
