"""What attackers send: texts for every parameter of every path that the OpenAPI document names, and what an answer may never show.

The texts follow the classes of published advisories against map servers (SQL through filters, traversal, request splitting) and OWASP's
testing guide (WSTG-INPV-05, WSTG-ATHZ-01); each is asked as a parameter's value, once plain and, in paths, encoded as a client would.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

INJECTIONS = (
    # a text ended, statements stacked
    "'",
    "''",
    '"',
    "';--",
    "'; DROP TABLE core.road;--",
    "'; SELECT pg_sleep(3);--",
    "1; SELECT pg_sleep(3)",
    "1;DELETE FROM access.key",
    "\\'; SELECT 1;--",
    "$$; SELECT pg_sleep(3); $$",
    # told by time
    "' AND 1=(SELECT 1 FROM pg_sleep(3))--",
    "' OR pg_sleep(3) IS NULL--",
    "1 AND (SELECT 1 FROM pg_sleep(3))=1",
    "'||pg_sleep(3)||'",
    "1)) OR 1=(SELECT 1 FROM PG_SLEEP(3))--",
    "CASE WHEN 1=1 THEN pg_sleep(3) ELSE 1 END",
    # other answers put behind
    "' UNION SELECT NULL,NULL--",
    "1 UNION ALL SELECT usename,passwd FROM pg_shadow",
    "') UNION SELECT version()--",
    "-1 UNION SELECT 1,2,3,4,5",
    # faults that tell
    "1/0",
    "' AND CAST(version() AS int)=1--",
    "extractvalue(1,concat(0x7e,version()))",
    "' AND 1=CAST((SELECT current_user) AS int)--",
    # what looks like a quote and is none, what is none and becomes one
    "\u02bc OR 1=1--",
    "\uff07 OR 1=1--",
    "\u2019 OR \u2019a\u2019=\u2019a",
    "%bf%27 OR 1=1",
    "%u0027 OR 1=1",
    "\xbf' OR 1=1--",
    "\ud7ff\U0010ffff\u202e\ufeff",
    # patterns
    "%",
    "_",
    "%' OR '1'='1",
    "\\",
    "\\%",
    "%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%_",
    "[a-z]*(",
    # placeholders of the driver and of templates
    "%s",
    "%(a)s",
    "%(a)",
    "{0.__class__}",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "$(sleep 3)",
    "`sleep 3`",
    "|id",
    "<script>alert(1)</script>",
    "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
)
TRAVERSALS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc/passwd",
    "..%252f..%252fetc%252fpasswd",
    "%252e%252e%252f",
    "..\\..\\..\\windows\\win.ini",
    "..%5c..%5c",
    "%c0%ae%c0%ae%c0%af",
    "%fe%ff%00.%00.%00/",
    "%uff0e%uff0e%u2215",
    "\uff0e\uff0e\u2215etc\u2215passwd",
    "..;/..;/admin",
    ";/../",
    "....//....//etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "file:///etc/passwd",
    "file:///proc/self/environ",
    "/vsicurl/http://127.0.0.1/a.tif",
    "/vsizip//etc/passwd",
    "http://169.254.169.254/latest/",
    "\\\\127.0.0.1\\share",
    "road.gpkg/../../city.yaml",
    "CON",
    ".",
    "..",
    "~root",
)
ABSURD = (
    "",
    " ",
    "\t",
    "a" * 5000,
    "名" * 1500,
    "-0",
    "0",
    "-1",
    "1e400",
    "-1e-400",
    "NaN",
    "Infinity",
    "9" * 400,
    "0x7fffffff",
    "2147483648",
    "9223372036854775808",
    "1_000",
    "١٢٣",
    "1,2,3,4,5,6,7,8",
    "-180,-90,180,90",
    "-1e300,-1e300,1e300,1e300",
    "180,90,-180,-90",
    "0000-00-00",
    "0000-01-01T00:00:00Z/..",
    "9999-12-31T23:59:60Z",
    "99999-01-01",
    "-4713-01-01",
    "../..",
    "2024-01-01T00:00:00+99:99",
    "null",
    "true",
    "undefined",
    "[]",
    "{}",
    '{"op":"and","args":[]}',
    '{"op":' * 50,
    "[" * 4000,
    "(" * 4000,
    "NOT " * 2000 + "lanes=1",
    "lanes=1" + " OR lanes=1" * 1200,
    "x\r\nSet-Cookie: a=b",
    "x\nLocation: http://evil.example/",
    "%0d%0aSet-Cookie:a=b",
    "\u2028\u0085",
    "\x00",
    "a\x00b",
    "\x7f\x1b[31m",
    "application/../html",
)
EVERYTHING = INJECTIONS + TRAVERSALS + ABSURD

TWINS = (
    ("x' OR '1'='1", "x' AND '1'='2"),
    ("x') OR ('1'='1", "x') AND ('1'='2"),
    ("x' OR 1=1--", "x' OR 1=2--"),
    ("x%' OR '%'='", "x%' AND 'b'='"),
    ("1) OR (1=1", "1) AND (1=2"),
    ("x\uff07 OR \uff071\uff07=\uff071", "x\uff07 AND \uff071\uff07=\uff072"),
)
"""True and false: where a text became SQL the two would be answered differently."""

TOLD = re.compile(
    r"psycopg|sqlalchemy|Traceback|syntax error at or near|pg_catalog|unterminated quoted|SQLSTATE|DETAIL:|LINE \d+:|site-packages|\.py\b"
    r"|\b(?:core|history|pub|meta|access|stage)\.[a-z_]+\b(?!\s*=)|onemap_(?:login|owner|admin)|root:x:0|/(?:home|usr|var|tmp|srv|work)/"
    r"|jinja2|werkzeug|pygeoapi\.|gunicorn|GEOSException|PROJ:|invalid input syntax|operator does not exist|relation \"",
    re.IGNORECASE,
)
"""What gives away how the platform is made."""


@dataclass(frozen=True)
class Place:
    """Where a text can be put: a parameter of an operation of the OpenAPI document."""

    method: str
    path: str
    name: str
    within: str
    schema: tuple[str, str]
    required: tuple[tuple[str, str], ...] = ()

    @property
    def shape(self) -> tuple:
        """What two places have in common whose code is the same: layers differ in their names and columns, not in their paths."""
        path = re.sub(r"^/collections/[a-z_]+(/|$)", r"/collections/*\1", self.path)
        return self.method, path, self.name if self.path == path or self.name in KNOWN else self.schema, self.within

    def url(self, text: str) -> str:
        """The request that puts the text here; everything else is what works."""
        values = {name: quote(value, safe="") for name, value in self.required}
        if self.within == "path":
            # what is encoded already stays so: a client that encodes once more asks for something else
            values[self.name] = quote(text, safe="%/;\\.~" if "%" in text else "/;.~")
        path = re.sub(r"{([^}]+)}", lambda found: values.get(found[1], "x"), self.path)
        return path if self.within == "path" else f"{path}?{self.name}={quote_plus(text)}"


MADE_UP = "made-up"
KNOWN = frozenset(
    (
        "f", "lang", "limit", "offset", "bbox", "bbox-crs", "crs", "datetime", "as-of", "filter", "filter-lang", "filter-crs", "sortby",
        "properties", "skipGeometry", "resultType", "cursor", "since", "subset", "q", "encoding", "names",
    )
)  # fmt: skip
"""Parameters whose meaning does not depend on the layer."""

WORKING = {
    "featureId": "R1", "tileMatrixSetId": "WebMercatorQuad", "tileMatrix": "15", "tileRow": "13306", "tileCol": "27033",
    "z": "15", "y": "13306", "x": "27033", "styleId": "road", "token": "unknown-token-0001", "collectionId": "road", "processId": "geocode",
    "jobId": "00000000-0000-0000-0000-000000000000", "name": "road",
}  # fmt: skip


def places(document: dict, methods: tuple[str, ...] = ("get", "delete")) -> list[Place]:
    """Every parameter of every operation of an OpenAPI document, and the body-less operations' made-up one."""
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in methods:
                continue
            parameters = [_resolved(document, one) for one in [*operations.get("parameters", []), *operation.get("parameters", [])]]
            needed = {name: WORKING.get(name, "x") for name in re.findall(r"{([^}]+)}", path)}
            needed |= {one["name"]: WORKING.get(one["name"], "x") for one in parameters if one["in"] == "path"}
            for one in parameters:
                if one["in"] in ("path", "query"):
                    schema = one.get("schema", {})
                    kind = (str(schema.get("type")), str(schema.get("format", "")))
                    found.append(Place(method, path, one["name"], one["in"], kind, tuple(sorted(needed.items()))))
            found.append(Place(method, path, "nothing-known", "query", ("string", MADE_UP), tuple(sorted(needed.items()))))
    return found


