"""T6: what a prober learns from the way a server fails: nothing. All faults of a class look alike on the wire, byte for
byte and in how the connection ends. Times are printed with Welch's t, and never gate."""

import time

import harness
from harness import MUTUAL, PSK, st, stcp1


class Oracle(harness.AttackCase):
    def compare(self, attempts: dict, rounds: int) -> None:
        """attempts: name -> function() -> (answer, end). All must be the same, each time."""
        times = {name: [] for name in attempts}
        for _ in range(rounds):
            for name, attempt in attempts.items():
                seen, elapsed = attempt()
                self.assertEqual(seen, harness.SILENT, name)
                times[name].append(elapsed)
        names = list(times)
        for name in names[1:]:
            a, b = times[names[0]], times[name]
            harness.say(f"{names[0]} {sum(a) / len(a) * 1e6:.0f} us, {name} {sum(b) / len(b) * 1e6:.0f} us: "
                        f"Welch's t {harness.welch(a, b):+.2f} over {rounds}")

    def first_message(self, server, message: bytes):
        with server.dial() as sock:
            begin = time.perf_counter()
            sock.sendall(message)
            return st.read_to_end(sock), time.perf_counter() - begin

    def first_messages(self, server, edits: dict) -> dict:
        """Each edit makes one field of an honest step 1 wrong."""
        def attempt(edit):
            return lambda: self.first_message(server, bytes(edit(bytearray(server.initiator().step1()))))
        return {name: attempt(edit) for name, edit in edits.items()}

    @staticmethod
    def put(offset: int, value: bytes):
        def edit(message: bytearray) -> bytearray:
            message[offset:offset + len(value)] = value
            return message
        return edit

    @staticmethod
    def flip(offset: int):
        def edit(message: bytearray) -> bytearray:
            message[offset] ^= 1
            return message
        return edit

    def test_faults_of_the_first_message_look_alike(self) -> None:
        server = self.serve()
        self.compare(self.first_messages(server, {
            "magic": self.put(8, b"STCQ"), "version": self.put(12, b"\x02"), "step": self.put(13, b"\x02"),
            "mode": self.put(14, b"\x00"), "unknown mode": self.put(14, b"\xff"), "suite": self.put(15, b"\x02"),
            "length": self.put(7, b"\x43"), "hint where none belongs": self.put(16, b"12345678"),
            "settings": self.put(24 + 32, b"\x0b"), "flags": self.put(24 + 33, b"\x80"),
            "small order": self.put(24, bytes(32))}), st.count(1000, 3))

    def test_unknown_psk_and_bad_tag_look_alike(self) -> None:
        server = self.serve(mode=PSK, psk=b"\x41" * 32)
        self.compare(self.first_messages(server, {
            "unknown psk": self.flip(16), "bad tag": self.flip(24 + 49), "bad payload": self.flip(24 + 33),
            "anonymous mode": self.put(14, b"\0")}), st.count(10000, 25))

    def records(self, server, makes: dict) -> dict:
        def attempt(make):
            def run():
                with server.connect() as peer:
                    peer.send(b"x")
                    peer.receive_exactly(1)
                    wrong = make(peer.session.out)
                    begin = time.perf_counter()
                    peer.send_raw(wrong)
                    return st.read_to_end(peer.sock), time.perf_counter() - begin
            return run
        return {name: attempt(make) for name, make in makes.items()}

    def test_faults_of_a_record_look_alike(self) -> None:
        server = self.serve()

        def spoiled(position: int):
            def make(out) -> bytes:
                record = bytearray(out.seal(stcp1.DATA, bytes(100)))
                record[position] ^= 1
                return bytes(record)
            return make

        self.compare(self.records(server, {
            "bad tag": spoiled(-1), "bad payload": spoiled(40), "bad iv": spoiled(10),
            "pad beyond the record": lambda out: out.seal(stcp1.DATA, bytes(100), pad_field=101),
            "unknown type": lambda out: out.seal(9, bytes(100)),
            "size of CLOSE": lambda out: out.seal(stcp1.CLOSE, b"\0\0"),
            "wrong state": lambda out: out.seal(stcp1.FINISH, bytes(32)),
        }), st.count(10000, 10))

    def test_faults_of_finish_look_alike(self) -> None:
        server = self.serve()

        def attempt(make):
            def run():
                with server.dial() as sock:
                    client = server.initiator()
                    sock.sendall(client.step1())
                    client.step2(stcp1.read_exactly(sock, 24 + 130))
                    wrong = make(client, client.session())
                    begin = time.perf_counter()
                    sock.sendall(wrong)
                    return st.read_to_end(sock), time.perf_counter() - begin
            return run

        def bad_tag(_, session) -> bytes:
            finish = bytearray(session.finish())
            finish[-1] ^= 1
            return bytes(finish)

        self.compare({
            "bad tag": attempt(bad_tag),
            "iv": attempt(lambda c, s: s.finish()[:8] + bytes(68)),
            "not what was committed to": attempt(lambda c, s: s.out.seal(stcp1.FINISH, bytes(32))),
            "another type": attempt(lambda c, s: s.out.seal(stcp1.DATA, c.nA)),
            "padded": attempt(lambda c, s: s.out.seal(stcp1.FINISH, c.nA[:31], 1)),
        }, st.count(1000, 10))

    def test_step_3_of_a_stranger_and_a_bad_tag_look_alike(self) -> None:
        """A key that is not accepted (F7) and a tag that is wrong (F8) are the same silence."""
        allowed = stcp1.KeyPair()
        path = self.state / "allow"
        path.write_text(stcp1.format_key("slp1", allowed.public) + " friend\n")
        server = AllowServed(self, ("--allow", path), allowed)
        self.servers.append(server)

        def attempt(stranger: bool, spoil: bool):
            def run():
                with server.dial() as sock:
                    client = server.initiator(static=stcp1.KeyPair() if stranger else allowed)
                    sock.sendall(client.step1())
                    client.step2(stcp1.read_exactly(sock, 24 + 130))
                    third = bytearray(client.step3())
                    if spoil:
                        third[-1] ^= 1
                    session = client.session()
                    begin = time.perf_counter()
                    sock.sendall(bytes(third) + session.finish() + session.data(b"hello"))
                    return st.read_to_end(sock), time.perf_counter() - begin
            return run

        self.compare({"stranger": attempt(True, False), "bad tag": attempt(False, True),
                      "both": attempt(True, True)}, st.count(1000, 10))


class AllowServed(harness.Served):
    """A listener that takes one client key."""

    def __init__(self, case, options, allowed):
        self.allowed = allowed
        identity = case.state / "allowed-identity"
        identity.touch(0o600)
        identity.write_text(stcp1.format_key("slk1", allowed.secret) + "\n")
        self.identity = identity
        super().__init__(case, options, MUTUAL, None, "allow-server", harness.MEMORY_BUDGET)

    def connect(self, **rest):
        rest.setdefault("static", self.allowed)
        return super().connect(**rest)

    def be_honest_for_real(self) -> None:
        code, out, err = self.case.run_pipe(self.own_name, b"hello", "--mutual", "--identity", self.identity)
        self.case.assertEqual((code, out), (0, b"hello"), err)


if __name__ == "__main__":
    harness.main()
