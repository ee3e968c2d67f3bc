/** Which water network is looked at: several may lie over the same ground, and a click must mean one of them. */

import { execute } from "./api.ts";
import type { Networks as Answer } from "./answers.ts";
import { h, replace } from "./dom.ts";
import { parts, remember, words } from "./place.ts";
import { count, t } from "./text.ts";

const KEY = "onemap.network";
export const CITY = "city";

type Network = Answer["networks"][number];

/** Above so many pipes an answer with every pipe is too large for a browser. */
const LARGE = 60_000;

export class Networks {
  readonly element = h("label", { class: "bar-button network", hidden: true });
  private known: Network[] = [];
  private chosen: string = words(parts().net)[0] ?? localStorage.getItem(KEY) ?? CITY;

  /** `changed` is called when another network was chosen. */
  constructor(private readonly changed: (network: Network) => void) {}

  get current(): string {
    return this.chosen;
  }

  get several(): boolean {
    return this.known.length > 1;
  }

  get large(): boolean {
    return (this.known.find(({ id }) => id === this.chosen)?.pipes ?? 0) > LARGE;
  }

  /** Ask which there are; a network that is gone is left for the first one. */
  async read(): Promise<void> {
    try {
      this.known = (await execute<Answer>("water-networks", {})).networks;
    } catch {
      this.known = []; // Without the list the map shows what it is given, and analyses ask the city's own network.
    }
    if (this.known.length && !this.known.some(({ id }) => id === this.chosen)) this.chosen = this.known[0].id;
    this.redraw();
  }

  forget(): void {
    this.known = [];
    this.redraw();
  }

  /** Look at this network from now on. */
  choose(id: string): void {
    const network = this.known.find((one) => one.id === id);
    if (!network || id === this.chosen) return;
    this.chosen = id;
    localStorage.setItem(KEY, id);
    this.redraw();
    this.changed(network);
  }

  redraw(): void {
    this.element.hidden = !this.several;
    this.element.title = t("networkHint");
    if (this.several) remember({ net: encodeURIComponent(this.chosen) });
    const options = this.known.map(({ id, pipes }) => h("option", { value: id, selected: id === this.chosen }, `${networkTitle(id)} · ${t("nPipes", count(pipes))}`));
    const select = h("select", { "aria-label": t("networkHint"), "data-key": "network", change: () => this.choose(select.value) }, ...options);
    replace(this.element, h("span", { class: "label" }, t("network")), h("span", { class: "chosen" }, networkTitle(this.chosen)), select);
  }
}

/** A network's name for the reader. */
export function networkTitle(id: string): string {
  return id === CITY ? t("cityNetwork") : id;
}