def _resolved(document: dict, part: dict) -> dict:
    while "$ref" in part:
        target = document
        for step in part["$ref"][2:].split("/"):
            target = target[step]
        part = target
    return part


def asked(found: list[Place], part: slice, seed: int = 1) -> Iterator[tuple[Place, str]]:
    """(place, text): a part of the texts at one place of every shape, one of them at every fourth of its twins.

    What is asked with a parameter that nobody knows is refused before it is read: a few texts are enough. All, everywhere, for slice(None).
    """
    chance, seen, whole = random.Random(seed), set(), part == slice(None)
    for place in found:
        if whole or place.shape not in seen:
            texts = EVERYTHING[part] if whole or place.schema[1] != MADE_UP else EVERYTHING[part][::12]
        else:
            texts = (chance.choice(EVERYTHING),) if chance.random() < 0.25 else ()
        seen.add(place.shape)
        yield from ((place, text) for text in texts)


def told(body: str, text: str) -> str | None:
    """What an answer gives away that the caller did not say himself; None where it gives nothing away."""
    for quoted in sorted(
        {text, text.lower(), quote(text), quote_plus(text), quote(text, safe=""), repr(text)[1:-1], text.replace("<", "&lt;")}, key=len
    ):
        if len(quoted) > 2:
            body = body.replace(quoted, "")
    for length in (200, 80, 60, 40):
        if len(text) > length:
            body = body.replace(text[:length], "").replace(repr(text[:length])[1:-1], "")
    found = TOLD.search(body)
    return body[max(found.start() - 40, 0) : found.end() + 40] if found else None
