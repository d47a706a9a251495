#pragma once

#include "sealine/stcp/connection.hpp"
#include "tests/sim/dice.hpp"
#include "tests/sim/pipe.hpp"
#include "tests/sim/stcp/end.hpp"
#include "tests/sim/toy_engine.hpp"
#include "tests/sim/violation.hpp"
#include "tests/sim/watching_engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;
using stcp::Mode;

enum class What : std::uint8_t {
  deliver,         // the first message, whole
  deliver_part,    // its first half
  drop,            // the first message never comes
  duplicate,       // it comes twice
  reorder,         // the first two change places
  corrupt_length,  // a bit of the head
  corrupt_iv,
  corrupt_body,
  corrupt_tag,
  cut,       // the stream ends behind what is on its way
  time_out,  // the earliest deadline comes
  send,
  close,
  abort,
  rekey,
  ping,
  run_ahead,
  count_,
};

constexpr const char* kNames[] = {
    "deliver",    "deliver_part", "drop",        "duplicate", "reorder",  "corrupt_length",
    "corrupt_iv", "corrupt_body", "corrupt_tag", "cut",       "time_out", "send",
    "close",      "abort",        "rekey",       "ping",      "run_ahead"};
static_assert(std::size(kNames) == static_cast<std::size_t>(What::count_));

/// What happens, and at the client (to it, for messages) or the server.
struct Action {
  What what;
  bool at_client;

  [[nodiscard]] std::uint8_t code() const {
    return static_cast<std::uint8_t>(static_cast<unsigned>(what) * 2 + (at_client ? 1 : 0));
  }

  static Action from(std::uint8_t code) { return {static_cast<What>(code / 2), code % 2 == 1}; }
};

constexpr std::size_t kInFlight = 4;
constexpr unsigned kTamperings = 2;  // of one path
constexpr std::size_t kSendBytes = 9;

/// One direction: whole messages, as they were written.
class Queue final : public Wire {
 public:
  void write(ByteView bytes) override {
    if (!is_cut) messages.emplace_back(bytes.begin(), bytes.end());
  }

  std::deque<std::vector<std::uint8_t>> messages;
  bool is_cut = false;
};

/// What all replays share.
struct Setting {
  Setting() : engine(toy, book, stcp::kRecordHeadBytes) {
    DiceRng rng(7);
    const auto pair = [&] {
      return std::make_shared<const crypto::KeyPair>(crypto::KeyPair::generate(engine, rng));
    };
    server.modes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
    server.identity = pair();
    const auto client_identity = pair();
    crypto::Psk secret;
    rng.fill(secret.writable());
    server.psks.push_back(stcp::ServerPsk::make(engine, secret.clone()));
    const auto psk = std::make_shared<const crypto::Psk>(std::move(secret));
    for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk}) {
      stcp::ClientConfig client;
      client.mode = mode;
      if (mode == Mode::mutual) client.identity = client_identity;
      if (mode == Mode::psk) client.psk = psk;
      clients.push_back(client);
    }
  }

  ToyEngine toy;
  KeyBook book;
  WatchingEngine engine;
  stcp::ServerConfig server;
  std::vector<stcp::ClientConfig> clients;
};

/// Both ends, from the start.
class Play {
 public:
  /// Where a path begins: a mode, before or behind the handshake.
  static constexpr std::size_t kRoots = 8;
  static constexpr std::size_t kActions = static_cast<std::size_t>(What::count_) * 2;

  static std::string name(std::uint8_t code) {
    const Action action = Action::from(code);
    return std::string(action.at_client ? "client/" : "server/") +
           kNames[static_cast<std::size_t>(action.what)];
  }

  Play(Setting& setting, std::size_t root) : client_rng_(1), server_rng_(2) {
    setting.book.clear();
    auto client = stcp::ClientConnection::create(setting.clients[root % 4], setting.engine,
                                                 client_rng_, now_);
    auto server = stcp::ServerConnection::create(setting.server, setting.engine, server_rng_, now_);
    require(client && server, "ends can be made");
    server_.emplace(std::move(*server),
                    End::Setup{.sends = 2, .receives = 1, .expected_key = {}, .offers = 1000},
                    setting.engine, setting.book, down_, Dice(3));
    client_.emplace(std::move(*client),
                    End::Setup{.sends = 1, .receives = 2, .expected_key = {}, .offers = 1000},
                    setting.engine, setting.book, up_, Dice(4));
    client_->start(now_);
    if (root >= 4) deliver_all();
  }

