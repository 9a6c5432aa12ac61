// The form of an observation: a field for each, as the schema says. The server alone judges what is in them.

import { element } from "./elements.js";

const WORDS = { int: "whole number", float: "number" };
const LISTS = { int: "whole numbers", float: "numbers" };
let made = 0;

/** A value of one input: a number, a bool, or undefined where nothing is typed. */
function typed(input) {
  if (input.type === "checkbox") return input.checked;
  return input.value === "" ? undefined : Number(input.value);
}

function createInput(observation, value) {
  const type = observation.type.replace(/^List\[(.*)\]$/, "$1");
  if (type === "bool") return element("input", { type: "checkbox", checked: value ?? Boolean(observation.mask) });
  const input = element("input", { type: "number", step: type === "int" ? "1" : "any" });
  if (observation.minimum !== undefined) input.min = observation.minimum;
  if (observation.maximum !== undefined) input.max = observation.maximum;
  input.value = value ?? nearestToZero(observation, type);
  return input;
}

function nearestToZero({ minimum = -Infinity, maximum = Infinity }, type) {
  const nearest = Math.min(Math.max(0, minimum), maximum);
  return type === "int" ? Math.round(nearest) : nearest;
}

function hint(observation, least, most) {
  const list = observation.type.startsWith("List[");
  const type = observation.type.replace(/^List\[(.*)\]$/, "$1");
  const words = list ? [items(least, most), LISTS[type]] : [WORDS[type]];
  const { minimum, maximum } = observation;
  if (minimum !== undefined && maximum !== undefined) words.push(`from ${minimum} to ${maximum}`);
  else if (minimum !== undefined) words.push(`at least ${minimum}`);
  else if (maximum !== undefined) words.push(`at most ${maximum}`);
  if (observation.mask) words.push("which actions are allowed");
  if (observation.default !== undefined) words.push(`${JSON.stringify(observation.default)} if left out`);
  return [observation.description, words.filter(Boolean).join(", ")].filter(Boolean).join(" · ");
}

function items(least, most) {
  if (least === most) return least === 1 ? "1 item" : `${least} items`;
  if (most === Infinity) return least ? `at least ${least} items` : "any number of items";
  return least ? `${least} to ${most} items` : `up to ${most} items`;
}

/** What all fields have: an element, and a place for what is wrong with its value. */
class Field {
  constructor(observation, tag) {
    this.name = observation.name;
    this.id = `field-${(made += 1)}`;
    this.wrong = element("p", { className: "error", id: `${this.id}-error` });
    this.element = element(tag, { className: "field" });
    this.element.dataset.name = this.name;
  }

  describe(input) {
    input.setAttribute("aria-describedby", `${this.id}-hint ${this.id}-error`);
  }

  /** Forgets what was wrong. */
  clear() {
    this.wrong.textContent = "";
    for (const input of this.inputs) input.removeAttribute("aria-invalid");
  }

  /** Shows what is wrong; `place` is an item's. */
  show(message, place) {
    const said = place === undefined ? message : `${this.placeName(place)}: ${message}`;
    this.wrong.append(this.wrong.textContent ? "; " : "", said);
    const meant = place === undefined ? this.inputs : this.inputs.slice(place, place + 1);
    for (const input of meant) input.setAttribute("aria-invalid", "true");
  }

  placeName(place) {
    return `item ${place}`;
  }

  /** Shows what can't be read as a number at all; returns whether there is such. */
  unreadable() {
    const places = [...this.inputs.keys()].filter((place) => this.inputs[place].validity.badInput);
    for (const place of places) this.show("not a number", this.isList ? place : undefined);
    return places.length > 0;
  }
}

class Single extends Field {
  constructor(observation) {
    super(observation, "div");
    const input = createInput(observation, observation.default);
    const words = element("p", { className: "hint", id: `${this.id}-hint` }, hint(observation));
    input.id = this.id;
    this.describe(input);
    this.inputs = [input];
    const box = input.type === "checkbox";
    const label = element("label", { htmlFor: this.id }, ...(box ? [input, this.name] : [this.name]));
    if (box) label.className = "check";
    this.element.append(label, words, ...(box ? [] : [input]), this.wrong);
  }

