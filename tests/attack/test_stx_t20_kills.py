"""T20: kill -9 of both ends in the middle, again and again; damage to part and ledger between. The kills happen at byte
counts that a proxy sees, so nothing waits for a time. At the end the file is right, at no moment was a wrong one at the
final name, and no kill costs more than 64 MiB sent again."""

import os
import random
import socket

import stx_harness
from badwire import Badwire, Mangler
from stx_harness import MIB, After, content, st, total_sent

SIZE = st.count(96, 40) * MIB
RESEND = 64 * MIB
OPTIONS = ["--compress", "never", "--retry", "60s"]


class Kills(stx_harness.StxCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.file("large", content(MIB, 20) * (SIZE // MIB))
        with self.path.open("r+b") as file:  # no two blocks alike
            for n in range(0, SIZE, 1 << 16):
                file.seek(n)
                file.write(n.to_bytes(8, "big"))
        self.data = self.path.read_bytes()
        self.rng = random.Random(20)

    def check_place(self, receiver) -> None:
        """What stands at the final name is the file, or nothing does."""
        if (receiver.root / "large").exists():
            self.assertEqual(receiver.read("large"), self.data)

    def kill_receiver_at(self, receiver, wire: Badwire, marks: list[int]):
        """A mangler maker: each connection but the last has its receiver killed after so many bytes."""
        def make(_) -> Mangler:
            if not marks:
                return Mangler()

            def kill() -> None:
                receiver.program.kill()
                self.check_place(receiver)
                self.between(receiver)
                # Nobody answers until it is back: the sender finds it by trying again.
                receiver.start()
                wire.target = receiver.address

            return After(marks.pop(), kill)

        return make

    def between(self, receiver) -> None:
        pass

    def rounds(self, count: int) -> None:
        receiver = self.receive()
        marks = [self.rng.randrange(200, SIZE // 2) for _ in range(count)]
        wire = Badwire(receiver.address, source=st.fresh_source, keep=False)
        wire.make["c2s"] = self.kill_receiver_at(receiver, wire, marks)
        with wire:
            code, err = self.run_send(self.path, to=wire.name, options=OPTIONS, timeout=600)
            self.assertEqual(code, 0, err)
            sent = total_sent(wire)
        self.assertEqual(marks, [])
        self.assertEqual(receiver.read("large"), self.data)
        again = sent - SIZE
        stx_harness.say(f"{count} kills of the receiver: {again / MIB:.1f} MiB sent again, {again / MIB / count:.1f} each")
        self.assertLessEqual(again, count * (RESEND + MIB))
        self.assertEqual(receiver.parts(), [])

    def test_receiver(self) -> None:
        for _ in range(st.count(25, 1)):
            self.rounds(4)
            for receiver in self.receivers:
                receiver.prove_sound()
            self.receivers.clear()
            if st.FULL:
                stx_harness.run("rm", "-rf", self.place / "receiver-0")

    def test_sender(self) -> None:
        receiver = self.receive()
        for n in range(st.count(100, 4)):
            self.path.rename(self.path.with_name(name := f"large-{n // 4}")) if n % 4 == 0 else None
            self.path = self.path.with_name(name)
            holder: list[st.Program] = []
            mark = self.rng.randrange(200, SIZE // 3)
            with Badwire(receiver.address, source=st.fresh_source, keep=False,
                         c2s=lambda _: After(mark, lambda: holder[0].kill())) as wire:
                holder.append(self.send(self.path, to=wire.name, options=OPTIONS))
                st.wait_until(lambda: not holder[0].is_running(), what="the end of the sender")
                sent = total_sent(wire)
            if name in receiver.names():
                self.assertEqual(receiver.read(name), self.data)
            if n % 4 != 3:
                continue
            code, err = self.run_send(self.path, to=receiver.own_name, options=OPTIONS, timeout=600)
            self.assertEqual(code, 0, err)
            self.assertEqual(receiver.read(name), self.data)
            os.unlink(receiver.root / name)
            self.assertGreater(sent, 0)

    def test_bytes_sent_again_after_a_kill_of_the_sender(self) -> None:
        """One kill late in the file: the same command sends what is left and at most 64 MiB."""
        receiver = self.receive()
        holder: list[st.Program] = []
        with Badwire(receiver.address, keep=False,
                     c2s=lambda _: After(SIZE * 3 // 4, lambda: holder[0].kill())) as wire:
            holder.append(self.send(self.path, to=wire.name, options=OPTIONS))
            st.wait_until(lambda: not holder[0].is_running(), what="the end of the sender")
            first = total_sent(wire)
        with Badwire(receiver.address, keep=False) as wire:
            program = self.send(self.path, to=wire.name, options=OPTIONS)
            self.assertEqual(program.wait(), 0, program.stderr)
            second = total_sent(wire)
        self.assertEqual(receiver.read("large"), self.data)
        stx_harness.say(f"killed at {first / MIB:.1f} MiB of {SIZE / MIB:.0f}: {(first + second - SIZE) / MIB:.1f} again")
        self.assertLessEqual(first + second - SIZE, RESEND + MIB)


class Damage(Kills):
    """Between a kill and the restart somebody damages what the receiver keeps."""

    def test_sender(self) -> None:
        self.skipTest("as it was")

    test_bytes_sent_again_after_a_kill_of_the_sender = test_receiver = test_sender

    def damaged(self, act, count: int) -> None:
        self.between = act
        receiver = self.receive()
        marks = [self.rng.randrange(SIZE // 4, SIZE // 2) for _ in range(count)]
        wire = Badwire(receiver.address, source=st.fresh_source, keep=False)
        wire.make["c2s"] = self.kill_receiver_at(receiver, wire, marks)
        with wire:
            code, err = self.run_send(self.path, to=wire.name, options=OPTIONS, timeout=600)
        self.assertEqual(code, 0, err)
        self.assertEqual(receiver.read("large"), self.data)

    def test_part(self) -> None:
        def act(receiver) -> None:
            for part in receiver.root.glob(".*.stxpart"):
                size = part.stat().st_size
                if size:
                    with part.open("r+b") as file:
                        file.seek(at := self.rng.randrange(size))
                        byte = file.read(1) or b"\0"
                        file.seek(at)
                        file.write(bytes([byte[0] ^ 0x20]))

        self.damaged(act, st.count(20, 2))

    def test_ledger(self) -> None:
        """Overwritten, cut, gone, or of another program: set aside, and the file is sent again."""
        ways = [0]

        def act(receiver) -> None:
            for file in receiver.root.glob(".stx-ledger*"):
                size = file.stat().st_size
                way = ways[0] % 4
                if way == 0 and size:
                    with file.open("r+b") as ledger:
                        ledger.seek(self.rng.randrange(size))
                        ledger.write(self.rng.randbytes(200))
                elif way == 1:
                    os.truncate(file, size // 2)
                elif way == 2:
                    file.unlink()
                else:
                    file.write_bytes(b"this is no database" * 500)
            ways[0] += 1

        self.damaged(act, st.count(20, 4))


class Restart(stx_harness.StxCase):
    def test_receiver_that_is_told_to_stop(self) -> None:
        """SIGTERM drains with CLOSE{7}, and the sender goes on when somebody listens there again."""
        receiver = self.receive()
        path = self.file("large", content(MIB, 3) * 32)
        wire = Badwire(receiver.address, keep=False)
        done = []

        def make(_) -> Mangler:
            if done:
                return Mangler()

            def stop() -> None:
                done.append(receiver.program.process.terminate())

            return After(8 * MIB, stop)

        wire.make["c2s"] = make
        with wire:
            program = self.send(path, to=wire.name, options=OPTIONS)
            st.wait_until(lambda: done, what="the middle")
            code = receiver.program.wait()
            self.assertEqual(code, 0, receiver.program.stderr)
            receiver.start()
            wire.target = receiver.address
            self.assertEqual(program.wait(), 0, program.stderr)
        self.assertEqual(receiver.read("large"), path.read_bytes())

    def test_interrupted_sender_says_how_to_go_on(self) -> None:
        receiver = self.receive()
        path = self.file("large", content(MIB, 4) * 32)
        holder: list[st.Program] = []
        with Badwire(receiver.address, keep=False,
                     c2s=lambda _: After(8 * MIB, lambda: holder[0].process.send_signal(2))) as wire:
            holder.append(self.send(path, to=wire.name, options=OPTIONS))
            self.assertEqual(holder[0].wait(), 130, holder[0].stderr)
        self.assertNotIn("large", receiver.names())
        self.assertEqual(self.run_send(path, to=receiver.own_name, options=OPTIONS)[0], 0)
        self.assertEqual(receiver.read("large"), path.read_bytes())

    def test_nobody_for_a_while(self) -> None:
        """The receiver is away when the lost connection is tried again."""
        receiver = self.receive()
        path = self.file("large", content(MIB, 5) * 16)
        with socket.create_server(("127.0.0.1", 0)) as placeholder:
            dead = placeholder.getsockname()
        wire = Badwire(receiver.address, keep=False)
        stages: list[int] = []

        def make(_) -> Mangler:
            if stages:
                return Mangler()

            def leave() -> None:
                stages.append(1)
                wire.target = dead
                for link in wire.links:
                    link.cut()

            return After(4 * MIB, leave)

        wire.make["c2s"] = make
        with wire:
            program = self.send(path, to=wire.name, options=OPTIONS)
            st.wait_until(lambda: stages, what="the cut")
            program.wait_line(r"trying for ")
            wire.target = receiver.address
            self.assertEqual(program.wait(), 0, program.stderr)
        self.assertEqual(receiver.read("large"), path.read_bytes())


if __name__ == "__main__":
    stx_harness.main()
