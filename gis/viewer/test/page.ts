/** The little of a page that the modules touch when they are loaded. */

class Shelf {
  private readonly kept = new Map<string, string>();
  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.kept.set(key, value);
  }
  removeItem(key: string): void {
    this.kept.delete(key);
  }
}

const page: Record<string, unknown> = {
  localStorage: new Shelf(),
  sessionStorage: new Shelf(),
  location: new URL("http://map.example/bureau/map/"),
};
for (const [name, value] of Object.entries(page)) Object.defineProperty(globalThis, name, { value, configurable: true });
