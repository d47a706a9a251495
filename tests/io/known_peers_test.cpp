#include "sealine/io/known_peers.hpp"

#include "io/stcp_fixture.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sealine::io {

namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void spill(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

class KnownPeersFile : public ::testing::Test {
 protected:
  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "known_peers";
  KnownPeers file_{path_};
  crypto::PublicKey a_ = test::fresh_identity()->public_key;
  crypto::PublicKey b_ = test::fresh_identity()->public_key;
  crypto::PublicKey c_ = test::fresh_identity()->public_key;
};

TEST(PeerName, is_lower_case_with_port_and_brackets) {
  EXPECT_EQ(peer_name("Example.COM.", 9000), "example.com:9000");
  EXPECT_EQ(peer_name("::1", 1), "[::1]:1");
  EXPECT_EQ(peer_name("[FE80::1%eth0]", 22), "[fe80::1%eth0]:22");
  EXPECT_EQ(parse_peer_name("A:80"), "a:80");
  EXPECT_EQ(parse_peer_name("[::1]:80"), "[::1]:80");
  for (const char* bad : {"", ":1", "a", "a:", "a:0", "a:65536", "a:1x", "::1:80", "a b:1", "[a]:1",
                          "a\n:1", "a/b:1"}) {
    EXPECT_FALSE(parse_peer_name(bad)) << bad;
  }
}

TEST_F(KnownPeersFile, missing_file_knows_nobody) {
  EXPECT_TRUE(file_.list()->empty());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(KnownPeersFile, first_contact_pins_then_knows_then_refuses_another_key) {
  EXPECT_EQ(file_.first_contact("h:1", a_)->contact, Contact::pinned);
  EXPECT_EQ(file_.first_contact("h:1", a_)->contact, Contact::known);
  const auto changed = file_.first_contact("h:1", b_);
  EXPECT_EQ(changed->contact, Contact::changed);
  ASSERT_EQ(changed->keys.size(), 1U);
  EXPECT_EQ(changed->keys[0].key, a_);
  EXPECT_EQ(file_.first_contact("h:2", b_)->contact, Contact::pinned);
  EXPECT_EQ(file_.list()->size(), 2U);
}

TEST_F(KnownPeersFile, keeps_other_lines_byte_for_byte) {
  const std::string head = "# mine \t\n\n";
  ASSERT_TRUE(file_.add("z:1", a_, "with a name"));
  const std::string line = slurp(path_);
  spill(path_, head + line.substr(0, line.size() - 1));  // no LF at the end
  ASSERT_TRUE(file_.add("y:2", b_));
  EXPECT_TRUE(slurp(path_).starts_with(head + line));
  EXPECT_EQ((*file_.list())[0].name, "with a name");
  EXPECT_EQ((*file_.list())[0].line, 3U);
  EXPECT_EQ(*file_.forget("y:2"), 1U);
  EXPECT_EQ(slurp(path_), head + line);
  EXPECT_EQ(*file_.forget("y:2"), 0U);
}

TEST_F(KnownPeersFile, unreadable_line_is_an_error_with_its_number) {
  ASSERT_TRUE(file_.add("a:1", a_));
  const std::string good = slurp(path_);
  for (const std::string& bad :
       {std::string("garbage"), "A:1" + good.substr(3), good.substr(0, good.size() - 2),
        "a:1  " + good.substr(4), std::string("a:1 slp1short 2026-01-01T00:00:00Z")}) {
    spill(path_, good + bad + "\n");
    for (const auto& result : {file_.find("a:1"), file_.find("b:1")}) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error(), (Error{Errc::bad_file_line, 2}));
    }
    EXPECT_FALSE(file_.first_contact("a:1", a_));
  }
}

TEST_F(KnownPeersFile, next_key_stands_beside_the_present_one) {
  ASSERT_TRUE(file_.add("h:1", a_));
  ASSERT_TRUE(file_.set_next("h:1", a_, b_));
  EXPECT_EQ(file_.first_contact("h:1", a_)->contact, Contact::known);
  EXPECT_EQ(file_.first_contact("h:1", b_)->contact, Contact::known);
  ASSERT_TRUE(file_.set_next("h:1", b_, c_));
  EXPECT_EQ(file_.first_contact("h:1", a_)->contact, Contact::changed);
  EXPECT_EQ(file_.find("h:1")->size(), 2U);
  ASSERT_TRUE(file_.set_next("h:1", a_, a_));  // not known any more: nothing happens
  EXPECT_EQ(file_.find("h:1")->size(), 2U);
}

TEST_F(KnownPeersFile, replace_takes_all_lines_of_the_peer) {
  ASSERT_TRUE(file_.add("h:1", a_, "name"));
  EXPECT_FALSE(file_.add("h:1", b_));
  ASSERT_TRUE(file_.replace("h:1", b_));
  ASSERT_EQ(file_.list()->size(), 1U);
  EXPECT_EQ((*file_.list())[0].key, b_);
  EXPECT_EQ((*file_.list())[0].name, "name");
}

TEST_F(KnownPeersFile, clients_are_known_by_their_key_alone) {
  KnownPeers clients(folder_.path() / "known_clients", KnownPeers::Kind::clients);
  EXPECT_EQ(clients.first_contact("10.0.0.1:5", a_)->contact, Contact::pinned);
  EXPECT_EQ(clients.first_contact("10.0.0.2:6", a_)->contact, Contact::known);
  EXPECT_TRUE(slurp(clients.file()).starts_with("slp1"));
}

TEST_F(KnownPeersFile, many_processes_lose_no_line) {
  constexpr int kProcesses = 60;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const bool own = file_.add("h" + std::to_string(i) + ":1", a_).has_value();
      const auto same = file_.first_contact("same:1", i % 2 == 0 ? a_ : b_);
      ::_exit(own && same ? (same->contact == Contact::pinned ? 42 : 0) : 1);
    }
    children.push_back(child);
  }
  int pinned = 0;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_NE(WEXITSTATUS(status), 1);
    if (WEXITSTATUS(status) == 42) ++pinned;
  }
  EXPECT_EQ(pinned, 1);
  EXPECT_EQ(file_.list()->size(), kProcesses + 1U);
}

}  // namespace

}  // namespace sealine::io
