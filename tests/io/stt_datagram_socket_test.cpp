// The socket below STT over UDP, on loopback. spec: stt.md#udp
#include "io/stt/datagram_socket.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <vector>

namespace sealine::io::stt {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kDatagram = 1472;

Bytes some_bytes(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8U));
  return out;
}

UdpAddress loopback(bool ipv6 = false) {
  if (ipv6) return {net::ip::address_v6::loopback(), 0};
  return {net::ip::address_v4::loopback(), 0};
}

class Counting final : public DatagramSink {
 public:
  void readable() override { ++readable_count; }

  void writable() override { ++writable_count; }

  void drop_operations() override { ++dropped_count; }

  int readable_count = 0;
  int writable_count = 0;
  int dropped_count = 0;
};

// A socket that is bound, and one connected to it.
class SttDatagramSocket : public testing::Test {
 protected:
  void open(const DatagramSettings& settings = {}, const UdpAddress& at = loopback(),
            bool both_families = false) {
    server = std::make_unique<DatagramSocket>(context.get_executor(), settings);
    client = std::make_unique<DatagramSocket>(context.get_executor(), settings);
    error_code ec;
    server->bind(at, both_families, ec);
    ASSERT_FALSE(ec) << ec.message();
    UdpAddress peer = server->local_endpoint();
    if (peer.address().is_unspecified()) peer.address(net::ip::address_v4::loopback());
    client->connect(peer, ec);
    ASSERT_FALSE(ec) << ec.message();
  }

  // Waits until something is there: nothing else reads.
  void receive(DatagramSocket& from) {
    error_code ec;
    from.receive(batch, ec);
    if (ec == net::error::would_block) {
      const auto sink = std::make_shared<Counting>();
      from.wait_readable(sink);
      context.restart();
      context.run_for(std::chrono::seconds(20));
      ASSERT_EQ(sink->readable_count, 1);
      from.receive(batch, ec);
    }
    ASSERT_FALSE(ec) << ec.message();
    ASSERT_FALSE(batch.trains().empty());
  }

  // The datagrams of everything up to `total` bytes.
  std::vector<std::size_t> receive_all(DatagramSocket& from, std::size_t total, Bytes& bytes) {
    std::vector<std::size_t> lengths;
    while (bytes.size() < total) {
      receive(from);
      if (HasFatalFailure()) break;
      for (const IncomingTrain& train : batch.trains()) {
        for (std::size_t at = 0; at < train.bytes.size(); at += train.datagram_bytes) {
          lengths.push_back(std::min(train.datagram_bytes, train.bytes.size() - at));
        }
        bytes.insert(bytes.end(), train.bytes.begin(), train.bytes.end());
      }
    }
    return lengths;
  }

  void send(DatagramSocket& to, const Bytes& bytes, std::size_t datagram_bytes,
            const UdpAddress* peer = nullptr, const net::ip::address& from = {}) {
    error_code ec;
    to.send({.bytes = bytes, .datagram_bytes = datagram_bytes, .to = peer, .from = from}, ec);
    ASSERT_FALSE(ec) << ec.message();
  }

  // `count` datagrams and a shorter one, each as it was sent.
  void expect_carried(std::size_t count) {
    const Bytes data = some_bytes((count * kDatagram) + 100);
    send(*client, data, kDatagram);
    Bytes came;
    const std::vector<std::size_t> lengths = receive_all(*server, data.size(), came);
    EXPECT_TRUE(came == data);
    std::vector<std::size_t> expected(count, kDatagram);
    expected.push_back(100);
    EXPECT_EQ(lengths, expected);
  }

  net::io_context context{1};
  ReceiveBatch batch;
  std::unique_ptr<DatagramSocket> server;
  std::unique_ptr<DatagramSocket> client;
};

TEST_F(SttDatagramSocket, ATrainKeepsItsDatagrams) {
  open();
  for (const std::size_t count : {0U, 1U, 2U, 43U}) expect_carried(count);
  EXPECT_EQ(client->counts().unsegmented, 0U);
}

