/** The page: puts the parts together and passes clicks, keys, log-ins and choices between them. */

import type { MapMouseEvent } from "maplibre-gl";

import { readCatalog, readStyle, RequestError, setRole } from "./api.ts";
import type { App } from "./app.ts";
import { Attributes } from "./attributes.ts";
import { Bar } from "./bar.ts";
import { BurstTool } from "./burst.ts";
import { layerOf, type Catalog } from "./catalog.ts";
import { ClosureTool } from "./closure.ts";
import { button, h, replace } from "./dom.ts";
import { LayerTree } from "./layers.ts";
import { askLogin } from "./login.ts";
import { coordinateReadout, MapView } from "./map.ts";
import { Panel } from "./panel.ts";
import { pickedOf } from "./pick.ts";
import { Search } from "./search.ts";
import { credentials, setCredentials } from "./session.ts";
import { onLanguage, roleTitle, setLanguage, language, t } from "./text.ts";
import { TraceTool } from "./trace.ts";
import type { Tool } from "./tools.ts";
import "./look.css";

const NIGHT = "onemap.night";
const NARROW = matchMedia("(max-width: 760px)");

class Page implements App {
  readonly panel = new Panel();
  readonly view: MapView;
  private readonly root = document.getElementById("app")!;
  private readonly canvas = h("div", { class: "map" });
  private readonly strip = h("div", { class: "tools", role: "toolbar" });
  private readonly banner = h("div", { class: "banner", hidden: true });
  private readonly toast = h("div", { class: "toast", role: "status", hidden: true });
  private readonly search: Search;
  private readonly tree: LayerTree;
  private readonly bar: Bar;
  private readonly attributes: Attributes;
  private readonly tools: Tool[];
  private readonly burst: BurstTool;
  private known: Catalog | null = null;
  private active: Tool | null = null;
  private used: Tool | null = null;
  private toastTimer = 0;
  private hovering = 0;
  private night = localStorage.getItem(NIGHT) ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "yes" : "no");

  constructor() {
    const stage = h("main", { class: "stage" }, this.canvas);
    this.search = new Search(this);
    this.bar = new Bar(this.choices(), this.search.element);
    this.root.append(this.bar.element, stage);
    // The bar has its final height before the map measures what is left for it.
    this.bar.redraw(null);
    this.view = new MapView(this.canvas);
    this.tree = new LayerTree(this, () => this.showTree(false));
    this.burst = new BurstTool(this, () => void this.begin(this.burst));
    const closure: ClosureTool = new ClosureTool(this, () => void this.begin(closure));
    const trace: TraceTool = new TraceTool(this, () => void this.begin(trace));
    this.tools = [this.burst, closure, trace];
    this.attributes = new Attributes(this, (layer, id) => this.burstHere(layer, id));
    stage.append(this.tree.element, this.strip, this.banner, this.panel.element, coordinateReadout(this.view.map), this.toast);
    this.view.padding = () => this.padding();
    this.listen();
  }

  private listen(): void {
    this.view.map.on("click", (event) => this.clicked(event));
    this.view.map.on("mousemove", (event) => this.hovered(event));
    this.view.map.on("error", ({ error }) => this.mapError(error));
    document.addEventListener("keydown", (event) => this.key(event));
    onLanguage(() => this.redraw());
  }

  /** Read the catalogue and the style and show the map; what fails is said with a way to try again. */
  async open(catalog?: Catalog): Promise<void> {
    try {
      const [known, style] = await Promise.all([catalog ?? readCatalog(), readStyle()]);
      this.known = known;
      setRole(known.user.role);
      this.view.open(known, style);
      this.showTree(!NARROW.matches && localStorage.getItem("onemap.tree") !== "closed");
      this.redraw();
      this.banner.hidden = true;
      this.drawBanner();
    } catch (error) {
      this.openFailed(error as RequestError);
    }
  }

  private openFailed(error: RequestError): void {
    if (error.status === 401 && credentials()) {
      setCredentials(null);
      this.say(t("sessionEnded"), "error");
      void this.open();
      return;
    }
    if (error.status === 401) void this.login();
    this.bar.redraw(this.known);
    replace(this.banner, h("span", {}, t("mapFailed", error.message)), button({ click: () => void this.open() }, null, t("retry")));
    this.banner.className = "banner failed";
    this.banner.hidden = false;
  }

  catalog(): Catalog {
    return this.known!;
  }

  say(message: string, tone: "info" | "error" = "info"): void {
    clearTimeout(this.toastTimer);
    this.toast.textContent = message;
    this.toast.className = `toast ${tone}`;
    this.toast.hidden = false;
    this.toastTimer = window.setTimeout(() => (this.toast.hidden = true), tone === "error" ? 6000 : 3500);
  }

  async login(reason?: string): Promise<boolean> {
    const catalog = await askLogin(reason);
    if (!catalog) return false;
    await this.open(catalog);
    this.say(t("welcome", catalog.user.name ?? "", roleTitle(catalog.user.role)));
    return true;
  }

  private async logout(): Promise<void> {
    setCredentials(null);
    this.stop();
    this.panel.closeAll();
    await this.open();
    this.say(t("loggedOut"));
  }

  showToday(): void {
    if (!this.view.date) return;
    this.setDate(null);
    this.say(t("backToToday"));
  }

  private setDate(date: string | null): void {
    this.view.setDate(date);
    this.bar.redraw(this.known);
    this.drawBanner();
  }

  private choices() {
    return {
      layers: () => this.showTree(this.tree.element.hidden),
      night: () => {
        this.night = this.night === "yes" ? "no" : "yes";
        localStorage.setItem(NIGHT, this.night);
        this.drawNight();
        this.view.setNight(this.night === "yes");
        this.bar.redraw(this.known);
      },
      isNight: () => this.night === "yes",
      date: () => this.view?.date ?? null,
      setDate: (date: string | null) => this.setDate(date),
      login: () => void this.login(),
      logout: () => void this.logout(),
    };
  }

  private showTree(open: boolean): void {
    this.tree.element.hidden = !open;
    this.root.classList.toggle("tree-open", open);
    localStorage.setItem("onemap.tree", open ? "open" : "closed");
  }

  private redraw(): void {
    this.bar.redraw(this.known);
    this.search.redraw();
    if (this.known) this.tree.redraw();
    this.drawTools();
    this.drawBanner();
    this.panel.redraw();
  }

  private drawNight(): void {
    document.documentElement.dataset.theme = this.night === "yes" ? "night" : "day";
  }

  /** Draw the page's own parts; the map comes with `open`. */
  start(): void {
    setLanguage(language());
    this.drawNight();
    if (this.night === "yes") this.view.setNight(true);
    this.view.map.resize();
    void this.open();
  }

  private drawTools(): void {
    this.strip.setAttribute("aria-label", t("tools"));
    const short = { burst: "burstShort", closure: "closureShort", trace: "traceShort" } as const;
    const icons = { burst: "burst", closure: "valve", trace: "trace" };
    const tools = this.tools.map((tool) => {
      const pressed = this.active === tool;
      const start = button(
        { class: `tool ${tool.id === "burst" ? "danger" : ""}`, "data-tool": tool.id, "aria-pressed": String(pressed), title: t(tool.id), click: () => (pressed ? this.stop() : void this.begin(tool)) },
        icons[tool.id],
      );
      start.append(h("span", { class: "long" }, t(tool.id)), h("span", { class: "short" }, t(short[tool.id])));
      return start;
    });
    replace(this.strip, ...tools);
  }

  private drawBanner(): void {
    if (this.banner.classList.contains("failed") && !this.banner.hidden) return;
    const { date } = this.view;
    this.banner.className = this.active ? "banner prompt" : "banner";
    this.banner.hidden = !this.active && !date;
    if (this.active) {
      const { text, hint } = this.active.prompt();
      replace(this.banner, h("div", {}, h("strong", {}, text), h("small", {}, hint)), button({ click: () => this.stop() }, null, t("cancel")));
    } else if (date) replace(this.banner, h("span", {}, t("asOn", date)), button({ click: () => this.setDate(null) }, null, t("today")));
  }

  /** Let this tool wait for clicks; a reader who cannot see its layers is asked to log in first. */
  private async begin(tool: Tool): Promise<void> {
    if (!this.known) return;
    const sees = (): boolean => tool.layers.some((id) => layerOf(this.catalog(), id));
    const reason = credentials() ? t("forbidden", roleTitle(this.catalog().user.role)) : tool.loginReason();
    if (!sees() && !(await this.login(reason))) return;
    if (!sees()) return this.say(t("forbidden", roleTitle(this.catalog().user.role)), "error");
    if (this.used && this.used !== tool) this.panel.closeAll();
    const hidden = tool.layers.filter((id) => !this.view.visible(id));
    if (hidden.length) this.view.setVisible(hidden, true);
    if (hidden.length) this.tree.redraw();
    this.active = this.used = tool;
    tool.begin?.();
    if (NARROW.matches) this.showTree(false);
    this.canvas.classList.add("picking");
    this.drawTools();
    this.drawBanner();
  }

  private stop(): void {
    this.active = null;
    this.canvas.classList.remove("picking");
    this.drawTools();
    this.drawBanner();
  }

  private burstHere(layer: string, id: string): void {
    this.stop();
    this.used = this.burst;
    this.burst.start(pickedOf(layer, id));
  }

  private clicked(event: MapMouseEvent): void {
    if (!this.known) return;
    const { point, lngLat } = event;
    if (this.active) {
      if (this.active.click(point, [lngLat.lng, lngLat.lat])) this.stop();
      return;
    }
    const symbol = this.view.overlay.symbolAt(point);
    if (symbol && this.used === this.burst && this.burst.pickedSymbol(symbol)) return;
    this.attributes.at(point);
  }

  private hovered({ point }: MapMouseEvent): void {
    if (this.active || !this.known || this.hovering || this.view.map.isMoving()) return;
    // Once per frame at most: asking what lies under the pointer costs a few milliseconds.
    this.hovering = requestAnimationFrame(() => {
      this.hovering = 0;
      this.canvas.classList.toggle("over", this.attributes.hits(point));
    });
  }

  private mapError(error: Error & { status?: number }): void {
    if (error?.status === 401 && credentials()) this.say(t("sessionEnded"), "error");
    else console.warn(error?.message ?? error);
  }

  private key(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement;
    if (event.key === "Escape" && this.active) this.stop();
    else if (event.key === "Escape" && !typing) this.panel.closeAttributes();
    else if (event.key === "/" && !typing) {
      event.preventDefault();
      this.search.focus();
    }
  }

  /** What the open panels cover of the map, so that results come to lie beside them. */
  private padding() {
    const margin = 50;
    if (NARROW.matches) return { top: 70, left: 30, right: 30, bottom: this.panel.open ? this.panel.element.offsetHeight + 30 : 90 };
    const left = this.tree.element.hidden ? margin : this.tree.element.offsetWidth + margin;
    return { top: 90, left, right: this.panel.open ? 420 + margin : margin, bottom: margin };
  }
}

try {
  new Page().start();
} catch (error) {
  replace(document.getElementById("app")!, h("p", { class: "fatal" }, t("noWebgl")));
  console.error(error);
}
