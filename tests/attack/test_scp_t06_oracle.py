"""T6 for SCP/1: what a prober learns from how a server fails: nothing. All faults of the handshake, of a head, a MAC or
a tag look alike on the wire. Times are printed with Welch's t, and never gate."""

import time

import harness
import scp1
import scp_harness
from scp_harness import MUTUAL, PSK, SILENT, st


def flip(at: int):
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1:] if at >= 0 else flip(len(data) + at)(data)


class Oracle(scp_harness.ScpCase):
    def compare(self, attempts: dict, rounds: int) -> None:
        times = {name: [] for name in attempts}
        for _ in range(rounds):
            for name, attempt in attempts.items():
                sock, data = attempt()
                with sock:
                    begin = time.perf_counter()
                    sock.sendall(data)
                    self.assertEqual(SILENT, st.read_to_end(sock), name)
                    times[name].append(time.perf_counter() - begin)
        first, *others = times
        for name in others:
            a, b = times[first], times[name]
            harness.say(f"{first} {sum(a) / len(a) * 1e6:.0f} us, {name} {sum(b) / len(b) * 1e6:.0f} us: "
                        f"Welch's t {harness.welch(a, b):+.2f} over {rounds}")

    def test_init(self) -> None:
        for mode, edits in ((MUTUAL, {
                "version": (0, 2), "type": (1, 3), "sequence": (9, 1), "length": (13, 37), "mode": (14, 0),
                "no such mode": (14, 9), "suite": (15, 2), "reserved": (16, 1), "mac": (-1, None)}),
                            (PSK, {"mac": (-1, None), "tag": (40, None), "mode": (14, 0)})):
            server = self.serve(mode=mode, name=f"server-{mode}")

            def attempt(at: int, value: int | None):
                def run():
                    data = bytearray(server.initiator().init())
                    data[at] = data[at] ^ 1 if value is None else value
                    return server.dial(), bytes(data)
                return run
            attempts = {name: attempt(*edit) for name, edit in edits.items()}
            if mode == PSK:
                attempts["secret"] = lambda: (server.dial(), server.initiator(psk=bytes(32)).init())
            self.compare(attempts, st.count(1000, 4))

    def test_ack(self) -> None:
        server = self.serve()

        def attempt(make):
            def run():
                sock, client = server.shaken()
                return sock, make(client)
            return run

        self.compare({
            "key's tag": attempt(lambda c: flip(20)(c.ack())), "mac": attempt(lambda c: flip(-1)(c.ack())),
            "tag": attempt(lambda c: c.ack(nonce_seq=9)), "flags": attempt(lambda c: c.ack(opening=b"\x80\1\0\0\0")),
            "largest message": attempt(lambda c: c.ack(opening=b"\0\0\0\0\1")),
            "sequence": attempt(lambda c: c.ack(seq=2)), "version": attempt(lambda c: c.ack(version=2)),
        }, st.count(1000, 4))

    def test_message(self) -> None:
        server = self.serve()

        def attempt(make):
            def run():
                peer = server.connect()
                peer.send(b"x")
                peer.receive()
                return peer.sock, make(peer.out)
            return run

        self.compare({
            "mac": attempt(lambda out: flip(-1)(out.seal(scp1.DATA, b"\0data"))),
            "ciphertext": attempt(lambda out: flip(16)(out.seal(scp1.DATA, b"\0data"))),
            "tag under a right mac": attempt(lambda out: out.seal(scp1.DATA, b"\0data", nonce_seq=99)),
            "sequence": attempt(lambda out: out.seal(scp1.DATA, b"\0data", seq=99)),
            "version": attempt(lambda out: out.seal(scp1.DATA, b"\0data", version=2)),
            "type": attempt(lambda out: out.seal(6, b"\0data")),
            "length": attempt(lambda out: out.seal(scp1.DATA, b"\0data", length=15)),
        }, st.count(1000, 4))


if __name__ == "__main__":
    scp_harness.main()
