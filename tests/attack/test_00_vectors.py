"""The second implementation (stcp1/) against the golden transcripts: what the attack tests are made with is right."""

import hashlib
import json
import socket
import sys
import threading
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "support")]
import sealine_test as st  # noqa: E402
from stcp1 import legacy, session as s, texts, wire  # noqa: E402
from stcp1.primitives import KeyPair, kbkdf_step, label  # noqa: E402

unhex = bytes.fromhex
KINDS = {"DATA": s.DATA, "CLOSE": s.CLOSE, "REKEY": s.REKEY, "PING": s.PING, "FINISH": s.FINISH}


def setUpModule() -> None:
    global vectors
    path = st.own_vectors("stcp.json")
    if path is None:
        raise unittest.SkipTest("no golden transcript stcp.json")
    vectors = json.loads(path.read_text())


class Vectors(unittest.TestCase):
    def test_ratchet_steps(self) -> None:
        ratchet = vectors["ratchet"]
        ck = unhex(ratchet["ck"])
        for step in ratchet["steps"]:
            out = kbkdf_step(ck, ratchet["epoch"], step["seq"])
            self.assertEqual([x.hex() for x in out], [step["ck_next"], step["rk"], step["iv"]])
            ck = out[0]
        other = ratchet["other"]
        out = kbkdf_step(unhex(other["ck"]), other["epoch"], other["seq"])
        self.assertEqual([x.hex() for x in out], [other["ck_next"], other["rk"], other["iv"]])

    def test_ratchet_step_of_the_document(self) -> None:
        out = kbkdf_step(bytes(range(32)), 0, 1)
        self.assertEqual(out[0].hex(), "5f6d3d62233fae1703247204e32401956b9e00ab6901368c103fc16995359737")
        self.assertEqual(out[2].hex(), "8ecdef86e9a6646066ec11a4a04fa662")

    def ends(self, row: dict):
        mode = row["mode"]
        def pair(side: str) -> KeyPair | None:
            return KeyPair(unhex(row[side]["static_secret"])) if "static_secret" in row[side] else None

        psk = unhex(row["psk"]) if "psk" in row else None
        client = s.Initiator(mode, static=pair("client"), psk=psk, nonce=unhex(row.get("nA", "00" * 32)),
                             ephemeral=KeyPair(unhex(row["client"]["ephemeral_secret"])))
        server = s.Responder(mode, static=pair("server"), psk=psk, nonce=unhex(row.get("nB", "00" * 32)),
                             ephemeral=KeyPair(unhex(row["server"]["ephemeral_secret"])))
        return client, server

    def shake(self, row: dict):
        client, server = self.ends(row)
        wires = [unhex(m["wire"]) for m in row["messages"]]
        self.assertEqual(client.step1(), wires[0])
        server.step1(wires[0])
        self.assertEqual(server.step2(), wires[1])
        client.step2(wires[1])
        if row["mode"] == s.MUTUAL:
            self.assertEqual(client.step3(), wires[2])
            server.step3(wires[2])
        return client, server, client.session(), server.session(), wires

    def test_handshakes_and_records(self) -> None:
        self.assertEqual(len(vectors["handshakes"]), 4)
        for row in vectors["handshakes"]:
            with self.subTest(row["pattern"]):
                client, server, at_client, at_server, wires = self.shake(row)
                for session in (at_client, at_server):
                    self.assertEqual(session.h.hex(), row["h"])
                    self.assertEqual([k.hex() for k in session.k], [row["k_c2s"], row["k_s2c"]])
                    self.assertEqual(session.c2s.ck.hex(), row["ck_c2s"])
                    self.assertEqual(session.s2c.ck.hex(), row["ck_s2c"])
                    self.assertEqual(session.exp.hex(), row["exp"])
                    exporter = row["exporter"]
                    self.assertEqual(session.export(exporter["label"], unhex(exporter["ctx"]),
                                                    exporter["n"]).hex(), exporter["value"])
                if "C" in row:
                    self.assertEqual(client.commitment.hex(), row["C"])
                if "hint" in row:
                    self.assertEqual(label(unhex(row["psk"]), "stcp1 hint").hex(), row["hint_key"])
                    self.assertEqual(wires[0][16:24].hex(), row["hint"])
                self.records(row, at_client, at_server)
                self.assertEqual(at_client.sas, row.get("sas"))
                self.assertEqual(at_server.sas, row.get("sas"))
                for direction in ("c2s", "s2c"):
                    stream = b"".join(w for w, m in zip(wires, row["messages"]) if m["dir"] == direction)
                    stream += b"".join(unhex(r["wire"]) for r in row["records"] if r["dir"] == direction)
                    self.assertEqual(hashlib.sha256(stream).hexdigest(), row[f"stream_{direction}_sha256"])

    def records(self, row: dict, client, server) -> None:
        """Each record is made by its sender and opened by its reader, rekey answers included."""
        rekey = row["rekey"]
        answers = {"c2s": b"", "s2c": b""}  # R2 and R3 are sealed the moment R1 and R2 are read
        for record in row["records"]:
            there = record["dir"]
            back = "s2c" if there == "c2s" else "c2s"
            sender, reader = (client, server) if there == "c2s" else (server, client)
            kind, data, wire = record["type"], unhex(record["data"]), unhex(record["wire"])
            if answers[there]:
                made, answers[there] = answers[there], b""
            else:
                self.assertEqual((sender.out.epoch, sender.out.seq), (record["epoch"], record["seq"]))
                if kind == "REKEY":
                    made = sender.start_rekey(KeyPair(unhex(rekey["client_secret"])))
                elif kind == "CLOSE":
                    made = sender.close(data[0])
                else:
                    made = sender.out.seal(KINDS[kind], data, record["pad"])
            self.assertEqual(made.hex(), wire.hex(), f"{kind} {there} seq {record['seq']}")
            self.assertEqual(int.from_bytes(wire[:8], "big"), record["length"])
            got, opened, answer = reader.open(wire, KeyPair(unhex(rekey["server_secret"])))
            answers[back] += answer
            self.assertEqual((got, opened), (KINDS[kind], data))
            if kind == "REKEY" and reader is client:  # R2 read, R3 sealed and mixed at once
                self.assertEqual(client.c2s.ck.hex(), rekey["ck_c2s_after_rekey"])
                self.assertEqual(client.s2c.ck.hex(), rekey["ck_s2c_after_rekey"])
        self.assertEqual((client.rekeys_done, server.rekeys_done), (1, 1))

    def test_legacy_sealed_packets(self) -> None:
        for row in vectors["legacy_sealed"]["packets"]:
            key = unhex(row["key"])
            self.assertEqual(legacy.derived_key(key, row["iv_size"]).hex(), row["derived_key"])
            for packet in row["packets"]:
                wire = legacy.seal(key, unhex(packet["iv"]), row["role"], packet["seq"], packet["unix_ms"],
                                   unhex(packet["data"]))
                self.assertEqual(wire.hex(), packet["wire"])
                self.assertEqual(legacy.open_packet(key, row["iv_size"], row["role"], wire),
                                 (packet["seq"], packet["unix_ms"], unhex(packet["data"])))
                self.assertIsNone(legacy.open_packet(key, row["iv_size"], 1 - row["role"], wire))

    def test_key_texts(self) -> None:
        for row in vectors["key_texts"]["valid"]:
            self.assertEqual(texts.format_key(row["prefix"], unhex(row["value"])), row["text"])
            self.assertEqual(texts.parse_key(row["text"].upper(), row["prefix"]).hex(), row["value"])
        for row in vectors["key_texts"]["invalid"]:
            with self.assertRaises(ValueError, msg=row["why"]):
                texts.parse_key(row["text"], row["text"][:4])
        pair = vectors["key_texts"]["pair"]
        key = KeyPair(texts.parse_key(pair["secret"], "slk1"))
        self.assertEqual(texts.format_key("slp1", key.public), pair["public"])
        self.assertEqual(texts.fingerprint(key.public), pair["fingerprint"])

    def test_padding(self) -> None:
        for row in vectors["padding"]["rows"]:
            self.assertEqual(s.pad_length(row["policy"], row["len"]), row["padded"], row)


