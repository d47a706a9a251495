#include "sealine/io/stx.hpp"
#include "stx_driver_fixture.hpp"

#include <gmock/gmock.h>
#if defined(SEALINE_ASIO_BOOST)
#include <boost/asio/bind_cancellation_slot.hpp>
#else
#include <asio/bind_cancellation_slot.hpp>
#endif
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <limits>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace sealine::io::test {
namespace {

using namespace std::chrono_literals;
using stx::Code;
using stx::FileState;

constexpr std::size_t kMiB = std::size_t{1} << 20U;

/// The STCP form: identities of both ends, the receiver's pinned by the sender, and a receiver that
/// knows nobody.
struct StcpForm {
  explicit StcpForm(StxLoopback& loop) : receiver(fresh_identity()), sender(fresh_identity()) {
    loop.send_options.key = nullptr;
    loop.send_options.stcp.protocol.identity = sender;
    loop.send_options.stcp.trust =
        std::make_shared<GivenKeyTrust>(std::vector{receiver->public_key});
    loop.configure = [this](stx::ReceiveOptions& options) {
      options.keys.clear();
      options.stcp.protocol.identity = receiver;
      options.known_clients = KnownPeers(state.path() / "clients", KnownPeers::Kind::clients);
      options.stcp.trust =
          std::make_shared<KnownPeersTrust>(*options.known_clients, TrustPolicy::pinned);
      options.on_stranger = on_stranger;
    };
  }

  std::shared_ptr<const crypto::KeyPair> receiver;
  std::shared_ptr<const crypto::KeyPair> sender;
  TemporaryFolder state;
  stx::JudgeStranger on_stranger;
};

TEST(StxDriverSessions, ACutTransferGoesOnWhereItWas) {
  StxLoopback loop;
  const auto bytes = pattern(24 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  for (int i = 0; i < 30; ++i) {
    write_file(loop.source.path() / "d" / std::to_string(i), pattern(3000));
  }
  loop.send_options.block_bytes = 1U << 16U;
  // In the handshake, between frames, within them, near the end: places without any pattern.
  loop.through_proxy().cut_after({30, 100, 300, 70'001, 5'000'000, 9'999'999, 7'777'777});
  const auto report = loop.send({loop.source.path() / "f", loop.source.path() / "d"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_TRUE(report->failures.empty());
  EXPECT_EQ(report->files, 31U);
  EXPECT_EQ(tree_of(loop.target.path()), tree_of(loop.source.path()));
  EXPECT_GE(loop.retries, 6U);
  // What has arrived is proved, not sent again.
  EXPECT_GT(report->resumed_bytes, 0U);
}

TEST(StxDriverSessions, DamageOnTheLineIsSentAgain) {
  StxLoopback loop;
  const auto bytes = pattern(4 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  loop.through_proxy().damage_at(2'000'000);
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(report->connections, 1U);
  EXPECT_GT(report->sent_bytes, bytes.size());
  EXPECT_EQ(read_file(loop.target.path() / "f"), bytes);
}

TEST(StxDriverSessions, ALostLaneIsReplaced) {
  StxLoopback loop;
  const auto bytes = pattern(24 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  loop.send_options.lanes = 2;
  unsigned lost = 0;
  loop.send_options.on_notice = [&](const stx::Notice& notice) {
    if (notice.kind == stx::Notice::Kind::lane_lost) ++lost;
  };
  constexpr auto kNever = std::numeric_limits<std::uint64_t>::max();
  loop.through_proxy().cut_after({kNever, 3'000'000});
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(report->connections, 1U);
  EXPECT_GE(lost, 1U);
  EXPECT_EQ(read_file(loop.target.path() / "f"), bytes);
}

TEST(StxDriverSessions, ARestartedReceiverGoesOnWithThePart) {
  StxLoopback loop;
  const auto bytes = pattern(16 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  loop.through_proxy().cut_after({10'000'000});
  loop.send_options.retry = Duration{};
  EXPECT_EQ(loop.send({loop.source.path() / "f"}).error().code, Errc::gave_up);
  loop.wait_for_ends(1);
  EXPECT_FALSE(std::filesystem::exists(loop.target.path() / "f"));
  const auto listed = stx::list_transfers(loop.target.path());
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ((*listed)[0].name, "f");
  EXPECT_GT((*listed)[0].have_bytes, 8'000'000U);

  loop.proxy->close();
  loop.proxy.reset();
  loop.restart_receiver();
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(report->resumed_files, 1U);
  EXPECT_GE(report->resumed_bytes, (*listed)[0].have_bytes);
  EXPECT_EQ(report->sent_bytes + report->resumed_bytes, bytes.size());
  EXPECT_EQ(read_file(loop.target.path() / "f"), bytes);
}

TEST(StxDriverSessions, DiscardedPartsAreGone) {
  StxLoopback loop;
  write_file(loop.source.path() / "f", pattern(8 * kMiB));
  loop.through_proxy().cut_after({5'000'000});
  loop.send_options.retry = Duration{};
  ASSERT_FALSE(loop.send({loop.source.path() / "f"}));
  loop.wait_for_ends(1);
  EXPECT_EQ(stx::discard_transfers(loop.target.path()).value_or(0), 1U);
  EXPECT_TRUE(tree_of(loop.target.path()).empty());
  EXPECT_TRUE(stx::list_transfers(loop.target.path())->empty());
}

TEST(StxDriverSessions, StandardInputSurvivesLostConnections) {
  StxLoopback loop;
  const auto bytes = pattern(12 * kMiB + 5);
  write_file(loop.source.path() / "in", bytes);
  const OpenFile input(loop.source.path() / "in");
  loop.send_options.input = input.value();
  loop.send_options.input_name = "dump";
  loop.through_proxy().cut_after({3'000'000, 4'000'000});
  const auto report = loop.send({"-"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_TRUE(report->failures.empty());
  EXPECT_EQ(read_file(loop.target.path() / "dump"), bytes);
}

TEST(StxDriverSessions, ManySendersAtOnce) {
  StxLoopback loop;
  loop.configure = [](stx::ReceiveOptions& options) { options.per_sender = true; };
  constexpr std::size_t kSenders = 50;
  std::size_t done = 0;
  (void)loop.listening();
  for (std::size_t i = 0; i < kSenders; ++i) {
    const std::string name = "file" + std::to_string(i);
    write_file(loop.source.path() / name, pattern(300'000, static_cast<std::uint32_t>(i)));
    loop.start_send({loop.source.path() / name}, loop.send_options,
                    [&](Result<stx::SendReport> report) {
                      EXPECT_TRUE(report) << to_string(report.error().code);
                      ++done;
                    });
  }
  loop.run_until([&] { return done == kSenders; });
  // One key: one sender's folder.
  const auto folder = loop.target.path() / loop.received.front().peer_id;
  for (std::size_t i = 0; i < kSenders; ++i) {
    EXPECT_EQ(read_file(folder / ("file" + std::to_string(i))),
              pattern(300'000, static_cast<std::uint32_t>(i)));
  }
}

TEST(StxDriverSessions, MoreSendersThanAllowedWaitTheirTurn) {
  StxLoopback loop;
  loop.configure = [](stx::ReceiveOptions& options) { options.max_senders = 1; };
  std::size_t done = 0;
  (void)loop.listening();
  for (int i = 0; i < 3; ++i) {
    const std::string name = "file" + std::to_string(i);
    write_file(loop.source.path() / name, pattern(2'000'000));
    loop.start_send({loop.source.path() / name}, loop.send_options,
                    [&](Result<stx::SendReport> report) {
                      EXPECT_TRUE(report) << to_string(report.error().code);
                      ++done;
                    });
  }
  loop.run_until([&] { return done == 3; });
}

TEST(StxDriverSessions, OfTwoSendersOfOneNameTheNewerWins) {
  StxLoopback loop;
  write_file(loop.source.path() / "a" / "f", pattern(20 * kMiB, 1));
  write_file(loop.source.path() / "b" / "f", pattern(2 * kMiB, 2));
  std::optional<Result<stx::SendReport>> older;
  std::optional<Result<stx::SendReport>> newer;
  stx::SendOptions slow = loop.send_options;
  slow.rate_limit = 2 * kMiB;
  slow.on_progress = [&](const stx::Progress& progress) {
    if (newer || progress.done_bytes == 0) return;
    newer.emplace(fail(Errc::cancelled));
    loop.start_send({loop.source.path() / "b" / "f"}, loop.send_options,
                    [&](Result<stx::SendReport> report) { newer.emplace(std::move(report)); });
  };
  loop.start_send({loop.source.path() / "a" / "f"}, slow,
                  [&](Result<stx::SendReport> report) { older.emplace(std::move(report)); });
  loop.run_until([&] { return older && newer && newer->has_value(); });
  EXPECT_EQ(older->error().code, Errc::superseded);
  EXPECT_EQ(read_file(loop.target.path() / "f"), pattern(2 * kMiB, 2));
}

TEST(StxDriverSessions, CancellingEndsASenderAndKeepsWhatIsThere) {
  StxLoopback loop;
  write_file(loop.source.path() / "f", pattern(20 * kMiB));
  std::stop_source stop;
  loop.send_options.rate_limit = 2 * kMiB;
  loop.send_options.stop = stop.get_token();
  loop.send_options.on_progress = [&](const stx::Progress& progress) {
    if (progress.done_bytes != 0) stop.request_stop();
  };
  EXPECT_EQ(loop.send({loop.source.path() / "f"}).error().code, Errc::cancelled);
  loop.wait_for_ends(1);
  EXPECT_EQ(stx::list_transfers(loop.target.path())->size(), 1U);
}

TEST(StxDriverSessions, ACancelledCoroutineEndsToo) {
  StxLoopback loop;
  write_file(loop.source.path() / "f", pattern(20 * kMiB));
  net::cancellation_signal signal;
  loop.send_options.rate_limit = 2 * kMiB;
  loop.send_options.on_progress = [&](const stx::Progress& progress) {
    if (progress.done_bytes != 0) signal.emit(net::cancellation_type::terminal);
  };
  std::optional<Result<stx::SendReport>> outcome;
  net::co_spawn(
      loop.context,
      stx::send_files("127.0.0.1", loop.port(), {loop.source.path() / "f"}, loop.send_options),
      net::bind_cancellation_slot(signal.slot(),
                                  [&](const std::exception_ptr&, Result<stx::SendReport> report) {
                                    outcome.emplace(std::move(report));
                                  }));
  loop.run_until([&] { return outcome.has_value(); });
  EXPECT_EQ(outcome->error().code, Errc::cancelled);
}

TEST(StxDriverSessions, AStoppedReceiverIsWaitedFor) {
  StxLoopback loop;
  const auto bytes = pattern(6 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  bool stopped = false;
  loop.send_options.rate_limit = 8 * kMiB;
  loop.send_options.retry = Duration{};
  loop.send_options.on_progress = [&](const stx::Progress& progress) {
    if (stopped || progress.done_bytes == 0) return;
    stopped = true;
    loop.receiver->stop();
  };
  EXPECT_EQ(loop.send({loop.source.path() / "f"}).error().code, Errc::gave_up);
  loop.run_until([&] { return loop.receive_report.has_value(); });
  EXPECT_TRUE(*loop.receive_report);
}

TEST(StxDriverSessions, OnceEndsAfterTheFirstTransfer) {
  StxLoopback loop;
  loop.configure = [](stx::ReceiveOptions& options) { options.once = true; };
  write_file(loop.source.path() / "f", pattern(1000));
  ASSERT_TRUE(loop.send({loop.source.path() / "f"}));
  loop.run_until([&] { return loop.receive_report.has_value(); });
  ASSERT_TRUE(*loop.receive_report);
  EXPECT_EQ((*loop.receive_report)->files, 1U);
}

TEST(StxDriverSessions, QuotaKeepsOut) {
  StxLoopback loop;
  loop.configure = [](stx::ReceiveOptions& options) { options.quota_bytes = 1'000'000; };
  write_file(loop.source.path() / "fits", pattern(900'000));
  write_file(loop.source.path() / "over", pattern(900'000));
  const auto report = loop.send({loop.source.path() / "fits", loop.source.path() / "over"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(report->files, 1U);
  ASSERT_EQ(report->failures.size(), 1U);
  EXPECT_EQ(report->failures[0].code, Code::quota);
}

TEST(StxDriverSessions, TheStcpFormNeedsNoSharedKey) {
  StxLoopback loop;
  StcpForm form(loop);
  std::vector<stx::Stranger> asked;
  form.on_stranger = [&](const stx::Stranger& who, const std::function<void(bool)>& answer) {
    asked.push_back(who);
    answer(true);
  };
  const auto bytes = pattern(kMiB);
  write_file(loop.source.path() / "d" / "f", bytes);
  const auto first = loop.send({loop.source.path() / "d"});
  ASSERT_TRUE(first) << to_string(first.error().code);
  EXPECT_EQ(read_file(loop.target.path() / "d" / "f"), bytes);
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(asked[0].key, form.sender->public_key);
  EXPECT_TRUE(asked[0].is_loopback);
  EXPECT_EQ(asked[0].files, 1U);
  EXPECT_EQ(asked[0].bytes, kMiB);
  EXPECT_THAT(describe(*first->peer), testing::HasSubstr("(given), STX/1 in STCP/1 XX"));

  // Taken once, known from then on.
  ASSERT_TRUE(loop.send({loop.source.path() / "d"}));
  EXPECT_EQ(asked.size(), 1U);
}

TEST(StxDriverSessions, AStrangerWhoIsNotTakenIsRefused) {
  StxLoopback loop;
  StcpForm form(loop);
  form.on_stranger = [](const stx::Stranger&, const std::function<void(bool)>& answer) {
    answer(false);
  };
  write_file(loop.source.path() / "f", pattern(100));
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::refused_by_peer);
  EXPECT_TRUE(tree_of(loop.target.path()).empty());
}

TEST(StxDriverSessions, WithoutAJudgeStrangersMeetSilence) {
  StxLoopback loop;
  StcpForm form(loop);
  loop.send_options.retry = Duration{};
  write_file(loop.source.path() / "f", pattern(100));
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_FALSE(report);
  EXPECT_EQ(describe(report.error().code).fault, Fault::authentication);
  loop.run_until([&] { return !loop.refusals.empty(); });
  EXPECT_EQ(loop.refusals[0].error.code, Errc::peer_key_refused);
  EXPECT_EQ(loop.refusals[0].key, form.sender->public_key);
}

TEST(StxDriverSessions, TheStcpFormTakesLanesAndReconnects) {
  StxLoopback loop;
  StcpForm form(loop);
  form.on_stranger = [](const stx::Stranger&, const std::function<void(bool)>& answer) {
    answer(true);
  };
  const auto bytes = pattern(16 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  loop.send_options.lanes = 2;
  loop.through_proxy().cut_after({6'000'000});
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(read_file(loop.target.path() / "f"), bytes);
}

TEST(StxDriverSessions, ManySmallFilesInFewRoundTrips) {
  StxLoopback loop;
  for (int i = 0; i < 2000; ++i) {
    write_file(loop.source.path() / "d" / std::to_string(i % 20) / std::to_string(i),
               pattern(100, static_cast<std::uint32_t>(i)));
  }
  const auto report = loop.send({loop.source.path() / "d"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(report->files, 2000U);
  EXPECT_EQ(report->directories, 21U);
  EXPECT_EQ(tree_of(loop.target.path()), tree_of(loop.source.path()));
}

TEST(StxDriverSessions, BlockingFormsDoTheSame) {
  TemporaryFolder source;
  TemporaryFolder target;
  const auto key = fresh_psk();
  write_file(source.path() / "f", pattern(100'000));
  std::promise<std::uint16_t> port;
  std::optional<Result<stx::ReceiveReport>> received;
  std::thread receiver([&] {
    stx::ReceiveOptions options;
    options.directory = target.path();
    options.keys = {key};
    options.once = true;
    received.emplace(stx::blocking::receive_files(
        "127.0.0.1", 0, std::move(options),
        [&](const std::vector<net::ip::tcp::endpoint>& at) { port.set_value(at[0].port()); }));
  });
  stx::SendOptions options;
  options.key = key;
  const auto report = stx::blocking::send_files("127.0.0.1", port.get_future().get(),
                                                {source.path() / "f"}, options);
  receiver.join();
  ASSERT_TRUE(report) << to_string(report.error().code);
  ASSERT_TRUE(*received);
  EXPECT_EQ((*received)->files, 1U);
  EXPECT_EQ(read_file(target.path() / "f"), pattern(100'000));
}

}  // namespace
}  // namespace sealine::io::test
