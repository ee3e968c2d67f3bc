/** The page: puts the parts together and passes clicks, keys, log-ins and choices between them. */

import type { MapMouseEvent } from "maplibre-gl";

import { endSession, readCatalog, readProcesses, readStyle, RequestError, setRole, tilesMistake, whenLoggedOut } from "./api.ts";
import type { App } from "./app.ts";
import { Attributes } from "./attributes.ts";
import { whenBack } from "./away.ts";
import { Bar } from "./bar.ts";
import { BookTool } from "./book.ts";
import { BurstTool } from "./burst.ts";
import { layerOf, type Catalog } from "./catalog.ts";
import { ClosureTool } from "./closure.ts";
import { CriticalityTool } from "./criticality.ts";
import { button, h, replace } from "./dom.ts";
import { LayerTree } from "./layers.ts";
import { askLogin } from "./login.ts";
import { coordinateReadout, MapView } from "./map.ts";
import { Networks, networkTitle } from "./networks.ts";
import { Panel } from "./panel.ts";
import { pickedOf } from "./pick.ts";
import { parts, words } from "./place.ts";
import { QualityTool } from "./quality.ts";
import { Search } from "./search.ts";
import { credentials, setCredentials } from "./session.ts";
import { onLanguage, roleTitle, setLanguage, language, t } from "./text.ts";
import { TraceTool } from "./trace.ts";
import type { Tool } from "./tools.ts";
import { ToolStrip } from "./toolstrip.ts";
import { splitId } from "./features.ts";
import { ValveReport } from "./valve_report.ts";
import { WorksTool } from "./works.ts";
import "./look.css";
import "./look_water.css";

const NIGHT = "onemap.night";
const NARROW = matchMedia("(max-width: 760px)");
/** Minutes out of sight after which the map is asked for anew: somebody may have delivered data meanwhile. */
const AWAY_MINUTES = 5;

