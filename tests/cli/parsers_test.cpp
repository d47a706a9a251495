#include "cli/addresses.hpp"
#include "cli/command_line.hpp"
#include "cli/events.hpp"
#include "cli/explanations.hpp"
#include "cli/help.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <sstream>
#include <string>
#include <vector>

namespace sealine::cli {
namespace {

using std::chrono::milliseconds;

TEST(Units, durations) {
  EXPECT_EQ(parse_duration("250ms").value(), Duration(milliseconds(250)));
  EXPECT_EQ(parse_duration("10s").value(), Duration(std::chrono::seconds(10)));
  EXPECT_EQ(parse_duration("10").value(), Duration(std::chrono::seconds(10)));
  EXPECT_EQ(parse_duration("10m").value(), Duration(std::chrono::minutes(10)));
  EXPECT_EQ(parse_duration("2h").value(), Duration(std::chrono::hours(2)));
  EXPECT_EQ(parse_duration("1000d").value(), Duration(std::chrono::hours(24'000)));
  for (const char* text : {"", "s", "-1s", "1.5s", "1 s", "1S", "1001d", "99999999999999999999s",
                           "18446744073709551615m", "+1s", "1sm"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Units, sizes) {
  EXPECT_EQ(parse_size("0").value(), 0U);
  EXPECT_EQ(parse_size("123").value(), 123U);
  EXPECT_EQ(parse_size("123B").value(), 123U);
  EXPECT_EQ(parse_size("20M").value(), 20'000'000U);
  EXPECT_EQ(parse_size("20MB").value(), 20'000'000U);
  EXPECT_EQ(parse_size("1GiB").value(), 1U << 30U);
  EXPECT_EQ(parse_size("1Gi").value(), 1U << 30U);
  EXPECT_EQ(parse_size("3k").value(), 3000U);
  EXPECT_EQ(parse_size("16777215TiB").value(), 16777215ULL << 40U);
  for (const char* text : {"", "M", "-1", "1X", "1i", "1iB", "1MM", "1 M", "16777216TiB", "1.5M"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Units, bytes_for_people) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.0 kB");
  EXPECT_EQ(format_bytes(4'100'000'000), "4.1 GB");
  EXPECT_EQ(format_bytes(999'600'000), "1.0 GB");
  EXPECT_EQ(format_bytes(~0ULL), "18.4 EB");
}

TEST(Addresses, to_listen_on) {
  EXPECT_EQ(parse_listen_address("9000").value(), (HostPort{"", 9000}));
  EXPECT_EQ(parse_listen_address(":9000").value(), (HostPort{"", 9000}));
  EXPECT_EQ(parse_listen_address("127.0.0.1:0").value(), (HostPort{"127.0.0.1", 0}));
  EXPECT_EQ(parse_listen_address("[::1]:65535").value(), (HostPort{"::1", 65535}));
  EXPECT_EQ(parse_listen_address("[fe80::1%eth0]:1").value(), (HostPort{"fe80::1%eth0", 1}));
}

TEST(Addresses, that_are_none) {
  for (const char* text :
       {"", "host", "65536", "host:", "host:x", "::1", "::1:9000", "[::1]", "[::1", "[host]:1",
        "[::1]9000", "a b:1", "a/b:1", "host:-1", "host:1 ", "user@host:1"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
  EXPECT_FALSE(parse_listen_address(std::string("a\0b:1", 5)));
  EXPECT_FALSE(parse_peer_address(":1"));
  EXPECT_FALSE(parse_peer_address("host:0"));
}

TEST(Addresses, what_is_read_is_written) {
  for (const char* text : {"127.0.0.1:1", "[::1]:9000", "host.example:65535"}) {
    EXPECT_EQ(to_text(parse_peer_address(text).value()), text);
  }
}

TEST(Addresses, ends_of_a_tunnel) {
  EXPECT_EQ(parse_listen_end("25").value(), (End{false, HostPort{"127.0.0.1", 25}}));
  EXPECT_EQ(parse_listen_end("stcp://:8025").value(), (End{true, HostPort{"", 8025}}));
  EXPECT_EQ(parse_listen_end("stcp://8025").value(), (End{true, HostPort{"", 8025}}));
  EXPECT_EQ(parse_target_end("stcp://8025").value(), (End{true, HostPort{"localhost", 8025}}));
  EXPECT_EQ(parse_target_end("unix:/run/a b").value(), (End{false, UnixPath{"/run/a b"}}));
  EXPECT_FALSE(parse_target_end("25:0"));
  EXPECT_FALSE(parse_target_end("tcp://a:1"));
  EXPECT_FALSE(parse_target_end("unix:"));
  EXPECT_FALSE(parse_target_end("unix:/" + std::string(108, 'x')));
  EXPECT_FALSE(parse_target_end(std::string("unix:/a\0b", 9)));
}

TEST(Text, controls_and_directions_are_shown_as_numbers) {
  EXPECT_EQ(in_quotes("plain é 漢"), "'plain é 漢'");
  EXPECT_EQ(in_quotes("a\nb\x1b[m\x7f"), "'a\\x0ab\\x1b[m\\x7f'");
  EXPECT_EQ(in_quotes("\xE2\x80\xAE"), "'\\xe2\\x80\\xae'");
  EXPECT_EQ(in_quotes("\xC2\x85"), "'\\xc2\\x85'");
  EXPECT_EQ(in_quotes("\xFF\xC0\xAF"), "'\\xff\\xc0\\xaf'");
}

TEST(Text, utf8) {
  EXPECT_TRUE(is_utf8("漢\xF0\x9F\x98\x80"));
  for (const char* text : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

TEST(Text, shell_words) {
  EXPECT_EQ(shell_word("[::1]:9000"), "'[::1]:9000'");
  EXPECT_EQ(shell_word("host:9000"), "host:9000");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(Text, base64) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(Events, are_one_line_of_json) {
  EXPECT_EQ(encode_event("notice", {{"text", "a\n\"b\""}}, 1'700'000'000'123),
            R"({"v":1,"t":"notice","ts":"2023-11-14T22:13:20.123Z","text":"a\n\"b\""})");
  EXPECT_EQ(
      encode_event("x", {{"peer", "\xFF"}, {"key", nullptr}, {"n", std::uint64_t{7}}}, 0),
      R"({"v":1,"t":"x","ts":"1970-01-01T00:00:00.000Z","peer_b64":"/w==","key":null,"n":7})");
}

TEST(Events, log_lines) {
  EXPECT_EQ(encode_logfmt("warning", "handshake failed",
                          {{"client", "[::1]:9"}, {"reason", "a = \"b\""}}, 0),
            "ts=1970-01-01T00:00:00.000Z level=warning msg=\"handshake failed\" client=[::1]:9 "
            "reason=\"a = \\\"b\\\"\"");
}

TEST(Explain, has_a_row_for_every_error) {
  ASSERT_EQ(explanations().size(), all_errors().size());
  for (const ErrorInfo& info : all_errors()) {
    const Explanation& row = explanation_of(info.code);
    EXPECT_EQ(row.code, info.code) << info.name;
    EXPECT_TRUE(row.causes.ends_with('.')) << info.name;
    EXPECT_GT(row.causes.size(), 30U) << info.name;
    EXPECT_GT(row.advice.size(), 10U) << info.name;
  }
}

TEST(Help, fits_one_screen) {
  for (const HelpPage& page : help_pages()) {
    std::istringstream lines{std::string(page.text)};
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      EXPECT_LE(line.size(), 80U) << page.topic << ": " << line;
    }
    EXPECT_LE(count, 24) << page.topic;
  }
}

TEST(CommandLine, knows_a_secret_when_it_sees_one) {
  const std::string letters(56, 'a');
  for (const std::string& text :
       {"sls1" + letters, "SLK1" + letters, "slk1" + letters.substr(40), "--key=sls1" + letters,
        "-osls1" + letters, std::string(64, 'f')}) {
    EXPECT_TRUE(holds_secret(text)) << text;
  }
  for (const std::string& text : {"slp1" + letters, std::string("sls1.key"), std::string("slk1"),
                                  "./" + std::string(64, 'f'), std::string(63, 'f')}) {
    EXPECT_FALSE(holds_secret(text)) << text;
  }
}

TEST(CommandLine, options_stand_before_or_behind_the_command) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--json", "-vv", "pipe", "h:1", "--mutual"},
        std::vector<std::string>{"pipe", "--mutual", "h:1", "-v", "--json", "-v"}}) {
    const CommandLine line = parse_command_line(arguments);
    ASSERT_TRUE(line.command);
    EXPECT_TRUE(line.common.output.is_json);
    EXPECT_TRUE(line.common.output.stdout_is_data);
    EXPECT_EQ(line.common.output.verbosity, 2);
    const auto& pipe = std::get<PipeOptions>(*line.command);
    EXPECT_EQ(pipe.peer, (HostPort{"h", 1}));
    EXPECT_TRUE(pipe.trust.mutual);
  }
}

TEST(CommandLine, the_name_of_a_command_may_be_a_word_elsewhere) {
  const std::array<std::string, 2> help{"help", "pipe"};
  EXPECT_EQ(std::get<HelpOptions>(*parse_command_line(help).command).topic, "pipe");
  const std::array<std::string, 3> show{"key", "show", "new"};
  EXPECT_EQ(std::get<KeyShowOptions>(*parse_command_line(show).command).file, "new");
  const std::array<std::string, 3> peers{"peers", "forget", "tunnel"};
  EXPECT_EQ(std::get<PeersOptions>(*parse_command_line(peers).command).name, "tunnel");
}

TEST(CommandLine, secrets_are_not_repeated_in_the_error) {
  const std::string secret = "sls1" + std::string(56, 'q');
  const std::array<std::string, 2> arguments{"pipe", secret};
  const CommandLine line = parse_command_line(arguments);
  ASSERT_FALSE(line.command);
  EXPECT_EQ(line.command.error().error.code, Errc::secret_in_arguments);
  EXPECT_EQ(line.command.error().text.find("qqq"), std::string::npos);
}

}  // namespace
}  // namespace sealine::cli
