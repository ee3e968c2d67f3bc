/** The platform's HTTP interface as the map uses it: the catalogue, the style, one feature, the processes. */

import type { StyleSpecification } from "maplibre-gl";

import type { Catalog } from "./catalog.ts";
import { authHeaders, credentials, type Credentials } from "./session.ts";
import { language, roleTitle, t } from "./text.ts";

/** The root of the API: the viewer is its `map/` folder. Ends with a slash. */
export const ROOT = new URL(location.pathname.replace(/map\/[^/]*$/, ""), location.origin).href;

/** A request that failed. `message` is for the reader, in his language; `code` is the platform's class of the mistake; status 0
 * means that no answer came. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** The platform's mistakes as problem details (RFC 9457); `description` is detail, place and remedy in one. */
interface ErrorBody {
  error?: string;
  code?: string;
  where?: string;
  detail?: string;
  remedy?: string;
  description?: string;
  /** The same in Chinese, where it was asked for and somebody has put it so. */
  said?: string;
}

let role = "anonymous";

/** The role that messages name; set when the catalogue has told it. */
export function setRole(next: string): void {
  role = next;
}

let logIn: () => Promise<boolean> = async () => false;

/** How a reader whose log-in ran out is asked for it again. */
export function whenLoggedOut(ask: () => Promise<boolean>): void {
  logIn = ask;
}

/** Ask for the log-in again; whether he logged in. */
export function logInAgain(): Promise<boolean> {
  return logIn();
}

/** What the platform says itself, for mistakes that have no words of their own here. */
function sentence(body: ErrorBody): string {
  return (language() === "zh" && body.said) || (body.description ?? [body.detail, body.remedy].filter(Boolean).join(" "));
}

async function failure(response: Response): Promise<RequestError> {
  let body: ErrorBody = {};
  try {
    body = await response.json();
  } catch {
    // An error page that is not JSON says nothing more than its status.
  }
  return new RequestError(response.status, body.error ?? body.code ?? "", mistake(response.status, body));
}

/** A mistake in the reader's words: by what happened to him first, then by the platform's class of it. */
export function mistake(status: number, body: ErrorBody): string {
  if (status === 401) return credentials() ? t("sessionEnded") : t("needLogin");
  if (status === 403) return t("forbidden", roleTitle(role));
  if (status === 503) return t("databaseDown");
  if (status >= 500) return t("serverError", status);
  if (status === 404) return t("notFound");
  if (status === 429) return t("tooMany");
  const said = sentence(body) || String(status);
  switch (body.error) {
    case "NotOnNetwork":
      return t("notOnThisNetwork", said);
    case "OutsideExtent":
      return t("outsideExtent", said);
    case "Ambiguous":
      return t("severalFit", said);
    default:
      return t("refused", said);
  }
}

/** Why part of the map did not come, in the reader's words; empty for what is no fault, such as a tile that was given up. */
export function tilesMistake(error: Error & { status?: number }): string {
  if (error?.status === 0 || error?.message === "Failed to fetch") return t("serverDown");
  const { status } = error ?? {};
  return status && status >= 400 && status !== 404 ? mistake(status, {}) : "";
}

interface Options {
  method?: "DELETE" | "POST";
  /** A preference of RFC 7240: `respond-async` makes a job of an execution. */
  prefer?: string;
  body?: unknown;
  who?: Credentials | null;
  signal?: AbortSignal;
  seconds?: number;
}

let ambient = false;

/** All requests of this document are sent with what the browser itself was told when it asked for name and password: within the pages,
 * which have no other log-in. */
export function useAmbientCredentials(): void {
  ambient = true;
}