class Page implements App {
  readonly panel = new Panel();
  readonly view: MapView;
  private readonly root = document.getElementById("app")!;
  private readonly canvas = h("div", { class: "map" });
  readonly networks: Networks;
  private readonly strip: ToolStrip;
  private readonly banner = h("div", { class: "banner", hidden: true });
  private readonly toast = h("div", { class: "toast", role: "status", hidden: true });
  private readonly search: Search;
  private readonly tree: LayerTree;
  private readonly bar: Bar;
  private readonly attributes: Attributes;
  private readonly tools: Tool[];
  private readonly burst: BurstTool;
  private known: Catalog | null = null;
  private processes = new Set<string>();
  private active: Tool | null = null;
  private used: Tool | null = null;
  /** The address that was opened last, so that the log-in within does not open it twice. */
  private restored: string | undefined;
  private toastTimer = 0;
  /** The log-in box that is open: whoever needs a log-in meanwhile waits for the same. */
  private loggingIn: Promise<boolean> | null = null;
  /** The layer that a page of the API leads to: `/map/?layer=gas_pipe`. */
  private wanted = new URLSearchParams(location.search).get("layer");
  private hovering = 0;
  private night = localStorage.getItem(NIGHT) ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "yes" : "no");

  constructor() {
    const stage = h("main", { class: "stage" }, this.canvas);
    this.search = new Search(this);
    this.networks = new Networks((network) => this.turnTo(network.bbox));
    this.bar = new Bar(this.choices(), this.search.element, this.networks.element);
    this.root.append(this.bar.element, stage);
    // The bar has its final height before the map measures what is left for it.
    this.bar.redraw(null);
    this.view = new MapView(this.canvas);
    this.tree = new LayerTree(this, () => this.showTree(false));
    this.burst = new BurstTool(this, () => void this.begin(this.burst));
    const closure: ClosureTool = new ClosureTool(this, () => void this.begin(closure));
    const trace: TraceTool = new TraceTool(this, () => void this.begin(trace));
    this.tools = [this.burst, closure, trace, new WorksTool(this), new CriticalityTool(this), new QualityTool(this), new BookTool(this)];
    this.strip = new ToolStrip({ tools: () => this.usable(), active: () => this.active, begin: (tool) => void this.begin(tool), stop: () => this.stop() }, NARROW);
    this.attributes = new Attributes(this, (layer, id) => this.burstHere(layer, id), (id) => this.reportValve(id));
    stage.append(this.tree.element, this.strip.element, this.banner, this.panel.element, coordinateReadout(this.view.map), this.toast);
    this.view.padding = () => this.padding();
    this.listen();
  }

  private listen(): void {
    this.view.map.on("click", (event) => this.clicked(event));
    this.view.map.on("mousemove", (event) => this.hovered(event));
    this.view.map.on("error", ({ error }) => this.mapError(error));
    document.addEventListener("keydown", (event) => this.key(event));
    onLanguage(() => this.redraw());
    whenLoggedOut(() => this.sessionOver());
    whenBack(AWAY_MINUTES, () => this.refresh());
    addEventListener("hashchange", () => void this.restore());
  }

  /** Read the catalogue and the style and show the map; what fails is said with a way to try again. */
  async open(catalog?: Catalog): Promise<void> {
    try {
      const [known, style] = await Promise.all([catalog ?? readCatalog(), readStyle()]);
      this.known = known;
      setRole(known.user.role);
      await this.readWater(known);
      this.view.open(known, style);
      this.showTree(!NARROW.matches && localStorage.getItem("onemap.tree") !== "closed");
      this.redraw();
      this.banner.hidden = true;
      this.drawBanner();
      await this.showWanted();
      await this.restore();
    } catch (error) {
      this.openFailed(error as RequestError);
    }
  }

  private openFailed(error: RequestError): void {
    if (error.status === 401 && this.loggingIn) return; // the log-in ran out: the box is open already
    if (error.status === 401) void this.login();
    this.bar.redraw(this.known);
    replace(this.banner, h("span", {}, t("mapFailed", error.message)), button({ click: () => void this.open() }, null, t("retry")));
    this.banner.className = "banner failed";
    this.banner.hidden = false;
  }

  /** The log-in ran out: ask for it again, once, over what is on show; who gives up is a visitor. */
  private sessionOver(): Promise<boolean> {
    if (this.loggingIn) return this.loggingIn;
    setCredentials(null);
    return this.login(t("sessionEnded")).then(async (entered) => {
      if (!entered) await this.open();
      return entered;
    });
  }

  /** Whoever comes back after a while sees what is true now. */
  private refresh(): void {
    if (!this.known) return;
    this.view.refresh();
    this.say(t("refreshed"));
  }

  /** Show the layer that the address asks for, near enough to see it; a visitor who does not have it may log in. */
  private async showWanted(): Promise<void> {
    const id = this.wanted;
    this.wanted = null;
    if (!id) return;
    if (!layerOf(this.catalog(), id) && !credentials()) await this.login(t("needLogin"));
    const layer = layerOf(this.catalog(), id);
    if (!layer) return this.say(t("notFound"), "error");
    this.view.setVisible([id], true);
    this.tree.redraw();
    const { map } = this.view;
    map.setZoom(Math.max(map.getZoom(), layer.tiles?.min_zoom ?? 0));
  }

  /** What the caller may do with the water network, and which networks there are; nothing of it is for visitors. */
  private async readWater(known: Catalog): Promise<void> {
    this.processes = new Set();
    if (!layerOf(known, "water_pipe")) this.networks.forget();
    else [this.processes] = await Promise.all([readProcesses().catch(() => new Set<string>()), this.networks.read()]);
    this.view.setNetwork(this.networks.several ? this.networks.current : null);
  }

  /** Open what the address names; whoever may not see it is asked to log in. */
  private async restore(): Promise<void> {
    const { net, open, stuck } = parts();
    if (net) this.networks.choose(words(net)[0] ?? "");
    const [id, ...more] = words(open);
    const tool = this.tools.find((one) => one.id === id);
    if (!tool?.restore || open === this.restored) return;
    this.restored = open;
    if (!this.sees(tool) && !(await this.login(tool.loginReason()))) return;
    if (!this.sees(tool) || (tool.process && !this.may(tool.process))) return;
    this.used = tool;
    tool.restore(more, words(stuck, ","));
  }

  may(process: string): boolean {
    return this.processes.has(process);
  }

  valvesChanged(): void {
    this.view.reload("water_valve");
    this.tools.forEach((tool) => tool.valvesChanged?.());
  }

  /** Another network was chosen: what was answered is of the one before. */
  private turnTo(box: [number, number, number, number]): void {
    this.stop();
    this.panel.closeAll();
    this.view.setNetwork(this.networks.current);
    if (!this.view.shows(box)) this.view.look(box);
    this.say(t("networkChosen", networkTitle(this.networks.current)));
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

  login(reason?: string): Promise<boolean> {
    this.loggingIn ??= this.enter(reason).finally(() => (this.loggingIn = null));
    return this.loggingIn;
  }

  private async enter(reason?: string): Promise<boolean> {
    const catalog = await askLogin(reason);
    if (!catalog) return false;
    await this.open(catalog);
    this.say(t("welcome", catalog.user.name ?? "", roleTitle(catalog.user.role)));
    return true;
  }

  private async logout(): Promise<void> {
    await endSession(credentials());
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
    this.networks.redraw();
    if (this.known) this.tree.redraw();
    this.strip.redraw();
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

  /** The tools that the reader may use; a visitor sees those that tell him to log in. */
  private usable(): Tool[] {
    return this.tools.filter((tool) => !tool.process || this.may(tool.process));
  }

  private drawBanner(): void {
    if (this.banner.classList.contains("failed") && !this.banner.hidden) return;
    const { date } = this.view;
    const prompt = this.active?.prompt?.();
    this.banner.className = prompt ? "banner prompt" : "banner";
    this.banner.hidden = !prompt && !date;
    if (prompt) {
      const { text, hint } = prompt;
      replace(this.banner, h("div", {}, h("strong", {}, text), h("small", {}, hint)), button({ click: () => this.stop() }, null, t("cancel")));
    } else if (date) replace(this.banner, h("span", {}, t("asOn", date)), button({ click: () => this.setDate(null) }, null, t("today")));
  }

  /** Let this tool wait for clicks; a reader who cannot see its layers is asked to log in first. */
  private async begin(tool: Tool): Promise<void> {
    if (!this.known) return;
    const reason = credentials() ? t("forbidden", roleTitle(this.catalog().user.role)) : tool.loginReason();
    if (!this.sees(tool) && !(await this.login(reason))) return;
    if (!this.sees(tool)) return this.say(t("forbidden", roleTitle(this.catalog().user.role)), "error");
    if (this.used && this.used !== tool) this.panel.closeAll();
    this.used = tool;
    if (!tool.click) {
      this.stop();
      return tool.begin?.();
    }
    const hidden = tool.layers.filter((id) => !this.view.visible(id));
    if (hidden.length) this.view.setVisible(hidden, true);
    if (hidden.length) this.tree.redraw();
    this.active = tool;
    tool.begin?.();
    if (NARROW.matches) this.showTree(false);
    this.canvas.classList.add("picking");
    this.strip.redraw();
    this.drawBanner();
  }

  private sees(tool: Tool): boolean {
    return tool.layers.some((id) => layerOf(this.catalog(), id));
  }

  private stop(): void {
    this.active = null;
    this.canvas.classList.remove("picking");
    this.strip.redraw();
    this.drawBanner();
  }

  private burstHere(layer: string, id: string): void {
    this.stop();
    this.used = this.burst;
    this.burst.start(pickedOf(layer, id));
  }

  private reportValve(featureId: string): void {
    const { network, id } = splitId(featureId);
    void new ValveReport(this, network, id).open();
  }

  private clicked(event: MapMouseEvent): void {
    if (!this.known) return;
    const { point, lngLat } = event;
    if (this.active) {
      if (this.active.click?.(point, [lngLat.lng, lngLat.lat])) this.stop();
      return;
    }
    const drawn = this.view.overlay.at(point);
    if (drawn && this.panel.open && this.used?.pickedSymbol?.(drawn)) return;
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
    if (error?.status === 401 && credentials()) return void this.sessionOver();
    if (error?.status === 401 && this.loggingIn) return;
    console.warn(error?.message ?? error);
    const why = tilesMistake(error);
    if (why && this.toast.hidden) this.say(t("tilesFailed", why), "error");
  }

  private key(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && this.active) this.stop();
    else if (event.key === "Escape" && !typing) this.panel.back();
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
