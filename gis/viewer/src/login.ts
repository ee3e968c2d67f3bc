/** The log-in box: a key, or a name with its password; tried against the catalogue before it is kept. */

import { beginSession, passwordPage, readCatalog, RequestError } from "./api.ts";
import type { Catalog } from "./catalog.ts";
import { button, h, replace, type Child } from "./dom.ts";
import { setCredentials, type Credentials } from "./session.ts";
import { t } from "./text.ts";

type Way = "key" | "basic";

/** Ask who the reader is. Resolves to the catalogue of his role, or to null when he gave up. */
export function askLogin(reason?: string): Promise<Catalog | null> {
  return new Promise((resolve) => new LoginBox(reason, resolve).open());
}

class LoginBox {
  private readonly dialog = h("dialog", { class: "login", "aria-labelledby": "login-title" });
  private readonly error = h("p", { class: "form-error", role: "alert", hidden: true });
  private readonly key = h("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false" });
  private readonly name = h("input", { type: "text", name: "name", autocomplete: "username", spellcheck: "false" });
  private readonly password = h("input", { type: "password", name: "password", autocomplete: "current-password" });
  private way: Way = "key";
  private busy = false;

  constructor(
    private readonly reason: string | undefined,
    private readonly done: (catalog: Catalog | null) => void,
  ) {}

  open(): void {
    this.draw();
    document.body.append(this.dialog);
    this.dialog.addEventListener("cancel", () => this.close(null));
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.close(null);
    });
    this.dialog.showModal();
    this.key.focus();
  }

  private close(catalog: Catalog | null): void {
    this.dialog.remove();
    this.done(catalog);
  }

  private draw(): void {
    const field = (label: string, input: HTMLInputElement): HTMLElement => h("label", { class: "field" }, h("span", {}, label), input);
    const tab = (way: Way, label: string): HTMLElement =>
      h("button", { type: "button", role: "tab", "aria-selected": String(this.way === way), click: () => this.choose(way) }, label);
    replace(
      this.dialog,
      h(
        "form",
        { submit: (event: Event) => void this.submit(event) },
        h("h2", { id: "login-title" }, t("login")),
        h("p", { class: this.reason ? "reason" : "muted" }, this.reason ?? t("loginIntro")),
        h("div", { class: "tabs", role: "tablist" }, tab("key", t("withKey")), tab("basic", t("withPassword"))),
        this.way === "key" && field(t("key"), this.key),
        this.way === "basic" && field(t("name"), this.name),
        this.way === "basic" && field(t("password"), this.password),
        this.error,
        h("p", { class: "muted small" }, t("loginKept")),
        h("div", { class: "form-actions" }, button({ click: () => this.close(null) }, null, t("cancel")), h("button", { type: "submit", class: "primary" }, t("login"))),
      ),
    );
  }

  private choose(way: Way): void {
    this.way = way;
    this.error.hidden = true;
    this.draw();
    (way === "key" ? this.key : this.name).focus();
  }

  private say(...message: Child[]): void {
    replace(this.error, ...message);
    this.error.hidden = false;
  }

  /** Why he was not let in, and what he can do about it. */
  private refused(error: RequestError, who: Credentials): void {
    if (error.status === 403 && who.kind === "basic") {
      // The page opens beside the map, so that he comes back to this box with the new password.
      return this.say(t("mustChange"), " ", h("a", { href: passwordPage(who.name), target: "_blank", rel: "noopener" }, t("changePassword")));
    }
    this.say([401, 403].includes(error.status) ? t(who.kind === "key" ? "wrongKey" : "wrongLogin") : error.message);
  }

  private async submit(event: Event): Promise<void> {
    event.preventDefault();
    if (this.busy) return;
    const who: Credentials =
      this.way === "key" ? { kind: "key", key: this.key.value.trim() } : { kind: "basic", name: this.name.value.trim(), password: this.password.value };
    if (who.kind === "key" ? !who.key : !who.name || !who.password) return this.say(t(who.kind === "key" ? "needKey" : "needName"));
    this.busy = true;
    try {
      const kept = who.kind === "basic" ? await beginSession(who) : who;
      const catalog = await readCatalog(kept);
      // A server that takes unknown credentials for a visitor's has not let anybody in.
      if (catalog.user.role === "anonymous") return this.say(t("wrongLogin"));
      setCredentials(kept);
      this.close(catalog);
    } catch (error) {
      if (error instanceof RequestError) this.refused(error, who);
      else this.say((error as Error).message);
    } finally {
      this.busy = false;
    }
  }
}
