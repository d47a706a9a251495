#include "stcp/detail/lifecycle.hpp"

#include "stcp/detail/rekey.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

// Every state against every event, compared with what was reviewed. After a change on purpose run
// with SEALINE_UPDATE_SNAPSHOTS=1 and read the difference.

namespace sealine::stcp::detail {
namespace {

void expect_snapshot(const std::string& name, const std::string& text) {
  const auto path = test::source_path("tests/stcp/" + name);
  if (std::getenv("SEALINE_UPDATE_SNAPSHOTS") != nullptr) {
    std::ofstream(path) << text;
  }
  std::ifstream file(path);
  std::stringstream reviewed;
  reviewed << file.rdbuf();
  EXPECT_EQ(text, reviewed.str()) << "tests/stcp/" << name;
}

std::string pad(std::string_view word, std::size_t width) {
  std::string text(word);
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

// SPEC stcp.md#state-machine
TEST(StcpLifecycle, every_state_against_every_event) {
  std::string text = "# state x event -> state; - impossible\n";
  for (const State from : kAllStates) {
    for (const LifecycleEvent on : kAllLifecycleEvents) {
      const auto to = next_state(from, on);
      text += pad(to_string(from), 14) + pad(to_string(on), 18) +
              std::string(to ? to_string(*to) : "-") + "\n";
    }
  }
  expect_snapshot("state_table.snap.txt", text);
}

TEST(StcpLifecycle, drawing) {
  std::string text = "digraph stcp_states {\n  rankdir=LR;\n  node [shape=box];\n";
  for (const LifecycleEdge& edge : kLifecycle) {
    text += "  " + std::string(to_string(edge.from)) + " -> " + std::string(to_string(edge.to)) +
            " [label=\"" + std::string(to_string(edge.on)) + "\"];\n";
  }
  expect_snapshot("state_table.snap.dot", text + "}\n");
}

TEST(StcpLifecycle, no_two_edges_for_one_event) {
  std::set<std::pair<State, LifecycleEvent>> seen;
  for (const LifecycleEdge& edge : kLifecycle) {
    EXPECT_TRUE(seen.emplace(edge.from, edge.on).second);
  }
  // Nothing leads out of CLOSED, nothing but the taking of the fault out of ERROR.
  for (const LifecycleEvent on : kAllLifecycleEvents) {
    EXPECT_FALSE(next_state(State::closed, on));
    EXPECT_EQ(next_state(State::error, on).has_value(), on == LifecycleEvent::fault_taken);
  }
}

// SPEC stcp.md#rekey
TEST(StcpRekeyTable, every_state_against_every_event) {
  std::string text =
      "# state x event x own half -> state; - refused if it is a record, else ignored\n";
  for (const RekeyState from : kAllRekeyStates) {
    for (const RekeyEvent on : kAllRekeyEvents) {
      for (const OwnHalf half : {OwnHalf::open, OwnHalf::closed}) {
        const auto to = next_rekey_state(from, on, half);
        text += pad(to_string(from), 15) + pad(to_string(on), 14) +
                pad(half == OwnHalf::open ? "open" : "closed", 8) +
                std::string(to ? to_string(*to) : "-") + "\n";
      }
    }
  }
  expect_snapshot("rekey_table.snap.txt", text);
}

TEST(StcpRekeyTable, drawing) {
  std::string text = "digraph stcp_rekey {\n  node [shape=box];\n";
  for (const RekeyEdge& edge : kRekeyEdges) {
    text += "  " + std::string(to_string(edge.from)) + " -> " + std::string(to_string(edge.to)) +
            " [label=\"" + std::string(to_string(edge.on)) +
            (edge.half == OwnHalf::closed ? " (own CLOSE out)" : "") + "\"];\n";
  }
  expect_snapshot("rekey_table.snap.dot", text + "}\n");
}

TEST(StcpRekeyTable, no_two_edges_for_one_event) {
  std::set<std::tuple<RekeyState, RekeyEvent, OwnHalf>> seen;
  for (const RekeyEdge& edge : kRekeyEdges) {
    EXPECT_TRUE(seen.emplace(edge.from, edge.on, edge.half).second);
  }
}

// SPEC stcp.md#close
TEST(StcpRekeyTable, who_has_sent_close_sends_no_rekey) {
  for (const RekeyEdge& edge : kRekeyEdges) {
    if (edge.half == OwnHalf::open) continue;
    EXPECT_NE(edge.to, RekeyState::r1_due);
    EXPECT_NE(edge.to, RekeyState::r2_due);
    EXPECT_NE(edge.to, RekeyState::r3_due);
  }
}

}  // namespace
}  // namespace sealine::stcp::detail
