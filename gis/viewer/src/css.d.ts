declare module "maplibre-gl/dist/maplibre-gl-csp-worker.js?url" {
  const url: string;
  export default url;
}
