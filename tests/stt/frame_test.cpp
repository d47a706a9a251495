#include "sealine/stt/frame.hpp"

#include "sealine/stt/control.hpp"
#include "sealine/stt/keys.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <string>

namespace sealine::stt {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

class SttFrame : public ::testing::Test {
 protected:
  static const json& vectors() {
    static const json all = test::load_vectors("stt.json");
    return all;
  }

  // The keys of a direction and epoch, from the vectors' roots.
  EpochKeys& keys(const std::string& direction, Epoch epoch) {
    const auto name = std::pair(direction, epoch);
    const auto found = keys_.find(name);
    if (found != keys_.end()) return found->second;
    for (const json& row : vectors()["stream_keys"]) {
      if (row["dir"] != direction || row["epoch"].get<Epoch>() != epoch) continue;
      DirectionKey root(test::hex_array<32>(row["root"].get<std::string>()));
      return keys_.emplace(name, EpochKeys(*engine_, epoch, std::move(root))).first->second;
    }
    throw std::runtime_error("no such keys");
  }

  std::unique_ptr<crypto::Engine> engine_ = *crypto::make_engine();
  std::map<std::pair<std::string, Epoch>, EpochKeys> keys_;
};

TEST_F(SttFrame, GoldenFramesSealAndOpen) {
  std::size_t checked = 0;
  for (const json& v : vectors()["frames"]) {
    const std::string direction = v["dir"];
    const auto epoch = v["epoch"].get<Epoch>();
    Bytes frame = from_hex(v["frame"].get<std::string>());
    const Bytes plaintext = from_hex(v["plaintext"].get<std::string>());

    const auto view = parse_frame(frame);
    ASSERT_TRUE(view) << v["frame"];
    EXPECT_EQ(static_cast<int>(view->head.type), v["type"].get<int>());
    EXPECT_EQ(view->head.stream, v["stream"].get<StreamId>());
    EXPECT_EQ(view->head.flags, v["flags"].get<int>());
    EXPECT_EQ(view->head.epoch, epoch);
    EXPECT_EQ(view->frame_bytes, frame.size());
    const std::string number = v["pn"].is_string() ? v["pn"].get<std::string>()
                                                   : std::to_string(v["pn"].get<std::uint64_t>());
    EXPECT_EQ(std::to_string(view->head.number), number);

    // Sealed with the plaintext as one run, and split anywhere in two.
    for (const std::size_t split : {std::size_t{0}, plaintext.size() / 2, plaintext.size()}) {
      Bytes out(plaintext.size() + kMaxFrameOverheadBytes);
      const std::size_t length = keys(direction, epoch)
                                     .seal(view->head, ByteView(plaintext).first(split),
                                           ByteView(plaintext).subspan(split), out);
      EXPECT_EQ(to_hex(ByteView(out).first(length)), v["frame"].get<std::string>());
    }
    const auto opened = keys(direction, epoch).open(*view);
    ASSERT_TRUE(opened);
    EXPECT_EQ(to_hex(*opened), v["plaintext"].get<std::string>());
    ++checked;
  }
  EXPECT_EQ(checked, 60U);
}

TEST_F(SttFrame, GoldenRotations) {
  std::map<std::string, EpochKeys*> last;
  for (const json& v : vectors()["rotation"]) {
    const std::string direction = v["dir"];
    const auto epoch = v["epoch"].get<Epoch>();
    const auto nonce = test::hex_array<32>(v["nonce"].get<std::string>());
    EpochKeys next = keys(direction, epoch - 1).next(nonce, from_hex(v["x"].get<std::string>()));
    EXPECT_EQ(next.epoch(), epoch);
    // The same keys as those made of the vectors' root: they open each other's frames.
    DirectionKey root(test::hex_array<32>(v["new"].get<std::string>()));
    EpochKeys known(*engine_, epoch, std::move(root));
    Bytes frame(64);
    const FrameHead head{.type = FrameType::data, .stream = 1, .number = 5};
    frame.resize(next.seal(head, {}, from_hex("616263"), frame));
    const auto view = parse_frame(frame);
    ASSERT_TRUE(view);
    EXPECT_TRUE(known.open(*view));

    const Bytes body = from_hex(v["rotate"].get<std::string>());
    ControlReader rotate_reader(FrameType::control, body);
    const auto rotate = rotate_reader.next();
    ASSERT_TRUE(rotate && *rotate);
    EXPECT_EQ(std::get<Rotate>(**rotate).epoch, epoch);
    EXPECT_EQ(std::get<Rotate>(**rotate).nonce, nonce);
    Bytes out(512);
    ControlWriter writer(out);
    EXPECT_TRUE(writer.put(**rotate));
    EXPECT_EQ(to_hex(writer.finish()), v["rotate"].get<std::string>());
  }
}

TEST_F(SttFrame, EveryBitOfAFrameIsBound) {
  EpochKeys& sender = keys("I2R", 0);
  const FrameHead head{.type = FrameType::data,
                       .session_id = {1, 2, 3},
                       .stream = 1,
                       .number = 300,
                       .flags = flag::kFin};
  Bytes frame(128);
  frame.resize(sender.seal(head, from_hex("05"), from_hex("68656c6c6f"), frame));
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Bytes changed = frame;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto view = parse_frame(changed);
    // What still parses is of another session, or another epoch, or does not open.
    if (view && view->head.session_id == head.session_id && view->head.epoch == 0) {
      EXPECT_FALSE(sender.open(*view)) << "bit " << bit;
    }
  }
}

