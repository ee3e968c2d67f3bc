/** The burst tool: a click on a pipe becomes the valves to close and all who lose water; stuck valves ask again. */

import { execute, RequestError } from "./api.ts";
import type { BurstAnswer, WorkAnswer } from "./answers.ts";
import type { App } from "./app.ts";
import { strip, working } from "./blocks.ts";
import { burstPage, burstTitle, type BurstState } from "./burst_page.ts";
import { CrewPage } from "./crew.ts";
import { button } from "./dom.ts";
import { ownId, plates, readNames, readValves, type ValveFacts } from "./facts.ts";
import { HydraulicsPage } from "./hydraulics.ts";
import { printNotice } from "./notice.ts";
import { NoticePage } from "./notice_page.ts";
import type { Page } from "./panel.ts";
import { save, type Paper } from "./papers.ts";
import { WATER, pick, type Picked } from "./pick.ts";
import { joined, remember } from "./place.ts";
import { t } from "./text.ts";
import type { Tool } from "./tools.ts";
import { ValveReport } from "./valve_report.ts";
import { WorkForm } from "./work_form.ts";
import { WorkPage } from "./work_page.ts";

const KINDS = ["connection", "pipe", "node", "valve"] as const;
type Kind = (typeof KINDS)[number];
type Place = { network: string } & (Partial<Record<Kind, string>> | { at: [number, number] });

/** Where the crew works: the closed part and its valves. What is cut off behind may reach far, and would make them small. */
function worked(answer: BurstAnswer): GeoJSON.Feature[] {
  return (answer.features?.features ?? []).filter(({ properties }) => !["hydrant", "cut_off"].includes(properties.part));
}

/** What burst, as the inputs of a process name it. */
export function element({ burst }: BurstAnswer): { kind: Kind; id: string } {
  const kind = KINDS.find((one) => burst[one]) ?? "pipe";
  return { kind, id: burst[kind] ?? "" };
}

/** Marks on the map what stuck valves add. */
function marked(answer: BurstAnswer): BurstAnswer {
  const { added, features } = answer;
  if (!added || !features) return answer;
  const fresh = new Set([...added.pipes, ...added.valves]);
  for (const { properties } of features.features) {
    if (fresh.has(properties.id) && ["closed", "cut_off", "valve_close"].includes(properties.part)) properties.added = true;
  }
  return answer;
}

export class BurstTool implements Tool {
  readonly id = "burst";
  readonly title = "burst";
  readonly short = "burstShort";
  readonly icon = "burst";
  readonly layers = ["water_pipe"];
  private place: Place | null = null;
  private stuck: string[] = [];
  private answers = new Map<string, BurstAnswer>();
  private readonly valves = new Map<string, ValveFacts>();
  private readonly names = new Map<string, string>();
  private pending: AbortController | null = null;
  private error: RequestError | null = null;
  private highlighted: string | null = null;

  constructor(
    private readonly app: App,
    private readonly pickAgain: () => void,
  ) {}

  prompt(): { text: string; hint: string } {
    return { text: t("burstPick"), hint: t("burstPickHint") };
  }

  loginReason(): string {
    return t("burstNeedsLogin");
  }

  /** A click while the tool waits for the burst. Returns false when nothing was hit and it goes on waiting. */
  click(point: { x: number; y: number }, at: [number, number]): boolean {
    const picked = pick(this.app.view, point, WATER);
    if (picked) this.start(picked);
    else if (this.app.view.map.getZoom() >= 15) this.run({ network: this.app.networks.current, at });
    else {
      this.app.say(t("noPipe"), "error");
      return false;
    }
    return true;
  }

  /** Ask for a burst on this thing. */
  start({ kind, network, id }: Picked): void {
    this.run({ network, [kind]: id });
  }

  restore([kind, id]: string[], stuck: string[]): void {
    if (KINDS.includes(kind as Kind) && id) this.run({ network: this.app.networks.current, [kind]: id }, stuck);
  }