TEST_F(SttDatagramSocket, OneByOneWhereTheKernelHasNoTrains) {
  for (const auto& [sends, receives] :
       {std::pair(false, false), std::pair(true, false), std::pair(false, true)}) {
    open({.sends_trains = sends, .receives_trains = receives});
    expect_carried(43);
    EXPECT_TRUE(sends || !client->counts().sends_trains);
    EXPECT_TRUE(receives || !server->counts().receives_trains);
  }
}

TEST_F(SttDatagramSocket, ARefusedTrainGoesOneByOneFromThenOn) {
  open();
  if (!client->counts().sends_trains) GTEST_SKIP() << "the kernel has no UDP_SEGMENT";
  // A socket without checksums: its trains get EINVAL.
  const int one = 1;
  ASSERT_EQ(::setsockopt(client->native_handle(), SOL_SOCKET, SO_NO_CHECK, &one, sizeof one), 0);
  expect_carried(43);
  EXPECT_EQ(client->counts().unsegmented, 1U);
  EXPECT_FALSE(client->counts().sends_trains);
  expect_carried(43);
  EXPECT_EQ(client->counts().unsegmented, 1U);
}

TEST_F(SttDatagramSocket, WhatIsTooLargeIsLostAndSaysNothingOfTrains) {
  open();
  const bool had_trains = client->counts().sends_trains;
  send(*client, some_bytes(65520), 65520);
  send(*client, some_bytes(2 * 65520), 65520);
  EXPECT_EQ(client->counts().sends_trains, had_trains);
  expect_carried(3);
}

TEST_F(SttDatagramSocket, TheMarkIsSentAndSeen) {
  for (const bool ipv6 : {false, true}) {
    open({}, loopback(ipv6));
    send(*client, some_bytes(10), 10);
    receive(*server);
    EXPECT_EQ(batch.trains()[0].mark, EcnMark::ect0);
    const int ce = 3;
    const int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    ASSERT_EQ(
        ::setsockopt(client->native_handle(), level, ipv6 ? IPV6_TCLASS : IP_TOS, &ce, sizeof ce),
        0);
    send(*client, some_bytes(10), 10);
    receive(*server);
    EXPECT_EQ(batch.trains()[0].mark, EcnMark::ce);
  }
}

TEST_F(SttDatagramSocket, AnAnswerComesFromTheAddressThatWasAsked) {
  open({}, {net::ip::address_v4::any(), 0});
  const UdpAddress asked(net::ip::make_address("127.0.0.7"), server->local_endpoint().port());
  error_code ec;
  client->connect(asked, ec);
  ASSERT_FALSE(ec) << ec.message();
  send(*client, some_bytes(10), 10);
  receive(*server);
  const IncomingTrain question = batch.trains()[0];
  EXPECT_EQ(question.to, asked.address());
  EXPECT_EQ(question.from, client->local_endpoint());
  send(*server, some_bytes(3000), 1000, &question.from, question.to);
  Bytes came;
  receive_all(*client, 3000, came);
  EXPECT_EQ(batch.trains()[0].from, asked);
}

TEST_F(SttDatagramSocket, OneSocketForBothFamilies) {
  open({}, {net::ip::address_v6::any(), 0}, true);
  send(*client, some_bytes(3000), 1000);
  Bytes came;
  receive_all(*server, 3000, came);
  const IncomingTrain question = batch.trains()[0];
  EXPECT_EQ(question.mark, EcnMark::ect0);
  ASSERT_TRUE(question.to.is_v6());
  EXPECT_TRUE(question.to.to_v6().is_v4_mapped());
  send(*server, some_bytes(3000), 1000, &question.from, question.to);
  came.clear();
  receive_all(*client, 3000, came);
  EXPECT_EQ(batch.trains()[0].mark, EcnMark::ect0);
  EXPECT_TRUE(came == some_bytes(3000));
}

