/** What the parts of the map may ask of the whole. */

import type { Catalog } from "./catalog.ts";
import type { MapView } from "./map.ts";
import type { Networks } from "./networks.ts";
import type { Panel } from "./panel.ts";

export interface App {
  readonly view: MapView;
  readonly panel: Panel;
  readonly networks: Networks;
  catalog(): Catalog;
  /** Whether the caller may run this process. */
  may(process: string): boolean;
  /** A short message at the map's foot. */
  say(message: string, tone?: "info" | "error"): void;
  /** Ask for a log-in; resolves to true when the reader logged in. */
  login(reason?: string): Promise<boolean>;
  /** See the city of today, where another day was shown. */
  showToday(): void;
  /** The states of valves changed: what is drawn and answered of them is void. */
  valvesChanged(): void;
}
