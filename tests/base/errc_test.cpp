#include "sealine/base/errc.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/version.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace sealine {
namespace {

// The enumerators as the header declares them: C++ cannot list them, and a switch would have to be
// kept by hand.
std::map<std::string, int> declared_codes() {
  std::ifstream file(test::source_path("include/sealine/base/errc.hpp"));
  std::stringstream text;
  text << file.rdbuf();
  const std::string header = text.str();
  const std::size_t begin = header.find("enum class Errc");
  const std::string body = header.substr(begin, header.find("};", begin) - begin);
  std::map<std::string, int> codes;
  const std::regex enumerator(R"((\w+)\s*=\s*(\d{4}))");
  for (std::sregex_iterator it(body.begin(), body.end(), enumerator), end; it != end; ++it) {
    codes[(*it)[1]] = std::stoi((*it)[2]);
  }
  return codes;
}

TEST(ErrorTable, has_each_code_once) {
  const auto declared = declared_codes();
  ASSERT_GT(declared.size(), 50U);
  std::set<int> rows;
  for (const ErrorInfo& row : all_errors())
    EXPECT_TRUE(rows.insert(static_cast<int>(row.code)).second) << row.name;
  EXPECT_EQ(rows.size(), declared.size());
  for (const auto& [name, value] : declared) EXPECT_TRUE(rows.contains(value)) << name;
}

TEST(ErrorTable, names_follow_from_values) {
  const std::string letters = "AMPULE";
  std::set<std::string_view> names;
  for (const ErrorInfo& row : all_errors()) {
    const int value = static_cast<int>(row.code);
    const int number = value % 1000;
    std::string expected(1, letters.at(static_cast<std::size_t>(value / 1000 - 1)));
    expected += static_cast<char>('0' + number / 10);
    expected += static_cast<char>('0' + number % 10);
    EXPECT_EQ(row.name, expected);
    EXPECT_EQ(letter_of(row.fault), row.name.front());
    EXPECT_TRUE(names.insert(row.name).second);
    EXPECT_LE(row.fault_point, 15);
  }
}

TEST(ErrorTable, texts_are_unique_plain_sentences) {
  std::set<std::string_view> texts;
  for (const ErrorInfo& row : all_errors()) {
    EXPECT_TRUE(texts.insert(row.text).second) << row.name;
    ASSERT_FALSE(row.text.empty());
    EXPECT_FALSE(std::isupper(static_cast<unsigned char>(row.text.front()))) << row.name;
    EXPECT_NE(row.text.back(), '.') << row.name;
  }
}

TEST(ErrorTable, is_found_by_code_and_by_name) {
  for (const ErrorInfo& row : all_errors()) {
    EXPECT_EQ(&describe(row.code), &row);
    EXPECT_EQ(to_string(row.code), row.text);
    const auto found = find_error(row.name);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->code, row.code);
  }
  EXPECT_FALSE(find_error("A00"));
  EXPECT_FALSE(find_error(""));
  EXPECT_EQ(describe(static_cast<Errc>(0)).code, Errc::system_error);
  EXPECT_EQ(describe(static_cast<Errc>(9999)).code, Errc::system_error);
}

// SPEC stcp.md#faults: every fault point is some error's.
TEST(ErrorTable, covers_every_fault_point) {
  std::set<int> points;
  for (const ErrorInfo& row : all_errors()) points.insert(row.fault_point);
  for (int point = 1; point <= 15; ++point) EXPECT_TRUE(points.contains(point)) << "F" << point;
}

TEST(Error, is_small_and_becomes_an_error_code) {
  static_assert(sizeof(Error) == 8);
  const std::error_code code = make_error_code(Error{Errc::aborted, 7});
  EXPECT_EQ(code.category(), error_category());
  EXPECT_STREQ(code.category().name(), "sealine");
  EXPECT_EQ(code.value(), 3005);
  EXPECT_EQ(code.message(), to_string(Errc::aborted));
  EXPECT_EQ(code, Errc::aborted);
  EXPECT_NE(code, Errc::truncated);
}

Result<int> half(int value) {
  if (value % 2 != 0) return fail(Errc::value_too_large, static_cast<std::uint32_t>(value));
  return value / 2;
}

Result<int> quarter(int value) {
  SEALINE_TRY(once, half(value));
  SEALINE_TRY(twice, half(once));
  return twice;
}

Result<> only_checks(int value) {
  SEALINE_TRY(half(value));
  return {};
}

TEST(Try, returns_the_first_error) {
  EXPECT_EQ(quarter(12), 3);
  EXPECT_EQ(quarter(6), fail(Errc::value_too_large, 3));
  EXPECT_TRUE(only_checks(2));
  EXPECT_EQ(only_checks(1), fail(Errc::value_too_large, 1));
}

TEST(Error, says_the_sentence_of_its_code_whatever_its_detail) {
  for (const ErrorInfo& row : all_errors()) {
    EXPECT_EQ((Error{.code = row.code, .detail = 7}).message(), row.text);
  }
}

TEST(Version, of_the_library_is_that_of_its_headers) {
  EXPECT_STREQ(sealine_version(), SEALINE_VERSION_STRING);
  EXPECT_EQ(std::string(SEALINE_VERSION_STRING), std::to_string(SEALINE_VERSION_MAJOR) + "." +
                                                     std::to_string(SEALINE_VERSION_MINOR) + "." +
                                                     std::to_string(SEALINE_VERSION_PATCH));
}

TEST(Assert, ends_the_program_and_names_the_condition) {
  const bool promise_kept = false;
  EXPECT_DEATH(SEALINE_ASSERT(promise_kept), "broken assertion: promise_kept");
}

}  // namespace
}  // namespace sealine
