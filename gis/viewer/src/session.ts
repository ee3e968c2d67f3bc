/** Who is asking: a key, or the key of a session that a name and password began; kept in this tab only and sent with every request.
 * A password itself is sent once and never kept. */

export type Credentials = { kind: "key"; key: string; /** It ends with the log-out. */ session?: boolean } | { kind: "basic"; name: string; password: string };

const KEY = "onemap.credentials";

function stored(): Credentials | null {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  } catch {
    sessionStorage.removeItem(KEY);
    return null;
  }
}

let current: Credentials | null = stored();

export function credentials(): Credentials | null {
  return current;
}

export function setCredentials(next: Credentials | null): void {
  current = next;
  if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
  else sessionStorage.removeItem(KEY);
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** The request headers that say who is asking; none for a visitor. */
export function authHeaders(who: Credentials | null = current): Record<string, string> {
  if (!who) return {};
  if (who.kind === "key") return { "X-API-Key": who.key };
  return { Authorization: `Basic ${base64(`${who.name}:${who.password}`)}` };
}
