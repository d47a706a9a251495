"""The second STT/1 (stt1/) against the golden values: what the attack tests are made with is right."""

import json
import sys
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "support")]
import sealine_test as st  # noqa: E402
from stcp1.primitives import KeyPair, label  # noqa: E402
from stt1 import frames, handshake, stc, tlv  # noqa: E402

unhex = bytes.fromhex


def setUpModule() -> None:
    global vectors
    path = st.own_vectors("stt.json")
    if path is None:
        raise unittest.SkipTest("no golden values stt.json")
    vectors = json.loads(path.read_text())


def made(row: dict) -> tuple:
    """A value from the vectors' notation."""
    kind, what = row["t"], row.get("v")
    if kind == "null":
        return tlv.NULL, None
    if kind == "bool":
        return (tlv.YES if what else tlv.NO), None
    if kind == "int":
        return tlv.plain(int(what))
    if kind in ("f32", "f64"):
        return (tlv.F32 if kind == "f32" else tlv.F64), unhex(row["bits"])
    if kind == "bytes":
        return tlv.octets(unhex(what))
    if kind == "str":
        return tlv.text(what)
    if kind == "list":
        return tlv.LIST, [made(v) for v in what]
    if kind == "dict":
        return tlv.DICT, [(k, made(v)) for k, v in what]
    return getattr(tlv, kind.upper()), int(what)


