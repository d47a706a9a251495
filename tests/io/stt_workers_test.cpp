// A listener of many threads at one address: which of them a session comes to, and that it stays
// there. SPEC stt.md#session-ids
#include "io/detail/udp.hpp"
#include "io/stt/stray_datagrams.hpp"
#include "io/stt_loopback.hpp"
#include "io/stt_nat.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <memory>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::io::stt {
namespace {

using net::ip::udp;

constexpr std::size_t kWorkers = 4;
constexpr int kUdpSegmentOption = 103;
constexpr int kDetachFilterOption = 68;  // SO_DETACH_REUSEPORT_BPF

EndpointOptions many_workers(std::size_t workers = kWorkers) {
  EndpointOptions result = options();
  result.workers = workers;
  return result;
}

// Gives back what comes, on the executor of the stream.
Task echo_here(Stream stream) {
  Bytes buffer(65536);
  error_code ec;
  for (;;) {
    const std::size_t n = co_await stream.async_read_some(net::buffer(buffer),
                                                          net::redirect_error(use_awaitable, ec));
    if (ec) break;
    co_await net::async_write(stream, net::buffer(buffer, n),
                              net::redirect_error(use_awaitable, ec));
    if (ec) co_return;
  }
  if (ec == net::error::eof) {
    co_await stream.async_shutdown(net::redirect_error(use_awaitable, ec));
  }
}

class SttWorkers : public testing::Test {
 protected:
  // What a test knows of a session that was accepted: no more than what any thread may.
  struct Served {
    net::any_io_executor executor;
    std::shared_ptr<std::atomic<int>> moves = std::make_shared<std::atomic<int>>(0);
  };

  void begin(Loopback& net) {
    net.beside([this, &net]() -> Task {
      for (;;) {
        error_code ec;
        Session session = co_await net.server.async_accept(net::redirect_error(use_awaitable, ec));
        if (ec) co_return;
        const Served one{.executor = session.get_executor()};
        served.push_back(one);
        net::co_spawn(one.executor, serve(std::move(session), one), net::detached);
      }
    });
  }

  // On the thread of the session from its first line.
  static Task serve(Session session, Served served) {
    EXPECT_TRUE(co_await net::this_coro::executor == served.executor);
    session.on_event([moves = served.moves](const ::sealine::stt::Session::Event& event) {
      if (std::holds_alternative<::sealine::stt::PathChanged>(event)) ++*moves;
    });
    for (;;) {
      error_code ec;
      Stream stream = co_await session.async_accept(net::redirect_error(use_awaitable, ec));
      if (ec) co_return;
      EXPECT_TRUE(stream.get_executor() == served.executor);
      net::co_spawn(served.executor, echo_here(std::move(stream)), net::detached);
    }
  }

  static net::awaitable<void> expect_echo(Session& session, std::size_t size, Loopback& net) {
    const Bytes data = pattern(size, static_cast<unsigned>(size));
    Stream stream = session.open().value();
    net.beside([&]() -> Task {
      co_await net::async_write(stream, net::buffer(data), use_awaitable);
      co_await stream.async_shutdown(use_awaitable);
    });
    const Bytes back = co_await read_to_end(stream);
    EXPECT_TRUE(back == data) << back.size() << " of " << size;
  }

  [[nodiscard]] std::size_t threads_used() const {
    std::vector<net::any_io_executor> seen;
    for (const Served& one : served) {
      if (std::ranges::find(seen, one.executor) == seen.end()) seen.push_back(one.executor);
    }
    return seen.size();
  }

  std::vector<Served> served;
};

class Group : public Loopback {
 public:
  explicit Group(EndpointOptions server_options = many_workers(),
                 EndpointOptions client_options = options())
      : Loopback(std::move(server_options), std::move(client_options), Scheme::udp) {}

