/** What is on show, in the address after the `#`, so that a colleague who opens it sees the same: `#map=17/32/117&net=city&open=…`. */

/** Parts of the address; `map` is the map's own. */
export type Part = "net" | "open" | "stuck";

/** The address's parts behind the `#`. */
export function parts(hash: string = location.hash): Record<string, string> {
  const found: Record<string, string> = {};
  for (const part of hash.replace(/^#/, "").split("&")) {
    const at = part.indexOf("=");
    if (at > 0) found[part.slice(0, at)] = part.slice(at + 1);
  }
  return found;
}

/** The words of a part: `burst/pipe/P%2F1` is burst, pipe, P/1. */
export function words(text: string | undefined, separator = "/"): string[] {
  return (text ?? "").split(separator).filter(Boolean).map(decoded);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // Somebody cut the address off within a character.
  }
}

/** Words as one part of an address. */
export function joined(list: Array<string | number>, separator = "/"): string {
  return list.map((word) => encodeURIComponent(String(word))).join(separator);
}

/** The hash with these parts set, or taken out where empty; the others stay. */
export function withParts(hash: string, changes: Partial<Record<Part, string>>): string {
  const all = { ...parts(hash), ...changes };
  return `#${Object.entries(all).filter(([, value]) => value).map(([name, value]) => `${name}=${value}`).join("&")}`;
}

/** Write parts into the address without a step in the browser's history. */
export function remember(changes: Partial<Record<Part, string>>): void {
  const next = withParts(location.hash, changes);
  if (next !== location.hash) history.replaceState(history.state, "", next === "#" ? location.pathname : next);
}

/** An address of the old kind (`#17/32/117`) in the new form. */
export function renewed(hash: string): string {
  return /^#\d/.test(hash) ? `#map=${hash.slice(1)}` : hash;
}