class Vectors(unittest.TestCase):
    def test_labels(self) -> None:
        for row in vectors["labels"]:
            out = label(unhex(row["key"]), row["label"], unhex(row["ctx"]), row["n"])
            self.assertEqual(out.hex(), row["out"], row["label"])

    def test_varints(self) -> None:
        for row in vectors["varint"]["good"]:
            self.assertEqual(tlv.varint(int(row["value"])).hex(), row["hex"])
            self.assertEqual(tlv.read_varint(unhex(row["hex"])), (int(row["value"]), len(row["hex"]) // 2))
        for row in vectors["varint"]["bad"]:
            with self.subTest(row), self.assertRaises(tlv.Bad):
                tlv.read_varint(unhex(row["hex"]))

    def test_values(self) -> None:
        for row in vectors["tlv"]["good"]:
            with self.subTest(row["hex"][:80]):
                self.assertEqual(tlv.encode(made(row["value"])).hex(), row["hex"])
                self.assertEqual(tlv.encode(tlv.decode(unhex(row["hex"]))).hex(), row["hex"])
        for row in vectors["tlv"]["bad"]:
            with self.subTest(row["reason"], hex=row["hex"][:80]):
                with self.assertRaises(tlv.Bad) as caught:
                    tlv.decode(unhex(row["hex"]))
                self.assertEqual(caught.exception.offset, row["offset"])

    def test_stc1(self) -> None:
        prk0 = stc.seed_key(unhex(next(r["seed"] for r in vectors["stc1"] if r["call"] == "prk0")))
        for row in vectors["stc1"]:
            v = {k: unhex(x) if isinstance(x, str) and k not in ("call", "passphrase", "note") else x
                 for k, x in row.items()}
            with self.subTest(row["call"]):
                call = row["call"]
                if call == "prk0":
                    self.assertEqual(prk0, v["out"])
                elif call == "hash":
                    self.assertEqual(stc.hash_of(prk0, v["data"], v["ctx"]), v["out"])
                elif call == "derive_key":
                    self.assertEqual(stc.derive_key(prk0, v["ctx"], v["n"]), v["out"])
                elif call == "encrypt":
                    self.assertEqual(stc.encrypt(prk0, v["data"], v["ctx"], v["salt"]), (v["ct"], v["metadata"]))
                elif call == "create_stream_context":
                    key = stc.chunk_key(prk0, v["sid"], v["stream"], v["salt"])
                    for chunk in row["chunks"]:
                        sealed = stc.encrypt_chunk(key, unhex(chunk["data"]), int(chunk["i"]), chunk["last"])
                        self.assertEqual(sealed.hex(), chunk["ct"])
                elif call == "rotate_session_key":
                    self.assertEqual(stc.rotate_session_key(v["cur"], v["nonce"], v["x"]), v["out"])
                else:
                    self.assertEqual(stc.seed_of_passphrase(row["passphrase"]), v["out"])

    def ends(self, v: dict):
        """Both ends with the vector's random bytes, in the order in which they were drawn."""
        order_i = [unhex(x) for x in v["random_i"]]
        order_r = [unhex(x) for x in v["random_r"]]
        names_i, names_r = v["random_i_order"], v["random_r_order"]
        has_eph = "eph" in names_i
        handshake_id, eph_i, rest = order_i[0], (order_i[1] if has_eph else None), order_i[1 + has_eph:]
        nonces, salt_i = rest[:-1], rest[-1]
        cookie_key, nonce_r = order_r[0], order_r[1]
        eph_r, salt_r = (order_r[2] if "eph" in names_r else None), order_r[-1]
        udp = v["transport"] == "udp"
        initiator = handshake.Initiator(
            unhex(v["seed"]), node_id=unhex(v["node_i"]), eph=KeyPair(eph_i) if eph_i else None,
            timestamp=int(v["timestamp"]), nonce=nonces[0], handshake_id=handshake_id,
            capabilities=self.capabilities(v), pad=self.pad(v, 0) if udp else None)
        responder = handshake.Responder(unhex(v["seed"]), node_id=unhex(v["node_r"]), nonce=nonce_r,
                                        eph=KeyPair(eph_r) if eph_r else None, salt=salt_r, transport=v["transport"])
        return initiator, responder, nonces, salt_i, cookie_key

    @staticmethod
    def hello(v: dict, index: int) -> dict:
        return handshake.parse_message(handshake.unframed(frames.parse(unhex(v["frames"][index]["hex"]))[0]))

    def capabilities(self, v: dict) -> tuple:
        return tuple(text for _, text in self.hello(v, 0)["capabilities"])

    def pad(self, v: dict, index: int) -> int:
        return len(self.hello(v, index)["pad"])

    def test_handshakes(self) -> None:
        for v in vectors["handshakes"]:
            with self.subTest(v["name"]):
                initiator, responder, nonces, salt_i, _ = self.ends(v)
                sent = [unhex(f["hex"]) for f in v["frames"]]
                self.assertEqual(initiator.hello_frame(), sent[0])
                if len(sent) == 6:  # with a RETRY
                    initiator.hello["pad"] = bytes(self.pad(v, 2))
                    self.assertEqual(initiator.take_retry(frames.parse(sent[1])[0], nonces[1]), sent[2])
                    responder.cookie = initiator.hello["cookie"]
                    sent = sent[2:]
                self.assertEqual(responder.take_hello(frames.parse(sent[0])[0], len(sent[0])), sent[1])
                self.assertEqual(initiator.take_response(frames.parse(sent[1])[0], salt_i), sent[2])
                self.assertEqual(responder.take_proof(frames.parse(sent[2])[0]), sent[3])
                initiator.take_final(frames.parse(sent[3])[0])
                s = initiator.schedule
                got = (s.th2, s.kh, s.session_id, s.session_key, s.i2r, s.r2i, s.challenge_key, s.proof_key, s.confirm)
                names = ("th2", "kh", "session_id", "session_key", "k_i2r_0", "k_r2i_0", "k_challenge", "k_proof", "confirm")
                self.assertEqual([x.hex() for x in got], [v[name] for name in names])

    def test_bad_handshakes(self) -> None:
        v = vectors["handshakes"][0]
        for row in vectors["bad_handshakes"]:
            with self.subTest(row["name"]):
                _, responder, _, _, _ = self.ends(v)
                data = unhex(row["hex"])
                with self.assertRaises((handshake.Fault, frames.Drop)):
                    frame = frames.parse(data)[0]
                    if frame.type == frames.AUTH:
                        responder.take_proof(frame)
                    else:
                        responder.take_hello(frame, len(data))

    def test_rotations_and_the_keys_of_streams(self) -> None:
        for row in vectors["rotation"]:
            with self.subTest(dir=row["dir"], epoch=row["epoch"]):
                x = KeyPair(unhex(row["eph_private"])).exchange(unhex(row["answer_eph"]))
                self.assertEqual(x.hex(), row["x"])
                before = frames.Keys(unhex(row["old"]), row["epoch"] - 1)
                self.assertEqual(before.next(unhex(row["nonce"]), x).root.hex(), row["new"])
                asked = frames.rotate(row["epoch"], unhex(row["nonce"]), unhex(row["eph"]))
                self.assertEqual(frames.control(asked).hex(), row["rotate"])
                self.assertEqual(frames.control(frames.rotated(row["epoch"], unhex(row["answer_eph"]))).hex(), row["rotated"])
        for row in vectors["stream_keys"]:
            keys = frames.Keys(unhex(row["root"]), row["epoch"])
            self.assertEqual(keys.iv.hex(), row["iv"])
            for stream, key in row["keys"].items():
                self.assertEqual(keys.of_stream(int(stream)).hex(), key)

    def keys(self, direction: str, epoch: int) -> frames.Keys:
        row = next(r for r in vectors["stream_keys"] if (r["dir"], r["epoch"]) == (direction, epoch))
        return frames.Keys(unhex(row["root"]), epoch)

    def test_frames(self) -> None:
        session_id = unhex(vectors["handshakes"][0]["session_id"])
        for row in vectors["frames"]:
            with self.subTest(pn=row["pn"], dir=row["dir"]):
                keys = self.keys(row["dir"], row["epoch"])
                frame = frames.Frame(row["type"], session_id, row["stream"], int(row["pn"]), row["flags"])
                self.assertEqual(keys.seal(frame, unhex(row["plaintext"])).hex(), row["frame"])
                back, end = frames.parse(unhex(row["frame"]))
                self.assertEqual((end, (back.header + back.meta).hex()), (len(row["frame"]) // 2, row["aad"]))
                self.assertEqual(keys.nonce(back.number).hex(), row["nonce"])
                self.assertEqual(keys.open(back).hex(), row["plaintext"])

    def test_ranges_of_ack(self) -> None:
        for row in vectors["ack"]["good"]:
            ranges = [(int(first), int(last)) for first, last in (sorted(r, key=int) for r in row["ranges"])]
            self.assertEqual(frames.ack_ranges(int(row["largest"]), unhex(row["bytes"])), ranges)
            self.assertEqual(frames.encode_ack_ranges(ranges).hex(), row["bytes"])
        for row in vectors["ack"]["bad"]:
            with self.subTest(row), self.assertRaises(tlv.Bad):
                frames.ack_ranges(int(row["largest"]), unhex(row["bytes"]))

    def test_bad_frames(self) -> None:
        """What is dropped shows before the tag has verified, or is out of place; what closes was sealed by the peer."""
        session_id, keys = unhex(vectors["handshakes"][0]["session_id"]), self.keys("I2R", 0)
        for row in vectors["bad_frames"]:
            with self.subTest(row["name"]):
                expected = len(row["first"])
                try:
                    for frame in frames.parse_all(unhex(row["hex"])):
                        if frame.session_id != session_id or frame.epoch or frame.number < expected:
                            raise frames.Drop("out of place")
                        keys.open(frame)
                    opened = True
                except frames.Drop:
                    opened = False
                if row["udp"] == "drop":
                    self.assertTrue(not opened or row["reason"] == "stream not open")
                else:
                    self.assertTrue(opened, "the peer's own fault")


if __name__ == "__main__":
    st.main()
