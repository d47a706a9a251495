#include "sealine/stx/name.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sealine::stx {
namespace {

using namespace std::string_view_literals;

std::string repeated(std::string_view part, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += part;
  return out;
}

/// `count` components, one letter each.
std::string deep(std::size_t count) { return repeated("d/", count - 1) + "f"; }

// SPEC stx.md#files
TEST(FileName, that_leads_out_of_the_root_is_refused) {
  for (const std::string_view name :
       {"../x"sv, "/etc/x"sv, "a/../../b"sv, "a/../b"sv, ".."sv, "a/.."sv, "/"sv, "//a"sv,
        "a/b/.."sv, "../../../../etc/passwd"sv, "..//x"sv}) {
    EXPECT_EQ(check_name(name).error().code, Errc::file_name_refused) << name;
  }
}

// SPEC stx.md#files
TEST(FileName, with_an_empty_or_a_dot_component_or_nul_is_refused) {
  for (const std::string_view name : {""sv, "."sv, "./a"sv, "a/./b"sv, "a/."sv, "a//b"sv, "a/"sv,
                                      "a/b//"sv, "a\0b"sv, "\0"sv, "a/\0"sv}) {
    EXPECT_EQ(check_name(name).error().code, Errc::file_name_refused) << name;
  }
}

// SPEC stx.md#files
TEST(FileName, that_the_receiver_keeps_for_itself_is_refused_wherever_it_stands) {
  for (const std::string_view name :
       {".stx-ledger"sv, ".stx-ledger-wal"sv, ".stx-"sv, ".stx-0123456789abcdef"sv, ".a.stxpart"sv,
        "a.stxpart"sv, ".stxpart"sv, "d/.stx-x"sv, ".stx-d/x"sv, "a.stxpart/x"sv,
        "x/y.stxpart"sv}) {
    EXPECT_EQ(check_name(name).error().code, Errc::file_name_refused) << name;
  }
  for (const std::string_view name : {".stx"sv, "stx-ledger"sv, "a.stxpart1"sv, "x.stx-"sv}) {
    EXPECT_TRUE(check_name(name)) << name;
  }
}

// SPEC stx.md#files
TEST(FileName, meets_its_limits_exactly) {
  EXPECT_TRUE(check_name(std::string(255, 'n')));
  EXPECT_FALSE(check_name(std::string(256, 'n')));
  EXPECT_FALSE(check_name("d/" + std::string(300, 'n') + "/f"));
  EXPECT_TRUE(check_name(deep(32)));
  EXPECT_FALSE(check_name(deep(33)));
  EXPECT_FALSE(check_name(deep(40)));
  // 16 components of 255 with 15 slashes: 4095 bytes.
  const std::string longest = repeated(std::string(255, 'n') + "/", 15) + std::string(255, 'n');
  ASSERT_EQ(longest.size(), 4095U);
  EXPECT_TRUE(check_name(longest));
  EXPECT_FALSE(check_name(longest + "n"));
  EXPECT_FALSE(check_name(longest + "/n"));
}

// SPEC stx.md#files
TEST(FileName, of_any_other_bytes_is_taken) {
  for (const std::string_view name : {"a"sv, "..."sv, "..a"sv, "a.."sv, ".a"sv, "-rf"sv, " "sv,
                                      "\n"sv, "\x1b[31m"sv, "a\\b"sv, "\xff\xfe"sv,
                                      "\xe2\x80\xae"
                                      "exe.txt"sv,
                                      "C:\\x"sv, "~"sv, "a/b/c"sv, "*"sv, "\x7f"sv}) {
    EXPECT_TRUE(check_name(name)) << name;
  }
}

TEST(FileName, has_a_parent_and_a_leaf) {
  EXPECT_EQ(parent_of("a/b/c"), "a/b");
  EXPECT_EQ(leaf_of("a/b/c"), "c");
  EXPECT_EQ(parent_of("a"), "");
  EXPECT_EQ(leaf_of("a"), "a");
}

// SPEC stx.md#files
TEST(LinkTarget, that_is_absolute_or_climbs_above_the_root_is_refused) {
  const struct {
    std::string_view name;
    std::string_view target;
  } refused[] = {
      {"l", "/"},
      {"l", "/etc/passwd"},
      {"l", ".."},
      {"l", "../x"},
      {"d/l", "../../x"},
      {"d/l", ".././../x"},
      {"d/e/l", "../../../x"},
      {"l", "./.."},
      {"l", "//x"},
      // `s` may be a link to a folder elsewhere in the root, and `..` is then above that one.
      {"l", "s/.."},
      {"d/l", "../s/../x"},
      {"l", ""},
  };

  for (const auto& link : refused) {
    EXPECT_EQ(check_link_target(link.name, link.target).error().code, Errc::link_target_refused)
        << link.name << " -> " << link.target;
  }
  EXPECT_FALSE(check_link_target("l", "a\0b"sv));
  EXPECT_FALSE(check_link_target("l", std::string(4096, 'a')));
}

// SPEC stx.md#files
TEST(LinkTarget, that_stays_inside_is_taken) {
  const struct {
    std::string_view name;
    std::string_view target;
  } taken[] = {
      {"l", "x"},   {"l", "d/x"},       {"l", "."},    {"d/l", ".."},       {"d/l", "../x"},
      {"l", "..x"}, {"d/e/l", "../.."}, {"l", "a//b"}, {"d/l", "./../x/y"}, {"l", "\xff"},
  };

  for (const auto& link : taken) {
    EXPECT_TRUE(check_link_target(link.name, link.target)) << link.name << " -> " << link.target;
  }
  EXPECT_TRUE(check_link_target("l", std::string(4095, 'a')));
}

}  // namespace
}  // namespace sealine::stx
