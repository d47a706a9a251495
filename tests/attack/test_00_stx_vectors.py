"""The second STX implementation (stx1/) against the golden transcript, and against itself: what the attack tests are
made with is right."""

import copy
import hashlib
import json
import socket
import sys
import threading
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "support")]
import sealine_test as st  # noqa: E402
import stcp1  # noqa: E402
import stx1  # noqa: E402
from stx1 import handshake as h, primitives as p  # noqa: E402
from stx1.items import MTIME  # noqa: E402
from stcp1 import MUTUAL, PSK, KeyPair  # noqa: E402

unhex = bytes.fromhex
KINDS = {name: kind for kind, name in stx1.NAMES.items()}


def setUpModule() -> None:
    global vectors
    path = st.own_vectors("stx.json")
    if path is None:
        raise unittest.SkipTest("no golden transcript stx.json")
    vectors = json.loads(path.read_text())


def pattern(size: int, shift: int = 0) -> bytes:
    """Content byte i = (7i + 3(i>>8) + shift) mod 256."""
    return bytes((7 * i + 3 * (i >> 8) + shift) & 0xFF for i in range(size))


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


# What the sessions of the transcript carry, as their notes say.
CONTENT = {"whole": lambda: pattern(32868), "cut": lambda: pattern(81920, 1), "resume": lambda: pattern(81920, 1),
           "resume changed": lambda: changed(pattern(81920, 1), 32768), "empty": lambda: b""}


