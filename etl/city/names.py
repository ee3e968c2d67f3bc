"""Names of streets, lanes, towns, villages, compounds: fictional, Chinese, each once."""

from __future__ import annotations

import numpy as np
import shapely

from etl.city import plan as p
from etl.city.streets import Graph
from etl.city.terrain import stream

COUNTY = "青澜县"
DIGITS = "零一二三四五六七八九"
FAMOUS = [
    "解放",
    "建设",
    "文化",
    "新华",
    "中山",
    "胜利",
    "和平",
    "光明",
    "团结",
    "府前",
    "朝阳",
    "工农",
    "振兴",
    "民主",
    "友谊",
    "青年",
    "健康",
    "迎宾",
    "学府",
    "站前",
    "广场",
    "体育",
    "公园",
    "幸福",
    "复兴",
    "育才",
    "交通",
    "兴业",
    "富强",
    "新民",
    "昌盛",
    "永安",
    "文昌",
    "凤鸣",
    "龙泉",
    "翠屏",
    "云台",
    "锦绣",
    "滨湖",
    "紫薇",
    "梧桐",
    "丹桂",
    "玉兰",
    "海棠",
    "桃源",
    "望江",
    "临溪",
    "听澜",
]
FIRST = list(
    "安宝长昌春大德东丰福富高广桂海和红宏华怀惠嘉建江金锦景九康乐丽良龙茂明南宁平祺启庆仁荣瑞润山尚盛世顺泰天通万望文武西祥祥新星兴"
    "秀学雅延阳义银迎永裕元远月云泽振正志忠珠竹紫"
)
SECOND = list(
    "安邦宝城川春达德峰福港光贵河虹湖华辉惠吉景康兰乐林陵龙隆明宁平屏祺泉荣瑞山尚盛松泰堂亭通旺文武溪霞贤湘祥欣兴秀阳义银英永园源"
    "月云泽州洲苑"
)
OLD_LANES = [
    "状元",
    "打铁",
    "灯笼",
    "竹器",
    "豆腐",
    "油坊",
    "盐店",
    "染坊",
    "书院",
    "文庙",
    "城隍庙",
    "钟楼",
    "鼓楼",
    "井亭",
    "桂花",
    "槐树",
    "石狮",
    "牌坊",
    "当铺",
    "茶馆",
    "酒坊",
    "银匠",
    "箍桶",
    "磨坊",
    "马号",
    "学宫",
    "衙后",
    "仓前",
    "水巷口",
    "半边街",
]
VILLAGE_TAIL = ["庄", "村", "湾", "岗", "店", "桥", "圩", "塘", "铺", "寨", "冲", "咀", "集", "坝", "楼", "井"]
SURNAMES = list(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹"
    "熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
TOWN_HEAD = ["柳河", "石桥", "白塔", "双龙", "梅山", "清溪", "古城", "大营", "莲塘", "金牛", "红旗", "新集", "太平", "响水", "枫林"]
COMPOUND_HEAD = [
    "锦绣",
    "阳光",
    "翡翠",
    "碧水",
    "金色",
    "香樟",
    "御景",
    "天鹅",
    "丽都",
    "盛世",
    "东方",
    "幸福",
    "都市",
    "书香",
    "桂苑",
    "春江",
    "水岸",
    "紫荆",
    "名仕",
    "和谐",
    "康乐",
    "世纪",
    "龙湖",
    "绿城",
    "凤凰",
    "滨江",
    "文景",
    "瑞和",
    "安居",
    "尚品",
]
COMPOUND_TAIL = ["花园", "小区", "家园", "华庭", "名苑", "新村", "嘉园", "雅苑", "公寓", "豪庭", "里", "城"]


def numeral(n: int) -> str:
    """1..99 in Chinese: 一, 十二, 三十五."""
    tens, ones = divmod(n, 10)
    head = "" if tens == 0 else "十" if tens == 1 else DIGITS[tens] + "十"
    return head + (DIGITS[ones] if ones or not tens else "")


def _pool(rng, head: list[str], first: list[str], second: list[str], number: int) -> list[str]:
    """`number` distinct stems: the famous ones, then pairs of characters, then with 新/东/西 before them."""
    pairs = [a + b for a in first for b in second if a != b]
    pairs = list(dict.fromkeys(pairs))
    order = rng.permutation(len(pairs))
    out = list(dict.fromkeys(head + [pairs[k] for k in order]))
    extra = [x + y for x in "新东西南北" for y in out] if len(out) < number else []
    return (out + extra)[:number]


def settlement_names(plan: p.Plan) -> list[str]:
    """A name for each settlement: towns 柳河镇, villages 王家庄."""
    rng = stream(plan.ground.seed, "settlement names")
    towns = iter([TOWN_HEAD[k] for k in rng.permutation(len(TOWN_HEAD))])
    pairs = [s + ("家" if rng.random() < 0.6 else "") + t for s in SURNAMES for t in VILLAGE_TAIL]
    villages = iter([pairs[k] for k in rng.permutation(len(pairs))])
    return [next(towns) if x.zone == p.TOWN else next(villages) for x in plan.settlements]


def street_names(plan: p.Plan, graph: Graph, places: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Road part and lane part (or "") of the name of every street line (index into plan.lines) that the graph uses."""
    rng = stream(plan.ground.seed, "street names")
    n = len(plan.lines)
    road, lane = np.full(n, "", object), np.full(n, "", object)
    length = np.bincount(graph.street, graph.length, minlength=n)
    used = np.flatnonzero(length > 0)
    klass = np.array([x.klass for x in plan.lines])
    order = used[np.lexsort((-length[used], klass[used]))]
    fixed = {
        "axis": "青澜大道",
        "main": "人民路",
        "ring_e": "东环路",
        "ring_w": "西环路",
        "ring_n": "北环路",
        "ring_s": "南环路",
        "wall_n": "环城北路",
        "wall_e": "环城东路",
        "wall_s": "环城南路",
        "wall_w": "环城西路",
        "bank_n": "滨河北路",
        "bank_s": "滨河南路",
        "road_n": "青北公路",
        "road_s": "青南公路",
        "road_e": "青东公路",
        "road_w": "青西公路",
        "expressway": "绕城快速路",
    }
    taken: set[str] = set()
    stems = iter(_pool(rng, FAMOUS, FIRST, SECOND, n + 200))
    old = iter([OLD_LANES[k] for k in rng.permutation(len(OLD_LANES))])
    lanes_later = []
    for k in order:
        line = plan.lines[k]
        if line.kind in fixed and fixed[line.kind] not in taken:
            name = fixed[line.kind]
        elif line.kind in ("road_t", "road_v"):
            name = _free(
                f"{places[line.place]}公路"
                if line.kind == "road_t" and line.place >= 0
                else f"{places[line.place]}路"
                if line.place >= 0
                else f"{next(stems)}公路",
                taken,
                stems,
            )
        elif line.kind == "village_main":
            name = _free(f"{places[line.place]}大街", taken, stems)
        elif line.kind in ("lane", "village"):
            lanes_later.append(k)
            continue
        else:
            tail = "大道" if line.klass == p.TRUNK else "路" if line.kind != "ew" or rng.random() < 0.4 else "街"
            name = _free(next(stems) + tail, taken, stems)
        taken.add(name)
        road[k] = name
    _name_lanes(plan, np.array(lanes_later, int), road, lane, places, taken, old, rng, stems)
    return road, lane


def _free(name: str, taken: set[str], stems) -> str:
    while name in taken:
        name = next(stems) + name[-1]
    return name


def _name_lanes(plan, lanes, road, lane, places, taken, old, rng, stems) -> None:
    """Lanes carry old names in the old town, else the name of the street they leave with a number: 文化路三巷."""
    named = np.flatnonzero(road != "")
    if not len(lanes) or not len(named):
        return
    tree = shapely.STRtree(np.array([plan.lines[k].geom for k in named]))
    geoms = np.array([plan.lines[k].geom for k in lanes])
    near = named[tree.nearest(geoms)]
    count: dict[str, int] = {}
    for k, parent in zip(lanes, near, strict=True):
        line = plan.lines[k]
        if line.kind == "village":
            base = places[line.place]
        else:
            base = road[parent]
            if plan.old_town.contains(line.geom.centroid) and rng.random() < 0.5 and (stem := next(old, None)):
                name = stem if stem[-1] in "街口" else stem + "巷"
                if name not in taken:
                    road[k] = name
                    taken.add(name)
                    continue
        count[base] = count.get(base, 0) + 1
        if count[base] > 99:
            road[k] = _free(next(stems) + "巷", taken, stems)
            taken.add(road[k])
        else:
            road[k], lane[k] = base, numeral(count[base]) + "巷"


def compound_names(n: int, seed: int) -> np.ndarray:
    """n distinct names of compounds (小区)."""
    rng = stream(seed, "compound names")
    heads = _pool(rng, COMPOUND_HEAD, FIRST, SECOND, max(n // 6 + 60, 60))
    pairs = rng.permutation(len(heads) * len(COMPOUND_TAIL))[:n]
    return np.array([heads[x % len(heads)] + COMPOUND_TAIL[x // len(heads)] for x in pairs], object)


def people_names(n: int, rng) -> np.ndarray:
    """n fictional personal names (officers, customers); repeats happen, as they do."""
    given = list("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华建国玉兰志文梅")
    s, a, b = rng.integers(0, len(SURNAMES), n), rng.integers(0, len(given), n), rng.integers(-len(given), len(given), n)
    head, first = np.array(SURNAMES, object)[s], np.array(given, object)[a]
    return head + first + np.where(b >= 0, np.array([*given], object)[np.clip(b, 0, None)], "")


def phone_numbers(n: int, rng) -> np.ndarray:
    """n fictional telephone numbers 0999-8xxxxxx (an area code that is not assigned)."""
    return np.array([f"0999-8{number:06d}" for number in rng.integers(0, 1_000_000, n)], dtype=object)
