"""T4, T9 and paths for STT over UDP: copies from forged addresses, a NAT that forgets, a direction that goes dark, a path that
gets narrower, and datagrams that are altered, repeated and overtaken between the real programs."""

import os
import random

import stt_udp_harness
from stt_udp_harness import Darkness, frames, open_socket, st, tlv, wait_for
from stt1.datagram import PATH_CHALLENGE, PATH_RESPONSE

v = tlv.varint


class ForgedSources(stt_udp_harness.UdpCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve()
        self.elsewhere = [open_socket(st.fresh_source()) for _ in range(12)]
        for sock in self.elsewhere:
            self.addCleanup(sock.close)

    @staticmethod
    def came(sock, seconds: float = 0) -> list[bytes]:
        out = []
        while (got := wait_for(sock, seconds)) is not None:
            out.append(got[0])
        return out

    def opened(self, peer, datagrams: list[bytes]) -> list[tuple[int, list]]:
        """The messages of these datagrams, which have nothing but CONTROL in them."""
        found = []
        for data in datagrams:
            for frame, plaintext in peer.take(data):
                self.assertEqual(frame.type, frames.CONTROL)
                found += frames.read_control(plaintext)
        return found

    def test_a_copy_that_comes_first(self) -> None:
        """An attacker on the path is faster than the client: he is asked whether he is there, and gets nothing else."""
        thief = self.elsewhere[0]
        with self.server.session() as peer:
            out = peer.write(1, os.urandom(200_000))
            peer.pump(lambda: len(out.got) > 50_000)
            peer.take_control = (lambda take: lambda code, values: None if code == PATH_CHALLENGE else take(code, values))(
                peer.take_control)
            stolen = peer.control(frames.ping(7))
            peer.send(stolen, thief)
            peer.send(stolen)  # and the original comes late
            peer.pump(lambda: out.is_whole)
            peer.settle()
            got = self.came(thief)
            self.assertLessEqual(sum(map(len, got)), 3 * len(stolen))
            self.assertEqual({code for code, _ in self.opened(peer, got)} - {PATH_CHALLENGE}, set())
            self.assertIn((2, [7]), [m for f, p in peer.inbox if f.type == frames.CONTROL for m in frames.read_control(p)],
                          "the answer goes where the client is")
            self.assertEqual(peer.echo(b"still here", 3), b"still here")
            peer.bye()

    def test_floods_of_copies_from_many_addresses(self) -> None:
        with self.server.session() as peer:
            stolen = []
            for n in range(st.count(1000)):
                data = peer.control(frames.ping(n))
                stolen.append(data)
                peer.send(data, self.elsewhere[n % len(self.elsewhere)])
                for sock in self.elsewhere:
                    peer.send(data[:11] + os.urandom(30), sock)  # noise with the id of the session
            came = peer.settle()
            self.assertEqual([m for m in peer.messages_of(came) if m[0] != PATH_CHALLENGE], [])
            for sock in self.elsewhere:
                got = self.came(sock)
                for data in got:
                    self.assertEqual({code for code, _ in self.opened(peer, [data])} - {PATH_CHALLENGE}, set())
            data = os.urandom(100_000)
            self.assertEqual(peer.echo(data), data, "the client is where it was")
            for sock in self.elsewhere:
                self.assertEqual(self.came(sock), [], "nothing more")
            peer.bye()

    def test_an_answer_from_another_address_moves_nothing(self) -> None:
        thief, other = self.elsewhere[:2]
        with self.server.session() as peer:
            peer.settle()
            peer.send(peer.control(frames.ping(1)), thief)
            challenge = self.challenge(peer, thief)
            answer = (PATH_RESPONSE, tlv.octets(challenge))
            peer.send(peer.control(answer))  # from where the session is
            peer.send(peer.control((PATH_RESPONSE, tlv.octets(bytes(16)))), thief)  # a guess
            peer.settle()
            self.assertEqual(peer.echo(b"not moved"), b"not moved")
            peer.send(peer.control(answer), other)
            self.assertEqual(peer.echo(b"still not", 3), b"still not")
            peer.bye()

    def challenge(self, peer, sock) -> bytes:
        """Of what comes to this socket."""
        for _ in range(100):
            got = wait_for(sock, st.WAIT)
            self.assertIsNotNone(got, "a challenge")
            for code, values in self.opened(peer, [got[0]]):
                if code == PATH_CHALLENGE:
                    return values[0]
        raise AssertionError("no challenge")

    def test_the_client_itself_moves(self) -> None:
        with self.server.session() as peer:
            out = peer.write(1, os.urandom(400_000))
            for step in range(1, 5):
                peer.pump(lambda step=step: len(out.got) > 80_000 * step)
                self.addCleanup(peer.sock.close)
                peer.sock = self.elsewhere[step]
                peer.settle()  # who has moved has to say something
            peer.pump(lambda: out.is_whole)
            self.assertEqual(out.got, out.out)
            peer.bye()

    def test_a_challenge_to_the_server(self) -> None:
        """It answers the newest, and once."""
        with self.server.session() as peer:
            wanted = os.urandom(16)
            for data in (os.urandom(16), wanted):
                peer.send(peer.control((PATH_CHALLENGE, tlv.octets(data))))
            said = [values[0] for code, values in peer.messages_of(peer.settle()) if code == PATH_RESPONSE]
            self.assertEqual(said[-1], wanted)
            self.assertLessEqual(len(said), 2)
            peer.bye()


class RealClients(stt_udp_harness.UdpCase):
    """The real client and the real server with a path between them that is none to rely on."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.serve()

    def check(self, size: int, **hooks) -> None:
        relay = self.relay(self.server, **hooks)
        self.check_real_echo(relay.port, size)

    def test_a_nat_that_forgets(self) -> None:
        moves = []

        def up(number: int, data: bytes) -> None:
            if number in (30, 60, 300, 500):
                moves.append(number)
                relay.move()

        relay = self.relay(self.server, up=up)
        self.check_real_echo(relay.port, 2_000_000)
        self.assertGreaterEqual(relay.moves, 2)

    def test_a_direction_that_goes_dark(self) -> None:
        for way in ("up", "down"):
            with self.subTest(way):
                dark = Darkness(100, 2.0)
                self.check(1_000_000, **{way: dark})
                self.assertGreater(dark.lost, 0)

    def test_a_path_that_gets_narrower(self) -> None:
        longest = []

        def narrow(number: int, data: bytes) -> list[bytes] | None:
            longest.append(len(data))
            return [] if number > 400 and len(data) > 1300 else None

        self.check(3_000_000, up=narrow, down=narrow)
        self.assertGreater(max(longest), 1300, "it had found the larger size")

    def test_datagrams_altered_repeated_and_overtaken(self) -> None:
        chance, old, counts = random.Random(4), [], {"altered": 0, "repeated": 0, "foreign": 0}

        def hook(number: int, data: bytes) -> list[bytes]:
            old.append(data)
            out = [data]
            if chance.random() < 0.05:
                wrong = bytearray(data)
                wrong[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
                out = [bytes(wrong)]
                counts["altered"] += 1
            if chance.random() < 0.05:
                out += [old[chance.randrange(len(old))] for _ in range(3)]  # of either direction
                counts["repeated"] += 1
            if chance.random() < 0.02:
                out += [data[:11] + os.urandom(len(data) - 11)]
                counts["foreign"] += 1
            if chance.random() < 0.05:
                out.reverse()
            return out

        self.check(st.count(10_000_000, 1_500_000), up=hook, down=hook)
        self.assertGreater(min(counts.values()), 5, counts)


if __name__ == "__main__":
    stt_udp_harness.main()
