// Making elements, and putting numbers into words.

const SVG = "http://www.w3.org/2000/svg";

/** Returns an element with properties, and attributes where a name has a hyphen or is one in HTML only. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Returns a bar that is filled to `share` of its width; what it says stands beside it as text. */
export function bar(share) {
  const drawn = svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  drawn.append(svg("rect", { class: "whole", width: 100, height: 10 }));
  drawn.append(svg("rect", { class: "part", width: 100 * Math.min(Math.max(share, 0), 1), height: 10 }));
  return drawn;
}

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Returns a number with four significant digits. */
export function short(number) {
  return String(Number(number.toPrecision(4)));
}

/** Returns a share as percent. */
export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
