"""The second implementation (scp1/) against the golden transcripts: what the attack tests are made with is right."""

import hashlib
import json
import socket
import sys
import threading
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "support")]
import scp1  # noqa: E402
import sealine_test as st  # noqa: E402
from scp1 import channel as c, peer as p, wire  # noqa: E402

unhex = bytes.fromhex


def setUpModule() -> None:
    global vectors
    path = st.own_vectors("scp.json")
    if path is None:
        raise unittest.SkipTest("no golden transcript scp.json")
    vectors = json.loads(path.read_text())["vectors"]


def text_of(item: dict) -> bytes:
    if "bytes" in item:
        return unhex(item["bytes"])
    size = item["length"]
    out = b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(-(-size // 32)))[:size]
    assert hashlib.sha256(out).hexdigest() == item["sha256"]
    return out


class Ends:
    """Both ends of one transcript, with its own randoms."""

    def __init__(self, row: dict, secrets: dict):
        mode = row["mode"]
        client, server = (scp1.KeyPair(unhex(row[f"{side}_static_private"])) for side in ("client", "server"))
        options = unhex(row["settings"])
        shared = {"psk": unhex(row["psk"]) if row["psk"] else None, "reconnect": bool(options[0]),
                  "max_message": int.from_bytes(options[1:], "big")}
        ephemeral = {side: scp1.KeyPair(unhex(secrets[f"{side}_ephemeral_private"])) for side in ("client", "server")}
        self.client = scp1.Initiator(mode, static=client, server_key=server.public, ephemeral=ephemeral["client"],
                                     **shared)
        self.server = scp1.Responder(mode, static=server, ephemeral=ephemeral["server"], **shared)


class Vectors(unittest.TestCase):
    maxDiff = None

    def assert_line(self, line: dict, made: bytes, direction: str) -> None:
        self.assertEqual(line["dir"], direction)
        if "bytes" in line:
            self.assertEqual(made.hex(), line["bytes"], line["note"])
        else:
            self.assertEqual(hashlib.sha256(made).hexdigest(), line["sha256"], line["note"])

    def assert_keys(self, connection_or_ends, keys: dict) -> None:
        for name in ("c2s", "s2c"):
            direction = getattr(connection_or_ends, name)
            self.assertEqual([x.hex() for x in (direction.ke, direction.iv, direction.km, direction.kn)],
                             [keys[name][k] for k in ("Ke", "iv", "Km", "Kn")])

    def shake(self, row: dict, secrets: dict, lines: list, channels=(None, None)):
        """The handshake of a transcript; both connections."""
        ends = Ends(row, secrets)
        client, server = ends.client, ends.server
        made = client.init()
        self.assert_line(lines[0], made, "c2s")
        server.init(made)
        made = server.response()
        self.assert_line(lines[1], made, "s2c")
        client.response(made)
        made = client.ack(channels[0].resume_block if channels[0] else None)
        self.assert_line(lines[2], made, "c2s")
        block = server.ack(made)
        for end in (client, server):
            self.assertEqual(end.h.hex(), secrets["handshake_hash"])
            self.assert_keys(end, secrets["keys"])
        return ends, block, scp1.Connection(client, channels[0]), scp1.Connection(server, channels[1])

    def test_whole_transcripts(self) -> None:
        self.assertEqual(len(vectors), 5)
        for row in vectors:
            with self.subTest(row["protocol"]):
                ends, _, client, server = self.shake(row, row, row["messages"])
                self.assertEqual(ends.client.init_key().hex(), row["init_mac_key"])
                self.assertEqual((ends.client.rsp_key.hex(), ends.server.rsp_key.hex()), (row["rsp_mac_key"],) * 2)
                for end in (client, server):
                    self.assertEqual([end.channel.exp.hex(), end.channel.id.hex(), end.channel.rk.hex()],
                                     [row["exporter"], row["channel_id"], row["resume_key"]])
                self.messages(row, client, server)
                self.assert_keys(client, row["rotated_keys"])
                self.assert_keys(server, row["rotated_keys"])
                self.assertEqual((client.h.hex(), server.h.hex()), (row["rotated_h"],) * 2)
                self.resumed(row, client.channel, server.channel)

    def messages(self, row: dict, client, server) -> None:
        application = [(a["dir"], text_of(a)) for a in row["application"]]
        want = {d: [t for x, t in application if x == d] for d in ("c2s", "s2c")}
        waiting = list(application)
        queued = {"c2s": b"", "s2c": b""}  # made as one, written as several
        answers = {"c2s": b"", "s2c": b""}
        for index, line in enumerate(row["messages"][3:]):
            there, note = line["dir"], line["note"]
            back = "s2c" if there == "c2s" else "c2s"
            sender, reader = (client, server) if there == "c2s" else (server, client)
            if answers[there]:
                made, answers[there] = answers[there], b""
            elif queued[there]:
                made, queued[there] = queued[there], b""
            elif note == "receipt" or index == 0:
                made = sender.make_receipt()
            elif note in ("data", "split"):
                direction, text = waiting.pop(0)
                self.assertEqual(direction, there)
                made = sender.make_message(text)
                size = wire.HEAD + wire.MAC + wire.read_head(made)[3]
                made, queued[there] = made[:size], made[size:]
            elif note == "pad":
                made = sender.make_pad(7)
            else:
                made = sender.make_rotation(scp1.KeyPair(unhex(row["rotate_client_private"])))
            self.assert_line(line, made, there)
            _, _, answer = reader.handle(made, scp1.KeyPair(unhex(row["rotate_server_private"])))
            answers[back] += answer
        self.assertEqual((waiting, queued, answers), ([], {"c2s": b"", "s2c": b""}, {"c2s": b"", "s2c": b""}))
        self.assertEqual((server.channel.inbox, client.channel.inbox), (want["c2s"], want["s2c"]))
        self.assertEqual((client.rotations, server.rotations), (1, 1))

    def resumed(self, row: dict, at_client, at_server) -> None:
        again = row["resumed"]
        lost = {a["dir"]: unhex(a["bytes"]) for a in again["redelivered"]}
        at_client.sent.append(lost["c2s"])
        at_server.sent.append(lost["s2c"])
        lines = again["messages"]
        _, block, client, server = self.shake(row, again, lines, (at_client, at_server))
        self.assertEqual(block, at_server.id + c.be64(at_server.receipts) + at_server.proof("c", server.h0))

        def step(number: int, made: bytes, reader) -> None:
            self.assert_line(lines[number], made, "s2c" if reader is client else "c2s")
            kind, _ = reader.incoming.open(made) if number == 3 else reader.handle(made)[:2]
            self.assertEqual(kind, made[1])

        step(3, server.make_resume(), client)
        step(4, server.make_receipt(), client)
        step(5, client.make_receipt(), server)
        step(6, client.make_again(server.channel.have)[0], server)
        step(7, server.make_again(block_have(block))[0], client)
        step(8, client.make_receipt(), server)
        step(9, server.make_receipt(), client)
        self.assertEqual((client.channel.receipts, server.channel.receipts),
                         (len(client.channel.sent), len(server.channel.sent)))
        step(10, client.make_close(), server)
        step(11, server.make_receipt(), client)
        self.assertEqual((server.channel.inbox[-1], client.channel.inbox[-1]), (lost["c2s"], lost["s2c"]))
        self.assertEqual(len(lines), 12)


def block_have(block: bytes) -> int:
    return int.from_bytes(block[16:24], "big")


class WithItself(unittest.TestCase):
    """Both roles over a socket pair, in every mode: messages both ways, a rotation, a second connection, an end."""

    def joined(self, mode: int, channel=None, channels=None, **rest):
        ends = socket.socketpair()
        served = []
        thread = threading.Thread(target=lambda: served.append(
            p.serve_one(ends[1], mode, static=self.server_key, psk=self.psk, channels=channels)))
        thread.start()
        client = p.connect(None, mode, sock=ends[0], psk=self.psk, server_key=self.server_key.public,
                           static=self.client_key, channel=channel, reconnect=True, **rest)
        thread.join(p.TIMEOUT)
        return client, served[0]

    def test_every_mode(self) -> None:
        self.server_key, self.client_key, self.psk = scp1.KeyPair(), scp1.KeyPair(), bytes(range(32))
        long = bytes(range(256)) * 300
        for mode in scp1.MODES:
            with self.subTest(scp1.PATTERN[mode]):
                channels = {}
                client, server = self.joined(mode, channels=channels)
                client.send(b"there")
                client.send(long)
                self.assertEqual((server.receive(), server.receive()), (b"there", long))
                client.send_raw(client.connection.make_rotation())
                client.send(b"between")
                self.assertEqual(server.receive(), b"between")
                client.wait_receipts()
                client.send(b"after")
                server.send(b"back")
                self.assertEqual((server.receive(), client.receive()), (b"after", b"back"))
                self.assertEqual((client.connection.rotations, server.connection.rotations), (1, 1))
                client.send(b"lost on the way")
                client.sock.close()
                server.sock.close()
                client, server = self.joined(mode, client.channel, channels)
                self.assertEqual(server.receive(), b"lost on the way")
                server.end()
                thread = threading.Thread(target=client.finish)
                thread.start()
                self.assertIsNone(server.receive())
                self.assertEqual(server.wait_close(), 0)
                server.sock.close()
                thread.join(p.TIMEOUT)
                client.sock.close()


if __name__ == "__main__":
    st.main()
