/** The search box: an address as typed, suggestions as one types, the chosen one marked on the map. */

import type maplibregl from "maplibre-gl";

import { execute } from "./api.ts";
import type { AddressHit, Geocoded } from "./answers.ts";
import type { App } from "./app.ts";
import { coordinatesOf } from "./coordinates.ts";
import { button, h, icon, replace } from "./dom.ts";
import { t } from "./text.ts";

const WAIT_MS = 220;

export class Search {
  readonly element = h("form", { class: "search", role: "search" });
  private readonly input = h("input", {
    type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", enterkeyhint: "search",
    "aria-expanded": "false", "aria-controls": "search-results", "aria-autocomplete": "list",
  });
  private readonly list = h("ul", { class: "results", id: "search-results", role: "listbox", hidden: true });
  private readonly clearer = button({ class: "quiet icon-only clear", hidden: true, click: () => this.clear() }, "close");
  private hits: AddressHit[] = [];
  private active = -1;
  private timer = 0;
  private pending: AbortController | null = null;
  private marker: maplibregl.Marker | null = null;

  constructor(private readonly app: App) {
    this.element.append(icon("search"), this.input, this.clearer, this.list);
    this.element.addEventListener("submit", (event) => this.submit(event));
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("focus", () => this.expand(this.list.childElementCount > 0));
    document.addEventListener("pointerdown", (event) => {
      if (!this.element.contains(event.target as Node)) this.expand(false);
    });
    this.redraw();
  }

  redraw(): void {
    this.input.placeholder = t("searchHint");
    this.input.setAttribute("aria-label", t("search"));
    this.clearer.setAttribute("aria-label", t("clear"));
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  private typed(): void {
    clearTimeout(this.timer);
    this.clearer.hidden = !this.input.value;
    if (!this.input.value.trim()) return this.expand(false);
    this.timer = window.setTimeout(() => void this.find(), WAIT_MS);
  }

  private async find(): Promise<void> {
    const text = this.input.value.trim();
    this.pending?.abort();
    if (!text) return;
    const at = coordinatesOf(text);
    if (at) return this.offer([{ full_text: `${t("coordinates")} ${at[0]}, ${at[1]}`, lon: at[0], lat: at[1], score: 1 }]);
    const request = (this.pending = new AbortController());
    try {
      const answer = await execute<Geocoded>("geocode", { text }, request.signal);
      if (this.pending === request) this.offer(answer.results ?? [], answer.ambiguous);
    } catch (error) {
      if (request.signal.aborted) return;
      this.note((error as Error).message, "error");
    }
  }

  private offer(hits: AddressHit[], ambiguous = false): void {
    this.hits = hits;
    this.active = hits.length ? 0 : -1;
    if (!hits.length) return this.note(t("noAddress"));
    replace(
      this.list,
      ambiguous && hits.length > 1 && h("li", { class: "note" }, t("ambiguous")),
      ...hits.map((hit, i) => h("li", { role: "option", id: `hit-${i}`, "aria-selected": String(i === 0), click: () => this.take(i) }, icon("target"), h("span", {}, hit.full_text))),
    );
    this.mark();
    this.expand(true);
  }

  private note(text: string, tone = ""): void {
    this.hits = [];
    replace(this.list, h("li", { class: `note ${tone}` }, text));
    this.expand(true);
  }

  private expand(open: boolean): void {
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
  }

  private mark(): void {
    this.list.querySelectorAll("[role=option]").forEach((row, i) => {
      row.setAttribute("aria-selected", String(i === this.active));
      if (i === this.active) {
        row.scrollIntoView({ block: "nearest" });
        this.input.setAttribute("aria-activedescendant", row.id);
      }
    });
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing) return; // The keys belong to the input method while it composes a character.
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.hits.length) {
      event.preventDefault();
      this.active = (this.active + step + this.hits.length) % this.hits.length;
      this.expand(true);
      this.mark();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (this.list.hidden) this.clear();
      else this.expand(false);
    }
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    clearTimeout(this.timer);
    if (this.list.hidden || this.active < 0) await this.find();
    if (this.active >= 0) this.take(this.active);
  }

  private take(i: number): void {
    const hit = this.hits[i];
    if (!hit) return;
    this.pending?.abort();
    this.pending = null;
    this.input.value = hit.full_text;
    this.clearer.hidden = false;
    this.expand(false);
    this.input.blur();
    this.marker?.remove();
    this.marker = this.app.view.marker([hit.lon, hit.lat]);
    this.app.view.goTo([hit.lon, hit.lat], 17);
  }

  private clear(): void {
    this.input.value = "";
    this.clearer.hidden = true;
    this.hits = [];
    this.active = -1;
    replace(this.list);
    this.expand(false);
    this.marker?.remove();
    this.marker = null;
  }
}
