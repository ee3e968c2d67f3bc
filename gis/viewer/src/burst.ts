/** The burst tool: a click on a pipe becomes the valves to close and all who lose water; stuck valves ask again. */

import { execute, RequestError, type BurstAnswer } from "./api.ts";
import type { App } from "./app.ts";
import { strip, working } from "./blocks.ts";
import { burstPage, burstTitle, type BurstState } from "./burst_page.ts";
import { button } from "./dom.ts";
import { difference, ownId, readNames, readValves, type ValveFacts } from "./facts.ts";
import { printNotice } from "./notice.ts";
import { WATER, pick, type Picked } from "./pick.ts";
import type { Page } from "./panel.ts";
import { t } from "./text.ts";
import type { Tool } from "./tools.ts";

type Place = { network: string } & ({ pipe: string } | { connection: string } | { valve: string } | { at: [number, number] });

/** Where the crew works: the closed part and its valves. What is cut off behind may reach far, and would make them small. */
function worked(answer: BurstAnswer): GeoJSON.Feature[] {
  return (answer.features?.features ?? []).filter(({ properties }) => !["hydrant", "cut_off"].includes(properties.part));
}

export class BurstTool implements Tool {
  readonly id = "burst";
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
    else if (this.app.view.map.getZoom() >= 15) this.run({ network: "city", at });
    else {
      this.app.say(t("noPipe"), "error");
      return false;
    }
    return true;
  }

  /** Ask for a burst on this thing. */
  start(picked: Picked): void {
    const id = picked.id;
    const { network } = picked;
    if (picked.kind === "pipe") this.run({ network, pipe: id });
    else if (picked.kind === "connection") this.run({ network, connection: id });
    else this.run({ network, valve: id });
  }

  private run(place: Place): void {
    this.app.showToday();
    this.place = place;
    this.stuck = [];
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
        const inputs = { ...this.place, ...(stuck.length ? { stuck } : {}), features: true, details: true };
        this.answers.set(stuck.join("\n"), await execute<BurstAnswer>("pipe-burst", inputs, request.signal));
      } catch (error) {
        if (request.signal.aborted) return;
        return this.failed(error as RequestError);
      }
    }
    if (request.signal.aborted) return;
    const answer = this.answer!;
    this.app.view.overlay.show(answer.features ?? null);
    this.app.panel.redraw();
    if (look) this.app.view.fit(worked(answer));
    const { close, stuck: failed, optional, already_closed } = answer.valves;
    const wanted = [...close, ...failed, ...optional.slice(0, 10), ...already_closed.slice(0, 10), ...answer.feeds_to_open.slice(0, 10)];
    const valves = readValves(answer.network, wanted, answer.features, this.valves, request.signal);
    await Promise.all([valves, readNames(answer, this.names, request.signal)]);
    if (this.pending === request) this.app.panel.redraw();
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

  /** A click on one of the answer's symbols on the map: show that valve in the list. Returns whether it was one. */
  pickedSymbol(properties: Record<string, unknown>): boolean {
    const answer = this.answer;
    if (!answer || !String(properties.part).startsWith("valve_")) return false;
    this.highlighted = ownId(properties.id, answer.network);
    this.app.panel.show(this.page);
    this.app.panel.element.querySelector(".highlighted")?.scrollIntoView({ block: "center" });
    return true;
  }

  private look(valve: string): void {
    const answer = this.answer;
    const feature = answer?.features?.features.find((one) => one.properties.layer === "water_valve" && ownId(one.properties.id, answer.network) === valve);
    this.highlighted = valve;
    this.app.panel.redraw();
    if (feature?.geometry.type === "Point") this.app.view.goTo(feature.geometry.coordinates.slice(0, 2) as [number, number], 17.5);
  }

  clear(): void {
    this.pending?.abort();
    this.place = null;
    this.error = null;
    this.stuck = [];
    this.answers = new Map();
    this.app.view.overlay.show(null);
  }

  private readonly page: Page = {
    kind: "analysis",
    closed: () => this.clear(),
    render: () => {
      const answer = this.answer;
      const again = button({ click: () => this.pickAgain() }, "burst", t("again"));
      const clear = button({ click: () => this.app.panel.close(this.page) }, "close", t("clear"));
      if (this.error) return { title: t("burst"), tone: "danger", body: [strip("danger", this.error.message)], actions: [again, clear] };
      if (!answer) return { title: t("burst"), tone: "danger", body: [working()] };
      const state = this.state(answer);
      const print = button({ class: "primary", click: () => void printNotice(this.app, answer, this.valves, this.names) }, "print", t("print"));
      return { title: burstTitle(answer), tone: "danger", body: burstPage(this.app, state), actions: [print, again, clear] };
    },
  };

  private state(answer: BurstAnswer): BurstState {
    const last = this.stuck[this.stuck.length - 1];
    const before = last ? this.answers.get(this.stuck.slice(0, -1).join("\n")) : undefined;
    return {
      answer,
      valves: this.valves,
      names: this.names,
      stuck: this.stuck,
      added: before && { valve: last, ...difference(before, answer) },
      highlighted: this.highlighted,
      look: (valve) => this.look(valve),
      markStuck: (valve) => this.markStuck(valve),
      undoStuck: (valve) => this.undoStuck(valve),
    };
  }
}
