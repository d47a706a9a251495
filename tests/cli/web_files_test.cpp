#include "cli/web_files.hpp"

#include "sealine/wire/tlv.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

using wire::Value;

std::vector<std::uint8_t> head(std::string_view name) {
  return Value::dict(
             {{"t", Value::text("file")}, {"name", Value::text(name)}, {"size", Value::u64(3)}})
      .encode();
}

class WebFileTest : public ::testing::Test {
 protected:
  WebFileTest() : path_(std::filesystem::temp_directory_path() / unique()) {
    std::filesystem::create_directory(path_);
  }

  ~WebFileTest() override { std::filesystem::remove_all(path_); }

  WebFileTest(const WebFileTest&) = delete;
  WebFileTest& operator=(const WebFileTest&) = delete;

  static std::string unique() {
    return "sealine-web-" + std::to_string(::getpid()) + "-" +
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }

  [[nodiscard]] std::string content(const std::string& name) const {
    std::ifstream in(path_ / name);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_),
                                                  std::filesystem::directory_iterator()));
  }

  std::filesystem::path path_;
};

TEST(WebWords, NamesThatWouldLeaveTheFolderAreRefused) {
  for (const std::string_view name :
       {"", ".", "..", "/etc/passwd", "a/b", "../a", ".stx-ledger", "x.stxpart"}) {
    const auto parsed = parse_file_head(head(name));
    ASSERT_FALSE(parsed) << name;
    EXPECT_EQ(parsed.error().code, Errc::file_name_refused) << name;
  }
  EXPECT_FALSE(parse_file_head(head(std::string_view("a\0b", 3))));
  EXPECT_FALSE(parse_file_head(head(std::string(256, 'x'))));
  const auto good = parse_file_head(head("ok \xE2\x82\xAC\n.txt"));
  ASSERT_TRUE(good);
  EXPECT_EQ(good->size, 3U);
}

TEST(WebWords, WhatIsSaidIsReadAgainAndNothingElseIs) {
  const auto sent = encode_file_head({.name = "a", .size = 7});
  const ByteView value = ByteView(sent).subspan(4);
  EXPECT_EQ(sent[3], value.size());
  EXPECT_EQ(parse_file_head(value)->size, 7U);
  EXPECT_EQ(parse_chat(encode_chat("hi")).value(), "hi");
  const ByteArray<32> hash{1, 2, 3};
  EXPECT_EQ(parse_file_done(encode_file_done(hash)).value(), hash);
  EXPECT_FALSE(parse_chat(value));
  EXPECT_FALSE(parse_file_head(encode_chat("hi")));
  EXPECT_FALSE(parse_file_head(sent));
  EXPECT_FALSE(parse_file_done({}));
  const auto more =
      Value::dict({{"t", Value::text("chat")}, {"text", Value::text("x")}, {"more", Value::u8(1)}})
          .encode();
  EXPECT_FALSE(parse_chat(more));
  const auto other_tag =
      Value::dict({{"t", Value::text("file")}, {"name", Value::text("a")}, {"size", Value::u32(1)}})
          .encode();
  EXPECT_FALSE(parse_file_head(other_tag));
}

TEST_F(WebFileTest, AFileIsThereOnceItIsWholeAndNeverInPlaceOfAnother) {
  const auto folder = WebFolder::open(path_);
  ASSERT_TRUE(folder);
  for (const auto& [text, name] :
       {std::pair{"one", "a.txt"}, {"two", "a (2).txt"}, {"six", "a (3).txt"}}) {
    auto file = WebFile::create(*folder, 3);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(as_bytes(text)));
    EXPECT_FALSE(std::filesystem::exists(path_ / name));
    EXPECT_EQ(file->keep("a.txt").value(), name);
    EXPECT_EQ(content(name), text);
  }
  EXPECT_EQ(content("a.txt"), "one");
}

TEST_F(WebFileTest, WhatIsNotKeptIsGone) {
  const auto folder = WebFolder::open(path_);
  {
    auto file = WebFile::create(*folder, 3);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(as_bytes("abc")));
    EXPECT_EQ(files(), 1U);
  }
  EXPECT_EQ(files(), 0U);
}

TEST_F(WebFileTest, MoreThanTheDiskHasIsRefusedBeforeItComes) {
  const auto folder = WebFolder::open(path_);
  const auto file = WebFile::create(*folder, ~std::uint64_t{0});
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Errc::disk_full);
}

TEST_F(WebFileTest, AFolderIsNoFileToBeSent) {
  EXPECT_FALSE(WebSource::open(path_));
  EXPECT_FALSE(WebSource::open(path_ / "none"));
  EXPECT_FALSE(WebFolder::open(path_ / "none"));
}

}  // namespace
}  // namespace sealine::cli