TEST_F(SttDatagramSocket, DatagramsAreNeverFragmented) {
  for (const bool ipv6 : {false, true}) {
    open({}, loopback(ipv6));
    int how = -1;
    socklen_t size = sizeof how;
    const int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const int name = ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
    ASSERT_EQ(::getsockopt(client->native_handle(), level, name, &how, &size), 0);
    EXPECT_EQ(how, ipv6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE);
  }
}

TEST_F(SttDatagramSocket, ItSaysWhatBuffersItWasGiven) {
  open({.buffer_bytes = 65536});
  EXPECT_EQ(server->counts().receive_buffer_bytes, 65536U);
  EXPECT_EQ(server->counts().send_buffer_bytes, 65536U);
  open({.buffer_bytes = std::size_t{1} << 30U});
  int given = 0;
  socklen_t size = sizeof given;
  ASSERT_EQ(::getsockopt(server->native_handle(), SOL_SOCKET, SO_RCVBUF, &given, &size), 0);
  EXPECT_EQ(server->counts().receive_buffer_bytes, static_cast<std::size_t>(given) / 2);
}

TEST_F(SttDatagramSocket, WhatFindsTheBufferFullIsCounted) {
  open({.buffer_bytes = 4096});
  for (int i = 0; i < 100; ++i) send(*client, some_bytes(1000), 1000);
  receive(*server);
  error_code ec;
  while (!ec) server->receive(batch, ec);
  send(*client, some_bytes(1000), 1000);  // the count comes with the next one
  receive(*server);
  EXPECT_GT(server->counts().overflowed, 10U);
  EXPECT_LT(server->counts().overflowed, 101U);
}

TEST_F(SttDatagramSocket, APeerThatIsNotThereRefuses) {
  open();
  server->close();
  EXPECT_FALSE(server->is_open());
  send(*client, some_bytes(10), 10);
  error_code ec;
  client->receive(batch, ec);
  EXPECT_EQ(ec, net::error::connection_refused) << ec.message();
  EXPECT_TRUE(batch.trains().empty());
  client->receive(batch, ec);
  EXPECT_EQ(ec, net::error::would_block) << ec.message();
}

TEST_F(SttDatagramSocket, AWaitTellsItsSinkOnce) {
  open();
  const auto sink = std::make_shared<Counting>();
  client->wait_writable(sink);
  client->wait_readable(sink);
  while (sink->writable_count == 0 && context.run_one() > 0) {
  }
  EXPECT_EQ(sink->writable_count, 1);
  client->close();
  context.run();
  // It may have looked, and found nothing, before it slept.
  EXPECT_LE(sink->readable_count, 1);
  EXPECT_EQ(sink->dropped_count, 0);
  EXPECT_EQ(sink.use_count(), 1);
}

// As a session does: it owns its socket.
class Owner final : public DatagramSink {
 public:
  explicit Owner(const net::any_io_executor& executor, bool& dropped)
      : socket(std::make_unique<DatagramSocket>(executor, DatagramSettings{})),
        dropped_(&dropped) {}

  void readable() override {}

  void writable() override {}

  void drop_operations() override { *dropped_ = true; }

  std::unique_ptr<DatagramSocket> socket;

 private:
  bool* dropped_;
};

TEST_F(SttDatagramSocket, ASinkIsToldThatItsContextIsGone) {
  bool dropped = false;
  std::weak_ptr<Owner> seen;
  {
    net::io_context other(1);
    const auto owner = std::make_shared<Owner>(other.get_executor(), dropped);
    error_code ec;
    owner->socket->bind(loopback(), false, ec);
    owner->socket->wait_readable(owner);
    seen = owner;
  }
  EXPECT_TRUE(dropped);
  EXPECT_TRUE(seen.expired());
}

}  // namespace
}  // namespace sealine::io::stt