  [[nodiscard]] bool is_possible(std::uint8_t code) const {
    const Action action = Action::from(code);
    const Queue& queue = action.at_client ? down_ : up_;
    const End& end = action.at_client ? *client_ : *server_;
    const bool may_tamper = tampered_ < kTamperings;
    switch (action.what) {
      case What::deliver:
        return !queue.messages.empty() || (queue.is_cut && !end.end_given() && !end.is_over());
      case What::deliver_part:
        return !queue.messages.empty() && queue.messages.front().size() > 1 && !end.is_over();
      case What::drop:
      case What::corrupt_length:
      case What::corrupt_iv:
      case What::corrupt_body:
      case What::corrupt_tag:
        return may_tamper && !queue.messages.empty() && !end.is_over();
      case What::duplicate:
        return may_tamper && !queue.messages.empty() && in_flight() < kInFlight && !end.is_over();
      case What::reorder:
        return may_tamper && queue.messages.size() > 1 && !end.is_over();
      case What::cut:
        return !queue.is_cut && !end.is_over();
      case What::time_out:
        return action.at_client && earliest().has_value();
      case What::send:
      case What::ping:
        return in_flight() < kInFlight && end.connection().can_send();
      case What::rekey:
        return in_flight() < kInFlight && end.connection().state() == stcp::State::encrypted;
      case What::close:
        return in_flight() < kInFlight && !end.close_asked() && !end.is_over();
      case What::abort:
        return in_flight() < kInFlight && !end.is_over();
      case What::run_ahead:
        return end.connection().state() == stcp::State::encrypted;
      case What::count_:
        break;
    }
    return false;
  }

  void apply(std::uint8_t code) {
    const Action action = Action::from(code);
    Queue& queue = action.at_client ? down_ : up_;
    End& end = action.at_client ? *client_ : *server_;
    switch (action.what) {
      case What::deliver:
        deliver(queue, end);
        break;
      case What::deliver_part: {
        auto& message = queue.messages.front();
        const std::size_t half = message.size() / 2;
        hand_over(end, ByteView(message).first(half));
        message.erase(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(half));
        break;
      }
      case What::drop:
        queue.messages.pop_front();
        ++tampered_;
        break;
      case What::duplicate:
        queue.messages.push_front(std::vector(queue.messages.front()));
        ++tampered_;
        break;
      case What::reorder:
        std::swap(queue.messages[0], queue.messages[1]);
        ++tampered_;
        break;
      case What::corrupt_length:
        corrupt(queue, 7);
        break;
      case What::corrupt_iv:
        corrupt(queue, 8);
        break;
      case What::corrupt_body:
        corrupt(queue, 24);
        break;
      case What::corrupt_tag:
        corrupt(queue, queue.messages.front().size() - 1);
        break;
      case What::cut:
        queue.is_cut = true;
        break;
      case What::time_out:
        time_out();
        break;
      case What::send:
        end.send(kSendBytes, 12000, now_);
        break;
      case What::close:
        end.close(now_);
        break;
      case What::abort:
        was_aborted_ = true;
        end.abort(9, now_);
        break;
      case What::rekey:
        end.request_rekey(now_);
        break;
      case What::ping:
        end.ping(now_);
        break;
      case What::run_ahead:
        end.run_ahead(now_);
        break;
      case What::count_:
        break;
    }
    check();
  }

  /// Without further faults everything that was sent arrives, and both ends close cleanly.
  void finish_well() {
    if (tampered_ != 0 || up_.is_cut || down_.is_cut || was_aborted_) return;
    if (client_->is_over() || server_->is_over()) return;
    if (client_->connection().fault() || server_->connection().fault()) return;  // a deadline
    deliver_all();
    client_->send(kSendBytes, 12000, now_);
    server_->send(kSendBytes, 12000, now_);
    deliver_all();
    client_->close(now_);
    server_->close(now_);
    deliver_all();
    require(client_->connection().state() == stcp::State::closed &&
                server_->connection().state() == stcp::State::closed,
            "without faults both ends reach CLOSED");
    require(client_->data_ended() && server_->data_ended(), "without faults data ends cleanly");
    require(client_->delivered() == server_->sent() && server_->delivered() == client_->sent(),
            "without faults all data arrive");
  }

