#include "stx/detail/item_life.hpp"

#include "stx/detail/session_life.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>

// Every state against every event, compared with what was reviewed. After a change on purpose run
// with SEALINE_UPDATE_SNAPSHOTS=1 and read the difference.

namespace sealine::stx::detail {
namespace {

void expect_snapshot(const std::string& name, const std::string& text) {
  const auto path = test::source_path("tests/stx/" + name);
  if (std::getenv("SEALINE_UPDATE_SNAPSHOTS") != nullptr) {
    std::ofstream(path) << text;
  }
  std::ifstream file(path);
  std::stringstream reviewed;
  reviewed << file.rdbuf();
  EXPECT_EQ(text, reviewed.str()) << "tests/stx/" << name;
}

std::string pad(std::string_view word, std::size_t width) {
  std::string text(word);
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string table(const auto& states, const auto& events, auto next) {
  std::string text = "# state x event -> state; - impossible, or a fault of the peer\n";
  for (const auto from : states) {
    for (const auto on : events) {
      const auto to = next(from, on);
      text += pad(to_string(from), 10) + pad(to_string(on), 15) +
              std::string(to ? to_string(*to) : "-") + "\n";
    }
  }
  return text;
}

std::string drawing(const std::string& name, const auto& edges) {
  std::string text = "digraph " + name + " {\n  rankdir=LR;\n  node [shape=box];\n";
  for (const auto& edge : edges) {
    text += "  " + std::string(to_string(edge.from)) + " -> " + std::string(to_string(edge.to)) +
            " [label=\"" + std::string(to_string(edge.on)) + "\"];\n";
  }
  return text + "}\n";
}

void expect_one_edge_an_event(const auto& edges) {
  std::set<std::pair<int, int>> seen;
  for (const auto& edge : edges) {
    EXPECT_TRUE(seen.emplace(static_cast<int>(edge.from), static_cast<int>(edge.on)).second)
        << to_string(edge.from) << " " << to_string(edge.on);
  }
}

// SPEC stx.md#states
TEST(StxLife, items_of_a_sender) {
  expect_snapshot("send_table.snap.txt",
                  table(kAllSendLives, kAllSendLifeEvents,
                        [](SendLife from, SendLifeEvent on) { return next_life(from, on); }));
  expect_snapshot("send_table.snap.dot", drawing("stx_send", kSendLife));
  expect_one_edge_an_event(kSendLife);
}

// SPEC stx.md#states
TEST(StxLife, items_of_a_receiver) {
  expect_snapshot("receive_table.snap.txt",
                  table(kAllReceiveLives, kAllReceiveLifeEvents,
                        [](ReceiveLife from, ReceiveLifeEvent on) { return next_life(from, on); }));
  expect_snapshot("receive_table.snap.dot", drawing("stx_receive", kReceiveLife));
  expect_one_edge_an_event(kReceiveLife);
}

// SPEC stx.md#states
TEST(StxLife, sessions) {
  expect_snapshot("session_table.snap.txt",
                  table(kAllSessionStates, kAllSessionEvents,
                        [](SessionState from, SessionEvent on) { return next_state(from, on); }));
  expect_snapshot("session_table.snap.dot", drawing("stx_session", kSessionLife));
  expect_one_edge_an_event(kSessionLife);
}

TEST(StxLife, nothing_leads_out_of_the_end) {
  for (const auto on : kAllSendLifeEvents) EXPECT_FALSE(next_life(SendLife::over, on));
  for (const auto on : kAllReceiveLifeEvents) EXPECT_FALSE(next_life(ReceiveLife::over, on));
  for (const auto on : kAllSessionEvents) EXPECT_FALSE(next_state(SessionState::closed, on));
}

// SPEC stx.md#course
TEST(StxLife, an_item_may_end_from_every_state) {
  for (const auto life : kAllSendLives) {
    if (life == SendLife::over) continue;
    EXPECT_TRUE(next_life(life, SendLifeEvent::done_with_code)) << to_string(life);
  }
  for (const auto life : kAllReceiveLives) {
    if (life == ReceiveLife::over) continue;
    EXPECT_EQ(next_life(life, ReceiveLifeEvent::drop), ReceiveLife::over) << to_string(life);
  }
}

}  // namespace
}  // namespace sealine::stx::detail
