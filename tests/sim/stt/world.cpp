#include "tests/sim/stt/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/wire.hpp"
#include "tests/sim/base/world.hpp"
#include "tests/sim/stt/call.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

SttWorld::SttWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                   const SttKeys& keys)
    : World(seed, 0x577b, events, inner) {
  draw_rates(seed);
  for (stt::HandshakeConfig* config : {&here_, &there_, &stranger_}) {
    const auto& key = config == &stranger_ ? keys.seeds[1] : keys.seeds[0];
    config->seed_key = stc::SeedKey(key->expose());
    config->ephemeral = dice_.chance(70);
    rng_.fill(config->node_id);
  }
  there_.demand_ephemeral = here_.ephemeral && dice_.chance(50);
  // A clock that is off costs a round trip, and nothing else.
  if (dice_.chance(25)) skew_ms_ = dice_.between(0, 7'200'000);
  responder_.emplace(there_, engine_, rng_, now_);
}

void SttWorld::draw_rates(std::uint64_t seed) {
  rates_.is_liveness = seed % 3 == 0;
  rates_.dials = 40;
  rates_.nodes = dice_.between(1, 5);
  rates_.stall_permille = dice_.pick<unsigned>({0, 0, 1, 5});
  rates_.tick_percent = dice_.pick<unsigned>({2, 8, 20});
  rates_.slow_percent = dice_.pick<unsigned>({0, 20, 80});
  rough_permille_ = dice_.pick<unsigned>({0, 0, 5});
  rates_.capacity = dice_.pick<std::size_t>({1000, 20'000, 300'000});
  rates_.tamper_permille = dice_.pick<unsigned>({0, 0, 2, 8});
  rates_.cut_permille = dice_.pick<unsigned>({0, 0, 1, 3});
}

