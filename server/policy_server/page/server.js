// What the page asks of the server; paths are relative to where the server's routes begin.

const KEY_HEADER = "access-token";
// Several PolicyServers may share an origin, each with keys of its own.
const KEPT_AS = `key of ${new URL(".", document.baseURI).pathname}`;

/** The key in use, or null; gone when the tab is closed. */
export const key = {
  get: () => sessionStorage.getItem(KEPT_AS),
  keep: (text) => sessionStorage.setItem(KEPT_AS, text),
  forget: () => sessionStorage.removeItem(KEPT_AS),
};

/** A request that was refused: `detail` is a sentence, or a list of what (`msg`) is wrong where (`loc`); `status` 0 is no answer. */
export class Refused extends Error {
  constructor(status, detail) {
    super(Array.isArray(detail) ? detail.map((problem) => problem.msg).join("; ") : detail);
    this.status = status;
    this.detail = detail;
  }
}

/** Returns the JSON that answers a GET, or a POST of a body; throws Refused. */
export async function ask(path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  // A header holds bytes: those of the key in UTF-8, as curl would send them.
  if (key.get()) headers[KEY_HEADER] = String.fromCharCode(...new TextEncoder().encode(key.get()));
  const method = body === undefined ? "GET" : "POST";
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Refused(0, "The server doesn't answer; try again.");
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, told?.detail ?? `The answer was ${answer.status}.`);
  return told;
}

/** Returns a POST as a line for a shell, which finds the key in its variable KEY. */
export function curl(path, body) {
  const keyed = key.get() ? ` -H "${KEY_HEADER}: $KEY"` : "";
  const url = new URL(path, document.baseURI).href;
  return `curl ${quoted(url)} -H 'Content-Type: application/json'${keyed} -d ${quoted(JSON.stringify(body))}`;
}

function quoted(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
