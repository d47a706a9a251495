#include "sealine/io/secret_file.hpp"

#include "io/stcp_fixture.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/allow_file.hpp"
#include "sealine/io/identity.hpp"
#include "sealine/io/state_dir.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sealine::io {

namespace {

class SecretFile : public ::testing::Test {
 protected:
  void write(std::string_view text, mode_t mode = 0600) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << text;
    ::chmod(path_.c_str(), mode);
  }

  static std::string psk_line() {
    crypto::Psk psk;
    system_rng().fill(psk.writable());
    const SecretBytes text = crypto::psk_text(thread_engine(), psk);
    return std::string(as_text(text.expose()));
  }

  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "key";
};

TEST_F(SecretFile, open_to_others_is_refused_with_the_way_out) {
  for (const mode_t mode : {0640U, 0604U, 0620U, 0660U, 0644U}) {
    write(psk_line() + "\n", mode);
    EXPECT_EQ(read_psk_file(path_).error().code, Errc::bad_secret_file);
    EXPECT_EQ(secret_file_hint(path_), "chmod 600 '" + path_.string() + "'");
  }
  write(psk_line() + "\n");
  EXPECT_TRUE(read_psk_file(path_));
  EXPECT_EQ(secret_file_hint(path_), "");
}

TEST_F(SecretFile, takes_raw_bytes_texts_and_hex) {
  write(std::string(32, '\x07'));
  EXPECT_EQ(read_one_psk_file(path_)->psk.expose()[31], 7);
  write("# shared\n\n" + psk_line() + " a friend\n" + std::string(64, 'a') + "\n");
  const auto two = read_psk_file(path_);
  ASSERT_TRUE(two);
  ASSERT_EQ(two->size(), 2U);
  EXPECT_EQ((*two)[0].name, "a friend");
  EXPECT_EQ((*two)[1].psk.expose()[0], 0xaa);
  EXPECT_FALSE(read_one_psk_file(path_));
}

TEST_F(SecretFile, bad_lines_are_named) {
  write("# only a comment\n");
  EXPECT_EQ(read_psk_file(path_).error(), (Error{Errc::bad_file_line, 2}));
  write(psk_line() + "\nnonsense\n");
  EXPECT_EQ(read_psk_file(path_).error(), (Error{Errc::bad_file_line, 2}));
  EXPECT_EQ(read_psk_file(folder_.path() / "none").error(), (Error{Errc::file_error, ENOENT}));
}

TEST_F(SecretFile, too_long_is_refused) {
  write(std::string(100, 'x'));
  EXPECT_EQ(read_secret_file(path_, 99).error().code, Errc::value_too_large);
  EXPECT_EQ(read_secret_file(path_, 100)->size(), 100U);
}

TEST_F(SecretFile, is_written_closed_and_never_over_another) {
  ASSERT_TRUE(write_secret_file(path_, as_bytes("text")));
  struct ::stat status{};
  ::stat(path_.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(write_secret_file(path_, as_bytes("other")).error().detail, EEXIST);
}

TEST_F(SecretFile, identity_is_made_once_by_many_processes) {
  std::vector<int> pipes(2);
  ASSERT_EQ(::pipe(pipes.data()), 0);
  constexpr int kProcesses = 40;
  for (int i = 0; i < kProcesses; ++i) {
    if (::fork() != 0) continue;
    const auto pair = open_identity(path_);
    const std::uint8_t none[32] = {};
    const ssize_t n = ::write(pipes[1], pair ? pair->public_key.bytes.data() : none, 32);
    ::_exit(n == 32 ? 0 : 1);
  }
  std::set<crypto::PublicKey> keys;
  for (int i = 0; i < kProcesses; ++i) {
    crypto::PublicKey key;
    ASSERT_EQ(::read(pipes[0], key.bytes.data(), 32), 32);
    keys.insert(key);
    ::wait(nullptr);
  }
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(read_identity(path_)->public_key, *keys.begin());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

TEST_F(SecretFile, damaged_identity_is_never_replaced) {
  write("slk1broken\n");
  EXPECT_EQ(open_identity(path_).error(), (Error{Errc::bad_file_line, 1}));
  write("slk1broken\n", 0644);
  EXPECT_EQ(open_identity(path_).error().code, Errc::bad_secret_file);
}

TEST_F(SecretFile, allow_file_is_read_again_and_keeps_the_old_list_on_errors) {
  const auto a = test::fresh_identity()->public_key;
  const auto b = test::fresh_identity()->public_key;
  write("# team\n" + crypto::public_key_text(thread_engine(), a) + " ann\n", 0644);
  const auto allow = AllowFile::open(path_);
  ASSERT_TRUE(allow);
  EXPECT_EQ((*allow)->find(a), "ann");
  EXPECT_FALSE((*allow)->find(b));
  write("nonsense\n");
  EXPECT_EQ((*allow)->reload().error(), (Error{Errc::bad_file_line, 1}));
  EXPECT_TRUE((*allow)->find(a));
  write(crypto::public_key_text(thread_engine(), b) + "\n");
  ASSERT_TRUE((*allow)->reload());
  EXPECT_FALSE((*allow)->find(a));
  EXPECT_TRUE((*allow)->find(b));
}

TEST_F(SecretFile, state_folder_is_made_for_us_alone) {
  const auto place = folder_.path() / "a" / "b";
  ASSERT_TRUE(open_state_dir(place));
  struct ::stat status{};
  ::stat(place.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  ::chmod(place.c_str(), 0777);
  EXPECT_EQ(open_state_dir(place).error().code, Errc::bad_secret_file);
  ::setenv("SEALINE_STATE_DIR", "/x/y", 1);
  EXPECT_EQ(state_dir_path()->string(), "/x/y");
  EXPECT_EQ(state_dir_path("/chosen")->string(), "/chosen");
  ::unsetenv("SEALINE_STATE_DIR");
  ::setenv("XDG_STATE_HOME", "/xdg", 1);
  EXPECT_EQ(state_dir_path()->string(), "/xdg/sealine");
  ::unsetenv("XDG_STATE_HOME");
}

}  // namespace

}  // namespace sealine::io