class WithItself(unittest.TestCase):
    """Both roles over a socket pair, in every mode: data both ways, a rekey, half-closes, equal keys and SAS."""

    def test_every_mode(self) -> None:
        psk = bytes(range(32))
        for mode in s.PATTERN:
            with self.subTest(s.PATTERN[mode]):
                ends = socket.socketpair()
                served = []
                secret = psk if mode == s.PSK else None
                thread = threading.Thread(target=lambda: served.append(wire.serve_one(ends[1], mode, psk=secret)))
                thread.start()
                client = wire.connect(None, mode, sock=ends[0], psk=secret)
                thread.join(wire.TIMEOUT)
                with client, served[0] as server:
                    client.send(b"there" * 100)
                    client.rekey()
                    client.send(b"between", 9)
                    self.assertEqual(server.receive_exactly(507), b"there" * 100 + b"between")
                    server.send(b"back")
                    self.assertEqual(client.receive_exactly(4), b"back")
                    client.end()
                    self.assertIsNone(server.receive())
                    server.send(b"after the half-close")
                    server.end(7)
                    self.assertEqual(client.receive(), b"after the half-close")
                    with self.assertRaises(wire.Aborted):
                        client.receive()
                    self.assertEqual((client.session.rekeys_done, server.session.rekeys_done), (1, 1))
                    self.assertEqual(client.session.sas, server.session.sas)
                    self.assertEqual(client.session.export("x", b"y", 50), server.session.export("x", b"y", 50))


if __name__ == "__main__":
    st.main()
