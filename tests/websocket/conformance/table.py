"""What a row of the table is, and what is expected of the end under test."""

from dataclasses import dataclass, field

from wire import BINARY, PING, TEXT, Frame, Seen


@dataclass(frozen=True)
class Verdict:
    """messages: echoed in this order. pongs: answers, of which older ones may be left out (5.5.3).
    codes: what the Close of the end under test may say; None: a Close without a code."""

    kind: str
    messages: tuple[Frame, ...] = ()
    pongs: tuple[bytes, ...] = ()
    codes: tuple[int | None, ...] = ()

    def is_given(self, seen: Seen) -> bool:
        """Whether as much has come as will come."""
        return len(seen.messages) >= len(self.messages) and (not self.pongs or seen.pongs[-1:] == [self.pongs[-1]])

    def judge(self, seen: Seen, is_ours: bool) -> str | None:
        """What is wrong; None: nothing. Another's echo may come too late for a connection that ends."""
        wanted = [(frame.opcode, frame.payload) for frame in self.messages]
        if self.kind != "gives" and not is_ours:
            wanted = wanted[:len(seen.messages)]
        if seen.messages != wanted:
            return f"wrong messages: {seen}"
        if not seen.closed:
            return f"no Close: {seen}"
        if seen.code not in self.codes:
            return f"Close with another code than {self.codes}: {seen}"
        if not seen.ended:
            return f"the connection did not end: {seen}"
        if self.kind == "gives" and not are_answers(seen.pongs, list(self.pongs)):
            return f"wrong pongs: {seen}"
        return None


def are_answers(pongs: list[bytes], pings: list[bytes]) -> bool:
    if bool(pongs) != bool(pings) or (pings and pongs[-1] != pings[-1]):
        return False
    rest = iter(pings)
    return all(any(p == q for q in rest) for p in pongs)


def gives(*messages: Frame, pongs: tuple[bytes, ...] = ()) -> Verdict:
    """All is well: after a Close 1000 of the runner's the closing handshake is done."""
    return Verdict("gives", messages, pongs, (1000,))


def echoes(*frames: Frame) -> Verdict:
    """gives() what these whole frames ask for."""
    return gives(*(f for f in frames if f.opcode in (TEXT, BINARY)),
                 pongs=tuple(f.payload for f in frames if f.opcode == PING))


def fails(*codes: int, after: tuple[Frame, ...] = ()) -> Verdict:
    """_Fail the WebSocket Connection_ (7.1.7), with a Close of one of these codes."""
    return Verdict("fails", after, (), codes)


def closes(*codes: int | None, after: tuple[Frame, ...] = ()) -> Verdict:
    """The runner's own Close is answered."""
    return Verdict("closes", after, (), codes)


@dataclass(frozen=True)
class Case:
    what: str
    send: list[Frame]
    verdict: Verdict
    section: str  # of RFC 6455
    chop: int = 0  # bytes a write; 0: all in one
    early: list[Frame] = field(default_factory=list)  # the rest, which an end that fails fast never needs
    ours_alone: str = ""  # a limit of ours or a choice that the RFC leaves open


def numbered(prefix: int, cases: list[Case]) -> dict[str, Case]:
    return {f"{prefix}.{number}": case for number, case in enumerate(cases, 1)}
