/** The panel at the map's side: an analysis and, over it, the attributes of what was clicked meanwhile. */

import { button, h, replace, type Child } from "./dom.ts";
import { t } from "./text.ts";

export interface Page {
  /** A page of the same kind takes the other's place; attributes lie over an analysis. */
  kind: "analysis" | "attributes";
  /** Title and content in the current language. */
  render(): { title: string; tone?: "danger"; body: Child[]; actions?: Child[] };
  /** Called when the reader closes it or another page takes its place. */
  closed?(): void;
}

export class Panel {
  readonly element = h("aside", { class: "panel", hidden: true, "aria-live": "polite" });
  private pages: Page[] = [];

  show(page: Page): void {
    const replaced = this.pages.filter((other) => other.kind === page.kind || page.kind === "analysis");
    this.pages = [...this.pages.filter((other) => !replaced.includes(other)), page];
    replaced.filter((other) => other !== page).forEach((other) => other.closed?.());
    this.redraw();
    this.element.querySelector(".panel-body")?.scrollTo(0, 0);
  }

  /** Close the page on top; what lay under it is seen again. */
  close(page = this.pages[this.pages.length - 1]): void {
    if (!page || !this.pages.includes(page)) return;
    this.pages = this.pages.filter((other) => other !== page);
    page.closed?.();
    this.redraw();
  }

  /** Close attributes, if they lie on top. An answer is closed by its own button only: it must not be lost by a slip. */
  closeAttributes(): void {
    const page = this.pages[this.pages.length - 1];
    if (page?.kind === "attributes") this.close(page);
  }

  closeAll(): void {
    while (this.pages.length) this.close();
  }

  get open(): boolean {
    return this.pages.length > 0;
  }

  redraw(): void {
    const page = this.pages[this.pages.length - 1];
    this.element.hidden = !page;
    if (!page) return replace(this.element);
    const scrolled = this.element.querySelector(".panel-body")?.scrollTop ?? 0;
    const { title, tone, body, actions } = page.render();
    const dismiss = button({ class: "quiet icon-only", "aria-label": t("close"), title: t("close"), click: () => this.close(page) }, "close");
    replace(
      this.element,
      h("header", { class: `panel-head ${tone ?? ""}` }, h("h2", {}, title), dismiss),
      h("div", { class: "panel-body" }, ...body),
      actions && h("footer", { class: "panel-actions" }, ...actions),
    );
    this.element.querySelector(".panel-body")!.scrollTop = scrolled;
  }
}