/** Ask the API for JSON at `path` (below the root). Throws RequestError; an aborted request throws AbortError. */
export async function request<T>(path: string, options: Options = {}): Promise<T> {
  const controller = new AbortController();
  let late = false;
  const clock = setTimeout(() => {
    late = true;
    controller.abort();
  }, (options.seconds ?? 60) * 1000);
  options.signal?.addEventListener("abort", () => controller.abort());
  const post = options.body !== undefined;
  let response: Response;
  try {
    response = await fetch(ROOT + path, {
      method: options.method ?? (post ? "POST" : "GET"),
      headers: {
        Accept: "application/json",
        "Accept-Language": language(),
        ...(post ? { "Content-Type": "application/json" } : {}),
        ...(options.prefer ? { Prefer: options.prefer } : {}),
        ...authHeaders(options.who === undefined ? credentials() : options.who),
      },
      body: post ? JSON.stringify(options.body) : undefined,
      // Without ambient credentials the browser does not open its own password box on a 401.
      credentials: ambient && !credentials() ? "same-origin" : "omit",
      signal: controller.signal,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (late) throw new RequestError(0, "Timeout", t("timedOut"));
    throw new RequestError(0, "Unreachable", t("serverDown"));
  } finally {
    clearTimeout(clock);
  }
  if (!response.ok) {
    const failed = await failure(response);
    // Whoever asked shows the mistake; that the log-in ran out concerns the whole page.
    if (failed.status === 401 && options.who === undefined && credentials()) void logIn();
    throw failed;
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The layer tree, city and caller; `who` tries other credentials than the current ones. */
export function readCatalog(who?: Credentials | null): Promise<Catalog> {
  return request<Catalog>("catalog", { who, seconds: 20 });
}

/** Begin a session with a name and password: its key takes their place. A password that must be changed first is a 403. */
export async function beginSession(who: Credentials): Promise<Credentials> {
  const { session } = await request<{ session: string }>("account/session", { method: "POST", who, seconds: 20 });
  return { kind: "key", key: session, session: true };
}

/** End the session, if it is one; what is no session any more is ended too. */
export async function endSession(who: Credentials | null): Promise<void> {
  if (who?.kind !== "key" || !who.session) return;
  await request("account/session", { method: "DELETE", who, seconds: 5 }).catch((error: RequestError) => console.warn(error.message));
}

/** Where a password is changed: a page of its own, in a tab of its own. */
export function passwordPage(name: string): string {
  return `${ROOT}account/password?${new URLSearchParams({ lang: language(), user: name })}`;
}

export function readStyle(): Promise<StyleSpecification> {
  return request<StyleSpecification>("styles/onemap?f=json", { seconds: 20 });
}

export interface Item {
  id: string | number;
  geometry: GeoJSON.Geometry | null;
  properties: Record<string, unknown>;
}

/** One feature with all the attributes that the caller may see. */
export function readItem(layer: string, id: string, signal?: AbortSignal): Promise<Item> {
  return request<Item>(`collections/${encodeURIComponent(layer)}/items/${encodeURIComponent(id)}?f=json`, {
    signal,
    seconds: 15,
  });
}

/** What the platform believed of a feature from one moment to another, and the batch that made it so. */
export interface Version extends Item {
  recorded: { from: string; to: string | null; by?: { batch: number; kind: string; source?: string; operator?: string } | null };
}

/** Every version of a feature, the newest first. */
export async function readHistory(layer: string, id: string, signal?: AbortSignal): Promise<Version[]> {
  const path = `collections/${encodeURIComponent(layer)}/items/${encodeURIComponent(id)}?f=json&history=true`;
  return (await request<{ features: Version[] }>(path, { signal, seconds: 20 })).features;
}

/** Several features of a network's layer by their ids, in one request; those that are not there are left out. */
export async function readItems(layer: string, network: string | null, key: string, ids: string[], signal?: AbortSignal): Promise<Item[]> {
  if (!ids.length) return [];
  const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const own = `${key} IN (${ids.map(quoted).join(",")})`;
  const filter = network === null ? own : `network = ${quoted(network)} AND ${own}`;
  const query = new URLSearchParams({ f: "json", limit: String(ids.length), filter });
  const found = await request<{ features: Item[] }>(`collections/${encodeURIComponent(layer)}/items?${query}`, { signal, seconds: 20 });
  return found.features;
}

/** The ids of the processes that the caller may run. */
export async function readProcesses(): Promise<Set<string>> {
  const found = await request<{ processes: Array<{ id: string }> }>("processes?f=json", { seconds: 20 });
  return new Set(found.processes.map((process) => process.id));
}

/** Run a process and wait for its answer. A process that does not exist for the caller is one that he may not run. */
export async function execute<T>(process: string, inputs: object, signal?: AbortSignal): Promise<T> {
  try {
    return await request<T>(`processes/${process}/execution`, { body: { inputs }, signal });
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 404) throw error;
    if (!credentials()) throw new RequestError(401, error.code, t("needLogin"));
    throw new RequestError(403, error.code, t("forbidden", roleTitle(role)));
  }
}
