// The primitives, and what STCP and STX make of them. See memcheck.hpp for what a case counts.
#include "sealine/base/secret.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/crypto/xaes.hpp"
#include "stcp/detail/hint.hpp"
#include "stcp/detail/record_ratchet.hpp"
#include "stx/detail/keys.hpp"
#include "tests/constant_time/memcheck.hpp"
#include "tests/support/hex.hpp"

#include <cstdio>
#include <string>

#if defined(SEALINE_HAVE_MEMCHECK)

namespace sealine {
namespace {

using test::make_public;
using test::make_secret;

void run(test::Cases& cases, crypto::Engine& engine) {
  const test::Bytes some = test::counting(32);

  cases.run("ct_equal", 0, [&] {
    test::Bytes secret = some;
    make_secret(secret);
    bool equal = crypto::ct_equal(secret, some);
    make_public(equal);
  });

  cases.run("ratchet step and the comparison of an IV", 0, [&] {
    stcp::detail::ChainKey ck{FixedView<32>(some.data(), 32)};
    make_secret(ck.expose());
    stcp::detail::RecordRatchet ratchet;
    ratchet.start(ck);
    for (int i = 0; i < 4; ++i) {
      ratchet.prepare(engine);
      bool equal = crypto::ct_equal(ratchet.iv(), ByteView(some).first(16));
      make_public(equal);
      ratchet.advance();
    }
  });

  cases.run("ratchet mix after a rekey", 0, [&] {
    stcp::detail::ChainKey ck{FixedView<32>(some.data(), 32)};
    stcp::detail::SharedX x{FixedView<32>(some.data(), 32)};
    make_secret(ck.expose());
    make_secret(x.expose());
    stcp::detail::RecordRatchet ratchet;
    ratchet.start(ck);
    ratchet.mix(engine, x, FixedView<32>(some.data(), 32));
  });

  cases.run("hint match", 0, [&] {
    crypto::Psk psk{FixedView<32>(some.data(), 32)};
    make_secret(psk.expose());
    const auto hint_key =
        crypto::derive<Secret<32, struct HintKeyTag>>(engine, psk.expose(), "stcp1 hint");
    const auto hint =
        stcp::detail::make_hint(engine, hint_key.expose(), FixedView<32>(some.data(), 32));
    bool equal = crypto::ct_equal(hint, ByteView(some).first(8));
    make_public(equal);
  });

  cases.run("STX hint match", 0, [&] {
    crypto::Psk psk{FixedView<32>(some.data(), 32)};
    make_secret(psk.expose());
    const stx::detail::Root root = stx::detail::root_of(engine, psk);
    const auto hint = stx::detail::make_hint(engine, root, FixedView<32>(some.data(), 32),
                                             FixedView<32>(some.data(), 32));
    bool equal = crypto::ct_equal(hint, ByteView(some).first(8));
    make_public(equal);
  });

  cases.run("STX proofs of client and server", 0, [&] {
    crypto::Psk psk{FixedView<32>(some.data(), 32)};
    make_secret(psk.expose());
    const stx::detail::Root root = stx::detail::root_of(engine, psk);
    const stx::detail::Transcript th{};
    bool equal = crypto::ct_equal(stx::detail::client_proof(engine, root, th), some);
    make_public(equal);
    equal = crypto::ct_equal(stx::detail::server_proof(engine, root, th, th), some);
    make_public(equal);
  });

  cases.run("STX keys of a lane", 0, [&] {
    crypto::Psk psk{FixedView<32>(some.data(), 32)};
    crypto::SharedSecret dh{FixedView<32>(some.data(), 32)};
    make_secret(psk.expose());
    make_secret(dh.expose());
    const stx::detail::Root root = stx::detail::root_of(engine, psk);
    const stx::detail::Transcript th{};
    static_cast<void>(stx::detail::lane_keys(engine, root, th, dh, th));
  });

  cases.run("sealing a record", 0, [&] {
    test::Bytes key = some;
    test::Bytes sealed(100 + crypto::kTagBytes);
    make_secret(key);
    make_secret(ByteView(sealed).first(100));
    engine.gcm_seal(FixedView<32>(key.data(), 32), FixedView<12>(some.data(), 12), some, {},
                    sealed);
  });

  cases.run("opening a record, up to the verdict on its tag", 2, [&] {
    test::Bytes key = some;
    test::Bytes sealed(1000 + crypto::kTagBytes);
    make_secret(key);
    static_cast<void>(engine.gcm_open(FixedView<32>(key.data(), 32), FixedView<12>(some.data(), 12),
                                      some, sealed, {}));
  });

  cases.run("sealing with XAES", 0, [&] {
    test::Bytes key = some;
    test::Bytes sealed(100 + crypto::kTagBytes);
    make_secret(key);
    crypto::xaes_seal(engine, FixedView<32>(key.data(), 32), FixedView<24>(some.data(), 24), some,
                      {}, sealed);
  });

  cases.run("X25519 public key", 0, [&] {
    test::Bytes key = some;
    make_secret(key);
    ByteArray<32> out{};
    engine.x25519_public(FixedView<32>(key.data(), 32), out);
  });

  cases.run("X25519, up to the verdict on zero", 3, [&] {
    test::Bytes key = some;
    ByteArray<32> peer{};
    engine.x25519_public(FixedView<32>(key.data(), 32), peer);
    make_secret(key);
    ByteArray<32> out{};
    static_cast<void>(engine.x25519(FixedView<32>(key.data(), 32), peer, out));
  });

  cases.run("private key to text", 0, [&] {
    crypto::PrivateKey key{FixedView<32>(some.data(), 32)};
    make_secret(key.expose());
    const SecretBytes text = crypto::private_key_text(engine, key);
    make_public(text.expose());
  });

  cases.run("private key from text, up to its verdicts", 3, [&] {
    const crypto::PrivateKey key{FixedView<32>(some.data(), 32)};
    const SecretBytes text = crypto::private_key_text(engine, key);
    make_secret(text.expose().subspan(4));  // the prefix is public
    static_cast<void>(crypto::parse_private_key(engine, as_text(text.expose())));
  });

  cases.run("PSK from hex, up to its verdict", 2, [&] {
    const std::string text = test::to_hex(some);
    make_secret(as_bytes(text));
    static_cast<void>(crypto::parse_psk(engine, text));
  });
}

}  // namespace
}  // namespace sealine

int main() { return sealine::test::for_each_engine(sealine::run); }

#else

int main() {
  std::printf("SKIPPED: no valgrind/memcheck.h\n");
  return 77;
}

#endif
