"""The oracle: isolation by brute force, written from the definitions, sharing no code with the engine.

It reads the same frames and makes of them *places* (a junction, a pipe, the gap between two devices at a pipe's end), numbered, and
*ways* between two places: joints, valves, devices. Every question is answered by walking all of it, set by set as the definitions
name them. Nothing is clever; what is asked twice with the same sets is remembered.
"""

from collections import defaultdict

DIRECTED = ("check", "prv", "psv", "pump")


class Oracle:
    """A network of places and ways. `ways`: (from, to, kind, valve id, open), kind joint | valve | device | both (a closable device);
    what passes both ways is two of them. pipe, node, source: the place of each."""

    def __init__(self, nodes, pipes, valves, sources, connections=None, hydrants=None):
        self.pipes = [p for p in records(pipes) if p.get("status") != "1"]
        self.valve = {row["valve_id"]: row for row in records(valves)}
        self.demand = {row["node_id"]: row.get("base_demand_lps") or 0.0 for row in records(nodes)}
        self.ways, self.count = [], 0
        named = [p[end] for p in self.pipes for end in ("from_node", "to_node")]
        named += [v.get(end) for v in self.valve.values() for end in ("from_node", "to_node") if placed(v) == "link"]
        self.node = {name: self._place() for name in dict.fromkeys([*self.demand, *filter(None, named)])}
        self.pipe = {p["pipe_id"]: self._place() for p in self.pipes}
        self.connections = [c for c in records(connections) if c["pipe_id"] in self.pipe]
        self.hydrants = records(hydrants)
        self.standing = defaultdict(list)
        for row in self.valve.values():
            if placed(row) == "junction" and closable(row):
                self.standing[row["node_id"]].append(row)
        self._pipe_ends()
        for row in self.valve.values():
            if placed(row) == "link" and row.get("from_node") and row.get("to_node"):
                self._link(row)
        self.source = {}
        for row in records(sources):
            if row["node_id"] in self.node:
                self.source[row["source_id"]] = self._arm(row["node_id"])
        self._ready()

    # -- the network -------------------------------------------------------------------------------------------

    def _place(self):
        self.count += 1
        return self.count - 1

    def _both_ways(self, a, b, kind, valve=None):
        self._way(a, b, kind, valve)
        self._way(b, a, kind, valve)

    def _way(self, a, b, kind, valve=None):
        passes = kind == "joint" or is_open(valve)
        self.ways.append((a, b, kind, valve["valve_id"] if valve else None, passes))

    def _arm(self, node):
        """The place of an arm that begins at a junction: the junction, or beyond the valves that stand between all its arms."""
        if not self.standing[node]:
            return self.node[node]
        arm = self._place()
        for valve in self.standing[node]:
            self._both_ways(arm, self.node[node], "valve", valve)
        return arm

    def _pipe_ends(self):
        """From each pipe outwards at each of its ends: isolation valves (parallel), directed devices (parallel), the junction."""
        at_end = defaultdict(list)
        pipes = {p["pipe_id"]: p for p in self.pipes}
        for row in self.valve.values():
            pipe = pipes.get(row.get("pipe_id")) if placed(row) == "end" else None
            if pipe and row["node_id"]:
                # a pipe that begins and ends at one junction: the valve stands at its end
                side = next((s for s in ("to_node", "from_node") if pipe[s] == row["node_id"]), None)
                at_end[pipe["pipe_id"], side].append(row)
        for pipe in self.pipes:
            for side in ("from_node", "to_node"):
                here, place = at_end[pipe["pipe_id"], side], self.pipe[pipe["pipe_id"]]
                for kinds in (("valve",), ("device", "both")):
                    some = [v for v in here if kind_of(v) in kinds]
                    if some:
                        place, before = self._place(), place
                        for valve in some:
                            self._stands(before, place, valve)
                if pipe[side]:
                    self._both_ways(place, self._arm(pipe[side]), "joint")

    def _stands(self, inner, outer, valve):
        if kind_of(valve) == "valve":
            self._both_ways(inner, outer, "valve", valve)
        elif valve["flow"] == "to_node":
            self._way(inner, outer, kind_of(valve), valve)
        else:
            self._way(outer, inner, kind_of(valve), valve)

    def _link(self, valve):
        start, end, kind = self._arm(valve["from_node"]), self._arm(valve["to_node"]), kind_of(valve)
        if kind in ("device", "both"):
            self._way(start, end, kind, valve)
        else:
            self._both_ways(start, end, kind, valve)

    def _ready(self):
        """What is looked up in every walk: the open ways from each place, what leads into it, and the sides of each valve."""
        self.onward, self.through, self.into, joined = ([[] for _ in range(self.count)] for _ in range(4))
        self.sides, self.beside, self.tails = defaultdict(set), defaultdict(set), defaultdict(set)
        for a, b, kind, valve, passes in self.ways:
            if passes:
                self.onward[a].append(b)
                self.through[a].append((b, valve))
                self.into[b].append((a, kind, valve))
            if kind == "joint":
                joined[a].append(b)
            else:
                self.tails[valve].add(a)
                hub = self.node.get(self.valve[valve]["node_id"]) if placed(self.valve[valve]) == "junction" else None
                self.sides[valve] |= {a, b} - {hub}  # the junction under a valve is no side of it: its arms are
        for valve, sides in self.sides.items():
            for place in sides:
                self.beside[place].add(valve)
        self.piece_of = {}
        for place in range(self.count):
            if place not in self.piece_of:
                piece = frozenset(walk([place], joined))
                self.piece_of.update(dict.fromkeys(piece, piece))
        self.closable = {i for i, v in self.valve.items() if closable(v) and i in self.sides}
        self.unusable = {i for i in self.valve if not usable(self.valve[i])}
        self.shut = {i for i in self.closable if not is_open(self.valve[i])}
        self.pipe_at = {place: name for name, place in self.pipe.items()}
        self.length = {p["pipe_id"]: p.get("length_m") or 0.0 for p in self.pipes}
        self.thirsty = {self.node[name] for name, demand in self.demand.items() if demand > 0}
        self.normally = self.wet()
        self.known = {}

    # -- questions ---------------------------------------------------------------------------------------------

    def wet(self, without=frozenset(), shut=frozenset()):
        """The places that water reaches from the sources that are not taken out, with these valves shut beside the closed ones."""
        reached = list({p for p in self.source.values() if p not in without})
        seen = bytearray(self.count)
        for place in (*without, *reached):
            seen[place] = True
        ways = self.onward
        if shut:
            ways = [[there for there, valve in row if valve not in shut] for row in self.through]
        for here in reached:
            for there in ways[here]:
                if not seen[there]:
                    seen[there] = True
                    reached.append(there)
        return set(reached)

    def start(self, kind, wanted):
        """The places where a burst on an element begins: what touches it."""
        if kind == "pipe":
            return {self.pipe[wanted]}
        if kind == "valve":
            return set(self.sides[wanted]) or self._joined(self.valve[wanted])
        arms = {a for a, b, _, valve, _ in self.ways if b == self.node[wanted] and valve in {v["valve_id"] for v in self.standing[wanted]}}
        return {self.node[wanted]} | arms

    def _joined(self, valve):
        """The places that a valve or link which cuts nothing joins."""
        if placed(valve) == "end":
            return {self.pipe[valve["pipe_id"]]}
        return {p for a, b, _, i, _ in self.ways if i == valve["valve_id"] for p in (a, b)} or self.start("node", valve["node_id"])

    def region(self, start, jammed):
        """R: the segments of the start, and backwards every segment from which water comes in through a directed device, or through an
        open valve that does not turn."""
        region = set().union(*(self.piece_of[p] for p in start))
        queue = list(region)
        while queue:
            for origin, kind, valve in self.into[queue.pop()]:
                if origin not in region and (kind == "device" or (kind in ("valve", "both") and valve in jammed)):
                    region |= self.piece_of[origin]
                    queue.extend(self.piece_of[origin])
        return region

    def burst(self, kind, wanted, stuck=()):
        """The answer as sets of ids, with what follows from them."""
        jammed = set(stuck) | self.unusable | ({wanted} if kind == "valve" else set())
        region = frozenset(self.region(self.start(kind, wanted), jammed))
        asked = (region, frozenset(jammed), wanted if kind == "valve" else None)
        if asked not in self.known:
            self.known[asked] = self._answer(*asked)
        return self.known[asked]

    def _answer(self, region, jammed, burst_valve):
        before, after = self.normally, self.wet(without=region)
        answer = {name: set() for name in ("close", "optional", "already_closed")}
        for valve in (set().union(*(self.beside[p] for p in region)) & self.closable) - {burst_valve}:
            beyond = self.sides[valve] - region
            if beyond and valve in self.shut:
                answer["already_closed"].add(valve)
            elif beyond and valve not in jammed:
                threat = beyond & after and not self._only_out(valve, region)
                answer["close" if threat else "optional"].add(valve)
        dry = before - after - region
        answer["feeds_to_open"] = self._feeds(dry, before, after, region, self.shut - jammed)
        answer["sources_to_shut"] = {s for s, place in self.source.items() if place in region}
        answer["isolated"] = not answer["sources_to_shut"]
        answer["affected"] = {self.pipe_at[p] for p in region | dry if p in self.pipe_at}
        answer["unintended"] = {self.pipe_at[p] for p in dry - region if p in self.pipe_at}
        return answer | self._served(region | dry, answer["affected"])

    def _served(self, places, pipes):
        """Who is without water, and the metres of pipe."""
        if self.connections:
            customers = sum(c["customers"] for c in self.connections if c["pipe_id"] in pipes)
        else:
            customers = len(places & self.thirsty)
        hydrants = {
            h["hydrant_id"] for h in self.hydrants
            if (h["pipe_id"] in pipes if h.get("pipe_id") in self.pipe else self.node.get(h.get("node_id")) in places)
        }  # fmt: skip
        return {"customers": customers, "hydrants": hydrants, "length_m": float(sum(self.length[p] for p in pipes))}

    def _feeds(self, dry, before, after, region, able):
        """Closed valves that turn, between what is fed and what this burst has cut off, or what was dry before and hangs on that through
        closed valves that turn."""
        need, grown = set(dry), bool(dry)
        while grown:
            size = len(need)
            for valve in able:
                if self.sides[valve] & need:
                    need.update(*(self.piece_of[s] for s in self.sides[valve] - before - region))
            grown = len(need) > size
        return {v for v in able if self.sides[v] & after and self.sides[v] & need}

    def close(self, valves):
        """The pipes that lose water when these valves are closed (those that can be)."""
        after = self.wet(shut=(set(valves) & self.closable) - self.unusable)
        return {p for p, place in self.pipe.items() if place in self.normally and place not in after}

    def trace(self, pipe, direction):
        """The pipes that water can reach from a pipe (down), from which it can reach it (up), or either (connected)."""
        back = [[a for a, _, _ in row] for row in self.into]
        ways = {"down": self.onward, "up": back}.get(direction) or [a + b for a, b in zip(self.onward, back, strict=True)]
        reached = walk([self.pipe[pipe]], ways)
        return {p for p, place in self.pipe.items() if place in reached}

    def partition(self):
        """The segments as a set of frozen sets of pipe ids."""
        parts = defaultdict(set)
        for name, place in self.pipe.items():
            parts[self.piece_of[place]].add(name)
        return {frozenset(p) for p in parts.values()}

    def _only_out(self, valve, region):
        """Whether a closable device lets water only out of the region."""
        return kind_of(self.valve[valve]) == "both" and self.tails[valve] <= region


def records(frame):
    """The rows of a frame as dicts, None where there is no value."""
    return [] if frame is None else frame.astype(object).where(frame.notna(), None).to_dict("records")


def walk(start, ways):
    """The places that can be reached."""
    reached, queue = set(start), list(start)
    while queue:
        for there in ways[queue.pop()]:
            if there not in reached:
                reached.add(there)
                queue.append(there)
    return reached


def placed(valve):
    if valve.get("pipe_id"):
        return "end"
    return "junction" if valve.get("node_id") else "link"


def is_open(valve):
    return (valve.get("live_status") or valve.get("normal_status") or "open") != "closed"


def closable(valve):
    return bool(valve["isolating"]) and valve["kind"] != "check"


def kind_of(valve):
    """What a valve is by the definitions: a directed device points somewhere; what is neither it nor closable joins its ends."""
    pointed = placed(valve) == "link" or (placed(valve) == "end" and valve.get("flow") in ("to_node", "to_pipe"))
    directed = valve["kind"] in DIRECTED and pointed
    return {(True, True): "both", (True, False): "device", (False, True): "valve", (False, False): "joint"}[directed, closable(valve)]


def usable(valve):
    return valve.get("operable") is not False and valve.get("accessible") is not False