  private run(place: Place, stuck: string[] = []): void {
    this.app.showToday();
    this.place = place;
    this.stuck = stuck;
    this.answers = new Map();
    this.highlighted = null;
    this.app.view.overlay.show(null);
    void this.ask(true);
  }

  private get answer(): BurstAnswer | undefined {
    return this.answers.get(this.stuck.join("\n"));
  }

  private async ask(look: boolean): Promise<void> {
    this.pending?.abort();
    const request = (this.pending = new AbortController());
    this.error = null;
    const stuck = this.stuck;
    this.app.panel.show(this.page);
    if (!this.answer) {
      try {
        const inputs = { ...this.place, ...(stuck.length ? { stuck } : {}), features: true, details: true, failures: true };
        this.answers.set(stuck.join("\n"), marked(await execute<BurstAnswer>("pipe-burst", inputs, request.signal)));
      } catch (error) {
        if (request.signal.aborted) return;
        return this.failed(error as RequestError);
      }
    }
    if (request.signal.aborted) return;
    const answer = this.answer!;
    this.draw();
    this.app.panel.redraw();
    if (look) this.app.view.fit(worked(answer));
    await this.learn(answer, request.signal);
    if (this.pending === request) this.app.panel.redraw();
  }

  /** What the answer does not say of its valves and its priority users. */
  private async learn(answer: BurstAnswer, signal: AbortSignal): Promise<void> {
    const { close, stuck, optional, already_closed } = answer.valves;
    const wanted = [...close, ...stuck, ...answer.feeds_to_open.slice(0, 10), ...optional.slice(0, 10), ...already_closed.slice(0, 10)];
    await Promise.all([readValves(answer.network, wanted, this.valves, signal), readNames(answer.network, answer.affected.priority ?? [], this.names, signal)]);
  }

  private draw(): void {
    const answer = this.answer;
    this.app.view.overlay.show(answer?.features ?? null);
    if (!answer) return;
    const { kind, id } = element(answer);
    remember({ open: joined(["burst", kind, id]), stuck: joined(this.stuck, ",") });
  }

  private failed(error: RequestError): void {
    const besides = this.place !== null && "at" in this.place;
    this.error = error.code === "NotOnNetwork" ? new RequestError(400, error.code, t(besides ? "noPipe" : "notOnNetwork")) : error;
    this.app.panel.redraw();
    if (error.status === 401) void this.app.login(t("burstNeedsLogin")).then((yes) => (yes ? this.ask(true) : undefined));
  }

  private markStuck(valve: string): void {
    this.stuck = [...this.stuck, valve];
    this.highlighted = null;
    void this.ask(true);
  }

  private undoStuck(valve: string): void {
    this.stuck = this.stuck.filter((id) => id !== valve);
    void this.ask(true);
  }

  /** The answers rest on states that are no longer so: ask again. */
  valvesChanged(): void {
    if (!this.place) return;
    this.answers = new Map();
    this.valves.clear();
    if (this.app.panel.onTop(this.page)) void this.ask(false);
  }

  /** A click on one of the answer's symbols on the map: show that valve in the list. Returns whether it was one. */
  pickedSymbol(properties: Record<string, unknown>): boolean {
    const answer = this.answer;
    if (!answer || !String(properties.part).startsWith("valve_")) return false;
    this.highlighted = ownId(properties.id, answer.network);
    this.app.panel.show(this.page);
    this.app.panel.element.querySelector(".highlighted")?.scrollIntoView({ block: "center" });
    return true;
  }

  private look(id: string, layer = "water_valve"): void {
    const answer = this.answer;
    const feature = answer?.features?.features.find((one) => one.properties.layer === layer && ownId(one.properties.id, answer.network) === id);
    this.highlighted = id;
    this.app.panel.redraw();
    if (feature?.geometry.type === "Point") this.app.view.goTo(feature.geometry.coordinates.slice(0, 2) as [number, number], 17.5);
  }

