"""Pages: in both languages, without a script of their own, whatever rows and callers put into them; and every example on them works."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from api_rows import put
from psycopg2 import sql

from gis import processes
from gis.access.identity import Identity, caller
from gis.api import examples, wording
from gis.catalog.read import catalog
from gis.db.connection import owner

ATTACKS = (
    '"><script>alert(1)</script>',
    "<img src=x onerror=alert(1)>",
    "'-alert(1)-'",
    "{{7*7}}",
    "javascript:alert(1)",
    "</textarea><svg/onload=x>",
)


def free_texts(layer) -> dict[str, str]:
    """Every column of a layer that may hold any text: an attack for each."""
    fields = layer.fields.items()
    free = [name for name, field in fields if field.type == "text" and not (field.pattern or field.codes or name in layer.key)]
    free = [name for name in free if not layer.columns[name].max_length or layer.columns[name].max_length >= 30]
    return {name: ATTACKS[number % len(ATTACKS)] for number, name in enumerate(free)}


class _Reader(HTMLParser):
    """What a browser would run, or load as something that may."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "svg", "img", "object", "embed", "base"):
            self.found.append(tag)
        for name, value in attrs:
            if (
                name.startswith("on")
                or name == "style"
                or ((value or "").strip().lower().startswith("javascript:") and name in ("href", "src", "action"))
            ):
                self.found.append(f"{tag} {name}={value}")
            if tag == "iframe" and name == "src" and not value.startswith("http://localhost/map/page.html?"):
                self.found.append(value)


def scripts(page: str) -> list[str]:
    reader = _Reader()
    reader.feed(page)
    return reader.found


@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_run_nothing_and_say_everything_in_one_language(anyone, language):
    for path in (
        "/",
        "/collections",
        "/collections/road",
        "/collections/road/items?limit=1",
        "/collections/road/items/R1",
        "/processes/geocode",
        "/openapi",
    ):
        answer = anyone.get(f"{path}{'&' if '?' in path else '?'}f=html&lang={language}")
        assert answer.status_code == 200, path
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'" and "script-src" not in policy and "unsafe" not in str(policy), "no script, of nobody"
        page = answer.text
        assert not scripts(page) and page.count("<h1") == 1
        assert re.search(rf'<html lang="{language}', page) and 'href="#content"' in page and 'id="content"' in page
        assert all("title=" in frame for frame in re.findall(r"<iframe[^>]*>", page))
        controls = re.findall(r"<(?:input|select|textarea)(?![^>]*hidden)[^>]*>", page)
        assert len(controls) == len(re.findall(r"<label", page)), "each control has a label around it"
        other = re.search(r'class="language"[^>]*href="([^"]+)"', page)[1]
        assert ("lang=en" in other) == (language == "zh") and ("limit=1" in other) == ("limit=1" in path), (
            "the other language, the same page"
        )


def test_a_script_in_any_attribute_is_a_text(app, as_role):
    layers = [layer for layer in catalog().vectors if free_texts(layer)]
    assert len(layers) > 15
    with owner() as link, link.cursor() as cursor:
        for layer in layers:
            texts = free_texts(layer)
            assigned = sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(text)) for name, text in texts.items()
            )
            cursor.execute(sql.SQL("UPDATE core.{} SET {}").format(sql.Identifier(layer.id), assigned))
    admin = as_role("admin")
    for layer in layers:
        page = admin.get(f"/collections/{layer.id}/items?f=html&limit=20")
        assert page.status_code == 200 and not scripts(page.text), layer.id
        assert "alert(1)" in unescape(page.text) or "7*7" in page.text, f"{layer.id}: the text itself is shown"
        assert "49" not in re.findall(r"<td>([^<]*)</td>", page.text)
        for address in re.findall(rf'href="http://localhost(/collections/{layer.id}/items/[^"]+)"', page.text)[:3]:
            one = admin.get(unescape(address))
            assert one.status_code == 200 and not scripts(one.text), address


def test_what_a_caller_writes_is_a_text(anyone):
    for attack in ATTACKS:
        for path, name in (
            ("/collections/road/items", "filter"), ("/collections/road/items", "nothing"), ("/collections", "lang"),
            ("/processes/geocode?run=1", "in.text"), ("/processes/geocode?run=1&in.text=x", "in.limit"), ("/nothing", "x"),
        ):  # fmt: skip
            answer = anyone.get(f"{path}{'&' if '?' in path else '?'}f=html&{name}={quote(attack)}")
            assert answer.status_code in (200, 400, 404) and not scripts(answer.text), (path, name, attack)
        page = anyone.get(f"/collections/road/items/{quote(attack, safe='')}?f=html")
        assert page.status_code == 404 and not scripts(page.text)


def test_features_are_shown_with_titles_units_and_codes(anyone):
    put("road", {"road_id": "R7", "class": "trunk", "width_m": 12.5})
    page = anyone.get("/collections/road/items/R7?f=html&lang=zh").text
    assert "道路等级" in page and "主干路 (trunk)" in page and "12.5 m" in page
    listed = anyone.get("/collections/road/items?f=html&lang=en&filter=class='trunk'").text
    assert "Arterial (trunk)" in listed and "<small>(m)</small>" in listed and "class=&#39;trunk&#39;" in listed


