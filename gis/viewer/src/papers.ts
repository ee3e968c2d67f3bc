/** Printable files that processes hand out by value: shown, printed, kept. */

import { download } from "./csv.ts";
import { button, h, replace, type Child } from "./dom.ts";
import { t } from "./text.ts";

export interface Paper {
  name: string;
  mediaType: string;
  encoding: "utf-8" | "base64";
  value: string;
}

/** The bytes of a paper. */
function bytes({ encoding, value }: Paper): Uint8Array {
  return encoding === "base64" ? Uint8Array.from(atob(value), (sign) => sign.charCodeAt(0)) : new TextEncoder().encode(value);
}

/** Hand the reader a paper as a file. */
export function save(paper: Paper): void {
  download(paper.name, bytes(paper), paper.mediaType);
}

/** Show a page of HTML as it will be printed, with these further buttons. It runs no script: it is shown and nothing else. */
export function preview(title: string, html: string, more: Child[]): HTMLDialogElement {
  const frame = h("iframe", { class: "paper", sandbox: "allow-same-origin allow-modals", title });
  frame.srcdoc = html;
  const dialog = h("dialog", { class: "preview", "aria-label": title });
  const print = button({ class: "primary", "data-key": "print", click: () => frame.contentWindow?.print() }, "print", t("printIt"));
  const close = button({ class: "quiet icon-only", "aria-label": t("close"), title: t("close"), click: () => dialog.close() }, "close");
  replace(dialog, h("header", { class: "panel-head" }, h("h2", {}, title), ...more, print, close), frame);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
