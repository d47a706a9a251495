#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stt/session.hpp"
#include "support/link.hpp"
#include "tests/sim/base/dice.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;

/// One session that sends as much as it can over one stream, and the one that reads it.
class Flow {
 public:
  Flow(const stt::SessionConfig& config, std::uint64_t address, crypto::Engine& engine,
       crypto::Rng& rng, TimePoint now)
      : address_(address),
        sender_(config, made(stt::Role::initiator), engine, rng, now),
        reader_(config, made(stt::Role::responder), engine, rng, now),
        chunk_(65536, 0x5a) {}

  void begin(TimePoint now) {
    stream_ = *sender_.open({}, now);
    write(now);
    sender_due_ = now;
  }

  [[nodiscard]] TimePoint due() const { return std::min(sender_due_, reader_due_); }

  void hand_to_reader(const test::Delivery& arrived, TimePoint now) {
    static_cast<void>(
        reader_.handle_datagram(arrived.bytes, {.path = 0, .mark = arrived.mark}, now));
    reader_due_ = now;
  }

  void hand_to_sender(const test::Delivery& arrived, TimePoint now) {
    static_cast<void>(
        sender_.handle_datagram(arrived.bytes, {.path = 0, .mark = arrived.mark}, now));
    sender_due_ = now;
  }

  /// What is due at `now`, at both ends.
  void turn(test::Link& there, test::Link& back, TimePoint now) {
    if (stream_ == 0) return;
    if (sender_due_ <= now) {
      sender_.handle_timeout(now);
      bool has_room = false;
      while (auto event = sender_.poll_event()) {
        has_room = has_room || std::holds_alternative<stt::StreamWritable>(*event);
      }
      if (has_room) write(now);
      send(sender_, there, now);
      while (auto event = sender_.poll_event()) {
        has_room = std::holds_alternative<stt::StreamWritable>(*event);
        if (has_room) write(now);
      }
      sender_due_ = sender_.poll_timeout().value_or(TimePoint::max());
    }
    if (reader_due_ <= now) {
      reader_.handle_timeout(now);
      while (reader_.poll_event()) {
      }
      read(now);
      send(reader_, back, now);
      reader_due_ = reader_.poll_timeout().value_or(TimePoint::max());
    }
  }

  [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }

  [[nodiscard]] bool is_alive() const {
    return sender_.state() != stt::SessionState::closed &&
           reader_.state() != stt::SessionState::closed;
  }

 private:
  static stt::Established made(stt::Role role) {
    return {.role = role,
            .session_id = {1, 2, 3, 4, 5, 6, 7, 8},
            .initiator_key = stt::DirectionKey(ByteArray<32>{1}),
            .responder_key = stt::DirectionKey(ByteArray<32>{2}),
            .forward_secrecy = false,
            .peer = {},
            .peer_capabilities = {}};
  }

  void write(TimePoint now) {
    while (true) {
      const auto taken = sender_.write(stream_, chunk_, now);
      if (!taken || *taken < chunk_.size()) return;
    }
  }

  void read(TimePoint now) {
    while (true) {
      const auto got = reader_.read(stream_, chunk_read_, now);
      if (!got || got->bytes == 0) return;
      bytes_read_ += got->bytes;
    }
  }

  void send(stt::Session& session, test::Link& link, TimePoint now) {
    while (true) {
      const stt::Departure departure = session.poll_datagram(datagram_, now);
      if (departure.bytes == 0) return;
      link.send(ByteView(datagram_).first(departure.bytes), address_, stt::EcnMark::none, now);
    }
  }

  std::uint64_t address_;
  stt::Session sender_;
  stt::Session reader_;
  stt::StreamId stream_ = 0;
  std::vector<std::uint8_t> chunk_;
  std::array<std::uint8_t, 65536> chunk_read_{};
  std::array<std::uint8_t, 1500> datagram_{};
  TimePoint sender_due_ = TimePoint::max();
  TimePoint reader_due_ = TimePoint::max();
  std::uint64_t bytes_read_ = 0;
};

/// Flows over one bottleneck, and a way back that is as long and has no limit.
class Path {
 public:
  Path(const test::LinkSettings& there, std::uint64_t seed)
      : there_(there, mix(seed) ^ 1), back_({.delay = there.delay}, mix(seed) ^ 2) {}

  void add(std::unique_ptr<Flow> flow) { flows_.push_back(std::move(flow)); }

  void run(Duration time) {
    const TimePoint end = now_ + time;
    while (true) {
      while (const auto arrived = there_.receive(now_)) {
        flows_[arrived->source]->hand_to_reader(*arrived, now_);
      }
      while (const auto arrived = back_.receive(now_)) {
        flows_[arrived->source]->hand_to_sender(*arrived, now_);
      }
      TimePoint next = end;
      for (const auto& flow : flows_) {
        flow->turn(there_, back_, now_);
        next = std::min(next, flow->due());
      }
      for (const test::Link* link : {&there_, &back_}) {
        if (const auto at = link->next_arrival()) next = std::min(next, *at);
      }
      if (next >= end) break;
      // A deadline that stays in the past would stop the clock.
      now_ = next > now_ ? next : now_ + 1us;
    }
    now_ = end;
  }

  [[nodiscard]] TimePoint now() const { return now_; }

  [[nodiscard]] Flow& flow(std::size_t index) { return *flows_[index]; }

 private:
  TimePoint now_{1h};
  test::Link there_;
  test::Link back_;
  std::vector<std::unique_ptr<Flow>> flows_;
};

}  // namespace sealine::sim
