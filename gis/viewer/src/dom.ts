/** Elements from plain values. Text is always set as text, so nothing that comes from data can become markup. */

export type Child = Node | string | number | null | undefined | false;
type Handler = (event: any) => void;
export type Attributes = Record<string, string | number | boolean | null | undefined | Handler>;

function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** An HTML element. A function among the attributes listens to the event of that name. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  fill(element, children);
  return element;
}

function fill(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Put these children in the place of what the element holds. */
export function replace(element: Element, ...children: Child[]): void {
  element.replaceChildren();
  fill(element, children);
}

const SHAPES: Record<string, string> = {
  layers: "M12 3 3 8l9 5 9-5-9-5ZM3 12.5l9 5 9-5M3 17l9 5 9-5",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM15.5 15.5 21 21",
  close: "M5 5l14 14M19 5 5 19",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4 21c0-4.5 3.5-7 8-7s8 2.5 8 7",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  burst: "M12 3s6.5 7 6.5 11.5a6.5 6.5 0 0 1-13 0C5.5 10 12 3 12 3ZM12 10v4.5M12 17.4v.2",
  valve: "M4 8v9l16-9v9L4 8ZM12 12.5V5M8.5 5h7",
  trace: "M5 19a2 2 0 1 0 0-.1M19 5a2 2 0 1 0 0 .1M7 19h6a4 4 0 0 0 0-8h-2a4 4 0 0 1 0-6h6",
  print: "M7 9V3h10v6M7 17H4V9h16v8h-3M7 14h10v7H7z",
  download: "M12 4v11M7 11l5 5 5-5M4 20h16",
  back: "M10 5 4 11l6 6M4 11h10a6 6 0 0 1 6 6v2",
  chevron: "M8 10l4 4 4-4",
  calendar: "M4 6h16v14H4zM4 10.5h16M8 3v5M16 3v5",
  warning: "M12 4 2.5 20h19L12 4ZM12 10v5M12 17.3v.2",
  route: "M6 20a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM18 9a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM8.5 17.5H15a3.5 3.5 0 0 0 0-7H9a3.5 3.5 0 0 1 0-7h6",
  gauge: "M4 18a9 9 0 1 1 16 0M12 14l4-5M12 14.2v-.4M6 12h1M12 6v1M18 12h-1",
  notice: "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h7",
  works: "M4 20h16M6 20l4.5-14h3L18 20M8 14h8M9.3 10h5.4",
  ranking: "M5 20v-6M10 20V9M15 20v-8M20 20V4",
  check: "M4 12.5l3 3L13 9M12 16.5l1 1L20 9",
  book: "M4 5c3-1.2 5.500-1 8 1 2.500-2 5-2.200 8-1v14c-3-1.200-5.500-1-8 1-2.500-2-5-2.200-8-1zM12 6v14",
  more: "M5 12h.1M12 12h.1M19 12h.1",
  target: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM12 2v5M12 17v5M2 12h5M17 12h5",
};

const SVG = "http://www.w3.org/2000/svg";

/** A line icon of 24 by 24, in the colour of the text around it. */
export function icon(name: keyof typeof SHAPES | string): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  setAttributes(svg, { viewBox: "0 0 24 24", class: `icon icon-${name}`, "aria-hidden": "true" });
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name] ?? "");
  svg.append(path);
  return svg;
}

/** A button with an icon and a text; `label` alone names it for readers where no text is shown. */
export function button(attributes: Attributes, iconName: string | null, text?: string): HTMLButtonElement {
  return h("button", { type: "button", ...attributes }, iconName && icon(iconName), text && h("span", {}, text));
}
