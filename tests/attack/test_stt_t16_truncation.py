"""T16 for STT: connections cut anywhere. The real client reports an end that is none; a server goes on."""

import contextlib
import socket
import threading

import stt_harness
from stt_harness import frames, handshake, st, tlv, websocket

v = tlv.varint


class Cuts(stt_harness.SttCase):
    def test_a_server_outlives_clients_that_go(self) -> None:
        server = self.serve()
        with server.peer() as peer:
            whole = len(peer.initiator.hello_frame())
        for at in range(0, whole, 1 if st.FULL else 29):
            with server.peer() as peer:
                data = websocket.frame(peer.initiator.hello_frame())
                peer.sock.sendall(data[:at])
                if at % 2:
                    st.reset(peer.sock)
        for at in range(1, 200, 1 if st.FULL else 19):
            with server.session() as peer:
                three = b"".join(peer.data(1, v(100 * i) + bytes(100), frames.INIT if i == 0 else 0) for i in range(3))
                peer.sock.sendall(websocket.frame(three)[:at])
                if at % 2:
                    st.reset(peer.sock)

    def serve_one(self, listener: socket.socket, send) -> None:
        """Half of a session: what `send(peer side)` makes is sent, then the connection is cut."""
        sock = listener.accept()[0]
        sock.settimeout(st.WAIT)
        with sock, contextlib.suppress(EOFError, OSError):
            head = websocket.read_head(sock).decode()
            key = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
            sock.sendall(websocket.answer(key))
            responder = handshake.Responder(self.seed)
            hello = frames.parse(websocket.read_client_frame(sock)[1])[0]
            sock.sendall(websocket.frame(responder.take_hello(hello), masked=False))
            proof = frames.parse(websocket.read_client_frame(sock)[1])[0]
            sock.sendall(websocket.frame(responder.take_proof(proof), masked=False))
            frame = frames.parse(websocket.read_client_frame(sock)[1])[0]  # opens stream 1
            keys = frames.Keys(responder.schedule.r2i)
            out = websocket.frame(b"".join(
                keys.seal(frames.Frame(frames.DATA, frame.session_id, 1, i, flags), v(100 * i) + b"d" * 100)
                for i, flags in ((0, 0), (1, 0), (2, frames.FIN))), masked=False)
            sock.sendall(send(out))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass

    def test_the_client_tells_a_cut_from_an_end(self) -> None:
        for at in (0, 1, 5, 100, 200, 300, 380, -1):
            with self.subTest(at), socket.create_server(("127.0.0.1", 0)) as listener:
                listener.settimeout(st.WAIT)
                thread = threading.Thread(target=self.serve_one, args=(listener, lambda out: out[:at]))
                thread.start()
                code, out, _ = self.run_connect(listener.getsockname()[1], b"question")
                thread.join()
                self.assertNotEqual(code, 0, "an end without CLOSE is no success")
                self.assertEqual(out, b"", "what did not come whole is not given out")


if __name__ == "__main__":
    stt_harness.main()
