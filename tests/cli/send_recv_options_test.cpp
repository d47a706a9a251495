#include "cli/command_line.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace sealine::cli {
namespace {

using Words = std::vector<std::string>;
using io::stx::Compression;
using io::stx::OnConflict;

SendOptions send(const Words& words) {
  const CommandLine line = parse_command_line(words);
  EXPECT_TRUE(line.command) << words.front();
  return line.command ? std::get<SendOptions>(*line.command) : SendOptions{};
}

RecvOptions recv(const Words& words) {
  const CommandLine line = parse_command_line(words);
  EXPECT_TRUE(line.command) << words.front();
  return line.command ? std::get<RecvOptions>(*line.command) : RecvOptions{};
}

std::string refusal(const Words& words) {
  const CommandLine line = parse_command_line(words);
  if (line.command) return {};
  EXPECT_EQ(line.command.error().error.code, Errc::usage);
  return line.command.error().text;
}

TEST(SendOptions, the_last_word_is_the_host) {
  const SendOptions one = send({"send", "a", "b/", "desk"});
  EXPECT_EQ(one.paths, (Words{"a", "b/"}));
  EXPECT_EQ(one.peer, (HostPort{"desk", 9440}));
  EXPECT_FALSE(one.needs_key);
  EXPECT_FALSE(one.has_retry);
  EXPECT_EQ(send({"send", "a", "desk:1"}).peer, (HostPort{"desk", 1}));
  EXPECT_EQ(send({"send", "a", "[::1]:2"}).peer, (HostPort{"::1", 2}));
  EXPECT_EQ(send({"send", "a", "[::1]"}).peer, (HostPort{"::1", 9440}));
  EXPECT_EQ(send({"send", "a", "fe80::1%eth0"}).peer, (HostPort{"fe80::1%eth0", 9440}));
}

TEST(SendOptions, have_values) {
  const SendOptions one =
      send({"send",       "a",          "desk",    "--block",   "1MiB",         "--lanes",
            "16",         "--compress", "never",   "--exclude", "*.o",          "--exclude",
            ".git",       "--dry-run",  "--retry", "2m",        "--limit-rate", "20M",
            "--progress", "always",     "--key",   "k"});
  EXPECT_EQ(one.block_bytes, 1U << 20U);
  EXPECT_EQ(one.lanes, 16U);
  EXPECT_EQ(one.compression, Compression::never);
  EXPECT_EQ(one.exclude, (Words{"*.o", ".git"}));
  EXPECT_TRUE(one.dry_run);
  EXPECT_TRUE(one.has_retry);
  EXPECT_EQ(one.network.retry, Duration(std::chrono::minutes(2)));
  EXPECT_EQ(one.network.limit_rate, 20'000'000U);
  EXPECT_EQ(one.progress, ProgressChoice::always);
  EXPECT_EQ(one.key, "k");
}

TEST(SendOptions, standard_input_needs_a_name) {
  EXPECT_EQ(send({"send", "-", "desk", "--name", "dump"}).input_name, "dump");
  EXPECT_NE(refusal({"send", "-", "desk"}), "");
  EXPECT_NE(refusal({"send", "-", "-", "desk", "--name", "x"}), "");
  EXPECT_NE(refusal({"send", "a", "desk", "--name", "x"}), "");
  EXPECT_NE(refusal({"send", "-", "desk", "--name", "x", "--key", "-"}), "");
}

TEST(SendOptions, that_are_refused) {
  for (const Words& words : std::vector<Words>{
           {"send"},
           {"send", "desk"},
           {"send", "a", ""},
           {"send", "", "desk"},
           {"send", "a", "desk:0"},
           {"send", "a", "de sk"},
           {"send", "a", "desk", "--block", "8KiB"},
           {"send", "a", "desk", "--block", "2MiB"},
           {"send", "a", "desk", "--block", "100000"},
           {"send", "a", "desk", "--lanes", "0"},
           {"send", "a", "desk", "--lanes", "17"},
           {"send", "a", "desk", "--compress", "some"},
           {"send", "a", "desk", "--progress", "maybe"},
           {"send", "a", "desk", "--limit-rate", "0"},
           {"send", "a", "desk", "--retry", "soon"},
           {"send", "a", "desk", "--key", "x", "--key", "y"},
           {"send", "a", "desk", "--once"},
       }) {
    EXPECT_NE(refusal(words), "") << words.back();
  }
}

TEST(SendOptions, of_the_command_are_typed_again) {
  EXPECT_EQ(send({"send", "my photos/", "desk", "--lanes", "2"}).command_line,
            "sealine send 'my photos/' desk --lanes 2");
  EXPECT_EQ(send({"stx-send", "desk", "1", "f", "--key", "k"}).command_line,
            "stx-send desk 1 f --key k");
}

TEST(StxSend, takes_what_the_first_tool_took) {
  const SendOptions one = send({"stx-send", "server", "12345", "file", "--key", "k"});
  EXPECT_EQ(one.peer, (HostPort{"server", 12345}));
  EXPECT_EQ(one.paths, Words{"file"});
  EXPECT_TRUE(one.needs_key);
  EXPECT_EQ(one.block_bytes, 0U);
  EXPECT_EQ(send({"stx-send", "::1", "1", "f", "65536"}).block_bytes, 65536U);
  EXPECT_EQ(send({"stx-send", "::1", "1", "f", "65536"}).peer, (HostPort{"::1", 1}));
  EXPECT_EQ(send({"stx-send", "h", "1", "-", "--name", "n"}).input_name, "n");
  for (const Words& words :
       std::vector<Words>{{"stx-send"},
                          {"stx-send", "h", "1"},
                          {"stx-send", "h", "x", "f"},
                          {"stx-send", "h", "0", "f"},
                          {"stx-send", "h", "1", "f", "1000"},
                          {"stx-send", "h", "1", "f", "65536", "more"},
                          {"stx-send", "h", "1", "f", "65536", "--block", "65536"}}) {
    EXPECT_NE(refusal(words), "") << words.size();
  }
}

TEST(RecvOptions, need_nothing) {
  const RecvOptions one = recv({"recv"});
  EXPECT_EQ(one.listen, (HostPort{"", 9440}));
  EXPECT_EQ(one.directory, ".");
  EXPECT_EQ(one.on_conflict, OnConflict::fail);
  EXPECT_TRUE(one.keys.empty());
  EXPECT_FALSE(one.needs_key);
  EXPECT_EQ(one.action, RecvOptions::Action::receive);
}

TEST(RecvOptions, have_values) {
  const RecvOptions one = recv({"recv", "-l", "[::1]:7", "in", "--key", "a", "--key", "b", "--once",
                                "--per-sender", "--quota", "1GiB", "--hook", "echo $SEALINE_FILE",
                                "--require-clock", "--any-links", "--on-conflict", "newer"});
  EXPECT_EQ(one.listen, (HostPort{"::1", 7}));
  EXPECT_EQ(one.directory, "in");
  EXPECT_EQ(one.keys.size(), 2U);
  EXPECT_TRUE(one.once && one.per_sender && one.require_clock && one.any_links);
  EXPECT_EQ(one.quota_bytes, 1U << 30U);
  EXPECT_EQ(one.hook, "echo $SEALINE_FILE");
  EXPECT_EQ(one.on_conflict, OnConflict::newer);
  EXPECT_EQ(recv({"recv", "--list", "in"}).action, RecvOptions::Action::list);
  EXPECT_EQ(recv({"recv", "--discard"}).action, RecvOptions::Action::discard);
}

TEST(RecvOptions, that_are_refused) {
  for (const Words& words : std::vector<Words>{{"recv", "a", "b"},
                                               {"recv", "-l", "host:x"},
                                               {"recv", "--list", "--discard"},
                                               {"recv", "--on-conflict", "ask"},
                                               {"recv", "--quota", "0"},
                                               {"recv", "--quota", "much"},
                                               {"recv", "--hook", ""},
                                               {"recv", "--key", "-", "--key", "-"},
                                               {"recv", "--lanes", "2"},
                                               {"stx-recv"},
                                               {"stx-recv", "--listen", "1"},
                                               {"stx-recv", "--out", "d"},
                                               {"stx-recv", "--listen", "1", "--out", "d", "e"}}) {
    EXPECT_NE(refusal(words), "") << words.back();
  }
}

TEST(StxRecv, takes_what_the_first_tool_took) {
  const RecvOptions one = recv({"stx-recv", "--listen", "12345", "--out", "/srv/in", "--key", "k"});
  EXPECT_EQ(one.listen, (HostPort{"", 12345}));
  EXPECT_EQ(one.directory, "/srv/in");
  EXPECT_TRUE(one.needs_key);
  EXPECT_EQ(recv({"stx-recv", "--list", "--out", "d"}).action, RecvOptions::Action::list);
}

}  // namespace
}  // namespace sealine::cli
