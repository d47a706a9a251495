#include "cli/progress_line.hpp"
#include "cli/recv_stranger.hpp"
#include "cli/transfer_report.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace sealine::cli {
namespace {

using io::stx::Progress;

Progress some() {
  return {.done_bytes = 1'558'000'000,
          .total_bytes = 4'100'000'000,
          .total_is_final = true,
          .rate = 1.1e9,
          .name = "photos/IMG_0412.CR3"};
}

TEST(ProgressBar, shows_name_share_rate_and_time_left) {
  EXPECT_EQ(render_bar(some(), 80), " photos/IMG_0412.CR3   38%  1.1 GB/s  eta 2s");
  Progress slow = some();
  slow.rate = 1e6;
  EXPECT_EQ(render_bar(slow, 80), " photos/IMG_0412.CR3   38%  1.0 MB/s  eta 42:22");
  slow.rate = 2e5;
  EXPECT_EQ(render_bar(slow, 80), " photos/IMG_0412.CR3   38%  200 kB/s  eta 3:31:50");
}

TEST(ProgressBar, says_nothing_that_nobody_knows) {
  Progress unknown = some();
  unknown.total_is_final = false;
  EXPECT_EQ(render_bar(unknown, 80), " photos/IMG_0412.CR3    1.6 GB  1.1 GB/s");
  Progress still = some();
  still.rate = 0;
  EXPECT_EQ(render_bar(still, 80), " photos/IMG_0412.CR3   38%  0 B/s");
  Progress empty = some();
  empty.total_bytes = empty.done_bytes = 0;
  EXPECT_EQ(render_bar(empty, 80).find('%'), std::string::npos);
}

TEST(ProgressBar, fits_any_terminal) {
  for (std::size_t columns = 1; columns < 120; ++columns) {
    EXPECT_LE(render_bar(some(), columns).size(), columns);
  }
  EXPECT_EQ(render_bar(some(), 40), " ../IMG_0412.CR3   38%  1.1 GB/s  eta 2s");
}

TEST(ProgressBar, more_than_all_is_all) {
  Progress grown = some();
  grown.done_bytes = grown.total_bytes + 1;
  EXPECT_NE(render_bar(grown, 80).find("100%"), std::string::npos);
}

TEST(ProgressBar, a_name_cannot_move_the_cursor) {
  Progress odd = some();
  odd.name = "a\x1b[2J\r\nb\xff";
  const std::string bar = render_bar(odd, 80);
  for (const char c : bar) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << bar;
}

TEST(ProgressBar, wide_letters_count_twice) {
  Progress wide = some();
  wide.name = "\u5199\u771f\u5199\u771f\u5199\u771f\u5199\u771f\u5199\u771f";
  // 10 letters are 20 columns: the line has room for 11 of them beside the mark of the cut.
  const std::string bar = render_bar(wide, 41);
  EXPECT_NE(bar.find(".."), std::string::npos);
  EXPECT_EQ(render_bar(wide, 80).find(".."), std::string::npos);
}

TEST(ProgressText, is_a_line_for_a_log) {
  EXPECT_EQ(render_progress(some()), "38 %, 1.6 GB of 4.1 GB, 1.1 GB/s, eta 2s");
}

TEST(SendSummary, says_what_was_sent_and_that_it_is_proved) {
  io::stx::SendReport report;
  report.files = 312;
  report.total_bytes = report.sent_bytes = 4'100'000'000;
  report.elapsed = std::chrono::milliseconds(3900);
  report.proved = true;
  EXPECT_EQ(summary_of(report), "ok  312 files, 4.1 GB in 3.9 s, 1.1 GB/s, proved (SHA-256 tree)");
}

TEST(SendSummary, says_what_was_resumed) {
  io::stx::SendReport report;
  report.files = 1;
  report.total_bytes = 4'100'000'000;
  report.resumed_bytes = 2'000'000'000;
  report.skipped_bytes = 500'000'000;
  report.sent_bytes = 1'600'000'000;
  report.elapsed = std::chrono::seconds(2);
  report.proved = true;
  EXPECT_EQ(summary_of(report),
            "ok  1 file, 4.1 GB in 2.0 s, 800 MB/s, resumed at 61 % (2.5 GB proved), "
            "proved (SHA-256 tree)");
}

TEST(SendSummary, is_not_ok_where_something_is_missing) {
  io::stx::SendReport report;
  report.files = 2;
  report.failures_here = 1;
  report.failures_at_receiver = 3;
  const std::string text = summary_of(report);
  EXPECT_EQ(text.rfind("not all:", 0), 0U) << text;
  EXPECT_NE(text.find("3 left out by the receiver"), std::string::npos) << text;
  EXPECT_NE(text.find("1 not readable"), std::string::npos) << text;
}

TEST(Stranger, is_asked_about_in_one_line) {
  io::stx::Stranger stranger;
  stranger.address = "[::ffff:192.168.1.20]:4711";
  stranger.name = "photos/IMG\x1b[2J";
  stranger.files = 312;
  stranger.bytes = 4'100'000'000;
  const std::string question = stranger_question(stranger);
  EXPECT_EQ(question.rfind("192.168.1.20:4711 slp1", 0), 0U) << question;
  EXPECT_NE(question.find(" (new) offers photos/ (312 files, 4.1 GB). take it? [Y/n] "),
            std::string::npos)
      << question;
  stranger.name = "a\nb";
  stranger.files = 1;
  stranger.more = true;
  const std::string odd = stranger_question(stranger);
  EXPECT_EQ(odd.find('\n'), std::string::npos);
  EXPECT_NE(odd.find("(at least 1 file, 4.1 GB)"), std::string::npos) << odd;
}

}  // namespace
}  // namespace sealine::cli
