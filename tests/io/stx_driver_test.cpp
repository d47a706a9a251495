#include "sealine/io/stx.hpp"
#include "stx_driver_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace sealine::io::test {
namespace {

using namespace std::chrono_literals;
using stx::Code;
using stx::FileState;

constexpr std::size_t kMiB = std::size_t{1} << 20U;

TEST(StxDriver, SendsOneFileWhole) {
  StxLoopback loop;
  const auto bytes = pattern(3 * kMiB + 12345);
  write_file(loop.source.path() / "one.bin", bytes);
  const auto report = loop.send({loop.source.path() / "one.bin"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(read_file(loop.target.path() / "one.bin"), bytes);
  EXPECT_EQ(report->files, 1U);
  EXPECT_EQ(report->total_bytes, bytes.size());
  EXPECT_EQ(report->sent_bytes, bytes.size());
  EXPECT_TRUE(report->proved);
  EXPECT_EQ(report->connections, 1U);
  EXPECT_TRUE(report->failures.empty());
  ASSERT_EQ(loop.sent.size(), 1U);
  EXPECT_EQ(loop.sent[0].state, FileState::done);
  loop.wait_for_ends(1);
  EXPECT_FALSE(loop.ends[0].error);
  EXPECT_EQ(loop.ends[0].files, 1U);
  ASSERT_EQ(loop.received.size(), 1U);
  EXPECT_EQ(loop.received[0].path, (loop.target.path() / "one.bin").string());
}

TEST(StxDriver, TheSameAgainSendsNothingButProofs) {
  StxLoopback loop;
  write_file(loop.source.path() / "big.bin", pattern(2 * kMiB));
  for (int i = 0; i < 40; ++i) {
    write_file(loop.source.path() / "d" / ("small" + std::to_string(i)),
               pattern(1000, static_cast<std::uint32_t>(i)));
  }
  const std::vector<std::filesystem::path> paths = {loop.source.path() / "big.bin",
                                                    loop.source.path() / "d"};
  ASSERT_TRUE(loop.send(paths));
  const auto before = tree_of(loop.target.path());
  const auto again = loop.send(paths);
  ASSERT_TRUE(again) << to_string(again.error().code);
  EXPECT_EQ(again->sent_bytes, 0U);
  EXPECT_EQ(again->skipped_files, 41U);
  EXPECT_EQ(again->skipped_bytes, 2 * kMiB + 40'000);
  EXPECT_TRUE(again->failures.empty());
  EXPECT_EQ(tree_of(loop.target.path()), before);
}

TEST(StxDriver, FoldersArriveWithModesTimesAndLinks) {
  StxLoopback loop;
  const auto root = loop.source.path() / "tree";
  write_file(root / "a" / "b" / "deep.txt", pattern(10));
  write_file(root / "a" / "empty", {});
  write_file(root / "large", pattern(kMiB));
  std::filesystem::create_directories(root / "nothing" / "below");
  std::filesystem::create_symlink("a/b/deep.txt", root / "link");
  std::filesystem::create_symlink("nowhere", root / "dangling");
  std::filesystem::permissions(root / "large", std::filesystem::perms(0640));
  std::filesystem::permissions(root / "a" / "b", std::filesystem::perms(0711));
  const auto old = std::filesystem::file_time_type::clock::now() - 100h;
  std::filesystem::last_write_time(root / "large", old);
  std::filesystem::last_write_time(root / "a" / "b", old);
  std::filesystem::last_write_time(root / "nothing", old);
  const auto report = loop.send({root});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_TRUE(report->failures.empty());
  loop.wait_for_ends(1);
  EXPECT_EQ(tree_of(loop.target.path()), tree_of(loop.source.path()));
}

TEST(StxDriver, OneChangedBlockIsSentAgainFromThere) {
  StxLoopback loop;
  auto bytes = pattern(8 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  ASSERT_TRUE(loop.send({loop.source.path() / "f"}));
  bytes[5 * kMiB + 7] ^= 1U;
  write_file(loop.source.path() / "f", bytes);
  loop.wait_for_ends(1);
  loop.restart_receiver();
  loop.configure = [](stx::ReceiveOptions& options) {
    options.on_conflict = stx::OnConflict::overwrite;
  };
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_TRUE(report->failures.empty());
  EXPECT_EQ(read_file(loop.target.path() / "f"), bytes);
}

TEST(StxDriver, AnotherFileInItsPlaceIsKept) {
  StxLoopback loop;
  write_file(loop.source.path() / "f", pattern(kMiB, 1));
  write_file(loop.target.path() / "f", pattern(kMiB, 2));
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(report->failures_at_receiver, 1U);
  ASSERT_EQ(report->failures.size(), 1U);
  EXPECT_EQ(report->failures[0].code, Code::exists);
  EXPECT_EQ(read_file(loop.target.path() / "f"), pattern(kMiB, 2));
}

TEST(StxDriver, RenameAndOverwriteSettleConflicts) {
  for (const auto policy : {stx::OnConflict::rename, stx::OnConflict::overwrite}) {
    StxLoopback loop;
    loop.configure = [&](stx::ReceiveOptions& options) { options.on_conflict = policy; };
    write_file(loop.source.path() / "f", pattern(kMiB, 1));
    write_file(loop.target.path() / "f", pattern(kMiB + 1, 2));
    const auto report = loop.send({loop.source.path() / "f"});
    ASSERT_TRUE(report) << to_string(report.error().code);
    EXPECT_TRUE(report->failures.empty());
    if (policy == stx::OnConflict::rename) {
      EXPECT_EQ(read_file(loop.target.path() / "f"), pattern(kMiB + 1, 2));
      EXPECT_EQ(read_file(loop.target.path() / "f (1)"), pattern(kMiB, 1));
    } else {
      EXPECT_EQ(read_file(loop.target.path() / "f"), pattern(kMiB, 1));
    }
  }
}

TEST(StxDriver, AWrongKeyIsRefused) {
  StxLoopback loop;
  write_file(loop.source.path() / "f", pattern(100));
  loop.send_options.key = fresh_psk();
  loop.send_options.retry = Duration{};
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_FALSE(report);
  EXPECT_EQ(describe(report.error().code).fault, Fault::authentication);
  loop.run_until([&] { return !loop.refusals.empty(); });
  EXPECT_FALSE(std::filesystem::exists(loop.target.path() / "f"));
}

TEST(StxDriver, StandardInputArrivesUnderItsName) {
  StxLoopback loop;
  const auto bytes = pattern(3 * kMiB + 1);
  write_file(loop.source.path() / "in", bytes);
  const OpenFile input(loop.source.path() / "in");
  loop.send_options.input = input.value();
  loop.send_options.input_name = "dump.sql";
  const auto report = loop.send({"-"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_TRUE(report->failures.empty());
  EXPECT_EQ(read_file(loop.target.path() / "dump.sql"), bytes);
}

TEST(StxDriver, AnEmptyStreamIsAnEmptyFile) {
  StxLoopback loop;
  const OpenFile input("/dev/null");
  loop.send_options.input = input.value();
  loop.send_options.input_name = "nothing";
  const auto report = loop.send({"-"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_TRUE(std::filesystem::exists(loop.target.path() / "nothing"));
}

TEST(StxDriver, LanesCarryOneFileTogether) {
  StxLoopback loop;
  const auto bytes = pattern(48 * kMiB);
  write_file(loop.source.path() / "f", bytes);
  loop.send_options.lanes = 4;
  const auto report = loop.send({loop.source.path() / "f"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(read_file(loop.target.path() / "f"), bytes);
}

TEST(StxDriver, HolesAndCompressibleDataCostLittle) {
  StxLoopback loop;
  loop.send_options.compression = stx::Compression::always;
  std::vector<std::uint8_t> text(4 * kMiB, 'x');
  write_file(loop.source.path() / "text", text);
  write_file(loop.source.path() / "sparse", {1});
  std::filesystem::resize_file(loop.source.path() / "sparse", 64 * kMiB);
  const auto report = loop.send({loop.source.path() / "text", loop.source.path() / "sparse"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_TRUE(report->failures.empty());
  EXPECT_LT(report->wire_bytes, kMiB);
  EXPECT_EQ(read_file(loop.target.path() / "text"), text);
  EXPECT_EQ(std::filesystem::file_size(loop.target.path() / "sparse"), 64 * kMiB);
}

TEST(StxDriver, UnreadableFilesAreToldAndTheRestGoesOn) {
  StxLoopback loop;
  write_file(loop.source.path() / "d" / "good", pattern(10));
  write_file(loop.source.path() / "d" / "other", pattern(20));
  const auto report = loop.send({loop.source.path() / "d", loop.source.path() / "missing"});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(report->failures_here, 1U);
  EXPECT_EQ(report->files, 2U);
}

TEST(StxDriver, AFileThatChangesAfterTheWalkIsSentAsItIs) {
  StxLoopback loop;
  const auto path = loop.source.path() / "f";
  write_file(path, pattern(kMiB, 1));
  bool changed = false;
  loop.send_options.on_connected = [&](const stx::Connected&) {
    if (changed) return;
    changed = true;
    write_file(path, pattern(2 * kMiB, 2));
  };
  const auto report = loop.send({path});
  ASSERT_TRUE(report) << to_string(report.error().code);
  EXPECT_EQ(read_file(loop.target.path() / "f"), pattern(2 * kMiB, 2));
}

TEST(StxDriver, DryRunConnectsToNobody) {
  StxLoopback loop;
  write_file(loop.source.path() / "d" / "a.txt", pattern(10));
  write_file(loop.source.path() / "d" / "b.tmp", pattern(10));
  loop.send_options.dry_run = true;
  loop.send_options.exclude = {"*.tmp"};
  const auto report = loop.send({loop.source.path() / "d"});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->files, 1U);
  EXPECT_EQ(report->connections, 0U);
  EXPECT_TRUE(std::ranges::all_of(
      loop.sent, [](const auto& event) { return event.state == FileState::planned; }));
}

TEST(StxDriver, RefusesOptionsThatCannotBe) {
  StxLoopback loop;
  write_file(loop.source.path() / "f", pattern(10));
  stx::SendOptions options = loop.send_options;
  options.block_bytes = 100'000;
  EXPECT_EQ(loop.send({loop.source.path() / "f"}, options).error().code, Errc::bad_configuration);
  options = loop.send_options;
  options.lanes = 17;
  EXPECT_EQ(loop.send({loop.source.path() / "f"}, options).error().code, Errc::bad_configuration);
  options = loop.send_options;
  options.key = nullptr;
  options.stcp.protocol.mode = stcp::Mode::tofu;
  EXPECT_EQ(loop.send({loop.source.path() / "f"}, options).error().code, Errc::bad_configuration);
  EXPECT_EQ(loop.send({}, loop.send_options).error().code, Errc::usage);
}

}  // namespace
}  // namespace sealine::io::test
