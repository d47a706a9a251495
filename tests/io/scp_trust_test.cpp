// Who may talk to whom: modes, first contact, changed keys, lists. spec: scp.md#handshake
#include "scp_fixture.hpp"
#include "sealine/io/allow_file.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/trust.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace sealine::io::scp {
namespace {

using test::code_of;
using test::ScpLoopback;
using test::TemporaryFolder;
using test::until;

std::shared_ptr<const crypto::Psk> psk_of(std::uint8_t byte) {
  auto psk = std::make_shared<crypto::Psk>();
  for (auto& each : psk->writable()) each = byte;
  return psk;
}

/// One attempt, as the caller of connect sees it.
net::awaitable<std::optional<ConnectFailure>> try_dial(ScpLoopback& net) {
  auto options = std::make_shared<const ClientOptions>(net.client_options);
  auto channel = co_await connect("127.0.0.1", net.server().port(), options, as_result);
  if (channel) {
    channel->drop();
    co_return std::nullopt;
  }
  co_return channel.error();
}

TEST(ScpTrust, EachModeSaysHowFarThePeerIsKnown) {
  struct Row {
    Mode mode;
    TrustWord client_word;
    TrustWord server_word;
    bool keys;
  };

  const std::vector<Row> rows = {
      {Mode::anonymous, TrustWord::not_authenticated, TrustWord::not_authenticated, false},
      {Mode::pinned, TrustWord::given, TrustWord::known, true},
      {Mode::mutual, TrustWord::given, TrustWord::known, true},
      {Mode::psk, TrustWord::psk, TrustWord::psk, false},
      {Mode::pinned_psk, TrustWord::given, TrustWord::known, true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(::sealine::scp::pattern_name(row.mode));
    ScpLoopback net;
    net.server_options.protocol.modes = {row.mode};
    net.server_options.protocol.psks = {psk_of(1), psk_of(2)};
    net.client_options.protocol.mode = row.mode;
    net.client_options.protocol.psk = psk_of(2);
    net.client_options.protocol.server_key = net.server_options.protocol.identity->public_key;
    net.run([&]() -> Task {
      auto [client, server] = co_await net.pair();
      co_await client.send("hello");
      EXPECT_EQ((co_await server.receive()).text(), "hello");
      EXPECT_EQ(client.connected().trust, row.client_word);
      EXPECT_EQ(server.connected().trust, row.server_word);
      EXPECT_EQ(client.connected().key.has_value(), row.keys);
      if (row.keys) {
        EXPECT_EQ(server.connected().key, net.client_options.protocol.identity->public_key);
      }
      if (row.mode == Mode::psk) {
        EXPECT_EQ(server.connected().psk_index, 1U);
      }
    });
  }
}

TEST(ScpTrust, TheReportNamesKeyTrustAndMode) {
  Connected connected;
  connected.mode = Mode::psk;
  connected.trust = TrustWord::psk;
  EXPECT_EQ(describe(connected), "(psk), SCP/1 NNpsk0, AES-256-GCM");
  connected.mode = Mode::mutual;
  connected.trust = TrustWord::first_contact;
  connected.key = crypto::PublicKey{};
  EXPECT_TRUE(describe(connected).starts_with("slp1"));
  EXPECT_TRUE(describe(connected).ends_with(" (new, pinned), SCP/1 XX, AES-256-GCM"));
}

TEST(ScpTrust, TheFirstContactIsPinnedAndTheSecondIsKnown) {
  const TemporaryFolder folder;
  ScpLoopback net;
  net.client_options.trust = std::make_shared<KnownPeersTrust>(
      KnownPeers(folder.path() / "known_peers"), TrustPolicy::first);
  net.run([&]() -> Task {
    auto [first, at_server] = co_await net.pair();
    EXPECT_EQ(first.connected().trust, TrustWord::first_contact);
    auto [second, again] = co_await net.pair();
    EXPECT_EQ(second.connected().trust, TrustWord::known);
  });
}

TEST(ScpTrust, AChangedKeyIsAHardStopAndNoMessageIsSent) {
  const TemporaryFolder folder;
  ScpLoopback net;
  KnownPeers known(folder.path() / "known_peers");
  const auto other = test::fresh_identity()->public_key;
  ASSERT_TRUE(known.add("127.0.0.1:" + std::to_string(net.server().port()), other));
  net.client_options.trust = std::make_shared<KnownPeersTrust>(known, TrustPolicy::first);
  net.run([&]() -> Task {
    const auto failure = co_await try_dial(net);
    EXPECT_EQ(failure->error.code, Errc::peer_key_changed);
    EXPECT_EQ(failure->verdict->pins.front(), other);
    EXPECT_EQ(failure->key, net.server_options.protocol.identity->public_key);
    EXPECT_TRUE(failure->was_connected);
    co_await until([&net] { return !net.failures.empty(); });
    EXPECT_EQ(net.server().statistics().established, 0U);
  });
}

TEST(ScpTrust, AStrangerIsRefusedWherePinnedIsAsked) {
  const TemporaryFolder folder;
  ScpLoopback net;
  net.client_options.trust = std::make_shared<KnownPeersTrust>(
      KnownPeers(folder.path() / "known_peers"), TrustPolicy::pinned);
  net.run(
      [&]() -> Task { EXPECT_EQ((co_await try_dial(net))->error.code, Errc::peer_key_refused); });
}

TEST(ScpTrust, AClientThatIsNotOnTheListGetsNoChannel) {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "allow") << "# nobody\n";
  ScpLoopback net;
  net.server_options.trust =
      std::make_shared<AllowFileTrust>(AllowFile::open(folder.path() / "allow").value());
  net.run([&]() -> Task {
    auto client = co_await net.dial();  // XX: the client has done its part
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::truncated);
    co_await until([&net] { return !net.failures.empty(); });
    EXPECT_EQ(net.failures.front().error.code, Errc::peer_key_refused);
    EXPECT_EQ(net.failures.front().key, net.client_options.protocol.identity->public_key);
    EXPECT_EQ(net.server().statistics().channels, 0U);
  });
}

