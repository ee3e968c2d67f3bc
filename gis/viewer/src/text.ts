/** The two languages of the map: Chinese unless the reader chose English, which is remembered. */

export type Language = "zh" | "en";
export interface Bilingual {
  zh: string;
  en: string;
}

const KEY = "onemap.language";

const TEXTS = {
  onemap: ["一张图", "One Map"],
  layers: ["图层", "Layers"],
  showLayers: ["显示图层", "Show layers"],
  close: ["关闭", "Close"],
  cancel: ["取消", "Cancel"],
  search: ["搜索地址", "Search an address"],
  searchHint: ["搜地址、楼栋、门牌，或输入“经度, 纬度”", "Address, building, door-plate, or “lon, lat”"],
  searching: ["正在查找…", "Searching…"],
  noAddress: ["没有找到这个地址。少写几个字，或检查路名与门牌号。", "No such address. Try fewer words, or check road and number."],
  ambiguous: ["有几个同样可能的地址，请选一个", "Several addresses fit equally well: choose one"],
  coordinates: ["坐标", "Coordinates"],
  night: ["夜间", "Night"],
  day: ["白天", "Day"],
  otherLanguage: ["English", "中文"],
  login: ["登录", "Log in"],
  logout: ["退出登录", "Log out"],
  loggedOut: ["已退出登录", "Logged out"],
  withKey: ["密钥", "With a key"],
  withPassword: ["用户名和密码", "With name and password"],
  key: ["密钥（API Key）", "API key"],
  name: ["用户名", "Name"],
  password: ["密码", "Password"],
  loginIntro: ["地下管线等图层只对登录的人显示。", "Pipelines and some other layers are shown only to those who log in."],
  loginKept: ["只保存在这个标签页里，关掉即清除。", "Kept in this tab only, gone when it is closed."],
  wrongLogin: ["登录不成功：密钥或用户名、密码不对，或已停用。", "Log-in failed: wrong or disabled key, name or password."],
  needName: ["请填写用户名和密码", "Give a name and a password"],
  needKey: ["请填写密钥", "Give a key"],
  welcome: ["已登录：{0}（{1}）", "Logged in: {0} ({1})"],
  needLogin: ["需要登录才能使用。", "Log in to use this."],
  sessionEnded: ["登录已失效，请重新登录。", "Your log-in is no longer valid: log in again."],
  burstNeedsLogin: ["爆管分析要用供水管网，请先登录。", "Burst analysis needs the water network: log in first."],
  closureNeedsLogin: ["关阀分析要用供水管网，请先登录。", "Valve closure needs the water network: log in first."],
  traceNeedsLogin: ["管网追踪要用供水管网，请先登录。", "Tracing needs the water network: log in first."],
  forbidden: ["你的角色“{0}”无权做这件事。请换一个账号登录，或请管理员授权。", "Your role “{0}” may not do this. Log in as someone else or ask the administrator."],
  notFound: ["没有找到，或你无权查看。", "Not found, or not for you to see."],
  serverDown: ["连不上服务器。请检查网络；若别的电脑也打不开，请联系管理员。", "The server does not answer. Check your network; if others cannot reach it either, tell the administrator."],
  databaseDown: ["数据库暂时不可用，请稍后再试或联系管理员。", "The database is not available: try again soon or tell the administrator."],
  serverError: ["服务器出错（{0}）。请稍后再试；若仍不行，请联系管理员。", "The server failed ({0}). Try again; if it stays so, tell the administrator."],
  timedOut: ["等了太久没有结果，请再试一次。", "No answer in time: try again."],
  mapFailed: ["地图打不开：{0}", "The map cannot open: {0}"],
  retry: ["重试", "Try again"],
  noWebgl: ["这个浏览器不支持 WebGL，无法显示地图。请换用较新的 Chrome、Edge 或 Firefox。", "This browser has no WebGL and cannot show the map. Use a recent Chrome, Edge or Firefox."],
  zoomIn: ["放大后可见", "zoom in"],
  allOn: ["全部显示", "Show all"],
  attributes: ["属性", "Attributes"],
  chooseFeature: ["此处有 {0} 个要素，请选择", "{0} features here: choose one"],
  backToList: ["返回列表", "Back to the list"],
  noAttributes: ["没有可显示的属性", "No attributes to show"],
  yes: ["是", "yes"],
  no: ["否", "no"],
  burstHere: ["此处爆管", "Burst here"],
  showDate: ["看某日", "Date"],
  showDateHint: ["看某一天的城市", "See the city as it was or will be on a day"],
  asOn: ["正在看 {0} 的城市", "The city as on {0}"],
  today: ["回到今天", "Back to today"],
  backToToday: ["分析按今天的管网进行，已回到今天", "The analysis uses today's network: back to today"],
  tools: ["分析工具", "Analysis tools"],
  burst: ["爆管分析", "Burst analysis"],
  burstShort: ["爆管", "Burst"],
  closure: ["关阀分析", "Valve closure"],
  closureShort: ["关阀", "Closure"],
  trace: ["管网追踪", "Trace"],
  traceShort: ["追踪", "Trace"],
  burstPick: ["在地图上点一下爆管的水管", "Click the burst pipe on the map"],
  burstPickHint: ["点主管、支管或入户管都可以；看不清就先放大。按 Esc 取消。", "A main, a branch or a service line. Zoom in where it is crowded. Esc cancels."],
  burstZoom: ["先放大到能看见水管", "Zoom in until you can see the water pipes"],
  closurePick: ["在地图上点要关的阀门，可点多个", "Click the valves to close, one or several"],
  closureNone: ["还没有选阀门", "No valve chosen yet"],
  closureNoValve: ["这里没有阀门，请点在阀门上（放大更容易点中）", "No valve here: click on a valve (zoom in to hit it)"],
  closureRun: ["看看会停哪里", "What is cut off"],
  closureResult: ["关闭 {0} 个阀门的影响", "Effect of closing {0} valves"],
  closureNothing: ["关闭这些阀门不会造成停水。", "Closing these valves cuts nothing off."],
  tracePick: ["在地图上点起点管段（给水、污水或雨水）", "Click the pipe to start from (water, sewer or storm drain)"],
  traceDirection: ["方向", "Direction"],
  traceUp: ["上游（水从哪来）", "Upstream (where it comes from)"],
  traceDown: ["下游（水往哪去）", "Downstream (where it goes)"],
  traceConnected: ["相连的全部", "Everything connected"],
  traceResult: ["追踪结果", "Trace"],
  tracePipes: ["管段数", "Pipes"],
  traceLength: ["管长", "Length"],
  noPipe: ["这里没有水管，请点在水管上（放大更容易点中）", "No water pipe here: click on a pipe (zoom in to hit it)"],
  notOnNetwork: ["它不在供水管网里（可能已废弃，或没有接上管网）", "It is not part of the water network (abandoned, or not connected)"],
  notOnThisNetwork: ["这个位置或编号不在管网上：靠近管线再点，或核对编号与管网名。（{0}）", "Not on the network: {0}"],
  outsideExtent: ["位置在本市范围之外，请检查经纬度及其先后。（{0}）", "Outside the city: {0}"],
  severalFit: ["有几个同样符合，请放大后点准，或给出编号。（{0}）", "Several fit: {0}"],
  tooMany: ["请求太频繁，请过一分钟再试。", "Too many requests: wait a minute."],
  refused: ["服务器不接受这个请求：{0}", "The server refuses this: {0}"],
  dataNotes: ["数据提示", "Notes on the data"],
  sources: ["水源", "Sources"],
  computing: ["正在计算…", "Computing…"],
  burstAt: ["爆管位置", "Burst at"],
  pipe: ["水管", "Pipe"],
  connection: ["入户管", "Service line"],
  valve: ["阀门", "Valve"],
  node: ["节点", "Node"],
  toClose: ["要关的阀门", "Valves to close"],
  toCloseN: ["请关这 {0} 个阀门", "Close these {0} valves"],
  toCloseNone: ["不需要关阀", "No valve to close"],
  closeInOrder: ["按编号顺序关", "In the order of the numbers"],
  closedPart: ["关断区段（红）", "Closed part (red)"],
  cutOffPart: ["被连带停水（橙）", "Cut off behind it (orange)"],
  optional: ["可不关（只防倒流）", "Optional (only against backflow)"],
  alreadyClosed: ["本来就关着，请现场核实", "Already closed: check on site"],
  stuckList: ["关不上的阀门", "Stuck valves"],
  stuckButton: ["此阀关不上", "This valve is stuck"],
  undoStuck: ["撤销，此阀能关", "Undo: it does close"],
  stuckAdded: ["{0} 关不上，因此要多", "{0} is stuck, which adds"],
  stuckSame: ["关断范围不变", "the closed part stays the same"],
  addValves: ["多关 {0} 个阀门", "{0} more valves to close"],
  addPipes: ["多停 {0} 根水管", "{0} more pipes"],
  addCustomers: ["多停 {0} 户", "{0} more customers"],
  added: ["新增", "new"],
  cannotIsolate: ["关阀关不住：必须同时停水源", "Valves alone cannot isolate it: shut the source"],
  sourcesToShut: ["要停的水源：{0}", "Sources to shut: {0}"],
  feedsToOpen: ["可打开这些常闭阀恢复供水", "Opening these closed valves restores supply"],
  whoLoses: ["影响", "Who loses water"],
  customers: ["停水户数", "Customers"],
  pipes: ["停水管段", "Pipes"],
  nPipes: ["{0} 根水管", "{0} pipes"],
  nCustomers: ["{0} 户", "{0} customers"],
  length: ["停水管长", "Length"],
  volume: ["需排水量", "Water to drain"],
  doorplates: ["门牌", "Door-plates"],
  hydrants: ["失效消火栓", "Hydrants lost"],
  unintended: ["其中连带停水", "Of these cut off behind"],
  priorityUsers: ["重点用户", "Priority users"],
  priorityFirst: ["先通知重点用户", "Tell the priority users first"],
  showAll: ["显示全部 {0} 个", "Show all {0}"],
  andMore: ["另有 {0} 个", "{0} more"],
  filterPlates: ["在 {0} 个门牌中查找", "Find among {0} door-plates"],
  downloadCsv: ["下载名单（CSV）", "Download list (CSV)"],
  print: ["打印通知单", "Print notice"],
  clear: ["清除", "Clear"],
  again: ["再点一处", "Another place"],
  dataVersion: ["数据版本 {0} · 用时 {1} 秒", "Data version {0} · {1} s"],
  inoperable: ["不可操作", "inoperable"],
  inaccessible: ["难以到达", "hard to reach"],
  remote: ["可远程操作", "remote"],
  turns: ["{0} 圈", "{0} turns"],
  operable: ["可操作", "operable"],
  locate: ["在地图上看", "Show on the map"],
  noticeTitle: ["停水通知与关阀作业单", "Outage notice and valve-closing order"],
  noticeTime: ["生成时间", "Made at"],
  noticeOperator: ["值班员", "Duty officer"],
  noticeNumber: ["序号", "No."],
  noticeWhere: ["位置", "Where"],
  noticeState: ["状态", "State"],
  noticeSigned: ["关阀人 / 时间", "Closed by / time"],
  noticeDuration: ["预计停水：____ 月 ____ 日 ____ 时 至 ____ 月 ____ 日 ____ 时", "Expected outage: from ________________ to ________________"],
  noticeMap: ["停水范围图", "Map of the outage"],
  noticePlates: ["停水门牌（{0} 个）", "Door-plates without water ({0})"],
  id: ["编号", "Id"],
  address: ["地址", "Address"],
  metres: ["米", "m"],
  kilometres: ["公里", "km"],
  cubicMetres: ["立方米", "m³"],
} as const;