// Faults of the head: those that the vectors name without a key.
TEST_F(SttFrame, GoldenBadHeads) {
  const std::map<std::string, bool> by_reason{{"header truncated", true},
                                              {"magic", true},
                                              {"type", true},
                                              {"stream id", true},
                                              {"packet number", true},
                                              {"flags", true},
                                              {"payload length", true},
                                              {"meta", true},
                                              {"meta length", true},
                                              {"varint not minimal", true},
                                              {"varint truncated", true}};
  std::size_t checked = 0;
  for (const json& v : vectors()["bad_frames"]) {
    if (!by_reason.contains(v["reason"]) || !v["first"].empty()) continue;
    Bytes datagram = from_hex(v["hex"].get<std::string>());
    MutableBytes rest(datagram);
    // "the frame before it stands": one whole frame may come first.
    auto view = parse_frame(rest);
    if (view && view->frame_bytes < rest.size())
      view = parse_frame(rest.subspan(view->frame_bytes));
    EXPECT_FALSE(view) << v["name"];
    ++checked;
  }
  EXPECT_GE(checked, 20U);
}

TEST_F(SttFrame, GoldenAcks) {
  for (const json& v : vectors()["ack"]["good"]) {
    const Bytes body = from_hex(v["body"].get<std::string>());
    ControlReader reader(FrameType::control, body);
    const auto message = reader.next();
    ASSERT_TRUE(message && *message) << v["body"];
    const Ack& ack = std::get<Ack>(**message);
    ASSERT_EQ(ack.range_count, v["ranges"].size());
    for (std::size_t i = 0; i < ack.range_count; ++i) {
      const auto end = [&](std::size_t k) {
        const json& x = v["ranges"][i][k];
        return x.is_string() ? std::stoull(x.get<std::string>()) : x.get<std::uint64_t>();
      };
      const PacketRange expected{.first = std::min(end(0), end(1)),
                                 .last = std::max(end(0), end(1))};
      EXPECT_EQ(ack.ranges[i], expected) << v["body"];
    }
    Bytes out(2048);
    ControlWriter writer(out);
    EXPECT_TRUE(writer.put(**message));
    EXPECT_EQ(to_hex(writer.finish()), v["body"].get<std::string>());
    const auto end = reader.next();
    EXPECT_TRUE(end && !*end);
  }
  for (const json& v : vectors()["ack"]["bad"]) {
    const PacketNumber largest = v["largest"].is_string()
                                     ? std::stoull(v["largest"].get<std::string>())
                                     : v["largest"].get<std::uint64_t>();
    Ack ack;
    EXPECT_FALSE(parse_ack_ranges(largest, from_hex(v["bytes"].get<std::string>()), ack)) << v;
  }
}

TEST_F(SttFrame, UnknownMessagesArePassedOverAndKnownOnesAreStrict) {
  const auto read = [](std::string_view hex, FrameType type = FrameType::control) {
    const Bytes body = from_hex(std::string(hex));
    ControlReader reader(type, body);
    std::size_t known = 0;
    while (true) {
      const auto message = reader.next();
      if (!message) return -1;
      if (!*message) return static_cast<int>(known);
      ++known;
    }
  };
  const std::string ping = "4000000002140117000000000000000a";
  EXPECT_EQ(read("4000000001" + ping), 1);
  EXPECT_EQ(read("4000000002"
                 "4000000002140b00" +
                 ping),
            1)
      << "code 11 is reserved";
  EXPECT_EQ(read("4000000001"
                 "400000000314ff30000000016140000000011001"),
            0)
      << "code 255";
  EXPECT_EQ(read("4000000001" + ping + "00"), -1) << "a byte left over";
  EXPECT_EQ(read("4000000002" + ping), -1) << "a message missing";
  EXPECT_EQ(read("4000000000"), -1) << "an empty list";
  EXPECT_EQ(read("4000000001"
                 "40000000021401130000000000000001"),
            -1)
      << "PING with i64";
  EXPECT_EQ(read("4000000001"
                 "400000000114"
                 "01"),
            -1)
      << "PING without argument";
  EXPECT_EQ(read("4000000001"
                 "4000000002140217ffffffffffffffff",
                 FrameType::stream_control),
            1);
  EXPECT_EQ(read("4000000001"
                 "4000000002140117000000000000000a",
                 FrameType::stream_control),
            0)
      << "code 1 of STREAM_CONTROL is reserved";
}

}  // namespace
}  // namespace sealine::stt