  [[nodiscard]] udp::endpoint address() const {
    return {net::ip::address_v4::loopback(), url().port};
  }
};

// The kernel spreads datagrams by their addresses from now on, as if it had never been told.
void stop_steering(Group& net) {
  udp::socket member(net.context, udp::v4());
  const int on = 1;
  ASSERT_EQ(::setsockopt(member.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
  member.bind(net.address());
  ASSERT_EQ(::setsockopt(member.native_handle(), SOL_SOCKET, kDetachFilterOption, &on, sizeof on),
            0);
}

// Two datagrams in one piece: the kernel looks at the first.
void send_as_train(udp::socket& from, const udp::endpoint& to, const Bytes& first,
                   const Bytes& second) {
  ASSERT_GE(first.size(), second.size());
  const int bytes = static_cast<int>(first.size());
  ASSERT_EQ(
      ::setsockopt(from.native_handle(), IPPROTO_UDP, kUdpSegmentOption, &bytes, sizeof bytes), 0);
  Bytes both = first;
  both.insert(both.end(), second.begin(), second.end());
  from.send_to(net::buffer(both), to);
}

TEST_F(SttWorkers, SessionsAreServedByAllOfThemEachByItsOwn) {
  EndpointOptions patient = many_workers();
  patient.listener.waiting = 256;
  Group net(patient);
  begin(net);
  std::vector<Session> ours(64);
  net.run([&]() -> Task {
    std::size_t open = ours.size();
    for (Session& session : ours) {
      net.beside([&]() -> Task {
        session = co_await net.client.async_connect(net.url(), use_awaitable);
        for (const std::size_t size : {1U, 5000U, 70000U}) {
          co_await expect_echo(session, size, net);
        }
        --open;
      });
    }
    while (open > 0) co_await net::post(net.context, use_awaitable);
  });
  EXPECT_EQ(served.size(), ours.size());
  EXPECT_EQ(threads_used(), kWorkers);
  const WorkerStatistics workers = net.server.workers();
  EXPECT_EQ(workers.count, kWorkers);
  EXPECT_EQ(workers.handed_over, 0U);
  EXPECT_EQ(workers.dropped, 0U);
  EXPECT_EQ(net.server.local_endpoints().size(), 1U);
  EXPECT_TRUE(net.failures.empty());
}

TEST_F(SttWorkers, WhereTheKernelDoesNotSteerDatagramsAreHandedOver) {
  Group net;
  begin(net);
  stop_steering(net);
  std::vector<Session> ours(16);
  net.run([&]() -> Task {
    for (Session& session : ours) {
      session = co_await net.client.async_connect(net.url(), use_awaitable);
      co_await expect_echo(session, 200000, net);
    }
  });
  EXPECT_EQ(served.size(), ours.size());
  EXPECT_GT(threads_used(), 1U) << "by chance that is all, but not for sure";
  EXPECT_GT(net.server.workers().handed_over, 0U);
}

TEST_F(SttWorkers, ASessionThatMovesStaysWithItsWorker) {
  Group net;
  begin(net);
  Nat nat(net);
  net.run([&]() -> Task {
    Session ours = co_await net.client.async_connect(nat.url(), use_awaitable);
    co_await expect_echo(ours, 1000, net);
    for (int i = 1; i <= 8; ++i) {
      nat.move();
      co_await expect_echo(ours, 50000, net);
      EXPECT_EQ(*served.at(0).moves, i);
    }
  });
  EXPECT_EQ(served.size(), 1U);
  EXPECT_EQ(net.server.workers().handed_over, 0U);
}

TEST_F(SttWorkers, AForgedDatagramByWayOfAnotherWorkerHarmsNothing) {
  Group net;
  begin(net);
  Nat nat(net);
  udp::socket stranger(net.context, udp::endpoint(net::ip::address_v4::loopback(), 0));
  net.run([&]() -> Task {
    Session ours = co_await net.client.async_connect(nat.url(), use_awaitable);
    co_await expect_echo(ours, 1000, net);
    // The session's id behind one that goes to the next worker.
    const Bytes seen = nat.last();
    co_await expect_echo(ours, 1000, net);  // it has come by its own way first
    Bytes lure = seen;
    lure[10] = static_cast<std::uint8_t>(lure[10] + 1);
    Bytes forged = seen;
    forged.back() ^= 1U;
    for (int i = 0; i < 50; ++i) {
      send_as_train(stranger, net.address(), lure, seen);  // as it was
      send_as_train(stranger, net.address(), lure, forged);
      send_as_train(stranger, net.address(), lure, Bytes(seen.begin(), seen.begin() + 12));
    }
    co_await expect_echo(ours, 100000, net);
    nat.move();
    co_await expect_echo(ours, 100000, net);
    EXPECT_EQ(*served.at(0).moves, 1);
    while (net.server.workers().handed_over < 150) {
      co_await net::post(net.context, use_awaitable);
    }
  });
  EXPECT_EQ(net.server.workers().handed_over, 150U);
  EXPECT_EQ(stranger.available(), 0U);
}

TEST_F(SttWorkers, AnAddressThatIsInUseIsRefusedToo) {
  Group net;
  Endpoint second(net.context.get_executor(), many_workers());
  error_code ec;
  second.listen(net.url(), ec);
  EXPECT_EQ(ec, net::error::address_in_use) << ec.message();
  Endpoint third(net.context.get_executor(), options());
  third.listen(net.url(), ec);
  EXPECT_EQ(ec, net::error::address_in_use) << ec.message();
  EXPECT_TRUE(second.local_endpoints().empty());
}

TEST_F(SttWorkers, TheirNumberIsLimited) {
  net::io_context context;
  for (const std::size_t workers : {std::size_t{0}, kMaxWorkers + 1}) {
    Endpoint endpoint(context.get_executor(), many_workers(workers));
    error_code ec;
    endpoint.listen({.scheme = Scheme::udp, .host = "127.0.0.1"}, ec);
    EXPECT_EQ(ec, make_error_code(Errc::bad_configuration)) << ec.message();
  }
}

TEST_F(SttWorkers, TheLimitOfSessionsIsThatOfAllWorkers) {
  EndpointOptions few = many_workers();
  few.listener.connections = 3;
  Group net(few);
  begin(net);
  EndpointOptions impatient = options();
  impatient.handshake_timeout = std::chrono::milliseconds(100);
  Endpoint another(net.context.get_executor(), impatient);
  std::vector<Session> ours(3);
  net.run([&]() -> Task {
    for (Session& session : ours) {
      session = co_await net.client.async_connect(net.url(), use_awaitable);
    }
    error_code ec;
    co_await another.async_connect(net.url(), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::peer_fell_silent)) << ec.message();
    while (net.failures.empty()) co_await net::post(net.context, use_awaitable);
  });
  EXPECT_EQ(net.failures.at(0).code, Errc::too_many_connections);
}

TEST_F(SttWorkers, ASessionMayBeDroppedOnAnyThread) {
  Group net;
  net.run([&]() -> Task {
    for (int i = 0; i < 8; ++i) {
      net.beside([&]() -> Task {
        // Gone at once, here, where none of them runs.
        static_cast<void>(co_await net.server.async_accept(use_awaitable));
      });
      Session ours = co_await net.client.async_connect(net.url(), use_awaitable);
      error_code ec;
      co_await ours.async_accept(net::redirect_error(use_awaitable, ec));
      EXPECT_EQ(ec, net::error::eof) << ec.message();
    }
  });
}

TEST_F(SttWorkers, SessionsEndWithTheirEndpointAndMayOutliveIt) {
  std::vector<Session> kept;
  Stream stream;
  auto net = std::make_unique<Group>();
  std::vector<Session> ours;
  net->run([&]() -> Task {
    for (int i = 0; i < 4; ++i) {
      auto [a, b] = co_await net->pair();
      kept.push_back(std::move(b));
      ours.push_back(std::move(a));
    }
    // One with a stream, made where it belongs; and one that waits there for ever.
    co_await net::co_spawn(
        kept[0].get_executor(),
        [&]() -> Task {
          stream = kept[0].open().value();
          co_return;
        },
        use_awaitable);
    net::co_spawn(
        kept[1].get_executor(),
        [&session = kept[1]]() -> Task {
          net::steady_timer never(co_await net::this_coro::executor,
                                  net::steady_timer::time_point::max());
          error_code ec;
          co_await session.async_accept(net::redirect_error(use_awaitable, ec));
          co_await never.async_wait(use_awaitable);
          ADD_FAILURE() << "nothing cancels it";
        },
        net::detached);
    net->server = Endpoint(net->context.get_executor(), options());
    for (Session& session : ours) {
      error_code ec;
      co_await session.async_accept(net::redirect_error(use_awaitable, ec));
      EXPECT_EQ(ec, net::error::eof) << ec.message();
    }
  });
  ours.clear();
  net.reset();
  EXPECT_EQ(kept[0].connected().scheme, Scheme::udp);
}

TEST_F(SttWorkers, AClosedListenerServesItsSessionsOn) {
  Group net;
  begin(net);
  std::vector<Session> ours(8);
  net.run([&]() -> Task {
    for (Session& session : ours) {
      session = co_await net.client.async_connect(net.url(), use_awaitable);
    }
    while (served.size() < ours.size()) co_await net::post(net.context, use_awaitable);
    net.server.close();
    EXPECT_TRUE(net.server.local_endpoints().empty());
    // Sockets go one after the other: what the kernel then gives to others finds its way.
    while (!ours.empty()) {
      for (Session& session : ours) co_await expect_echo(session, 5000, net);
      co_await ours.back().async_drain(use_awaitable);
      ours.pop_back();
    }
  });
}

TEST_F(SttWorkers, WebSocketIsBesideThemOnOnePort) {
  Loopback net(many_workers(), options(), Scheme::stt);
  begin(net);
  net.run([&]() -> Task {
    for (const Scheme scheme : {Scheme::stt, Scheme::udp, Scheme::ws}) {
      Url url = net.url();
      url.scheme = scheme;
      Session session = co_await net.client.async_connect(url, use_awaitable);
      EXPECT_EQ(session.connected().scheme, scheme == Scheme::ws ? Scheme::ws : Scheme::udp);
      co_await expect_echo(session, 100000, net);
    }
  });
  EXPECT_TRUE(served.at(2).executor == net.context.get_executor());
  EXPECT_EQ(net.server.workers().count, kWorkers);
}

// --- a kernel that does not steer

// For this process from now on: the filter is refused, as by an old kernel or a sandbox.
void refuse_steering() {
  constexpr std::uint32_t kAttachFilterOption = 51;  // SO_ATTACH_REUSEPORT_CBPF
  std::array<sock_filter, 6> code{{
      {.code = BPF_LD | BPF_W | BPF_ABS, .jt = 0, .jf = 0, .k = offsetof(seccomp_data, nr)},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 3, .k = SYS_setsockopt},
      {.code = BPF_LD | BPF_W | BPF_ABS, .jt = 0, .jf = 0, .k = offsetof(seccomp_data, args[2])},
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 0, .jf = 1, .k = kAttachFilterOption},
      {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = SECCOMP_RET_ERRNO | ENOPROTOOPT},
      {.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = SECCOMP_RET_ALLOW},
  }};
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

using SttWorkersDeathTest = SttWorkers;

TEST_F(SttWorkersDeathTest, WithoutSteeringThereIsOneWorker) {
  const auto serve_alone = [this] {
    refuse_steering();
    Group net;
    begin(net);
    net.run([&]() -> Task {
      for (int i = 0; i < 4; ++i) {
        Session ours = co_await net.client.async_connect(net.url(), use_awaitable);
        co_await expect_echo(ours, 10000, net);
      }
    });
    EXPECT_EQ(net.server.workers().count, 1U);
    EXPECT_EQ(net.server.local_endpoints().size(), 1U);
    EXPECT_EQ(threads_used(), 1U);
    EXPECT_TRUE(served.at(0).executor == net.context.get_executor());
    std::exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(serve_alone(), testing::ExitedWithCode(0), "");
}

// --- what is on its way between them

std::unique_ptr<StrayDatagram> stray(std::uint8_t producer, std::uint8_t number) {
  const Bytes bytes{producer, number};
  return std::make_unique<StrayDatagram>(3, bytes, IncomingTrain{});
}

TEST(SttStrayDatagrams, ComeInTheOrderOfWhoSentThem) {
  StrayDatagrams strays;
  EXPECT_EQ(strays.push(stray(0, 0)), StrayDatagrams::Pushed::first);
  for (std::uint8_t i = 1; i < 5; ++i) {
    EXPECT_EQ(strays.push(stray(0, i)), StrayDatagrams::Pushed::behind_others);
  }
  const auto taken = strays.take();
  ASSERT_EQ(taken.size(), 5U);
  for (std::uint8_t i = 0; i < 5; ++i) {
    EXPECT_EQ(taken[i]->bytes, (Bytes{0, i}));
    EXPECT_EQ(taken[i]->port, 3U);
    EXPECT_EQ(taken[i]->from.datagram_bytes, 2U);
  }
  EXPECT_TRUE(strays.take().empty());
  EXPECT_EQ(strays.push(stray(0, 0)), StrayDatagrams::Pushed::first);
}

TEST(SttStrayDatagrams, AreLimitedInNumber) {
  StrayDatagrams strays;
  for (std::size_t i = 0; i < StrayDatagrams::kMost; ++i) {
    EXPECT_NE(strays.push(stray(0, 0)), StrayDatagrams::Pushed::dropped);
  }
  EXPECT_EQ(strays.push(stray(0, 0)), StrayDatagrams::Pushed::dropped);
  EXPECT_EQ(strays.take().size(), StrayDatagrams::kMost);
  EXPECT_EQ(strays.push(stray(0, 0)), StrayDatagrams::Pushed::first);
}

TEST(SttStrayDatagrams, NoneIsLostBetweenThreads) {
  constexpr std::uint8_t kProducers = 4;
  constexpr int kEach = 2000;
  StrayDatagrams strays;
  std::atomic<int> wakes = 0;
  std::atomic<int> dropped = 0;
  std::atomic<int> producing = kProducers;
  std::vector<std::thread> threads;
  for (std::uint8_t producer = 0; producer < kProducers; ++producer) {
    threads.emplace_back([&, producer] {
      for (int i = 0; i < kEach; ++i) {
        const auto pushed = strays.push(stray(producer, static_cast<std::uint8_t>(i % 251)));
        if (pushed == StrayDatagrams::Pushed::first) ++wakes;
        if (pushed == StrayDatagrams::Pushed::dropped) ++dropped;
      }
      --producing;
    });
  }
  int taken = 0;
  int batches = 0;
  for (bool last = false; !last;) {
    last = producing == 0;
    const auto batch = strays.take();
    taken += static_cast<int>(batch.size());
    if (!batch.empty()) ++batches;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken + dropped, kProducers * kEach);
  EXPECT_EQ(wakes, batches);  // each batch has one who is to wake its taker
}

}  // namespace
}  // namespace sealine::io::stt