TEST(ScpTrust, AWrongPinnedKeyMeetsSilence) {
  ScpLoopback net;
  net.client_options.protocol.mode = Mode::pinned;
  net.client_options.protocol.server_key = test::fresh_identity()->public_key;
  net.run([&]() -> Task {
    EXPECT_EQ((co_await try_dial(net))->error.code, Errc::truncated);
    co_await until([&net] { return !net.failures.empty(); });
    EXPECT_EQ(net.failures.front().error.code, Errc::hello_not_authentic);
  });
}

TEST(ScpTrust, AWrongSharedSecretMeetsSilence) {
  ScpLoopback net;
  net.server_options.protocol.modes = {Mode::psk};
  net.server_options.protocol.psks = {psk_of(1)};
  net.client_options.protocol.mode = Mode::psk;
  net.client_options.protocol.psk = psk_of(9);
  net.run([&]() -> Task {
    EXPECT_TRUE(co_await try_dial(net));
    co_await until([&net] { return !net.failures.empty(); });
    EXPECT_EQ(net.failures.front().error.code, Errc::hello_not_authentic);
  });
}

TEST(ScpTrust, AModeThatIsNotAllowedIsRefused) {
  ScpLoopback net;
  net.client_options.protocol.mode = Mode::anonymous;
  net.run([&]() -> Task {
    EXPECT_TRUE(co_await try_dial(net));
    co_await until([&net] { return !net.failures.empty(); });
    EXPECT_EQ(net.failures.front().error.code, Errc::mode_refused);
  });
}

/// Answers from another thread, some time later. The threads are the test's.
class SlowTrust final : public Trust {
 public:
  explicit SlowTrust(std::vector<std::jthread>& threads) : threads_(threads) {}

  void decide(const Introduction& /*introduction*/, Answer answer) override {
    threads_.emplace_back(
        [answer = std::move(answer)]() mutable { answer(Verdict::accept(TrustWord::known)); });
  }

 private:
  std::vector<std::jthread>& threads_;
};

TEST(ScpTrust, AVerdictMayComeLaterAndFromAnotherThread) {
  std::vector<std::jthread> threads;
  ScpLoopback net;
  net.client_options.trust = std::make_shared<SlowTrust>(threads);
  net.server_options.trust = std::make_shared<SlowTrust>(threads);
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    co_await client.send("hello");
    EXPECT_TRUE(co_await server.receive());
  });
  threads.clear();  // each is joined while there is an executor to answer to
}

/// Never answers.
class SilentTrust final : public Trust {
 public:
  void decide(const Introduction& /*introduction*/, Answer /*answer*/) override {}
};

TEST(ScpTrust, AVerdictThatNeverComesEndsWithTheHandshakesTime) {
  ScpLoopback net;
  net.client_options.trust = std::make_shared<SilentTrust>();
  net.client_options.protocol.limits.handshake_timeout = std::chrono::milliseconds(30);
  net.run(
      [&]() -> Task { EXPECT_EQ((co_await try_dial(net))->error.code, Errc::handshake_timeout); });
}

TEST(ScpTrust, NobodyThereAndNoSuchNameSayWhichItIs) {
  ScpLoopback net;
  net::ip::tcp::acceptor closed(net.context, {net::ip::make_address("127.0.0.1"), 0});
  const std::uint16_t port = closed.local_endpoint().port();
  closed.close();
  net.run([&]() -> Task {
    auto options = std::make_shared<const ClientOptions>(net.client_options);
    const auto refused = co_await connect("127.0.0.1", port, options, as_result);
    EXPECT_EQ(refused.error().error.code, Errc::connection_refused);
    EXPECT_FALSE(refused.error().was_connected);
    const auto bad = co_await connect("not a host", port, options, as_result);
    EXPECT_EQ(bad.error().error.code, Errc::usage);
  });
}

TEST(ScpTrust, KeysAndTrustComeFromTheStateDirectoryByThemselves) {
  const TemporaryFolder folder;
  ::setenv("SEALINE_STATE_DIR", (folder.path() / "state").c_str(), 1);
  {
    ScpLoopback net;
    net.server_options.protocol.identity = nullptr;
    net.server_options.trust = nullptr;
    net.client_options = {};
    net.run([&]() -> Task {
      auto [client, server] = co_await net.pair();
      EXPECT_EQ(client.connected().trust, TrustWord::first_contact);
      EXPECT_EQ(server.connected().trust, TrustWord::first_contact);
    });
  }
  ::unsetenv("SEALINE_STATE_DIR");
  for (const char* name : {"identity", "known_peers", "known_clients"}) {
    EXPECT_TRUE(std::filesystem::exists(folder.path() / "state" / name)) << name;
  }
}

}  // namespace
}  // namespace sealine::io::scp