  value() {
    return typed(this.inputs[0]);
  }
}

class List extends Field {
  isList = true;

  constructor(observation, least, most, names) {
    super(observation, "fieldset");
    Object.assign(this, { observation, least, most, names: observation.mask ? names : undefined });
    this.items = element("ol", { className: "items" });
    this.describe(this.element);
    const words = element("p", { className: "hint", id: `${this.id}-hint` }, hint(observation, least, most));
    this.element.append(element("legend", {}, this.name), words, this.items);
    if (least < most) {
      this.add = element("button", { type: "button" }, "Add an item");
      this.add.addEventListener("click", () => this.append().focus());
      this.element.append(this.add);
    }
    this.element.append(this.wrong);
    this.items.addEventListener("paste", (event) => this.paste(event));
    const given = observation.default ?? Array.from({ length: least });
    for (const value of given) this.append(value);
    this.renumber();
  }

  get inputs() {
    return [...this.items.querySelectorAll("input")];
  }

  placeName(place) {
    return this.names?.[place] ?? super.placeName(place);
  }

  append(value) {
    const input = createInput(this.observation, value);
    const place = element("span", { className: "place" });
    const boxed = input.type === "checkbox";
    const item = element("li", {}, element("label", {}, ...(boxed ? [input, place] : [place, input])));
    if (this.add) {
      const remove = element("button", { type: "button", className: "remove" }, "×");
      remove.addEventListener("click", () => this.remove(item));
      item.append(remove);
    }
    this.items.append(item);
    this.renumber();
    return input;
  }

  remove(item) {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    this.renumber();
    (next?.querySelector("input") ?? this.add).focus();
  }

  renumber() {
    const count = this.items.children.length;
    [...this.items.children].forEach((item, place) => {
      item.querySelector(".place").textContent = this.names?.[place] ?? place;
      item.querySelector("input").setAttribute("aria-label", `${this.name}, ${this.placeName(place)}`);
      const remove = item.querySelector(".remove");
      remove?.setAttribute("aria-label", `Remove ${this.placeName(place)} of ${this.name}`);
      if (remove) remove.hidden = count <= this.least;
    });
    if (this.add) this.add.hidden = count >= this.most;
  }

  /** Spreads pasted numbers over the items from here on, and adds those that are missing. */
  paste(event) {
    const numbers = event.clipboardData.getData("text").replace(/[[\]]/g, " ").split(/[\s,;]+/).filter(Boolean);
    if (numbers.length < 2 || event.target.type === "checkbox" || numbers.some((text) => isNaN(text))) return;
    event.preventDefault();
    const first = this.inputs.indexOf(event.target);
    numbers.slice(0, Math.min(this.most, Number.MAX_SAFE_INTEGER) - first).forEach((text, offset) => {
      (this.inputs[first + offset] ?? this.append()).value = text;
    });
  }

  value() {
    return this.inputs.map((input) => typed(input) ?? null);
  }
}

/** Returns the fields of a schema's observations, in its order. `size` is how many numbers the model takes. */
export function createFields(observations, size, actions) {
  const bounds = observations.map((one) =>
    one.type.startsWith("List[") ? [one.min_items ?? 0, one.max_items ?? Infinity] : [1, 1],
  );
  // Where the length of one list alone is open, it is what the others leave.
  const open = bounds.filter(([least, most]) => least < most);
  if (open.length === 1 && size !== undefined) {
    const others = bounds.reduce((sum, [least, most]) => sum + (least < most ? 0 : least), 0);
    open[0].fill(size - others);
  }
  return observations.map((one, index) =>
    one.type.startsWith("List[") ? new List(one, ...bounds[index], actions) : new Single(one),
  );
}
