"""sealine web: its page and how it is protected, its streams to a program that is no browser, its words."""

import http.client
import re
import signal
import subprocess
import unittest

import cli_case
from cli_case import st


def has_page() -> bool:
    done = subprocess.run([str(st.SEALINE), "web", "--listen", "127.0.0.1:0", "--seed-file", "/nonexistent"],
                          capture_output=True, text=True, timeout=st.WAIT, check=False, stdin=subprocess.DEVNULL)
    return "without its page" not in done.stderr


class WebCase(cli_case.CliCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if not has_page():
            raise unittest.SkipTest("sealine was built without its page")

    def setUp(self) -> None:
        super().setUp()
        self.seed = self.secret("seed")
        self.landing = self.dir / "in"
        self.landing.mkdir()

    def serve(self, *flags, **rest) -> st.Listener:
        return self.listener("web", "--listen", "127.0.0.1:0", "--seed-file", self.seed, "--dir", self.landing, *flags,
                             **rest)

    def get(self, web: st.Listener, target: str, method: str = "GET", **headers: str):
        connection = http.client.HTTPConnection(*web.address, timeout=st.WAIT)
        self.addCleanup(connection.close)
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()


class Page(WebCase):
    def test_the_page_and_its_protection(self) -> None:
        web = self.serve()
        answer, body = self.get(web, "/")
        self.assertEqual((200, "text/html; charset=utf-8"), (answer.status, answer.headers["Content-Type"].lower()))
        policy = answer.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertNotIn("*", policy)
        for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
                            ("Cache-Control", "no-store"), ("X-Frame-Options", "DENY")):
            self.assertEqual(value, answer.headers[name])
        self.assertNotRegex(body.decode(), r"(?i)<script(?![^>]*\bsrc=)|\son\w+=|<style|\sstyle=")
        for target in re.findall(r'(?:src|href)="(?:\./|/)?([\w./-]+)"', body.decode()):
            with self.subTest(target):
                part, content = self.get(web, "/" + target)
                self.assertEqual(200, part.status)
                self.assertTrue(content)
                again, nothing = self.get(web, "/" + target, **{"If-None-Match": part.headers["ETag"]})
                self.assertEqual((304, b""), (again.status, nothing))
        head, nothing = self.get(web, "/", method="HEAD")
        self.assertEqual((200, b"", len(body)), (head.status, nothing, int(head.headers["Content-Length"])))
        web.process.send_signal(signal.SIGINT)
        self.finish(web)

    def test_what_is_not_there(self) -> None:
        web = self.serve()
        for target in ("/nothing", "/../etc/passwd", "/index.html/", "//"):
            self.assertEqual(404, self.get(web, target)[0].status, target)
        self.assertEqual(405, self.get(web, "/", method="POST")[0].status)

    def test_a_name_that_was_pointed_here(self) -> None:
        web = self.serve()
        for host in (f"evil.example:{web.port}", "evil.example", f"127.0.0.1:{web.port + 1}", "x\"y"):
            self.assertEqual(421, self.get(web, "/", Host=host)[0].status, host)
        self.assertEqual(200, self.get(web, "/", Host=f"localhost:{web.port}")[0].status)

    def test_a_foreign_origin(self) -> None:
        web = self.serve("--origin", "https://friend.example")
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        self.assertEqual(403, self.get(web, "/stt", Origin="https://evil.example", **upgrade)[0].status)
        for origin in (f"http://127.0.0.1:{web.port}", "https://friend.example"):
            connection = http.client.HTTPConnection(*web.address, timeout=st.WAIT)
            connection.request("GET", "/stt", headers={"Origin": origin, **upgrade})
            self.assertEqual(101, connection.getresponse().status, origin)
            connection.close()


class Words(WebCase):
    def test_where_the_seed_is_shown(self) -> None:
        web = self.serve()
        web.wait_line(r"the page is http://127\.0\.0\.1:\d+/; it asks for the seed")
        self.assertNotIn("sls1", web.stderr)
        new = self.listener("web", "--listen", "127.0.0.1:0", "--new-seed", "--dir", self.landing)
        match = new.wait_line(r"http://127\.0\.0\.1:\d+/#(sls1[a-z2-7]{56})$")
        again = self.listener("web", "--listen", "127.0.0.1:0", "--new-seed", "--dir", self.landing)
        self.assertNotEqual(match[1], again.wait_line(r"#(sls1[a-z2-7]{56})$")[1])

    def test_what_is_refused(self) -> None:
        seed = ("--seed-file", self.seed)
        done = self.run_sealine("web", "--listen", "0.0.0.0:0", *seed)
        self.assert_exit(2, done)
        self.assertIn("--unsafe-listen", done.err)
        self.assert_exit(2, self.run_sealine("web", "--listen", "127.0.0.1:0"))
        self.assert_exit(2, self.run_sealine("web", "--new-seed", *seed))
        self.assert_exit(2, self.run_sealine("web", "--new-seed", "--json"))
        self.assert_exit(2, self.run_sealine("web", "--listen", "x", *seed))
        self.assert_exit(8, self.run_sealine("web", "--listen", "127.0.0.1:0", "--dir", self.dir / "none", *seed))

    def test_nobody_is_there(self) -> None:
        web = self.serve(stdin="pipe")
        web.write(b"hello\n/send /nonexistent\n")
        web.wait_line("nobody has the page open: the line was not sent")
        web.wait_line("'/nonexistent' was not sent")

    def test_a_port_that_is_taken(self) -> None:
        web = self.serve()
        done = self.run_sealine("web", "--listen", f"127.0.0.1:{web.port}", "--seed-file", self.seed)
        self.assert_exit(1, done)
        self.assertIn("port 0 takes any free one", done.err)


if __name__ == "__main__":
    cli_case.main()
