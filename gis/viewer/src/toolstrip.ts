/** The buttons of the tools at the map's edge, and what does not fit among them behind “more”. */

import { button, h, icon, replace } from "./dom.ts";
import { t } from "./text.ts";
import type { Tool } from "./tools.ts";

export interface ToolStates {
  /** The tools that the reader may use. */
  tools(): Tool[];
  /** The tool that waits for a click. */
  active(): Tool | null;
  begin(tool: Tool): void;
  stop(): void;
}

/** How many tools have a button of their own on a wide and on a narrow screen. */
const WIDE = 4;
const NARROW = 1;

export class ToolStrip {
  readonly element = h("div", { class: "tools", role: "toolbar" });

  constructor(
    private readonly states: ToolStates,
    private readonly narrow: MediaQueryList,
  ) {
    narrow.addEventListener("change", () => this.redraw());
    document.addEventListener("pointerdown", (event) => {
      const menu = this.element.querySelector<HTMLDetailsElement>("details[open]");
      if (menu && !menu.contains(event.target as Node)) menu.open = false;
    });
  }

  redraw(): void {
    this.element.setAttribute("aria-label", t("tools"));
    const tools = this.states.tools();
    const own = this.narrow.matches ? NARROW : WIDE;
    const works = tools.filter(({ id }) => id === "works" && this.narrow.matches);
    const first = [...tools.slice(0, own), ...works];
    const rest = tools.filter((tool) => !first.includes(tool));
    replace(this.element, ...first.map((tool) => this.button(tool)), rest.length > 0 && this.more(rest));
  }

  private press(tool: Tool): void {
    if (this.states.active() === tool) this.states.stop();
    else this.states.begin(tool);
  }

  private button(tool: Tool): HTMLElement {
    const pressed = this.states.active() === tool;
    const made = button({ class: `tool ${tool.id === "burst" ? "danger" : ""}`, "data-tool": tool.id, "aria-pressed": String(pressed), title: t(tool.title), click: () => this.press(tool) }, tool.icon);
    made.append(h("span", { class: "long" }, t(tool.title)), h("span", { class: "short" }, t(tool.short)));
    return made;
  }

  private more(tools: Tool[]): HTMLElement {
    const rows = tools.map((tool) => button({ class: "quiet", "data-tool": tool.id, "aria-pressed": String(this.states.active() === tool), click: () => ((menu.open = false), this.press(tool)) }, tool.icon, t(tool.title)));
    const menu = h("details", { class: "more" }, h("summary", { class: "tool", "data-tool": "more" }, icon("more"), h("span", {}, t("more"))), h("div", { class: "menu" }, ...rows));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.stopPropagation();
      menu.open = false;
      menu.querySelector("summary")!.focus();
    });
    return menu;
  }
}
