/** The layer tree: groups and layers with check-boxes and the swatches that explain the map's colours. */

import type { App } from "./app.ts";
import type { Group, LayerEntry } from "./catalog.ts";
import { button, h, icon, replace } from "./dom.ts";
import { t, titleOf } from "./text.ts";

const FOLDED = "onemap.folded";

function swatch(layer: LayerEntry, colour = layer.style?.color ?? "#888"): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 14");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  const kind = layer.geometry.replace(/^Multi|Z$/g, "");
  const shapes: Record<string, [string, Record<string, string>]> = {
    Point: ["circle", { cx: "10", cy: "7", r: "4.5", fill: colour, stroke: layer.style?.outline ?? "rgba(0,0,0,.45)" }],
    LineString: ["path", { d: "M1 11 7 5l6 4 6-6", fill: "none", stroke: colour, "stroke-width": "3", "stroke-dasharray": layer.style?.dash?.length ? "4 2" : "none" }],
    Raster: ["path", { d: "M2 1h8v6H2zM10 7h8v6h-8z", fill: colour }],
  };
  const [tag, attributes] = shapes[kind] ?? [
    "rect",
    { x: "2", y: "1.5", width: "16", height: "11", rx: "2", fill: colour, stroke: layer.style?.outline ?? "rgba(0,0,0,.35)" },
  ];
  const draw = (values: Record<string, string>): void => {
    const shape = document.createElementNS(svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
    svg.append(shape);
  };
  // Under a line a darker one: white roads and yellow lamps are seen on a white panel too.
  if (kind === "LineString") draw({ ...attributes, class: "casing", "stroke-width": "4.6" });
  draw(attributes);
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
      h("div", { class: "panel-body" }, ...this.app.catalog().groups.filter((group) => group.layers.length).map((group) => this.group(group))),
    );
    this.noteZoom();
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
    const label = h("label", { title: titleOf(layer.description) }, box, swatch(layer), name, min ? note : null);
    return h("li", { "data-layer": layer.id }, label, this.cases(layer));
  }

  /** One swatch per class of a categorised style. */
  private cases(layer: LayerEntry): HTMLElement | null {
    const cases = layer.style?.cases ?? [];
    if (!cases.length) return null;
    const codes = layer.fields?.find((field) => field.name === layer.style?.by)?.codes ?? [];
    const rows = cases.map((one) => {
      const title = titleOf(one.title) || titleOf(codes.find((code) => String(code.code) === String(one.value))?.title, String(one.value));
      return h("li", {}, swatch(layer, one.color), h("span", {}, title));
    });
    return h("details", { class: "cases" }, h("summary", { "aria-label": titleOf(layer.title) }, icon("chevron")), h("ul", {}, ...rows));
  }

  private noteZoom(): void {
    const zoom = this.app.view.map.getZoom();
    // A tile of zoom z is shown from z − ½ on, because sources have tiles of 512 pixels.
    for (const { note, min } of this.zoomNotes) note.hidden = Math.floor(zoom) >= min;
  }
}