class Vectors(unittest.TestCase):
    def test_keys_of_the_psk(self) -> None:
        psk = unhex(vectors["psk"])
        self.assertEqual(stcp1.format_key("sls1", psk), vectors["psk_text"])
        self.assertEqual(h.prk_of(psk).hex(), vectors["PRK"])
        self.assertEqual(h.hint_key(psk).hex(), vectors["hint_key"])
        self.assertEqual(stx1.peer_id_of_psk(psk).hex(), vectors["peer_id"])
        row = vectors["psk_from_stcp"]
        self.assertEqual(stx1.psk_from_stcp(unhex(row["exp"])).hex(), row["psk"])
        self.assertEqual(stx1.psk_again(unhex(row["exp"])).hex(), row["again"])

    def test_tree(self) -> None:
        for row in vectors["merkle"]:
            leaves = [stx1.leaf(bytes([i])) for i in range(row["leaves"])]
            self.assertEqual(stx1.root(leaves).hex(), row["root"], row["leaves"])
        for row in vectors["run_log2"]:
            self.assertEqual(stx1.run_log2_of(row["have"]), row["run_log2"], row["have"])

    def test_xaes(self) -> None:
        for row in vectors["xaes"]:
            self.assertEqual(p.nonce24(row["ctr"]).hex(), row["n24"])
            self.assertEqual(stx1.xaes_key(unhex(row["key"]), unhex(row["n24"])).hex(), row["kx"])
            sealed = stx1.xaes_seal(unhex(row["key"]), row["ctr"], unhex(row["aad"]), b"")
            self.assertEqual(sealed.hex(), row["sealed_empty"])

    def test_messages(self) -> None:
        for row in vectors["messages"]:
            self.assertEqual(stx1.encode(row["type"], *row["fields"]).hex(), row["bytes"])
            self.assertEqual(list(stx1.decode(row["type"], unhex(row["bytes"]))), row["fields"])
            for wrong in (unhex(row["bytes"])[:-1], unhex(row["bytes"]) + b"\0"):
                if len(wrong) != len(unhex(row["bytes"])):
                    with self.assertRaises(stx1.Malformed):
                        stx1.decode(row["type"], wrong)

    def handshake(self, row: dict) -> dict[str, bytes]:
        """Both ends make their messages from the transcript's secrets; the keys."""
        wires = {m["name"]: unhex(m["bytes"]) for m in row["client"][:3] + row["server"][:3]}
        stamp = lambda name: int.from_bytes(wires[name][40:48], "big")  # noqa: E731
        client = stx1.ClientHandshake(unhex(vectors["psk"]), nonce=unhex(row["nonce_c"]), ts_ms=stamp("CH"),
                                      ephemeral=KeyPair(unhex(row["e_c"])), transfer=unhex(row["transfer"]))
        caps, seen = 0, {}
        server = stx1.ServerHandshake([bytes(32), unhex(vectors["psk"])], nonce=unhex(row["nonce_s"]),
                                      ts_ms=stamp("SH"), ephemeral=KeyPair(unhex(row["e_s"])), caps=caps,
                                      edit=lambda name, data: seen.setdefault(name, data))
        self.assertEqual(server.hello().hex(), wires["SH"].hex())
        flight = client.hello(wires["SH"])
        self.assertEqual(flight.hex(), (wires["CH"] + wires["CA"]).hex())
        self.assertEqual(server.client(wires["CH"], wires["CA"]).hex(), wires["SA"].hex())
        self.assertEqual(client.auth(wires["SA"]).hex(), wires["SKN"].hex())
        client.confirm(wires["SKC"])
        server.max_block_log2, server.caps = client.max_block_log2, client.caps
        self.assertEqual(server.keys_of(wires["SKN"]).hex(), wires["SKC"].hex())
        for end in (client, server):
            self.assertEqual(end.prk.hex(), row["keys"]["PRK"])
            self.assertEqual(h.hint_key(end.psk).hex(), row["keys"]["hint_key"])
            self.assertEqual(stx1.peer_id_of_psk(end.psk).hex(), row["keys"]["peer_id"])
            for n in range(1, 6):
                self.assertEqual(end.th[n].hex(), row["keys"][f"th{n}"])
            for name in ("k_c_hs", "k_s_hs", "MS", "K_c", "K_s"):
                self.assertEqual(end.keys[name].hex(), row["keys"][name], name)
        return client.keys

    def item_of(self, row: dict) -> stx1.Item:
        """The item of the session's META, with the content that its note describes."""
        meta = next(m for m in row["client"] if m["name"] == "META")
        number, log2, flags, entries = stx1.decode(stx1.META, unhex(meta["plaintext"]))
        if row["name"] == "pack":
            data = b"".join(self.blocks_of(row))
        else:
            data = CONTENT[row["name"]]()
        out, at = [], 0
        for kind, mode, mtime, size, name in entries:
            out.append(stx1.Entry(name, data[at:at + size], kind, mode, mtime))
            at += size
        self.assertEqual(at, len(data))
        item = stx1.Item(out, log2, flags, number)
        self.assertEqual(item.meta().hex(), meta["plaintext"])
        return item

    def blocks_of(self, row: dict) -> list[bytes]:
        """The blocks of a session whose content no note gives, opened."""
        incoming = stx1.Incoming(unhex(row["keys"]["K_c"]))
        messages = [incoming.open(unhex(m["bytes"])) for m in row["client"][3:]]
        return [m.fields[1] for m in messages if m.kind == 0]

    def test_sessions(self) -> None:
        self.assertEqual([row["name"] for row in vectors["sessions"]],
                         ["whole", "cut", "resume", "resume changed", "pack", "empty"])
        for row in vectors["sessions"]:
            with self.subTest(row["name"]):
                keys = self.handshake(row)
                item = self.item_of(row)
                self.direction(row["client"][3:], keys["K_c"], item)
                self.direction(row["server"][3:], keys["K_s"], None)
                resume = next((m for m in row["client"] if m["name"] == "RESUME"), None)
                if resume:
                    have = next(stx1.decode(stx1.META_OK, unhex(m["plaintext"])) for m in row["server"]
                                if m["name"] == "META_OK")[2]
                    log2 = stx1.run_log2_of(have)
                    roots = stx1.run_roots([stx1.leaf(b) for b in item.blocks[:have]], log2)
                    self.assertEqual(stx1.encode(stx1.RESUME, 0, log2, roots).hex(), resume["plaintext"])
                end = next((m for m in row["client"] if m["name"] == "END"), None)
                if end:
                    made = stx1.encode(stx1.END, 0, len(item.blocks), len(item.data), item.root())
                    self.assertEqual(made.hex(), end["plaintext"])

    def direction(self, messages: list[dict], key: bytes, item: stx1.Item | None) -> None:
        out, incoming = stx1.Outgoing(key), stx1.Incoming(key)
        for message in messages:
            self.assertEqual(message["ctr"], out.ctr)
            self.assertEqual(stx1.xaes_key(key, p.nonce24(out.ctr)).hex(), message["xaes_key"])
            name = message["name"]
            damaged = "damaged" in message.get("note", "")
            if name.startswith("BLOCK"):
                seq = int(name.split()[1])
                frame = out.seal(seq, item.blocks[seq], item.number, damage_crc=damaged)
            else:
                kind, plaintext = KINDS[name], unhex(message["plaintext"])
                self.assertEqual(stx1.encode(kind, *self.again(kind, plaintext)), plaintext)
                frame = out.control(kind, raw=plaintext)
            if "bytes" in message:
                self.assertEqual(frame.hex(), message["bytes"], name)
            else:
                self.assertEqual(frame[:8].hex(), message["head"])
                self.assertEqual((frame[-20:-4].hex(), frame[-4:].hex()), (message["tag"], message["crc"]))
                self.assertEqual(hashlib.sha256(frame).hexdigest(), message["sha256"])
            if damaged:
                with self.assertRaises(stx1.LineDamage):
                    incoming.open(frame)
            else:
                self.assertEqual(incoming.open(frame).ctr, message["ctr"])

    def again(self, kind: int, plaintext: bytes) -> tuple:
        """Decoded, and ready to be encoded again."""
        fields = stx1.decode(kind, plaintext)
        if kind == stx1.META:
            entries = [stx1.Entry(name, b"", what, mode, mtime, size).encode()
                       for what, mode, mtime, size, name in fields[3]]
            return (*fields[:3], entries)
        return fields


