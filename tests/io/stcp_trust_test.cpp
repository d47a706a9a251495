#include "io/stcp_fixture.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Whom a stream trusts: given keys, first contacts, verdicts that come late, both ends' keys,
// secrets.

namespace sealine::io::stcp {
namespace {

using io::test::fresh_identity;
using io::test::Loopback;
using io::test::TemporaryFolder;

TEST(StcpStream, other_key_than_the_given_one_sends_nothing) {
  Loopback net;
  net.client_options.trust =
      std::make_shared<GivenKeyTrust>(std::vector{fresh_identity()->public_key});
  Stream client = net.new_client();
  EXPECT_EQ(net.try_connect(client), make_error_code(Errc::peer_key_changed));
  EXPECT_EQ(client.fault_point(), 7U);
  EXPECT_EQ(client.verdict()->pins.size(), 1U);
  net.run_until([&] { return !net.failures.empty(); });
  EXPECT_EQ(net.failures[0].error.code, Errc::truncated);
  EXPECT_EQ(client.statistics().records_sent, 0U);
}

TEST(StcpStream, first_contact_pins_and_later_ones_know) {
  Loopback net;
  const TemporaryFolder folder;
  const auto trust = std::make_shared<KnownPeersTrust>(KnownPeers(folder.path() / "known_peers"),
                                                       TrustPolicy::first);
  net.client_options.trust = trust;
  auto [first, at_server] = net.pair();
  EXPECT_EQ(first.connected().trust, TrustWord::first_contact);
  ASSERT_TRUE(first.connected().sas.has_value());
  EXPECT_EQ(first.connected().sas, at_server.connected().sas);
  auto [second, at_server_too] = net.pair();
  EXPECT_EQ(second.connected().trust, TrustWord::known);
  EXPECT_FALSE(second.connected().sas.has_value());
  EXPECT_NE(describe(second.connected()).find("(known), STCP/1 NX, AES-256-GCM"),
            std::string::npos);
}

TEST(StcpStream, concurrent_first_contacts_pin_one_key) {
  Loopback net;
  const TemporaryFolder folder;
  const KnownPeers file(folder.path() / "known_peers");
  std::vector<Stream> clients;
  std::size_t connected = 0;
  net.listener();
  for (int i = 0; i < 20; ++i) {
    net.client_options.trust = std::make_shared<KnownPeersTrust>(file, TrustPolicy::first);
    clients.push_back(net.new_client());
    clients.back().async_connect("127.0.0.1", net.listener().port(), [&](const error_code& ec) {
      EXPECT_FALSE(ec) << ec.message();
      ++connected;
    });
  }
  net.run_until([&] { return connected == clients.size(); });
  EXPECT_EQ(file.list()->size(), 1U);
}

TEST(StcpStream, announced_key_is_kept_beside_the_present_one) {
  Loopback net;
  const TemporaryFolder folder;
  const KnownPeers file(folder.path() / "known_peers");
  net.client_options.trust = std::make_shared<KnownPeersTrust>(file, TrustPolicy::first);
  auto [client, server] = net.pair();
  const auto next = fresh_identity()->public_key;
  ASSERT_TRUE(server.announce_next_key(next));
  EXPECT_FALSE(net.write(server, "x"));
  EXPECT_EQ(net.read_some(client).second, "x");
  const auto lines = file.list();
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[1].key, next);
}

/// Answers when the test says so.
class LateTrust final : public Trust {
 public:
  void decide(const Introduction& introduction, Answer answer) override {
    asked = introduction;
    answer_ = std::move(answer);
  }

  std::optional<Introduction> asked;
  Answer answer_;
};

TEST(StcpStream, waits_for_a_verdict_that_comes_later_from_another_thread) {
  Loopback net;
  const auto trust = std::make_shared<LateTrust>();
  net.client_options.trust = trust;
  Stream client = net.new_client();
  std::optional<error_code> connected;
  client.async_connect("127.0.0.1", net.listener().port(),
                       [&](const error_code& ec) { connected = ec; });
  net.run_until([&] { return trust->asked.has_value(); });
  EXPECT_EQ(trust->asked->peer, "127.0.0.1:" + std::to_string(net.listener().port()));
  std::thread([&] { trust->answer_(Verdict::accept(TrustWord::given)); }).join();
  net.run_until([&] { return connected.has_value(); });
  EXPECT_FALSE(*connected);
}

TEST(StcpStream, verdict_after_the_stream_is_gone_is_ignored) {
  Loopback net;
  const auto trust = std::make_shared<LateTrust>();
  net.client_options.trust = trust;
  {
    Stream client = net.new_client();
    client.async_connect("127.0.0.1", net.listener().port(), [](const error_code& ec) {
      EXPECT_EQ(ec, net::error::operation_aborted);
    });
    net.run_until([&] { return trust->asked.has_value(); });
  }
  trust->answer_(Verdict::accept(TrustWord::given));
  net.context.poll();
}

TEST(StcpStream, mutual_mode_shows_both_keys) {
  Loopback net;
  const auto client_key = fresh_identity();
  net.server_options.protocol.modes = {Mode::mutual};
  net.server_options.trust = std::make_shared<GivenKeyTrust>(std::vector{client_key->public_key});
  net.client_options.protocol.mode = Mode::mutual;
  net.client_options.protocol.identity = client_key;
  auto [client, server] = net.pair();
  EXPECT_EQ(server.peer().key, client_key->public_key);
  EXPECT_EQ(server.connected().trust, TrustWord::given);
  EXPECT_EQ(net.transfer(client, server, 1000), "ok");
}

TEST(StcpStream, wrong_psk_meets_silence) {
  Loopback net;
  crypto::Psk psk;
  psk.writable()[0] = 1;
  net.server_options.protocol.modes = {Mode::psk};
  net.server_options.protocol.psks.push_back(ServerPsk::make(thread_engine(), psk.clone()));
  net.client_options.protocol.mode = Mode::psk;
  net.client_options.protocol.psk = std::make_shared<const crypto::Psk>(psk.clone());
  {
    auto [client, server] = net.pair();
    EXPECT_EQ(client.connected().trust, TrustWord::psk);
    EXPECT_EQ(net.transfer(client, server, 1000), "ok");
  }
  psk.writable()[0] = 2;
  net.client_options.protocol.psk = std::make_shared<const crypto::Psk>(std::move(psk));
  Stream client = net.new_client();
  EXPECT_EQ(net.try_connect(client), make_error_code(Errc::truncated));
  ASSERT_EQ(net.failures.size(), 1U);
  EXPECT_EQ(net.failures[0].error.code, Errc::unknown_hint);
}

}  // namespace
}  // namespace sealine::io::stcp