export type TextKey = keyof typeof TEXTS;

const ROLES: Record<string, Bilingual> = {
  anonymous: { zh: "访客", en: "Visitor" },
  planner: { zh: "规划", en: "Planner" },
  water: { zh: "供水", en: "Water" },
  drainage: { zh: "排水", en: "Drainage" },
  gas: { zh: "燃气", en: "Gas" },
  heat: { zh: "热力", en: "Heat" },
  power: { zh: "电力", en: "Power" },
  telecom: { zh: "通信", en: "Telecom" },
  address: { zh: "地名地址", en: "Address" },
  admin: { zh: "管理员", en: "Administrator" },
};

const listeners: Array<() => void> = [];
let current: Language = localStorage.getItem(KEY) === "en" ? "en" : "zh";

export function language(): Language {
  return current;
}

/** Change the language, remember it, and let everything that is shown redraw itself. */
export function setLanguage(next: Language): void {
  current = next;
  localStorage.setItem(KEY, next);
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
  listeners.forEach((listener) => listener());
}

/** Call `listener` whenever the language changed. */
export function onLanguage(listener: () => void): void {
  listeners.push(listener);
}

/** The text of this key in the current language; {0}, {1} … are replaced by the values. */
export function t(key: TextKey, ...values: Array<string | number>): string {
  return TEXTS[key][current === "zh" ? 0 : 1].replace(/\{(\d)\}/g, (_, i) => String(values[Number(i)] ?? ""));
}

/** The current language's side of a bilingual title; falls back to the other side, then to `otherwise`. */
export function titleOf(title: Partial<Bilingual> | string | null | undefined, otherwise = ""): string {
  if (!title) return otherwise;
  if (typeof title === "string") return title;
  return title[current] || title.zh || title.en || otherwise;
}

export function roleTitle(role: string): string {
  return titleOf(ROLES[role], role);
}

/** A whole number with thousands separators. */
export function count(n: number | null | undefined): string {
  return Math.round(n ?? 0).toLocaleString("en-US");
}