  [[nodiscard]] std::uint64_t hash() const {
    Trace trace;
    client_->observe(trace, now_);
    server_->observe(trace, now_);
    for (const Queue* queue : {&up_, &down_}) {
      trace.add((std::uint64_t{queue->messages.size()} << 1U) | (queue->is_cut ? 1U : 0U));
      for (const auto& message : queue->messages) trace.add(message);
    }
    trace.add((tampered_ << 1U) | (was_aborted_ ? 1U : 0U));
    return trace.value();
  }

  void print() const {
    client_->print();
    server_->print();
  }

 private:
  [[nodiscard]] std::size_t in_flight() const {
    return up_.messages.size() + down_.messages.size();
  }

  [[nodiscard]] std::optional<TimePoint> earliest() const {
    std::optional<TimePoint> first = client_->deadline();
    if (!first || (server_->deadline() && *server_->deadline() < *first)) {
      if (server_->deadline()) first = server_->deadline();
    }
    return first;
  }

  void time_out() {
    now_ = std::max(now_, *earliest());
    for (End* end : {&*client_, &*server_}) {
      for (int i = 0; i < 8 && end->deadline() && *end->deadline() <= now_; ++i) {
        end->timeout(now_);
      }
      require(!end->deadline() || *end->deadline() > now_, "a timer that fired is over");
    }
  }

  void corrupt(Queue& queue, std::size_t at) {
    auto& message = queue.messages.front();
    at = std::min(at, message.size() - 1);
    message[at] = static_cast<std::uint8_t>(message[at] ^ 1U);
    ++tampered_;
  }

  void hand_over(End& end, ByteView bytes) {
    if (end.is_over()) return;
    end.receive(bytes);
    end.process(now_);
  }

  void deliver(Queue& queue, End& end) {
    if (!queue.messages.empty()) {
      const std::vector<std::uint8_t> message = std::move(queue.messages.front());
      queue.messages.pop_front();
      hand_over(end, message);
      return;
    }
    end.end_of_stream(now_);
  }

  void deliver_all() {
    for (int i = 0; i < 200 && in_flight() != 0; ++i) {
      if (!up_.messages.empty()) deliver(up_, *server_);
      if (!down_.messages.empty()) deliver(down_, *client_);
      check();
    }
    require(in_flight() == 0, "ends that are left alone fall silent");
  }

  void check() {
    End::compare(*client_, *server_);
    for (Queue* queue : {&up_, &down_}) {
      const End& writer = queue == &up_ ? *client_ : *server_;
      if (writer.is_over() && !queue->is_cut) queue->is_cut = true;
    }
    if (tampered_ != 0) return;
    for (const auto& [end, other] :
         {std::pair(&*client_, &*server_), std::pair(&*server_, &*client_)}) {
      const auto fault = end->connection().fault();
      if (!fault) continue;
      const Errc code = fault->code;
      const bool is_excused =
          code == Errc::handshake_timeout || code == Errc::idle_timeout || code == Errc::too_slow ||
          (code == Errc::cancelled && end->is_cancelled()) ||
          (code == Errc::aborted &&
           (other->abort_sent() || end->abort_sent() || other->connection().fault())) ||
          ((code == Errc::truncated || code == Errc::peer_fell_silent) && end->end_given());
      if (!is_excused) throw Violation("false alarm: " + std::string(to_string(code)));
    }
  }

  DiceRng client_rng_;
  DiceRng server_rng_;
  TimePoint now_{std::chrono::hours(1)};
  Queue up_;
  Queue down_;
  std::optional<End> client_;
  std::optional<End> server_;
  unsigned tampered_ = 0;
  bool was_aborted_ = false;
};

}  // namespace sealine::sim