  private clear(): void {
    this.pending?.abort();
    this.place = null;
    this.error = null;
    this.stuck = [];
    this.answers = new Map();
    this.app.view.overlay.show(null);
    remember({ open: "", stuck: "" });
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => this.clear(),
    seenAgain: () => {
      if (!this.answer) return void this.ask(false);
      this.draw();
      this.app.view.fit(worked(this.answer));
    },
    render: () => {
      const answer = this.answer;
      const again = button({ click: () => this.pickAgain() }, "burst", t("again"));
      const clear = button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"));
      if (this.error) return { title: t("burst"), tone: "danger", body: [strip("danger", this.error.message)], actions: [this.retry(), again, clear] };
      if (!answer) return { title: t("burst"), tone: "danger", body: [working()], actions: [clear] };
      const print = button({ class: "primary", click: () => void printNotice(this.app, answer, this.valves, this.names) }, "print", t("print"));
      return { title: burstTitle(answer), tone: "danger", body: burstPage(this.app, this.state(answer)), actions: [print, again, clear] };
    },
  };

  private retry(): HTMLElement | null {
    return this.error && (this.error.status === 0 || this.error.status >= 500) ? button({ class: "primary", click: () => void this.ask(true) }, null, t("retry")) : null;
  }

  private state(answer: BurstAnswer): BurstState {
    const plain = this.stuck.length ? this.answers.get("") : undefined;
    const had = new Set(plain && plates(plain).map(({ id }) => id));
    return {
      answer,
      valves: this.valves,
      names: this.names,
      stuck: this.stuck,
      freshPlates: new Set(plain ? plates(answer).map(({ id }) => id).filter((id) => !had.has(id)) : []),
      highlighted: this.highlighted,
      look: (id, layer) => this.look(id, layer),
      goTo: (at) => this.app.view.goTo(at, 17.5),
      markStuck: (valve) => this.markStuck(valve),
      undoStuck: (valve) => this.undoStuck(valve),
      report: (valve) => void new ValveReport(this.app, answer.network, valve).open(),
      steps: this.steps(answer),
    };
  }

  private entered({ work, closed }: WorkAnswer): void {
    this.app.say(t("workAdded", work.id));
    new WorkPage(this.app, work.id).open();
    if (closed?.length) this.app.valvesChanged();
  }

  /** The crew's sheet as the server makes it. */
  private async sheet(answer: BurstAnswer): Promise<void> {
    const { kind, id } = element(answer);
    this.app.say(t("computing"));
    try {
      const inputs = { network: answer.network, [kind]: id, stuck: this.stuck, failures: true, document: "pdf" };
      save((await execute<{ document: Paper }>("pipe-burst", inputs)).document);
    } catch (error) {
      this.app.say((error as RequestError).message, "error");
    }
  }

  /** What may be done next with the answer: each opens a page over it. */
  private steps(answer: BurstAnswer): BurstState["steps"] {
    const { app } = this;
    const { network } = answer;
    const { kind, id } = element(answer);
    const stuck = this.stuck;
    const close = answer.valves.close;
    // A curb stop is worked by whoever stands before the house, and leaves the mains as they are.
    const main = answer.segments.length > 0;
    return [
      close.length > 0 && app.may("crew-route") && { icon: "route", text: t("crew"), open: () => new CrewPage(app, { network, [kind]: id, stuck }).open() },
      main && app.may("hydraulics-after-closure") && { icon: "gauge", text: t("hydraulics"), open: () => new HydraulicsPage(app, network, { [kind]: id, stuck }).open() },
      app.may("outage-notice") && { icon: "notice", text: t("notice"), open: () => new NoticePage(app, { network, [kind]: id, stuck }).open() },
      app.may("work-change") && { icon: "works", text: t("workAdd"), open: () => new WorkForm(app, { network, [kind]: id, stuck }, (added) => this.entered(added)).open() },
      { icon: "print", text: t("crewSheet"), open: () => void this.sheet(answer) },
    ].filter((step): step is BurstState["steps"][number] => !!step);
  }
}
