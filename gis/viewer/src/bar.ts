/** The bar at the top: whose map it is, the search, and the reader's choices: day, night, language, log-in. */

import { button, h, replace } from "./dom.ts";
import { icon } from "./dom.ts";
import type { Catalog } from "./catalog.ts";
import { language, roleTitle, setLanguage, t, titleOf } from "./text.ts";

export interface BarActions {
  layers(): void;
  night(): void;
  isNight(): boolean;
  date(): string | null;
  setDate(date: string | null): void;
  login(): void;
  logout(): void;
}

export class Bar {
  readonly element: HTMLElement;
  private readonly brand = h("div", { class: "brand" });
  private readonly tools = h("div", { class: "bar-tools" });
  private readonly menu: HTMLButtonElement;

  constructor(
    private readonly actions: BarActions,
    search: HTMLElement,
    private readonly network: HTMLElement,
  ) {
    this.menu = button({ class: "bar-button icon-only", click: () => actions.layers() }, "layers");
    this.element = h("header", { class: "bar" }, this.menu, this.brand, search, this.tools);
  }

  redraw(catalog: Catalog | null): void {
    this.menu.title = t("showLayers");
    this.menu.setAttribute("aria-label", t("showLayers"));
    replace(this.brand, h("span", { class: "city" }, titleOf(catalog?.city.name)), h("span", { class: "product" }, t("onemap")));
    document.title = catalog ? `${titleOf(catalog.city.name)} · ${t("onemap")}` : t("onemap");
    const other = language() === "zh" ? "en" : "zh";
    const night = this.actions.isNight();
    replace(
      this.tools,
      this.network,
      this.dateBox(),
      button({ class: "bar-button icon-only night", "aria-label": t(night ? "day" : "night"), title: t(night ? "day" : "night"), click: () => this.actions.night() }, night ? "sun" : "moon"),
      button({ class: "bar-button language", lang: other === "zh" ? "zh-CN" : "en", click: () => setLanguage(other) }, null, t("otherLanguage")),
      this.user(catalog),
    );
  }

  private dateBox(): HTMLElement {
    const input = h("input", {
      type: "date", value: this.actions.date() ?? "", "aria-label": t("showDateHint"),
      change: () => this.actions.setDate(input.value || null),
    });
    const box = h("label", { class: "bar-button date", title: t("showDateHint") }, icon("calendar"), h("span", {}, t("showDate")), input);
    // The whole label opens the calendar, not only the field's own small arrow.
    box.addEventListener("click", () => input.showPicker?.());
    return box;
  }

  private user(catalog: Catalog | null): HTMLElement {
    const user = catalog?.user;
    if (!user || user.role === "anonymous") return button({ class: "bar-button login-button", click: () => this.actions.login() }, "user", t("login"));
    return h(
      "details",
      { class: "who" },
      h("summary", { class: "bar-button", "aria-label": user.name ?? "" }, icon("user"), h("span", {}, user.name ?? ""), h("span", { class: "role" }, roleTitle(user.role))),
      h("div", { class: "menu" }, h("p", {}, t("welcome", user.name ?? "", roleTitle(user.role))), button({ click: () => this.actions.logout() }, null, t("logout"))),
    );
  }
}
