import { defineConfig } from "vite";

const server = process.env.ONEMAP_PUBLIC_URL ?? "http://127.0.0.1:5080";
const api = ["/catalog", "/collections", "/processes", "/styles", "/jobs", "/health"];

export default defineConfig({
  // Relative, so that the map works at /map/ and behind a proxy's prefix alike.
  base: "./",
  resolve: {
    // The build of MapLibre whose worker is a file of its own: a page that forbids blob: and inline scripts can run it.
    alias: [{ find: /^maplibre-gl$/, replacement: "maplibre-gl/dist/maplibre-gl-csp.js" }],
  },
  build: {
    target: "es2020",
    chunkSizeWarningLimit: 1400,
    // The map, and the small one within the pages of collections.
    rollupOptions: { input: ["index.html", "page.html"], output: { manualChunks: { maplibre: ["maplibre-gl"] } } },
  },
  server: { proxy: Object.fromEntries(api.map((path) => [path, server])) },
});