class Frames(unittest.TestCase):
    """What a receiver must tell apart."""

    def setUp(self) -> None:
        self.out, self.incoming = stx1.Outgoing(bytes(32)), stx1.Incoming(bytes(32))

    def test_crc_and_tag_are_told_apart(self) -> None:
        self.incoming.open(self.out.control(stx1.SELECT, 7))
        with self.assertRaises(stx1.LineDamage):
            self.incoming.open(self.out.seal(0, b"x", 7, damage_crc=True))
        self.assertEqual(self.incoming.open(self.out.seal(1, b"y", 7)).fields, (1, b"y"))
        with self.assertRaises(stx1.Tampered):
            self.incoming.open(self.out.seal(2, b"z", 7, damage_tag=True))

    def test_item_order_and_direction_are_under_the_tag(self) -> None:
        select = self.out.control(stx1.SELECT, 7)
        frames_of = [self.out.seal(i, bytes([i]), 7) for i in range(2)]
        self.incoming.open(select)
        with self.assertRaises(stx1.Tampered):
            self.incoming.open(frames_of[1])
        self.incoming.ctr, self.incoming.item = 1, 8
        with self.assertRaises(stx1.Tampered):
            self.incoming.open(frames_of[0])
        other = stx1.Incoming(bytes(31) + b"\1")
        with self.assertRaises(stx1.Tampered):
            other.open(select)


class WithItself(unittest.TestCase):
    """Both roles over a socket pair, in both forms."""

    def session(self, store, twist=None, **form):
        ends = socket.socketpair()
        out = []

        def serve() -> None:
            accept = {k: v for k, v in form.items() if k == "stcp_mode"}
            server = stx1.Server.accept(ends[1], [bytes(range(32))], store=store, twist=twist, **accept)
            out.append(server)
            out.append(server.run())
            ends[1].close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        psk = bytes(range(32)) if form.get("stcp_mode") in (None, PSK) else None
        for sock in ends:
            self.addCleanup(sock.close)
        return stx1.Client.connect(None, psk, sock=ends[0], timeout=10, **form), out, thread

    def test_a_folder_and_a_file_with_a_damaged_block(self) -> None:
        for form in ({}, {"stcp_mode": MUTUAL}, {"stcp_mode": PSK}):
            with self.subTest(form=form):
                store = stx1.Store()
                client, out, thread = self.session(store, **form)
                with client:
                    folder = stx1.pack(stx1.Entry(b"d/a", b"abc"), stx1.Entry(b"d/l", b"a", stx1.SYMLINK, 0o777),
                                       stx1.Entry(b"d", b"", stx1.DIRECTORY, 0o700))
                    self.assertEqual(client.send_item(folder).code, 0)
                    file = stx1.Item([stx1.Entry(b"f", pattern(100_000))])
                    result = client.send_item(file, damage={2, 4})
                    self.assertEqual((result.code, result.naks), (0, 2))
                    self.assertEqual(sorted(result.sent), [0, 1, 2, 2, 3, 4, 4, 5, 6])
                    self.assertEqual(client.send_item(stx1.Item([stx1.Entry(b"e")])).code, 0)
                    self.assertEqual(client.finish(), 0)
                thread.join(20)
                self.assertEqual(out[1], "clean")
                self.assertEqual(store.files[b"f"], (0, 0o644, MTIME, pattern(100_000)))
                self.assertEqual(store.files[b"d/l"][3], b"a")
                self.assertEqual(store.files[b"e"][3], b"")
                if form.get("stcp_mode") == MUTUAL:
                    self.assertEqual(len(out[0].stcp_peer.peer_key), 32)

    def test_resume_after_a_cut_and_after_a_change(self) -> None:
        store, data = stx1.Store(), pattern(100_000)
        client, out, thread = self.session(store)
        with client:
            client.send_item(stx1.Item([stx1.Entry(b"f", data)]), stop_after=4)
        thread.join(20)
        self.assertEqual(out[1], "truncated")
        for content, start in ((data, 4), (changed(data, 50_000), 3), (changed(data, 1), 0)):
            with self.subTest(start=start):
                again = copy.deepcopy(store)
                client, out, thread = self.session(again)
                with client:
                    result = client.send_item(stx1.Item([stx1.Entry(b"f", content)]))
                    self.assertEqual((result.code, result.have, result.start), (0, 4, start))
                    client.finish()
                thread.join(20)
                self.assertEqual(again.files[b"f"][3], content)

    @unittest.skipUnless(p.HAS_ZSTD, "no zstd library")
    def test_zstd_holes_and_padding(self) -> None:
        store = stx1.Store()
        client, _, thread = self.session(store)
        with client:
            data = b"words " * 10_000 + bytes(1 << 15) + b"end"
            item = client.announce(stx1.Item([stx1.Entry(b"z", data)], flags=1))
            self.assertEqual(client.next(stx1.META_OK).fields, (0, 0, 0))
            blocks = item.blocks
            for seq in (0, 1, 2, 3):
                client.block(0, seq, p.zstd_compress(blocks[seq]))
            self.assertEqual(blocks[4], bytes(1 << 14))
            client.zero(0, 4, 1)
            client.block(0, 5, blocks[5].ljust(1 << 14, b"\0"))
            client.end_item(item)
            self.assertEqual(client.next(stx1.DONE).fields, (0, 0, []))
            client.finish()
        thread.join(20)
        self.assertEqual(store.files[b"z"][3], data)


if __name__ == "__main__":
    st.main()
