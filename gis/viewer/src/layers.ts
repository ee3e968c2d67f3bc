/** The layer tree: groups and layers with check-boxes and the swatches that explain the map's colours. */

import type { App } from "./app.ts";
import type { Group, LayerEntry, LayerStyle, StyleCase } from "./catalog.ts";
import { button, h, icon, replace } from "./dom.ts";
import { t, titleOf } from "./text.ts";

const FOLDED = "onemap.folded";

const SVG = "http://www.w3.org/2000/svg";

function shape(tag: string, attributes: Record<string, string>, text?: string): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

/** A point as the map draws it: a disc, or a ring around the sign. */
function pointSwatch(style: LayerStyle, colour: string, sign: string | null | undefined): SVGElement[] {
  const [fill, stroke] = style.hollow ? ["#ffffff", colour] : [colour, style.outline ?? "rgba(0,0,0,.4)"];
  const disc = shape("circle", { cx: "11", cy: "7.5", r: sign ? "6.4" : "4.6", fill, stroke, "stroke-width": style.hollow ? "1.6" : "1" });
  const ink = style.hollow ? colour : "#ffffff";
  return sign ? [disc, shape("text", { x: "11", y: "10.6", "text-anchor": "middle", "font-size": "8.5", fill: ink }, sign)] : [disc];
}

function lineSwatch(style: LayerStyle, colour: string): SVGElement[] {
  const line = { d: "M1 12 8 5l6 4 7-6", fill: "none", stroke: colour, "stroke-width": "3", "stroke-dasharray": style.dash?.length ? "4 2" : "none" };
  // Under a line a darker one: white roads and yellow lamps are seen on a white panel too.
  return [shape("path", { ...line, class: "casing", "stroke-width": "4.6" }), shape("path", line)];
}

function swatch(layer: LayerEntry, one?: StyleCase): SVGElement {
  const style = layer.style ?? {};
  const colour = one?.color ?? style.color ?? "#888888";
  const svg = shape("svg", { viewBox: "0 0 22 15", class: "swatch", "aria-hidden": "true" });
  const kind = layer.geometry.replace(/^Multi|Z$/g, "");
  if (kind === "Point") svg.append(...pointSwatch(style, colour, one ? (one.symbol ?? style.symbol) : style.symbol));
  else if (kind === "LineString") svg.append(...lineSwatch(style, colour));
  else if (kind === "Raster") svg.append(shape("path", { d: "M2 1h9v6.5H2zM11 7.5h9V14h-9z", fill: colour }));
  else svg.append(shape("rect", { x: "2", y: "1.5", width: "18", height: "12", rx: "2", fill: colour, "fill-opacity": String(Math.max(0.12, style.opacity ?? 1)), stroke: style.outline ?? "rgba(0,0,0,.35)" }));
  return svg;
}

export class LayerTree {
  readonly element = h("nav", { class: "layers", id: "layers" });
  private folded: Record<string, boolean> = JSON.parse(localStorage.getItem(FOLDED) ?? "{}");
  private zoomNotes: Array<{ note: HTMLElement; min: number }> = [];

  constructor(
    private readonly app: App,
    private readonly close: () => void,
  ) {
    app.view.map.on("zoomend", () => this.noteZoom());
  }

  redraw(): void {
    this.zoomNotes = [];
    const dismiss = button({ class: "quiet icon-only", "aria-label": t("close"), title: t("close"), click: this.close }, "close");
    replace(
      this.element,
      h("header", { class: "panel-head" }, h("h2", {}, t("layers")), dismiss),
      h("div", { class: "panel-body" }, ...this.groups().map((group) => this.group(group))),
    );
    this.noteZoom();
  }

  /** The groups with what the map draws of them. */
  private groups(): Group[] {
    const { view } = this.app;
    const drawn = this.app.catalog().groups.map((group) => ({ ...group, layers: group.layers.filter((layer) => view.draws(layer.id)) }));
    return drawn.filter((group) => group.layers.length);
  }

  private group(group: Group): HTMLElement {
    const ids = group.layers.map((layer) => layer.id);
    const box = h("input", { type: "checkbox", "aria-label": titleOf(group.title, group.id) });
    const rows = group.layers.map((layer) => this.layer(layer, () => sync()));
    const sync = (): void => {
      const on = ids.filter((id) => this.app.view.visible(id)).length;
      box.checked = on === ids.length;
      box.indeterminate = on > 0 && on < ids.length;
    };
    box.addEventListener("change", () => {
      this.app.view.setVisible(ids, box.checked);
      this.redraw();
    });
    sync();
    const details = h(
      "details",
      { class: "group", "data-group": group.id, open: !this.folded[group.id] },
      h("summary", {}, box, h("span", { class: "group-title" }, titleOf(group.title, group.id)), icon("chevron")),
      h("ul", {}, ...rows),
    );
    box.addEventListener("click", (event) => event.stopPropagation());
    details.addEventListener("toggle", () => {
      this.folded[group.id] = !details.open;
      localStorage.setItem(FOLDED, JSON.stringify(this.folded));
    });
    return details;
  }

  private layer(layer: LayerEntry, changed: () => void): HTMLElement {
    const { view } = this.app;
    const box = h("input", {
      type: "checkbox",
      checked: view.visible(layer.id),
      change: () => {
        view.setVisible([layer.id], box.checked);
        changed();
      },
    });
    const note = h("span", { class: "zoom-note", title: t("zoomIn") }, t("zoomIn"));
    const min = layer.tiles?.min_zoom;
    if (min) this.zoomNotes.push({ note, min });
    const name = h("span", { class: "layer-title" }, titleOf(layer.title, layer.id));
    const label = h("label", { title: [titleOf(layer.description), layer.label].filter(Boolean).join(" · ") }, box, swatch(layer), name, min ? note : null);
    return h("li", { "data-layer": layer.id }, label, this.cases(layer));
  }

  /** One swatch per class of a categorised style. */
  private cases(layer: LayerEntry): HTMLElement | null {
    const cases = layer.style?.cases ?? [];
    if (!cases.length) return null;
    const codes = layer.fields?.find((field) => field.name === layer.style?.by)?.codes ?? [];
    const rows = cases.map((one) => {
      const title = titleOf(one.title) || titleOf(codes.find((code) => String(code.code) === String(one.value))?.title, String(one.value));
      return h("li", {}, swatch(layer, one), h("span", {}, title));
    });
    return h("details", { class: "cases" }, h("summary", { "aria-label": titleOf(layer.title) }, icon("chevron")), h("ul", {}, ...rows));
  }

  private noteZoom(): void {
    const zoom = this.app.view.map.getZoom();
    // A tile of zoom z is shown from z − ½ on, because sources have tiles of 512 pixels.
    for (const { note, min } of this.zoomNotes) note.hidden = Math.floor(zoom) >= min;
  }
}
