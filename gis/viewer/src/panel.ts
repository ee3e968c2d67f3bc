/** The panel at the map's side: an analysis, over it what was asked further, and over all the attributes of what was clicked meanwhile. */

import { button, h, replace, type Child } from "./dom.ts";
import { t } from "./text.ts";

export interface Page {
  /** An analysis begins anew; a detail lies over it and leads back to it; attributes lie over both. */
  kind: "analysis" | "detail" | "attributes";
  /** Title and content in the current language. */
  render(): { title: string; tone?: "danger"; body: Child[]; actions?: Child[] };
  /** Called when the reader closes it or another page takes its place. */
  closed?(): void;
  /** Called when it is seen again because the page over it was closed. */
  seenAgain?(): void;
}

export class Panel {
  readonly element = h("aside", { class: "panel", hidden: true, "aria-live": "polite" });
  private pages: Page[] = [];

  show(page: Page): void {
    const under = this.under(page);
    const gone = this.pages.filter((other) => other !== page && !under.includes(other));
    this.pages = [...under, page];
    gone.reverse().forEach((other) => other.closed?.());
    this.redraw();
    this.element.querySelector(".panel-body")?.scrollTo(0, 0);
  }

  /** What stays under a page that is shown. */
  private under(page: Page): Page[] {
    if (page.kind === "analysis") return [];
    const at = this.pages.indexOf(page);
    return (at < 0 ? this.pages : this.pages.slice(0, at)).filter((other) => other.kind !== "attributes");
  }

  /** Close a page and what lies over it; what lay under it is seen again. */
  close(page = this.top): void {
    const at = page ? this.pages.indexOf(page) : -1;
    if (at < 0) return;
    const gone = this.pages.slice(at).reverse();
    this.pages = this.pages.slice(0, at);
    gone.forEach((other) => other.closed?.());
    if (gone.some((other) => other.kind !== "attributes")) this.top?.seenAgain?.();
    this.redraw();
  }

  /** Close attributes, if they lie on top. An answer is closed by its own button only: it must not be lost by a slip. */
  closeAttributes(): void {
    if (this.top?.kind === "attributes") this.close();
  }

  /** Step back from a detail or from attributes; says whether there was one. */
  back(): boolean {
    if (!this.top || this.top.kind === "analysis") return false;
    this.close();
    return true;
  }

  closeAll(): void {
    while (this.pages.length) this.close(this.pages[0]);
  }

  get open(): boolean {
    return this.pages.length > 0;
  }

  onTop(page: Page): boolean {
    return this.top === page;
  }

  private get top(): Page | undefined {
    return this.pages[this.pages.length - 1];
  }

  redraw(): void {
    const page = this.top;
    this.element.hidden = !page;
    if (!page) return replace(this.element);
    const scrolled = this.element.querySelector(".panel-body")?.scrollTop ?? 0;
    const focused = this.focusedKey();
    const { title, tone, body, actions } = page.render();
    replace(
      this.element,
      h("header", { class: `panel-head ${tone ?? ""}` }, this.backButton(page), h("h2", {}, title), this.dismiss(page)),
      h("div", { class: "panel-body" }, ...body),
      actions && h("footer", { class: "panel-actions" }, ...actions),
    );
    this.element.querySelector(".panel-body")!.scrollTop = scrolled;
    if (focused) this.element.querySelector<HTMLElement>(focused)?.focus();
  }

  /** A selector of what has the focus, so that a redraw does not take it from a reader at the keyboard. */
  private focusedKey(): string | null {
    const focused = document.activeElement;
    if (!(focused instanceof HTMLElement) || !this.element.contains(focused)) return null;
    const key = focused.dataset.key ?? focused.getAttribute("name");
    return key ? (focused.dataset.key ? `[data-key="${CSS.escape(key)}"]` : `[name="${CSS.escape(key)}"]`) : null;
  }

  private backButton(page: Page): Child {
    if (page.kind !== "detail" || this.pages.length < 2) return null;
    return button({ class: "quiet icon-only", "aria-label": t("backOne"), title: t("backOne"), "data-key": "back", click: () => this.close(page) }, "back");
  }

  private dismiss(page: Page): Child {
    if (page.kind === "detail" && this.pages.length > 1) return null;
    return button({ class: "quiet icon-only", "aria-label": t("close"), title: t("close"), click: () => this.close(page) }, "close");
  }
}