stt::SessionConfig SttWorld::draw_config() {
  stt::SessionConfig config;
  config.padding =
      dice_.pick({stt::Padding::none, stt::Padding::none, stt::Padding::none,
                  stt::Padding::fixed_128, stt::Padding::fixed_1024, stt::Padding::full});
  stt::Limits& limits = config.limits;
  // Room for some messages: one is begun with credit for all of it.
  limits.stream_window_bytes = dice_.pick<std::uint64_t>({40'000, 262'144});
  limits.session_window_bytes = dice_.pick<std::uint64_t>({50'000, 100'000, 1'048'576});
  const std::uint64_t most = dice_.chance(50) ? 1 : 8;  // with auto-tuning or without
  limits.max_stream_window_bytes = most * limits.stream_window_bytes;
  limits.max_session_window_bytes = most * limits.session_window_bytes;
  limits.send_buffer_bytes = dice_.pick<std::size_t>({5'000, 60'000, 262'144});
  limits.frame_bytes = dice_.pick<std::size_t>({1'000, 16'384, 65'536});
  limits.rotate_frames = dice_.pick<std::uint64_t>({20, 60, 300, 100'000});
  limits.rotate_bytes = dice_.pick<std::uint64_t>({100'000, 1'000'000'000});
  limits.rotate_after = dice_.pick<Duration>({5s, 3600s});
  if (dice_.chance(50)) limits.ping_after = 5s;
  return config;
}

bool SttWorld::is_time_to_open() {
  return calls_.size() < rates_.nodes && dialed_ < rates_.dials &&
         (calls_.empty() || dice_.chance(4));
}

void SttWorld::take_turn() {
  SttCall& call = *calls_[dice_.below(calls_.size())];
  const bool is_client = dice_.chance(50);
  if (dice_.chance(45)) {
    act(call, is_client);
  } else {
    deliver(call, is_client, dice_.between(1, 4), false);
  }
  look_at(call);
}

void SttWorld::pass() {
  responder_->handle_timeout(now_);
  for (auto& call : calls_) {
    if (call->initiator && !call->client) {
      call->initiator->handle_timeout(now_);
      if (call->initiator->has_failed()) hang_up(*call, true);
    }
    if (!call->server && now_ - call->opened >= there_.limits.half_open_timeout) {
      hang_up(*call, false);
    }
    for (const bool is_client : {true, false}) {
      if (SttEnd* const end = call->end(is_client)) fire(*end, now_);
    }
    look_at(*call);
  }
}

void SttWorld::act(SttCall& call, bool is_client) {
  note(2, 0);
  SttEnd* const end = call.end(is_client);
  const SttEnd* const peer = call.end(!is_client);
  if (end == nullptr || peer == nullptr || end->is_over()) return;
  if (!call.is_open(is_client)) return;
  const std::size_t roll = dice_.below(1000);
  if (roll < 50 && end->open_streams() < kMaxStreams) {
    end->open(now_);
  } else if (roll < 500) {
    end->write(now_);
  } else if (roll < 900) {
    end->read(*peer, dice_.chance(rates_.slow_percent), now_);
  } else if (roll < 940) {
    end->finish(now_);
  } else if (roll < 947) {
    end->reset(now_);
  } else if (roll < 954) {
    end->stop(now_);
  } else if (roll < 970) {
    end->ping(now_);
  } else if (roll < 980) {
    end->rotate(now_);
  } else if (dice_.below(1000) < rough_permille_) {
    call.is_rough = true;
    end->close(static_cast<std::uint16_t>(256 + dice_.below(100)), now_);
  } else {
    end->timeout(now_);  // early: harmless
  }
}

void SttWorld::deliver(SttCall& call, bool to_client, std::size_t most, bool is_always) {
  SttLine& line = to_client ? call.down : call.up;
  note(3, to_client ? 1 : 0);
  if (!is_always && line.stalled_until > now_) return;
  for (std::size_t i = 0; i < most && !line.empty(); ++i) {
    auto [message, is_forged] = line.take();
    trace_.add(ByteView(message).first(std::min<std::size_t>(message.size(), 40)));
    if (!call.is_open(to_client)) continue;
    const SttEnd* const before = call.end(to_client);
    const bool was_over = before != nullptr && before->is_over();
    const bool is_good = to_client ? to_initiator(call, message) : to_responder(call, message);
    const bool is_up = call.end(to_client) != nullptr;
    require(!is_good || !is_forged || !is_up || was_over,
            "nothing that was changed on its way is taken");
    if (!is_good) {
      require(call.is_disturbed || call.is_attack || !call.has_seed || is_refused_for_ephemeral(),
              "no fault between honest ends");
      hang_up(call, to_client);
      return;
    }
    pump(call, to_client);
  }
  if (line.empty() && line.is_ended) hang_up(call, to_client);
}

bool SttWorld::is_refused_for_ephemeral() const {
  return there_.demand_ephemeral && !here_.ephemeral;
}

bool SttWorld::to_initiator(SttCall& call, MutableBytes message) {
  if (call.client) return call.client->session().handle_datagram(message, now_).has_value();
  if (!call.initiator) return false;
  const auto frame = stt::parse_frame(message);
  if (!frame || !frame->head.is_handshake()) return false;
  if (!call.initiator->handle_frame(*frame, now_)) return false;
  if (!call.initiator->is_done()) return true;
  require(call.has_seed && !call.is_attack, "who has not the seed opens nothing");
  require(call.server_id.has_value(), "an initiator is done behind its responder");
  make_end(call, true, std::move(*call.initiator).take());
  call.initiator.reset();
  require(call.client->session().id() == *call.server_id, "both know the session by one id");
  return true;
}

bool SttWorld::to_responder(SttCall& call, MutableBytes message) {
  if (call.server) return call.server->session().handle_datagram(message, now_).has_value();
  const auto frame = stt::parse_frame(message);
  if (!frame || !frame->head.is_handshake()) return false;
  ByteArray<stt::kMaxHandshakeFrameBytes> out{};
  auto reply = responder_->handle_frame(*frame,
                                        {.address = call.address,
                                         .transport = stt::Transport::websocket,
                                         .datagram_bytes = message.size()},
                                        unix_ms(), now_, out);
  if (!reply) return false;
  require(call.has_seed, "who has not the seed gets no answer");
  write_sealed(call.down, book_, ByteView(out).first(reply->reply_bytes));
  if (!reply->established) return true;
  require(!call.is_attack, "an attacker's bytes open nothing");
  call.server_id = reply->established->session_id;
  make_end(call, false, std::move(*reply->established));
  return true;
}

void SttWorld::make_end(SttCall& call, bool is_client, stt::Established established) {
  ++sums_.sessions;
  (is_client ? call.client : call.server) = std::make_unique<SttEnd>(
      call.config, std::move(established), engine_, rng_, Dice(dice_.next()), now_);
}

void SttWorld::pump(SttCall& call, bool of_client) {
  SttLine& line = of_client ? call.up : call.down;
  if (of_client && call.initiator) transmit(*call.initiator, line, book_);
  SttEnd* const end = call.end(of_client);
  SttEnd* const peer = call.end(!of_client);
  if (end == nullptr) return;
  end->transmit(line, book_, now_);
  if (peer != nullptr) end->take_events(*peer, now_);
  // Who has closed, and said so, ends the connection.
  if (end->session().state() == stt::SessionState::closed && !line.is_full()) {
    hang_up(call, of_client);
  }
}

void SttWorld::open() {
  auto call = std::make_unique<SttCall>();
  call->has_seed = !dice_.chance(5);
  call->config = draw_config();
  start(*call);
  call->initiator.emplace(call->has_seed ? here_ : stranger_, stt::Transport::websocket, engine_,
                          rng_, unix_ms() + skew_ms_, now_);
  pump(*call, true);
  calls_.push_back(std::move(call));
}

void SttWorld::start(SttCall& call) {
  call.opened = now_;
  call.set_capacity(rates_.capacity);
  ++dialed_;
  call.address = {
      127, 0, 0, 1, static_cast<std::uint8_t>(dialed_ >> 8U), static_cast<std::uint8_t>(dialed_)};
}

UnixMillis SttWorld::unix_ms() const {
  return 1'700'000'000'000 +
         static_cast<UnixMillis>(
             std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch())
                 .count());
}

void SttWorld::hang_up(SttCall& call, bool by_client) {
  bool& is_open = by_client ? call.is_client_open : call.is_server_open;
  if (!is_open) return;
  is_open = false;
  call.close(by_client);
  if (by_client) call.initiator.reset();
  SttEnd* const end = call.end(by_client);
  const SttEnd* const peer = call.end(!by_client);
  if (end == nullptr) return;
  end->session().handle_disconnected(now_);
  if (peer != nullptr) end->take_events(*peer, now_);
  if (!by_client) responder_->release(end->session().id());
}

void SttWorld::look_at(SttCall& call) {
  for (const bool is_client : {true, false}) {
    if (call.is_open(is_client)) pump(call, is_client);
    if (const SttEnd* const end = call.end(is_client)) {
      if (dice_.chance(10)) end->check_windows();
    }
  }
  if (!call.client || !call.server) return;
  const auto up = call.client->session().statistics();
  const auto down = call.server->session().statistics();
  require(up.epoch_received <= down.epoch_sent && down.epoch_received <= up.epoch_sent,
          "no epoch is ahead of its sender");
  require(up.frames_received <= down.frames_sent && down.frames_received <= up.frames_sent,
          "no frame comes that was not sent");
  require(up.bytes_received <= down.bytes_sent && down.bytes_received <= up.bytes_sent,
          "no more comes than was written");
  require(
      call.client->session().has_forward_secrecy() == call.server->session().has_forward_secrecy(),
      "both know whether there is forward secrecy");
}

void SttWorld::collect() {
  take_away(
      calls_, [](const SttCall& call) { return call.is_over(); },
      [this](SttCall& call) { finish(call); });
}

void SttWorld::finish_all() {
  for (auto& call : calls_) finish(*call);
}

void SttWorld::finish(SttCall& call) {
  if (is_settling()) require_completed(call);
  for (const bool is_client : {true, false}) {
    SttEnd* const end = call.end(is_client);
    if (end == nullptr) continue;
    if (call.end(!is_client) != nullptr) judge(call, *end, *call.end(!is_client));
    sums_.streams += end->streams_opened;
    sums_.bytes += end->bytes_read;
    sums_.messages += end->messages_read;
    sums_.rotations += end->rotations;
    const auto& closed = end->closed();
    if (closed) ++(closed->code == 0 ? sums_.clean : sums_.broken);
    trace_.add(end->bytes_read);
  }
}

void SttWorld::judge(const SttCall& call, const SttEnd& end, const SttEnd& peer) {
  const auto& closed = end.closed();
  if (!closed || call.is_disturbed) return;
  const bool is_told = closed->code >= 256 &&
                       (closed->by_peer ? peer : end).close_code() == std::optional(closed->code);
  const bool is_cut = closed->fault.code == Errc::truncated && (call.is_rough || peer.is_over());
  if (closed->code == 0 || is_told || is_cut) return;
  end.print("end");
  peer.print("peer");
  throw Violation("a session ends for a reason, not with code " + std::to_string(closed->code));
}

SttCall* SttWorld::any_call() {
  return calls_.empty() ? nullptr : calls_[dice_.below(calls_.size())].get();
}

std::optional<World::Target> SttWorld::draw_target() {
  SttCall* const call = any_call();
  if (call == nullptr) return std::nullopt;
  return Target{.up = &call->up,
                .down = &call->down,
                .was_cut = &call->is_disturbed,
                .was_stalled = &call->is_disturbed};
}

void SttWorld::disturb_all() {
  for (auto& call : calls_) call->is_disturbed = true;
}

void SttWorld::tamper() {
  SttCall* const call = any_call();
  if (call == nullptr) return;
  SttCall& other = *calls_[dice_.below(calls_.size())];
  const std::vector<Octets> seen = dice_.chance(50) ? other.up.seen() : other.down.seen();
  if (dice_.chance(15)) {
    other.is_disturbed = true;  // a HELLO that overtakes itself makes the true one a replay
    return attack(seen);
  }
  SttLine& line = dice_.chance(50) ? call->up : call->down;
  if (line.empty() || call->is_disturbed) return;  // once is enough
  call->is_disturbed = true;
  line.tamper(seen.empty() ? nullptr : &seen[dice_.below(seen.size())], dice_);
}

void SttWorld::attack(const std::vector<Octets>& seen) {
  if (dialed_ >= rates_.dials || calls_.size() > rates_.nodes + 2 || seen.empty()) return;
  auto call = std::make_unique<SttCall>();
  call->is_attack = true;
  start(*call);
  if (dice_.chance(70)) {
    call->is_client_open = false;
    for (const Octets& message : seen) call->up.write(message);
    call->up.is_ended = true;
  } else {
    call->is_server_open = false;
    call->initiator.emplace(here_, stt::Transport::websocket, engine_, rng_, unix_ms(), now_);
    pump(*call, true);
    // Bounced its own bytes, or another connection's answers.
    const std::vector<Octets> own = call->up.seen();
    for (const Octets& message : dice_.chance(50) ? own : seen) call->down.write(message);
    call->down.is_ended = true;
  }
  calls_.push_back(std::move(call));
}

void SttWorld::calm() {
  for (auto& call : calls_) call->go_on(now_);
}

void SttWorld::settle_turn() {
  for (auto& call : calls_) settle(*call);
}

void SttWorld::settle(SttCall& call) {
  for (const bool is_client : {true, false}) {
    SttEnd* const end = call.end(is_client);
    SttEnd* const peer = call.end(!is_client);
    if (end != nullptr && peer != nullptr && !end->is_over()) {
      end->finish_all(now_);
      end->read(*peer, false, now_);
      // Whoever dialled says when it is enough.
      if (is_client && end->all_streams_closed() && peer->all_streams_closed()) end->drain(now_);
    }
    deliver(call, !is_client, ~std::size_t{0}, true);
  }
  look_at(call);
}

void SttWorld::require_completed(const SttCall& call) {
  if (!call.client || !call.server || call.is_disturbed || call.is_rough) return;
  for (const auto& [end, peer] : {std::pair(call.client.get(), call.server.get()),
                                  std::pair(call.server.get(), call.client.get())}) {
    require(end->closed() && end->closed()->code == 0, "without faults a session ends well");
    end->check_complete(*peer);
  }
}

void SttWorld::print() const {
  for (const auto& call : calls_) {
    if (call->client) call->client->print("client");
    if (call->server) call->server->print("server");
  }
}

World::Counts SttWorld::counts() const {
  return {{"sessions", sums_.sessions},      {"streams", sums_.streams},
          {"kilobytes", sums_.bytes / 1000}, {"messages", sums_.messages},
          {"rotations", sums_.rotations},    {"closed well", sums_.clean},
          {"broken", sums_.broken},          {"keys", book_.count()}};
}

}  // namespace sealine::sim
