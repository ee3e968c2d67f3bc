"""The oracle: isolation by brute force, written from the definitions, sharing no code with the engine.

It reads the same frames and simulates water in a networkx graph whose vertices are places (a junction, a pipe, the gap between
two devices at a pipe's end) and whose edges are joints, valves and devices. Nothing is clever here: every question is answered
by walking the whole graph.
"""

import networkx as nx


class Oracle:
    """A network as a directed multigraph. Each edge has `kind` joint | valve | device | both (a closable device), `id`, `open`."""

    def __init__(self, nodes, pipes, valves, sources):
        self.graph = nx.MultiDiGraph()
        self.pipes = [p for p in pipes.to_dict("records") if p.get("status") != "1"]
        records = valves.astype(object).where(valves.notna(), None).to_dict("records")
        self.valve = {}
        self.ends = {}
        for row in records:
            self.valve[row["valve_id"]] = row
        self.star = {v["node_id"] for v in records if self._placed(v) == "junction" and v["isolating"]}
        for row in nodes.to_dict("records"):
            self.graph.add_node(("node", row["node_id"]))
        at_end = {}
        for row in records:
            at_end.setdefault((row.get("pipe_id"), row.get("node_id")), []).append(row)
        for pipe in self.pipes:
            self.graph.add_node(("pipe", pipe["pipe_id"]))
            for side in ("from_node", "to_node"):
                self._end(pipe, pipe[side], at_end.get((pipe["pipe_id"], pipe[side]), []))
        for row in records:
            if self._placed(row) == "link":
                self._link(row)
        self.sources = {}
        for row in sources.to_dict("records"):
            place = ("node", row["node_id"])
            if row["node_id"] in self.star:
                place = ("gap", "source", row["source_id"])
                self._star(place, row["node_id"])
            self.sources[row["source_id"]] = place
        self.by_id = {}
        for a, b, e in self.graph.edges(data=True):
            self.by_id.setdefault(e["id"], []).append((a, b))
        self.joints = nx.Graph((a, b) for a, b, e in self.graph.edges(data=True) if e["kind"] == "joint")
        self.joints.add_nodes_from(self.graph)
        self.open_ways = {place: [] for place in self.graph}
        for a, b, e in self.graph.edges(data=True):
            if e["open"]:
                self.open_ways[a].append((b, e["id"]))
        self.normally = self.wet()

    @staticmethod
    def _placed(valve):
        if valve.get("pipe_id"):
            return "end"
        return "junction" if valve.get("node_id") else "link"

    @staticmethod
    def _open(valve):
        return (valve.get("live_status") or valve.get("normal_status") or "open") != "closed"

    def _kind(self, valve):
        directed = valve["kind"] in ("check", "prv", "psv", "pump")
        closable = bool(valve["isolating"]) and valve["kind"] != "check"
        return {(True, True): "both", (True, False): "device", (False, True): "valve", (False, False): "joint"}[
            directed, closable
        ]

    def _edge(self, a, b, kind, valve=None):
        self.graph.add_edge(
            a, b, kind=kind, id=valve and valve["valve_id"], open=valve is None or kind == "joint" or self._open(valve)
        )

    def _two_way(self, a, b, kind, valve=None):
        self._edge(a, b, kind, valve)
        self._edge(b, a, kind, valve)

    def _star(self, place, node):
        """An arm of a junction where valves stand: to the junction only through each of them."""
        for valve in self.valve.values():
            if self._placed(valve) == "junction" and valve["node_id"] == node and valve["isolating"]:
                self._two_way(place, ("node", node), "valve", valve)

    def _end(self, pipe, node, here):
        """From the pipe outwards: isolation valves (parallel), directed devices (parallel), the junction."""
        place = ("pipe", pipe["pipe_id"])
        isolating = [v for v in here if self._kind(v) == "valve"]
        devices = [v for v in here if self._kind(v) in ("device", "both")]
        if isolating:
            after = ("gap", pipe["pipe_id"], node, 1)
            for valve in isolating:
                self._two_way(place, after, "valve", valve)
            place = after
        if devices:
            after = ("gap", pipe["pipe_id"], node, 2)
            for valve in devices:
                a, b = (place, after) if valve["flow"] == "to_node" else (after, place)
                self._edge(a, b, self._kind(valve), valve)
            place = after
        if node in self.star:
            self._star(place, node)
        else:
            self._two_way(place, ("node", node), "joint")

    def _link(self, valve):
        places = []
        for node in (valve["from_node"], valve["to_node"]):
            place = ("node", node)
            if node in self.star:
                place = ("gap", valve["valve_id"], node)
                self._star(place, node)
            places.append(place)
        kind = self._kind(valve)
        if kind in ("device", "both"):
            self._edge(*places, kind, valve)
        else:
            self._two_way(*places, kind, valve)

    # -- questions ---------------------------------------------------------------------------------------------

    def piece(self, start):
        """The places joined to these without passing a valve or device."""
        found = set()
        for place in start:
            if place not in found:
                found |= nx.node_connected_component(self.joints, place)
        return found

    def wet(self, without=frozenset(), shut=frozenset()):
        """The places that water reaches from the sources that are not taken out."""
        queue = [p for p in self.sources.values() if p not in without]
        reached = set(queue)
        while queue:
            for there, way in self.open_ways[queue.pop()]:
                if there not in reached and there not in without and way not in shut:
                    reached.add(there)
                    queue.append(there)
        return reached

    def sides(self, valve_id):
        """The places on the sides of a valve: the arms of one at a junction."""
        valve = self.valve[valve_id]
        edges = self.by_id.get(valve_id, [])
        if self._placed(valve) == "junction":
            return {a for a, b in edges if b == ("node", valve["node_id"])}
        return {p for edge in edges for p in edge}

    def start(self, kind, wanted):
        """The places where a burst on an element begins."""
        if kind == "pipe":
            return {("pipe", wanted)}
        if kind == "node":
            if wanted not in self.star:
                return {("node", wanted)}
            return {("node", wanted)} | set(self.graph.predecessors(("node", wanted)))
        return self.sides(wanted)

    def region(self, start, jammed):
        """R: grown backwards until only valves that are closed or can be closed remain around it."""
        region = self.piece(start)
        queue = list(region)
        while queue:
            for a, _, e in self.graph.in_edges(queue.pop(), data=True):
                passes = e["kind"] == "device" or (e["kind"] in ("valve", "both") and e["id"] in jammed)
                if e["open"] and passes and a not in region:
                    more = self.piece({a}) - region
                    region |= more
                    queue.extend(more)
        return region

    def burst(self, kind, wanted, stuck=()):
        """The answer as sets of ids."""
        closable = {i for i, v in self.valve.items() if self._kind(v) in ("valve", "both")}
        jammed = set(stuck) | {i for i in closable if not self._usable(i)}
        if kind == "valve":
            jammed.add(wanted)
        region = self.region(self.start(kind, wanted), jammed)
        before, after = self.normally, self.wet(without=region)
        need = self.thirsty(before - after - region, before, region, closable - jammed)
        answer = {"close": set(), "optional": set(), "already_closed": set(), "feeds_to_open": set()}
        for valve in closable - ({wanted} if kind == "valve" else set()):
            sides = self.sides(valve)
            is_open = self._open(self.valve[valve])
            beyond = {s for s in sides if s not in region}
            if sides & region and beyond:
                if not is_open:
                    answer["already_closed"].add(valve)
                elif valve not in jammed:
                    threat = bool(beyond & after) and not self._only_out(valve, region)
                    answer["close" if threat else "optional"].add(valve)
            if not is_open and valve not in jammed and beyond & after and beyond & need:
                answer["feeds_to_open"].add(valve)
        pipes = {p["pipe_id"] for p in self.pipes}
        affected = {p for p in pipes if ("pipe", p) in region or (("pipe", p) in before and ("pipe", p) not in after)}
        answer["sources_to_shut"] = {s for s, place in self.sources.items() if place in region}
        answer["isolated"] = not answer["sources_to_shut"]
        answer["affected"] = affected
        answer["unintended"] = {p for p in affected if ("pipe", p) not in region}
        return answer

    def thirsty(self, need, before, region, closable):
        """What has been cut off, and what was dry before and hangs on it through closed valves that can be opened."""
        while need:
            more = set()
            for valve in closable:
                sides = self.sides(valve)
                if not self._open(self.valve[valve]) and sides & need:
                    more |= self.piece(sides - before - region) - need if sides - before - region else set()
            if not more:
                break
            need = need | more
        return need

    def close(self, valves):
        """The pipes that lose water when these valves are closed (those that can be)."""
        able = {v for v in valves if self._usable(v) and self._kind(self.valve[v]) in ("valve", "both")}
        before, after = self.normally, self.wet(shut=able)
        return {p["pipe_id"] for p in self.pipes if ("pipe", p["pipe_id"]) in before - after}

    def trace(self, start, direction):
        """The pipes that water can reach from these places (down), from which it can reach them (up), or either (connected)."""
        graph = nx.DiGraph((a, b) for a, b, e in self.graph.edges(data=True) if e["open"])
        graph.add_nodes_from(self.graph)
        walk = {"down": nx.descendants, "up": nx.ancestors}.get(direction)
        if walk is None:
            graph, walk = graph.to_undirected(), nx.descendants
        found = set(start).union(*(walk(graph, s) for s in start))
        return {p["pipe_id"] for p in self.pipes if ("pipe", p["pipe_id"]) in found}

    def partition(self):
        """The segments as a set of frozen sets of pipe ids."""
        parts = (
            frozenset(i for kind, i, *_ in part if kind == "pipe") for part in nx.connected_components(self.joints)
        )
        return {p for p in parts if p}

    def _usable(self, valve_id):
        valve = self.valve[valve_id]
        return valve.get("operable") is not False and valve.get("accessible") is not False

    def _only_out(self, valve_id, region):
        """Whether a closable device lets water only out of the region."""
        edges = self.by_id.get(valve_id, [])
        return self._kind(self.valve[valve_id]) == "both" and all(a in region for a, _ in edges)