def test_a_process_is_run_by_its_form(anyone, as_role):
    page = anyone.get("/processes/geocode?f=html&lang=zh").text
    assert 'name="in.text"' in page and "人民路16号" in page and 'method="get"' in page
    page = anyone.get("/processes/geocode?f=html&run=1&in.text=府前街81号").text
    assert "&#34;results&#34;" in page and "117." in page
    page = anyone.get("/processes/geocode?f=html&run=1").text
    assert 'role="alert"' in page and "text" in page
    admin = as_role("admin")
    writes = [name for name, process in processes.processes().items() if process.writes]
    for name in writes:
        page = admin.get(f"/processes/{name}?f=html&run=1")
        assert page.status_code == 200 and 'name="run"' not in page.text, "what changes something is no link"


@pytest.mark.parametrize("role", ["anonymous", "admin"])
def test_every_example_works(app, as_role, role):
    one = as_role(role)
    token = caller.set(Identity("", role))
    try:
        asked = [*examples.examples_of(""), *(example for name in catalog().layers for example in examples.examples_of(name))]
    finally:
        caller.reset(token)
    wrong = {}
    for example in asked:
        answer = one.get(example.path, buffered=True) if example.body is None else one.post(example.path, json=example.body)
        if answer.status_code not in (200, 204):
            wrong[example.path] = (answer.status_code, answer.text[:200])
    assert not wrong and len(asked) > 50
    document = one.get("/openapi?f=json").json
    samples = [
        s
        for operations in document["paths"].values()
        for o in operations.values()
        if isinstance(o, dict)
        for s in o.get("x-codeSamples", [])
    ]
    assert len(samples) > 50 and all(sample["source"].startswith("curl ") for sample in samples)
    assert ("water_pipe" in str(samples)) == (role == "admin")


def test_what_has_no_page_of_its_own_has_one_all_the_same(anyone):
    for path in ("/groups", "/tiles", "/tiles/WebMercatorQuad", "/groups/base/tiles"):
        page = anyone.get(f"{path}?f=html&lang=zh")
        assert page.status_code == 200 and page.mimetype == "text/html" and page.text.count("<h1") == 1 and not scripts(page.text), path
        assert anyone.get(path).mimetype == "application/json"
    assert "<iframe" not in anyone.get("/collections/catalogue?f=html").text


def test_a_chinese_page_is_chinese_in_its_forms_and_mistakes(anyone, as_role):
    page = as_role("admin").get("/processes/pipe-burst?f=html&lang=zh").text
    assert "关不动的阀门" in page and "爆管的管段编号" in page and "The id of" not in page
    page = anyone.get("/processes/geocode?f=html&lang=en").text
    assert "An address or the name of a place" in page and "地址或地名" not in page
    page = anyone.get("/collections/road/items?f=html&lang=zh&filter=nme=1").text
    assert "图层 road 没有字段 &#39;nme&#39;" in page and "可用的字段" in page
    asked = {"headers": {"Accept": "application/json", "Accept-Language": "zh-CN"}}
    assert anyone.get("/collections/road/items?limit=x", **asked).json["said"] == "limit 应为整数。请写 1 以上的整数"
    assert "said" not in anyone.get("/collections/road/items?limit=x").json
    assert wording.sentence("the password is too weak: the name is in it", "zh") == "密码太弱：含有用户名"
    assert wording.sentence("no such thing was ever said", "zh") == "no such thing was ever said"
    assert wording.side("grid 按网格 / By grid cell", "zh") == "grid 按网格" and wording.side("阀门 Valve", "en") == "Valve"


def test_links_of_pages_lead_somewhere(anyone):
    """Those to the same kind of thing but once: what holds for a layer's schema holds for the next layer's."""
    asked, wrong = set(), {}
    for path in (
        "/",
        "/collections/road",
        "/collections/road/tiles",
        "/collections/catalogue",
        "/processes",
        "/processes/geocode",
        "/groups",
        "/tiles",
    ):
        page = anyone.get(f"{path}?f=html&lang=zh").text
        for address in map(unescape, re.findall(r'<a[^>]* href="(http://localhost[^"]*)"', page)):
            if (kind := re.sub(r"(collections|groups|processes)/[a-z_-]+", r"\1/x", address)) in asked or "/account" in address:
                continue
            asked.add(kind)
            answer = anyone.get(address.removeprefix("http://localhost"), headers={"Accept": "text/html"}, buffered=True)
            if answer.status_code not in (200, 204, 301) and "/map/" not in address:
                wrong[address] = (path, answer.status_code)
    assert not wrong and len(asked) > 40


def test_who_one_is_and_what_a_thing_was_have_pages(anyone, as_role):
    assert anyone.get("/account?f=html").status_code == 401
    page = as_role("admin").get("/account?f=html&lang=zh")
    assert page.status_code == 200 and "管理员" in page.text and "/account/password" in page.text and not scripts(page.text)
    put("road", {"road_id": "R9", "class": "trunk", "name": ATTACKS[0]})
    page = anyone.get("/collections/road/items/R9?history=true&f=html&lang=zh")
    assert page.status_code == 200 and "变更历史" in page.text and "首次入库" in page.text and not scripts(page.text)
    form = anyone.get(f"/account/password?user={quote(ATTACKS[0])}")
    assert "&lt;script&gt;" in form.text and not scripts(form.text)
